// SPDX-License-Identifier: GPL-2.0
/* build: tools/lib/size.c tools/lib/error.c tools/lib/cpuid.c tools/lib/device.c tools/options.c */
/* build: tools/command.c tools/serial.c tools/output.c */
/*
 * The tool's pure parts: sizes and command lines as people write them, CPUID as a guest reads
 * it, and the serial port as a driver does.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "../../tools/lib/internal.h"
#include "../../tools/options.h"
#include "../../tools/serial.h"
#include "tap.h"

static bool test_sizes(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;
		int ret;
	} sizes[] = {
		{ "0", 0, 0 }, { "4096", 4096, 0 }, { "64K", 65536, 0 }, { "64k", 65536, 0 },
		{ "0x100000", 0x100000, 0 }, { "256M", 256 * MIB, 0 }, { "4GiB", 4 * GIB, 0 },
		{ "1T", 1024 * GIB, 0 }, { "16777215T", 16777215ULL << 40, 0 },
		{ "16777216T", 0, -ERANGE }, { "99999999999999999999", 0, -ERANGE },
		{ "", 0, -EINVAL }, { "-1", 0, -EINVAL }, { " 1", 0, -EINVAL },
		{ "M", 0, -EINVAL }, { "1X", 0, -EINVAL }, { "1MM", 0, -EINVAL },
		{ "0x", 0, -EINVAL }, { "1.5G", 0, -EINVAL },
	};
	struct vitrine_error err;
	uint64_t bytes;
	unsigned int i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		bytes = 0;
		ret = vitrine_parse_size(sizes[i].text, &bytes, &err);
		if (ret != sizes[i].ret || bytes != sizes[i].bytes) {
			tap_diag("'%s': %d, %llu", sizes[i].text, ret,
				 (unsigned long long)bytes);
			return false;
		}
	}
	return true;
}

#define WORDS_MAX 12

/* Splits at blanks and parses; the words must outlive the options. */
static int parse(const char *line, char *copy, size_t size, struct run_options *options,
		 struct vitrine_error *err)
{
	char *words[WORDS_MAX + 1] = { NULL };
	char *rest = NULL, *word;
	int count = 0;

	snprintf(copy, size, "run %s", line);
	for (word = strtok_r(copy, " ", &rest); word && count < WORDS_MAX;
	     word = strtok_r(NULL, " ", &rest))
		words[count++] = word;
	return run_options_parse(count, words, options, err);
}

static bool test_options(void)
{
	struct run_options options;
	struct vitrine_error err;
	char copy[256];

	if (parse("--kernel k --initrd i -m 512 --cpus 4 --timeout 1.5 --no-stats", copy,
		  sizeof(copy), &options, &err) || strcmp(options.kernel, "k") ||
	    options.memory_bytes != 512 * MIB || options.cpus != 4 || !options.irqchip ||
	    options.timeout_ms != 1500 || options.stats)
		return false;
	if (parse("--flat f@0x8000 --mode protected", copy, sizeof(copy), &options, &err) ||
	    strcmp(options.flat, "f") || options.flat_gpa != 0x8000 || options.irqchip ||
	    options.mode != VITRINE_MODE_PROTECTED)
		return false;
	return !parse("--flat a@b", copy, sizeof(copy), &options, &err) &&
	       !strcmp(options.flat, "a@b") && options.flat_gpa == 0x7c00;
}

