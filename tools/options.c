// SPDX-License-Identifier: GPL-2.0
/*
 * One table of options: getopt's list, the usage and the parser are made from it.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "options.h"

#define MEMORY_DEFAULT	(256ULL << 20)
#define MEMORY_MIN	(1ULL << 20)
#define MEMORY_MAX	(1ULL << 46)
#define PAGE_BYTES	4096
#define CPUS_MAX	254
#define TIMEOUT_MAX_S	(365.0 * 86400)
#define REAL_DEFAULT	0x7c00
#define FLAT_DEFAULT	0x100000

/* Values of options without a letter. */
enum {
	OPTION_FLAT = 256,
	OPTION_MODE,
	OPTION_IRQCHIP,
	OPTION_NO_IRQCHIP,
	OPTION_DEVICE,
	OPTION_STRICT,
	OPTION_STATS,
	OPTION_NO_STATS,
	OPTION_JSON,
	OPTION_UNTIL,
	OPTION_REBOOT,
	OPTION_PAUSED,
};

static const struct {
	const char *name;
	const char *argument;	/* NULL: takes none */
	int value;
	const char *help;
} table[] = {
	{ "kernel", "FILE", 'k', "a Linux bzImage or vmlinux, a PVH or multiboot kernel" },
	{ "initrd", "FILE", 'i', "initial RAM disk; for multiboot the first module" },
	{ "append", "TEXT", 'a', "kernel command line, after console=ttyS0" },
	{ "flat", "FILE[@ADDR]", OPTION_FLAT,
	  "raw code, at 0x7c00 in real mode, else at 1 MiB, unless told" },
	{ "mode", "MODE", OPTION_MODE, "how --flat starts: real (default), protected or long" },
	{ "memory", "SIZE", 'm', "guest memory, like 512M or 2G; 1M to 64T, 256M unless given" },
	{ "cpus", "N", 'c', "virtual CPUs, 1 to 254; 1 unless given" },
	{ "irqchip", NULL, OPTION_IRQCHIP, "interrupt controllers for --flat (--kernel has them)" },
	{ "no-irqchip", NULL, OPTION_NO_IRQCHIP, "none for --kernel: HLT ends the run" },
	{ "timeout", "SECONDS", 't', "end the run after so long, with exit code 124" },
	{ "until", "TEXT", OPTION_UNTIL, "end the run when the console shows TEXT" },
	{ "reboot", NULL, OPTION_REBOOT, "start again when the guest resets, instead of ending" },
	{ "paused", NULL, OPTION_PAUSED, "wait for 'vitrine resume' before the first instruction" },
	{ "strict", NULL, OPTION_STRICT, "end the run when the guest uses what is not there" },
	{ "stats", NULL, OPTION_STATS, "at the end tell what the run cost (the default)" },
	{ "no-stats", NULL, OPTION_NO_STATS, "do not" },
	{ "json", "FILE", OPTION_JSON, "write the result to FILE as JSON; -: to standard output" },
	{ "device", "PATH", OPTION_DEVICE, "hypervisor device; $VITRINE_DEV or /dev/vitrine" },
	{ "help", NULL, 'h', "this text" },
};

#define NR_OPTIONS ARRAY_SIZE(table)

void run_options_usage(FILE *to)
{
	char left[64], letter[8];
	unsigned int i;

	fputs("usage: vitrine run --kernel FILE [--initrd FILE] [--append TEXT] [OPTIONS]\n"
	      "       vitrine run --flat FILE[@ADDR] [--mode MODE] [OPTIONS]\n\n"
	      "Runs a guest with its serial port on this terminal; Ctrl-A h lists the keys.\n\n",
	      to);
	for (i = 0; i < NR_OPTIONS; i++) {
		snprintf(letter, sizeof(letter), table[i].value < 256 ? "-%c, " : "    ",
			 table[i].value);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, table[i].name,
			 table[i].argument ? " " : "", table[i].argument ? table[i].argument : "");
		fprintf(to, "  %-26s %s\n", left, table[i].help);
	}
	fputs("\nExit code: 0 power-off, 3 reset, 4 triple fault, 5 entry failure,\n"
	      "6 internal error, 7 --strict, 8 unknown exit, 124 time-out, 128+n signal;\n"
	      "1 and 2 are errors here. See vitrine-run(1).\n", to);
}

/* A bare number means MiB here, as it does for other monitors' users. */
static int parse_memory(const char *text, uint64_t *bytes, struct vitrine_error *err)
{
	int ret = vitrine_parse_size(text, bytes, err);

	if (ret)
		return ret;
	if (!text[strspn(text, "0123456789")])
		*bytes = *bytes > MEMORY_MAX >> 20 ? UINT64_MAX : *bytes << 20;
	if (*bytes < MEMORY_MIN || *bytes > MEMORY_MAX)
		return refuse(err, "--memory %s: 1M to 64T are possible", text);
	if (*bytes % PAGE_BYTES)
		return refuse(err, "--memory %s: not a multiple of 4K", text);
	return 0;
}

static int parse_cpus(const char *text, unsigned int *cpus, struct vitrine_error *err)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || errno || !number || number > CPUS_MAX)
		return refuse(err, "--cpus %s: 1 to %d are possible", text, CPUS_MAX);
	*cpus = (unsigned int)number;
	return 0;
}

static int parse_timeout(const char *text, uint64_t *timeout_ms, struct vitrine_error *err)
{
	double seconds;
	char *end;

	seconds = strtod(text, &end);
	if (end == text || *end || isnan(seconds))
		return refuse(err, "--timeout %s: not a number of seconds", text);
	if (seconds < 0.001 || seconds > TIMEOUT_MAX_S)
		return refuse(err, "--timeout %s: 0.001 to %.0f seconds are possible", text,
			      TIMEOUT_MAX_S);
	*timeout_ms = (uint64_t)(seconds * 1000);
	return 0;
}

