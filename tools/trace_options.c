// SPDX-License-Identifier: GPL-2.0
/* The command line of "vitrine trace", checked. Opens nothing. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "command.h"
#include "trace.h"

#define MOST_RECORDS	4096	/* unless told */
#define MIN_RECORDS	16
#define PAGE_BYTES	4096

enum {
	OPTION_RIP = 256,
	OPTION_CR3,
	OPTION_RECORDS,
	OPTION_STOP,
	OPTION_NO_INSN,
	OPTION_DEVICE,
	OPTION_RULE,
	OPTION_NEXT
};

static const struct {
	struct option option;
	const char *argument;
	const char *help;
} table[] = {
	{ { "vcpu", required_argument, NULL, 'v' }, "INDEX", "only this vCPU" },
	{ { "reason", required_argument, NULL, 'r' }, "LIST",
	  "only these exits: names of the SDM or numbers; with ! before it, all but these" },
	{ { "rule", required_argument, NULL, OPTION_RULE }, "RULE",
	  "what this rule of 'vitrine ask' names, though it exits for that alone; repeatable" },
	{ { "rip", required_argument, NULL, OPTION_RIP }, "A[-B]",
	  "only from this address, or from A to B" },
	{ { "cr3", required_argument, NULL, OPTION_CR3 }, "VALUE",
	  "only of this address space" },
	{ { "count", required_argument, NULL, 'n' }, "N", "end after N records" },
	{ { "time", required_argument, NULL, 't' }, "SECONDS", "end after so long" },
	{ { "summary", no_argument, NULL, 's' }, NULL,
	  "no records, only the table at the end" },
	{ { "json", no_argument, NULL, 'j' }, NULL, "a line of JSON for each record" },
	{ { "output", required_argument, NULL, 'o' }, "FILE",
	  "write a trace for ui.perfetto.dev or chrome://tracing" },
	{ { "records", required_argument, NULL, OPTION_RECORDS }, "N",
	  "size of each vCPU's ring, a power of two; 4096 unless given, if there is room" },
	{ { "stop", no_argument, NULL, OPTION_STOP }, NULL,
	  "when a ring is full lose the new records, not the old" },
	{ { "no-insn", no_argument, NULL, OPTION_NO_INSN }, NULL,
	  "without the instructions: costs the guest less" },
	{ { "next", no_argument, NULL, OPTION_NEXT }, NULL,
	  "in the place of VM: the next one that is created" },
	{ { "device", required_argument, NULL, OPTION_DEVICE }, "PATH",
	  "hypervisor device; $VITRINE_DEV or /dev/vitrine" },
	{ { "help", no_argument, NULL, 'h' }, NULL, "this text" },
};

void trace_options_usage(FILE *to)
{
	char left[48], letter[8];

	fputs("usage: vitrine trace [OPTIONS] VM\n\n"
	      "Shows the exits of a running VM as they happen, whatever program runs it.\n"
	      "VM is its number. Ctrl-C ends it; the VM goes on.\n\n", to);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct option *option = &table[i].option;

		snprintf(letter, sizeof(letter), option->val < 256 ? "-%c, " : "    ",
			 option->val);
		snprintf(left, sizeof(left), "%s--%s %s", letter, option->name,
			 table[i].argument ? table[i].argument : "");
		fprintf(to, "  %-24s %s\n", left, table[i].help);
	}
}

uint32_t trace_ring_bytes(uint32_t nr_records)
{
	return PAGE_BYTES + (nr_records * VITRINE_RECORD_BYTES + PAGE_BYTES - 1) / PAGE_BYTES *
			    PAGE_BYTES;
}

uint32_t trace_fit_records(uint64_t room_bytes, uint32_t nr_rings)
{
	uint32_t nr_records = MOST_RECORDS;

	while (nr_records > MIN_RECORDS &&
	       (uint64_t)trace_ring_bytes(nr_records) * nr_rings > room_bytes)
		nr_records /= 2;
	return nr_records;
}

static int parse_number(const char *text, uint64_t *value, const char *what,
			struct vitrine_error *err)
{
	const char *at = text;

	return take_number(&at, value) && !*at ? 0 :
	       refuse(err, "%s: '%s' is not a number", what, text);
}

static int find_reason(const char *name, struct vitrine_error *err)
{
	uint64_t number;

	for (unsigned int i = 0; i < TRACE_REASONS; i++) {
		const char *known = vitrine_reason_name(i);

		if (known && !strcasecmp(known, name))
			return (int)i;
	}
	if (parse_number(name, &number, "--reason", err) || number >= TRACE_REASONS)
		return refuse(err, "--reason: there is no exit '%s'", name);
	return (int)number;
}

static int parse_reasons(char *list, uint64_t *reasons, struct vitrine_error *err)
{
	bool all_but = *list == '!';
	int reason;

	reasons[0] = 0;
	reasons[1] = 0;
	for (char *name = strtok(list + all_but, ","); name; name = strtok(NULL, ",")) {
		reason = find_reason(name, err);
		if (reason < 0)
			return reason;
		reasons[reason / 64] |= 1ull << reason % 64;
	}
	if (!reasons[0] && !reasons[1])
		return refuse(err, "--reason: no exit is named");
	if (all_but) {
		reasons[0] = ~reasons[0];
		reasons[1] = ~reasons[1];
	}
	return 0;
}