static bool test_options_refused(void)
{
	static const struct {
		const char *line, *word;
	} lines[] = {
		{ "", "nothing to run" },
		{ "--kernel", "needs a value" },
		{ "--kernel k --flat f", "exclude" },
		{ "--kernel k --memory 0", "--memory" },
		{ "--kernel k --memory 1K", "--memory" },
		{ "--kernel k --memory 65T", "--memory" },
		{ "--kernel k --memory 99999999999999", "--memory" },
		{ "--kernel k --memory 1025K", "4K" },
		{ "--kernel k --memory -5M", "not a size" },
		{ "--kernel k --cpus 0", "--cpus" },
		{ "--kernel k --cpus 255", "--cpus" },
		{ "--kernel k --cpus 2x", "--cpus" },
		{ "--kernel k --timeout nan", "not a number" },
		{ "--kernel k --timeout 5s", "not a number" },
		{ "--kernel k --timeout -1", "0.001 to 31536000" },
		{ "--kernel k --timeout 0", "0.001 to 31536000" },
		{ "--kernel k --timeout inf", "0.001 to 31536000" },
		{ "--kernel k --mode real", "--mode" },
		{ "--flat f --mode virtual", "--mode" },
		{ "--flat f --initrd i", "--initrd" },
		{ "--flat f --cpus 2", "--irqchip" },
		{ "--kernel k --frobnicate", "frobnicate" },
		{ "--kernel k extra", "extra" },
	};
	struct run_options options;
	struct vitrine_error err;
	char copy[256];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lines); i++)
		if (parse(lines[i].line, copy, sizeof(copy), &options, &err) != -EINVAL ||
		    !strstr(err.text, lines[i].word)) {
			tap_diag("'%s': '%s'", lines[i].line, err.text);
			return false;
		}
	return true;
}

#define ENTRIES_MAX 16

static struct kvm_cpuid2 *make_cpuid(void)
{
	static const struct kvm_cpuid_entry2 entries[] = {
		{ .function = 0, .eax = 0xd },
		{ .function = 1, .ebx = 0x07400800, .edx = 0 },
		{ .function = 4, .index = 0, .eax = 0x1c004121 },
		{ .function = 0xb, .index = 0, .edx = 7 },
	};
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + ENTRIES_MAX * sizeof(entries[0]));

	memcpy(cpuid->entries, entries, sizeof(entries));
	cpuid->nent = ARRAY_SIZE(entries);
	return cpuid;
}

static struct kvm_cpuid_entry2 leaf(const struct kvm_cpuid2 *cpuid, uint32_t function,
				    uint32_t index)
{
	unsigned int i;

	for (i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function && cpuid->entries[i].index == index)
			return cpuid->entries[i];
	return (struct kvm_cpuid_entry2) { .function = UINT32_MAX };
}

static bool test_topology(void)
{
	struct kvm_cpuid2 *cpuid = make_cpuid();
	bool ok;

	vitrine_cpuid_patch(cpuid, ENTRIES_MAX, 2, 3, 0, true);
	ok = leaf(cpuid, 1, 0).ebx == 0x02030800 && leaf(cpuid, 1, 0).edx & 1 << 28 &&
	     leaf(cpuid, 1, 0).ecx == (1U << 31 | 1 << 24) &&
	     leaf(cpuid, 4, 0).eax >> 26 == 3 && (leaf(cpuid, 4, 0).eax & 0x3ff) == 0x121 &&
	     leaf(cpuid, 0xb, 0).edx == 2 && leaf(cpuid, 0xb, 0).ebx == 1 &&
	     leaf(cpuid, 0xb, 1).edx == 2 && leaf(cpuid, 0xb, 1).ebx == 3 &&
	     leaf(cpuid, 0xb, 1).eax == 2 && leaf(cpuid, 0x15, 0).function == UINT32_MAX;
	free(cpuid);
	return ok;
}

/* As Linux computes it: 32-bit kHz of crystal times EBX over EAX. */
static bool test_tsc(void)
{
	static const uint32_t khz[] = { 100000, 1000, 999999, 2394230, 3500123, 4200000, 799999,
					2000017, 2995199 };
	struct kvm_cpuid_entry2 tsc;
	struct kvm_cpuid2 *cpuid;
	uint32_t product, error;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(khz); i++) {
		cpuid = make_cpuid();
		vitrine_cpuid_patch(cpuid, ENTRIES_MAX, 0, 1, khz[i], false);
		tsc = leaf(cpuid, 0x15, 0);
		if (leaf(cpuid, 0, 0).eax != 0x16 ||
		    leaf(cpuid, 0x16, 0).eax != (khz[i] + 500) / 1000 ||
		    !tsc.eax || tsc.ecx < 999000000 || tsc.ecx > 1001000000) {
			free(cpuid);
			return false;
		}
		free(cpuid);
		if (__builtin_mul_overflow(tsc.ecx / 1000, tsc.ebx, &product))
			return false;
		product /= tsc.eax;
		error = product > khz[i] ? product - khz[i] : khz[i] - product;
		/* One part in a million, and the division's remainder. */
		if (error > khz[i] / 1000000 + 1) {
			tap_diag("%u kHz became %u", khz[i], product);
			return false;
		}
	}
	return true;
}

