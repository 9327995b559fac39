// SPDX-License-Identifier: GPL-2.0
/* build: tools/mem_search.c tools/json.c tools/command.c -ljson-c */
/*
 * How far "vitrine mem search" goes, in memory made up here: all of it, wherever its hole is, and
 * no further.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../tools/command.h"
#include "../../tools/mem.h"
#include "tap.h"

#define MIB	(1ull << 20)
#define GIB	(1ull << 30)

struct area {
	uint64_t begin, end;
};

/* Filled with zeroes but for a word. */
static struct area areas[2];
static uint64_t word_at;
static unsigned int calls;

int64_t vitrine_monitor_read_memory(struct vitrine_monitor *monitor, int64_t vcpu, uint64_t address,
				    void *data, uint64_t bytes, struct vitrine_error *err)
{
	uint64_t there = 0;

	(void)monitor;
	(void)vcpu;
	calls++;
	for (size_t i = 0; i < ARRAY_SIZE(areas); i++)
		if (address >= areas[i].begin && address < areas[i].end)
			there = areas[i].end - address;
	if (!there)
		return -(err->code = EFAULT);
	if (there > bytes)
		there = bytes;
	memset(data, 0, there);
	for (uint64_t i = 0; i < 4; i++)
		if (word_at + i >= address && word_at + i < address + there)
			((char *)data)[word_at + i - address] = "word"[i];
	return (int64_t)there;
}

/* What it says, or its error; to be freed. */
static char *search(uint64_t from, uint64_t to, uint64_t all)
{
	struct mem mem = { .vcpu = -1, .from = from, .to = to, .all = all,
			   .bytes = (const uint8_t *)"word", .nr_bytes = 4 };
	FILE *tap = stdout;
	struct vitrine_error err;
	char *text = NULL;
	size_t size;

	calls = 0;
	stdout = open_memstream(&text, &size);
	if (mem_search(&mem, &err))
		fputs(err.text, stdout);
	fclose(stdout);
	stdout = tap;
	return text;
}

static bool says(char *text, const char *words)
{
	bool same = !strcmp(text, words);

	if (!same)
		tap_diag("'%s' instead of '%s'", text, words);
	free(text);
	return same;
}

/* As QEMU's q35 has it: the hole begins lower than with others. */
static bool test_hole(void)
{
	areas[0] = (struct area) { 0, 16 * MIB };
	areas[1] = (struct area) { 4 * GIB, 4 * GIB + 16 * MIB };
	word_at = 4 * GIB + 16 * MIB - 4;
	return says(search(0, 4 * GIB + 32 * MIB, 32 * MIB), "0x100fffffc\n");
}

/* And what lies across two reads is found. */
static bool test_end(void)
{
	areas[0] = (struct area) { 0, 16 * MIB };
	areas[1] = (struct area) {};
	word_at = 3 * MIB - 2;
	if (!says(search(0, 4 * GIB + 16 * MIB, 16 * MIB), "0x2ffffe\n"))
		return false;
	if (calls == 16)
		return true;
	tap_diag("16 MiB took %u calls", calls);
	return false;
}

static bool test_nothing(void)
{
	areas[0] = (struct area) { 0, 16 * MIB };
	areas[1] = (struct area) {};
	return says(search(17 * MIB, 18 * MIB, 0),
		    "from 0x1100000 to 0x1200000 there is no memory") &&
	       says(search(5 * GIB, 4 * GIB + 16 * MIB, 16 * MIB),
		    "from 0x140000000 on there is no memory");
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "memory above a hole", test_hole },
		{ "no further than all there is", test_end },
		{ "where there is none", test_nothing },
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