static int parse_mode(const char *text, enum vitrine_mode *mode, struct vitrine_error *err)
{
	if (!strcmp(text, "real"))
		*mode = VITRINE_MODE_REAL;
	else if (!strcmp(text, "protected"))
		*mode = VITRINE_MODE_PROTECTED;
	else if (!strcmp(text, "long"))
		*mode = VITRINE_MODE_LONG;
	else
		return refuse(err, "--mode %s: real, protected or long", text);
	return 0;
}

/* FILE[@ADDR]; an @ whose rest is no number belongs to the file's name. */
static void parse_flat(char *text, struct run_options *options, bool *has_address)
{
	char *at = strrchr(text, '@');
	uint64_t gpa;

	options->flat = text;
	if (!at || at == text || vitrine_parse_size(at + 1, &gpa, NULL))
		return;
	*at = 0;
	options->flat_gpa = gpa;
	*has_address = true;
}

/* Where an option is found in the table tells getopt_long() what it takes. */
static void fill_getopt(struct option *list, char *letters)
{
	unsigned int i;

	*letters++ = ':';
	for (i = 0; i < NR_OPTIONS; i++) {
		list[i].name = table[i].name;
		list[i].has_arg = table[i].argument ? required_argument : no_argument;
		list[i].flag = NULL;
		list[i].val = table[i].value;
		if (table[i].value >= 256)
			continue;
		*letters++ = (char)table[i].value;
		if (table[i].argument)
			*letters++ = ':';
	}
	memset(&list[NR_OPTIONS], 0, sizeof(list[0]));
	*letters = 0;
}

struct parse_state {
	bool has_mode, has_address, has_irqchip;
};

static int take(int value, struct run_options *options, struct parse_state *state,
		struct vitrine_error *err)
{
	switch (value) {
	case 'k':
		options->kernel = optarg;
		return 0;
	case 'i':
		options->initrd = optarg;
		return 0;
	case 'a':
		options->append = optarg;
		return 0;
	case 'm':
		return parse_memory(optarg, &options->memory_bytes, err);
	case 'c':
		return parse_cpus(optarg, &options->cpus, err);
	case 't':
		return parse_timeout(optarg, &options->timeout_ms, err);
	case 'h':
		options->help = true;
		return 0;
	case OPTION_FLAT:
		parse_flat(optarg, options, &state->has_address);
		return 0;
	case OPTION_MODE:
		state->has_mode = true;
		return parse_mode(optarg, &options->mode, err);
	case OPTION_IRQCHIP:
	case OPTION_NO_IRQCHIP:
		state->has_irqchip = true;
		options->irqchip = value == OPTION_IRQCHIP;
		return 0;
	case OPTION_DEVICE:
		options->device = optarg;
		return 0;
	case OPTION_STRICT:
		options->strict = true;
		return 0;
	case OPTION_STATS:
	case OPTION_NO_STATS:
		options->stats = value == OPTION_STATS;
		return 0;
	case OPTION_JSON:
		options->json = optarg;
		return 0;
	case OPTION_UNTIL:
		options->until = optarg;
		return *optarg ? 0 : refuse(err, "--until needs a text");
	case OPTION_REBOOT:
		options->reboot = true;
		return 0;
	case OPTION_PAUSED:
		options->paused = true;
		return 0;
	default:
		return refuse(err, "an option that the table has and the parser does not");
	}
}

static int check(struct run_options *options, const struct parse_state *state,
		 struct vitrine_error *err)
{
	if (!options->kernel && !options->flat)
		return refuse(err, "nothing to run: give --kernel or --flat");
	if (options->kernel && options->flat)
		return refuse(err, "--kernel and --flat exclude each other");
	if (options->flat && (options->initrd || options->append))
		return refuse(err, "--initrd and --append go with --kernel");
	if (options->kernel && state->has_mode)
		return refuse(err, "--mode goes with --flat; a kernel brings its own");
	if (options->append && strlen(options->append) > RUN_CMDLINE_BYTES / 2)
		return refuse(err, "--append is too long");
	if (!state->has_irqchip)
		options->irqchip = options->kernel;
	if (options->flat && !state->has_address)
		options->flat_gpa = options->mode == VITRINE_MODE_REAL ? REAL_DEFAULT :
									 FLAT_DEFAULT;
	/* The machine's other CPUs can only be started through their local APICs. */
	if (options->cpus > 1 && !options->irqchip)
		return refuse(err, "--cpus %u needs interrupt controllers (--irqchip)",
			      options->cpus);
	return 0;
}

int run_options_parse(int argc, char **argv, struct run_options *options,
		      struct vitrine_error *err)
{
	struct option list[NR_OPTIONS + 1];
	char letters[2 * NR_OPTIONS + 2];
	struct parse_state state = { 0 };
	int value, ret;

	*options = (struct run_options) {
		.memory_bytes = MEMORY_DEFAULT,
		.cpus = 1,
		.mode = VITRINE_MODE_REAL,
		.stats = true,
	};
	fill_getopt(list, letters);
	/* 0, not 1: glibc starts afresh, whatever was parsed before. */
	optind = 0;
	while ((value = getopt_long(argc, argv, letters, list, NULL)) != -1) {
		if (value == '?')
			return refuse(err, "unknown option '%s'", argv[optind - 1]);
		if (value == ':')
			return refuse(err, "option '%s' needs a value", argv[optind - 1]);
		ret = take(value, options, &state, err);
		if (ret)
			return ret;
		if (options->help)
			return 0;
	}
	if (optind < argc)
		return refuse(err, "'%s' is not an option", argv[optind]);
	return check(options, &state, err);
}