/* A table without room for more must not be overrun (the sanitizer watches). */
static bool test_cpuid_full(void)
{
	struct kvm_cpuid2 *cpuid;
	bool ok;

	cpuid = calloc(1, sizeof(*cpuid) + 2 * sizeof(cpuid->entries[0]));
	cpuid->nent = 2;
	cpuid->entries[1].function = 0xb;
	vitrine_cpuid_patch(cpuid, 2, 1, 2, 100000, false);
	ok = cpuid->nent == 2 && cpuid->entries[0].eax == 0;
	free(cpuid);
	return ok;
}

static bool line_level;
static unsigned int line_changes;

static void set_line(void *data, bool level)
{
	(void)data;
	line_level = level;
	line_changes++;
}

static void wake(void *data)
{
	++*(unsigned int *)data;
}

static bool test_serial(void)
{
	unsigned int wakes = 0, i, got = 0;
	uint8_t bytes[64], many[SERIAL_BACKLOG_BYTES + 10] = { 0 };
	struct output output;
	struct serial serial;
	bool ok = true;
	int ends[2];

	if (pipe2(ends, O_NONBLOCK))
		return false;
	output_init(&output, ends[1], "oook\n", wake, &wakes);
	serial_init(&serial, &output, set_line, NULL);

	/* Input waits until the driver asks, even if the driver clears its FIFO first. */
	serial_write(&serial, 4, 0);
	ok &= serial_receive(&serial, (const uint8_t *)"hello, long line of input", 25) == 25;
	ok &= !(serial_read(&serial, 5) & 1);
	serial_write(&serial, 2, 7);
	serial_write(&serial, 4, 0x0b);
	serial_write(&serial, 1, 1);
	ok &= line_level && (serial_read(&serial, 2) & 0xf) == 4;
	for (i = 0; i < 40 && serial_read(&serial, 5) & 1; i++)
		bytes[got++] = serial_read(&serial, 0);
	ok &= got == 25 && !memcmp(bytes, "hello, long line of input", 25) && !line_level;

	/* Transmitter: one interrupt when asked for, gone when seen; a newline flushes. */
	serial_write(&serial, 1, 2);
	ok &= line_level && (serial_read(&serial, 2) & 0xf) == 2 && !line_level;
	line_changes = 0;
	for (i = 0; i < 6; i++)
		serial_write(&serial, 0, "ooook\n"[i]);
	ok &= line_changes == 1 && line_level && output_until_seen(&output) && wakes;
	ok &= read(ends[0], bytes, sizeof(bytes)) == 6 && !memcmp(bytes, "ooook\n", 6);
	serial_write(&serial, 0, '$');
	ok &= read(ends[0], bytes, sizeof(bytes)) < 0;
	serial_write(&serial, 1, 0);
	ok &= read(ends[0], bytes, sizeof(bytes)) == 1 && !line_level;

	/* The test Linux makes before it believes in a UART, and what does not fit. */
	serial_write(&serial, 4, 0x1a);
	ok &= (serial_read(&serial, 6) & 0xf0) == 0x90;
	serial_write(&serial, 4, 0);
	ok &= serial_receive(&serial, many, sizeof(many)) == SERIAL_BACKLOG_BYTES;
	ok &= !serial_room(&serial);

	/* A reader that is gone is told once, and the guest is not held up. */
	close(ends[0]);
	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < 3000; i++)
		serial_write(&serial, 0, 'x');
	ok &= output.error == EPIPE;
	serial_destroy(&serial);
	output_destroy(&output);
	close(ends[1]);
	return ok;
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "sizes with suffixes, and what is no size", test_sizes },
		{ "command lines of vitrine run", test_options },
		{ "command lines that are refused, by name", test_options_refused },
		{ "CPUID: APIC id and topology", test_topology },
		{ "CPUID: the TSC frequency as Linux computes it", test_tsc },
		{ "CPUID: a full table is not overrun", test_cpuid_full },
		{ "the serial port as a driver uses it", test_serial },
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