static int parse_range(char *text, struct trace_options *options, struct vitrine_error *err)
{
	char *dash = strchr(text, '-');

	if (dash)
		*dash++ = 0;
	if (parse_number(text, &options->rip_first, "--rip", err) ||
	    parse_number(dash ? dash : text, &options->rip_last, "--rip", err))
		return -EINVAL;
	options->has_rip = true;
	if (options->rip_last < options->rip_first)
		return refuse(err, "--rip: the end is before the beginning");
	return 0;
}

/* Exits by rules, and by reasons only if those are named, too. */
static int take_rule(struct trace_options *options, struct vitrine_error *err)
{
	struct vitrine_rule *rule = &options->rules[options->nr_rules];

	if (options->nr_rules == TRACE_MAX_RULES)
		return refuse(err, "--rule: more than %d", TRACE_MAX_RULES);
	if (ask_parse_rule(optarg, rule, err))
		return -EINVAL;
	if (rule->on == VITRINE_ON_INTERRUPT)
		return refuse(err, "--rule: an interrupt is no exit, and nothing to record");
	rule->action = VITRINE_DO_OBSERVE;
	options->nr_rules++;
	return 0;
}

static int take(int value, struct trace_options *options, struct vitrine_error *err)
{
	uint64_t number;
	char *end;
	int ret;

	switch (value) {
	case 'v':
		ret = parse_number(optarg, &number, "--vcpu", err);
		if (!ret && number > UINT32_MAX)
			return refuse(err, "--vcpu: '%s' is too large", optarg);
		options->vcpu = ret ? -1 : (int64_t)number;
		return ret;
	case 'r':
		options->has_reasons = true;
		return parse_reasons(optarg, options->reasons, err);
	case OPTION_RULE:
		return take_rule(options, err);
	case OPTION_RIP:
		return parse_range(optarg, options, err);
	case OPTION_CR3:
		options->has_cr3 = true;
		return parse_number(optarg, &options->cr3, "--cr3", err);
	case 'n':
		ret = parse_number(optarg, &options->count, "--count", err);
		return ret || options->count ? ret : refuse(err, "--count: 1 is the least");
	case 't':
		options->seconds = strtod(optarg, &end);
		return *end || end == optarg || !(options->seconds > 0) ?
		       refuse(err, "--time: '%s' is not a time", optarg) : 0;
	case OPTION_RECORDS:
		ret = parse_number(optarg, &number, "--records", err);
		if (!ret && (number < MIN_RECORDS || number > VITRINE_RING_MAX_RECORDS ||
			     number & (number - 1)))
			return refuse(err, "--records: must be a power of two, %u to %u",
				      MIN_RECORDS, VITRINE_RING_MAX_RECORDS);
		options->nr_records = ret ? 0 : (uint32_t)number;
		return ret;
	case 's':
		options->summary = true;
		return 0;
	case 'j':
		options->json = true;
		return 0;
	case 'o':
		options->output = optarg;
		return 0;
	case OPTION_STOP:
		options->stop = true;
		return 0;
	case OPTION_NO_INSN:
		options->insn = false;
		return 0;
	case OPTION_NEXT:
		options->next = true;
		return 0;
	case OPTION_DEVICE:
		options->device = optarg;
		return 0;
	default:
		options->help = true;
		return 0;
	}
}

int trace_options_parse(int argc, char **argv, struct trace_options *options,
			struct vitrine_error *err)
{
	struct option list[ARRAY_SIZE(table) + 1] = {};
	int value, ret;

	*options = (struct trace_options) {
		.vcpu = -1,
		.reasons = { UINT64_MAX, UINT64_MAX },
		.insn = true,
	};
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		list[i] = table[i].option;
	/* 0, not 1: glibc starts afresh, whatever was parsed before. */
	optind = 0;
	while ((value = getopt_long(argc, argv, ":v:r:n:t:sjo:h", list, NULL)) != -1) {
		if (value == '?' || value == ':')
			return refuse_option(argv, value, err);
		ret = take(value, options, err);
		if (ret || options->help)
			return ret;
	}
	if (options->next && optind < argc)
		return refuse(err, "--next is in the place of a VM");
	if (optind != argc - 1 && !options->next)
		return refuse(err, optind < argc ? "one VM at a time" : "which VM?");
	if (options->nr_rules && !options->has_reasons)
		memset(options->reasons, 0, sizeof(options->reasons));
	if (options->json && options->summary)
		return refuse(err, "--json and --summary exclude each other");
	if (options->next)
		return 0;
	/* As everywhere: not after 0x, and from 1 on. */
	if (argv[optind][strspn(argv[optind], "0123456789")] ||
	    parse_number(argv[optind], &options->vm_id, "VM", err) || !options->vm_id)
		return refuse(err, "'%s' is no VM's id; 'vitrine list' shows them", argv[optind]);
	return 0;
}
