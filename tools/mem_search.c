// SPDX-License-Identifier: GPL-2.0
/*
 * vitrine mem search: bytes in a guest's memory, a MiB at a time. A find may lie across two of
 * them, but not across a hole.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "json.h"
#include "mem.h"

#define PAGE_BYTES	4096
#define CHUNK_BYTES	(1u << 20)

struct search {
	const struct mem *mem;
	uint8_t *buffer;	/* the last bytes before, then a chunk */
	size_t kept;		/* of the bytes before */
	uint64_t address;	/* of what follows them */
	uint64_t seen;		/* bytes of memory so far */
	uint64_t found;
	struct json_object *list;
};

static void report(struct search *search, uint64_t address)
{
	search->found++;
	if (search->list)
		json_object_array_add(search->list, json_hex(address));
	else
		printf("0x%" PRIx64 "\n", address);
}

static bool is_over(const struct search *search)
{
	return (search->mem->count && search->found >= search->mem->count) ||
	       (search->mem->all && search->seen >= search->mem->all) || ferror(stdout);
}

static void look(struct search *search, size_t bytes)
{
	const struct mem *mem = search->mem;
	const uint8_t *at = search->buffer, *end = at + search->kept + bytes;
	uint64_t base = search->address - search->kept;

	while (!is_over(search)) {
		at = memmem(at, (size_t)(end - at), mem->bytes, mem->nr_bytes);
		if (!at)
			break;
		report(search, base + (uint64_t)(at - search->buffer));
		at++;
	}
	/* What may be the beginning of one. */
	bytes += search->kept;
	search->kept = bytes < mem->nr_bytes - 1 ? bytes : mem->nr_bytes - 1;
	memmove(search->buffer, search->buffer + bytes - search->kept, search->kept);
}

static void show_progress(const struct search *search)
{
	const struct mem *mem = search->mem;
	uint64_t done = search->address - mem->from, all = mem->to - mem->from;

	if (mem->all) {
		done = search->seen;
		all = mem->all;
	}
	fprintf(stderr, "\r%3.0f %% ", 100.0 * (double)done / (double)all);
}

static int go_through(struct search *search, struct vitrine_error *err)
{
	const struct mem *mem = search->mem;
	bool terminal = isatty(STDERR_FILENO);
	uint64_t looked = 0;

	while (search->address < mem->to && !is_over(search)) {
		uint64_t left = mem->to - search->address;
		int64_t got;

		got = vitrine_monitor_read_memory(mem->monitor, mem->vcpu, search->address,
						  search->buffer + search->kept,
						  left < CHUNK_BYTES ? left : CHUNK_BYTES, err);
		if (got < 0 && got != -EFAULT)
			return (int)got;
		if (got > 0) {
			look(search, (size_t)got);
			search->address += (uint64_t)got;
			search->seen += (uint64_t)got;
		} else {
			search->kept = 0;
			search->address = (search->address | (PAGE_BYTES - 1)) + 1;
		}
		if (terminal && ++looked % 64 == 0)
			show_progress(search);
		if (!search->address)
			break;
	}
	if (terminal)
		fputs("\r      \r", stderr);
	return 0;
}

int mem_search(const struct mem *mem, struct vitrine_error *err)
{
	struct search search = { .mem = mem, .address = mem->from };
	int ret;

	search.buffer = malloc(mem->nr_bytes + CHUNK_BYTES);
	if (!search.buffer) {
		*err = (struct vitrine_error) { ENOMEM, "out of memory" };
		return -ENOMEM;
	}
	if (mem->json)
		search.list = json_object_new_array();
	ret = go_through(&search, err);
	if (!ret && !search.seen && mem->all)
		ret = refuse(err, "from 0x%" PRIx64 " on there is no memory", mem->from);
	else if (!ret && !search.seen)
		ret = refuse(err, "from 0x%" PRIx64 " to 0x%" PRIx64 " there is no memory",
			     mem->from, mem->to);
	if (search.list)
		puts(json_object_to_json_string_ext(search.list, JSON_C_TO_STRING_PLAIN));
	else if (!ret && !search.found)
		complain("it is not there");
	json_object_put(search.list);
	free(search.buffer);
	return ret;
}
