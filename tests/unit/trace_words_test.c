// SPDX-License-Identifier: GPL-2.0
/* build: tools/trace_options.c tools/trace_output.c tools/record.c tools/ask_rule.c */
/* build: tools/json.c tools/command.c tools/lib/watch_names.c -ljson-c */
/* "vitrine trace": how large its rings are, what its options mean, where it says an exit was. */
#include <stdlib.h>
#include <string.h>

#include "../../tools/command.h"
#include "../../tools/trace.h"
#include "tap.h"

static bool test_rings(void)
{
	static const struct {
		uint64_t room_bytes;
		uint32_t nr, records;
	} wanted[] = {
		{ VITRINE_RINGS_MAX_BYTES, 1, 4096 }, { VITRINE_RINGS_MAX_BYTES, 63, 4096 },
		{ VITRINE_RINGS_MAX_BYTES, 64, 2048 }, { VITRINE_RINGS_MAX_BYTES, 1024, 128 },
		{ 8192, 1, 16 }, { 0, 1, 16 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		uint32_t got = trace_fit_records(wanted[i].room_bytes, wanted[i].nr);

		if (got == wanted[i].records)
			continue;
		tap_diag("%u rings have %u records each", wanted[i].nr, got);
		return false;
	}
	return trace_ring_bytes(16) == 8192 && trace_ring_bytes(4096) == (1 << 20) + 4096;
}

static int parse(const char *line, struct trace_options *options, struct vitrine_error *err)
{
	static char copy[256];
	char *words[8] = { "trace" };
	int count = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, " "); word && count < 7; word = strtok(NULL, " "))
		words[count++] = word;
	return trace_options_parse(count, words, options, err);
}

static bool test_options(void)
{
	static const char *const bad[] = {
		"", "0", "0x1", "1x", "1 2", "--count 0 1", "--count 0x 1", "--rip 2-1 1",
		"--records 24 1", "--rule interrupt 1", "--rule cr-write:9 1", "--nonsense 1",
	};
	struct trace_options options;
	struct vitrine_error err;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (!parse(bad[i], &options, &err)) {
			tap_diag("'%s' is taken", bad[i]);
			return false;
		}
	if (parse("--count 010 --rip 010-0x10 1", &options, &err)) {
		tap_diag("%s", err.text);
		return false;
	}
	return options.count == 10 && options.rip_first == 10 && options.rip_last == 16 &&
	       options.vm_id == 1 && !options.nr_records;
}

/* What --rip goes by. */
static bool test_address(void)
{
	struct vitrine_record record = { .rip = 0xfff0, .code_base = 0xffff0000 };
	char *text = NULL;
	size_t size;
	FILE *to;
	bool ok;

	to = open_memstream(&text, &size);
	trace_print_text(to, &record, 0, 0);
	trace_print_json(to, &record, 0, 0);
	fclose(to);
	ok = strstr(text, " 00000000fffffff0 ") && strstr(text, "\"rip\":\"0xfffffff0\"");
	if (!ok)
		tap_diag("%s", text);
	free(text);
	return ok;
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "rings fit into the room that there is", test_rings },
		{ "options", test_options },
		{ "an exit is where its instruction is", test_address },
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
