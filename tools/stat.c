// SPDX-License-Identifier: GPL-2.0
/*
 * vitrine stat: what VMs do, in figures: rates at an interval, or totals since their creation.
 */
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "colour.h"
#include "command.h"
#include "stat.h"

struct stat_options {
	uint64_t vm_id;
	double interval_s;
	uint64_t count;		/* intervals, or 0: no end */
	bool by_vcpu;
	bool reasons;		/* a line for each exit reason */
	bool total;
	bool json;
};

static uint64_t counter(const struct vitrine_watch *watch, const struct stat_row *row,
			const char *name)
{
	int index = vitrine_watch_counter(watch, name);

	return index < 0 ? 0 : row->sum.value[index];
}

static double share(double part, double whole)
{
	return whole > 0 ? 100 * part / whole : 0;
}

static void print_head(const struct stat_options *options)
{
	struct colours colours = colours_choose();

	printf("%s%6s %-5s %-15s %9s %9s %9s %9s %9s %6s %6s %6s%s\n", colours.strong, "ID",
	       options->by_vcpu ? "VCPU" : "VCPUS", "NAME",
	       options->total ? "EXITS" : "EXITS/s", options->total ? "TO VMM" : "TO VMM/s",
	       options->total ? "IRQS" : "IRQS/s", options->total ? "FAULTS" : "FAULTS/s",
	       options->total ? "FLUSHES" : "FLUSH/s", "GUEST%", "EXIT%", "HALT%", colours.end);
}

struct reason_row {
	unsigned int reason;
	uint64_t count;
};

static int by_count(const void *left, const void *right)
{
	const struct reason_row *a = left, *b = right;

	return (a->count < b->count) - (a->count > b->count);
}

static void print_reasons(const struct stat_row *row, double seconds)
{
	struct reason_row rows[VITRINE_WATCH_REASONS];
	unsigned int i, used = 0;
	char name[24];

	for (i = 0; i < VITRINE_WATCH_REASONS; i++)
		if (row->sum.exits[i])
			rows[used++] = (struct reason_row){ i, row->sum.exits[i] };
	qsort(rows, used, sizeof(rows[0]), by_count);
	for (i = 0; i < used; i++)
		printf("%12s %-26s %9.0f %12.0f ticks each\n", "",
		       vms_reason(rows[i].reason, name, sizeof(name)),
		       (double)rows[i].count / seconds,
		       (double)row->sum.exit_ticks[rows[i].reason] / (double)rows[i].count);
}

/* Of @seconds seconds; a total is of 1, with the shares of @ticks. */
static void print_row(const struct vitrine_watch *watch, const struct stat_options *options,
		      const struct stat_row *row, const char *name, double seconds, double ticks)
{
	double halted = (double)counter(watch, row, "halt_ticks");
	double host = (double)row->sum.host_ticks;

	printf("%6llu ", (unsigned long long)row->vm_id);
	printf("%-5llu ", (unsigned long long)(options->by_vcpu ? (uint64_t)row->vcpu_id :
					       row->nr_vcpus));
	printf("%-15s %9.0f %9.0f %9.0f %9.0f %9.0f %6.1f %6.1f %6.1f\n", name,
	       (double)stat_exits(row) / seconds,
	       (double)counter(watch, row, "user_exits") / seconds,
	       (double)counter(watch, row, "irq_injected") / seconds,
	       (double)counter(watch, row, "mem_faults") / seconds,
	       (double)counter(watch, row, "tlb_flushes") / seconds,
	       share((double)row->sum.guest_ticks, ticks),
	       share(host > halted ? host - halted : 0, ticks), share(halted, ticks));
	if (options->reasons)
		print_reasons(row, seconds);
}

static void print_json(const struct vitrine_watch *watch, const struct stat_row *row,
		       const struct vitrine_vm_info *vm, double seconds)
{
	struct json_object *object = json_object_new_object();
	struct json_object *counters = json_object_new_object();
	struct json_object *exits = json_object_new_object(), *exit;
	const char *counter_name;
	unsigned int i;
	char name[24];

	json_object_object_add(object, "vm", json_object_new_uint64(row->vm_id));
	json_object_object_add(object, "name", json_object_new_string(vm->name));
	if (row->vcpu_id >= 0)
		json_object_object_add(object, "vcpu", json_object_new_int64(row->vcpu_id));
	else
		json_object_object_add(object, "vcpus", json_object_new_int64(row->nr_vcpus));
	json_object_object_add(object, "seconds", json_object_new_double(seconds));
	json_object_object_add(object, "guest_ticks", json_object_new_uint64(row->sum.guest_ticks));
	json_object_object_add(object, "host_ticks", json_object_new_uint64(row->sum.host_ticks));
	json_object_object_add(object, "table_bytes", json_object_new_uint64(vm->table_bytes));
	for (i = 0; (counter_name = vitrine_watch_counter_name(watch, i)); i++)
		json_object_object_add(counters, counter_name,
				       json_object_new_uint64(row->sum.value[i]));
	json_object_object_add(object, "counters", counters);
	for (i = 0; i < VITRINE_WATCH_REASONS; i++) {
		if (!row->sum.exits[i])
			continue;
		exit = json_object_new_object();
		json_object_object_add(exit, "count", json_object_new_uint64(row->sum.exits[i]));
		json_object_object_add(exit, "ticks",
				       json_object_new_uint64(row->sum.exit_ticks[i]));
		json_object_object_add(exits, vms_reason(i, name, sizeof(name)), exit);
	}
	json_object_object_add(object, "exits", exits);
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
}

/* What happened since @before, or since the beginning where that is NULL. */
static void print_sample(const struct vitrine_watch *watch, const struct stat_options *options,
			 const struct stat_sample *before, const struct stat_sample *now)
{
	double seconds = before ? stat_seconds(before, now) : 0, age, ticks;
	const struct vitrine_vm_info *vm;
	struct stat_row row;
	size_t i;

	if (!options->json)
		print_head(options);
	for (i = 0; i < now->nr_rows; i++) {
		row = now->row[i];
		vm = stat_vm(now, row.vm_id);
		if (!vm)
			continue;	/* not there yet when the VMs were read */
		if (before)
			stat_subtract(&row, stat_find(before, &row));
		age = before ? seconds : (double)vm->age_ns / 1e9;
		ticks = age * 1e3 * vitrine_watch_tsc_khz(watch) * row.nr_vcpus;
		if (options->json)
			print_json(watch, &row, vm, age);
		else
			print_row(watch, options, &row, vm->name, before ? seconds : 1, ticks);
	}
}

static void sleep_s(double seconds)
{
	struct timespec left = {
		.tv_sec = (time_t)seconds,
		.tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9),
	};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

static int show(struct vitrine_watch *watch, const struct stat_options *options)
{
	struct stat_sample sample[2] = {
		{ .by_vcpu = options->by_vcpu },
		{ .by_vcpu = options->by_vcpu },
	};
	struct vitrine_error err;
	uint64_t done = 0;
	unsigned int now = 0;
	int code = EXIT_OK, ret;

	ret = stat_read(&sample[now], watch, options->vm_id, &err);
	if (!ret && options->total) {
		print_sample(watch, options, NULL, &sample[now]);
		code = finish_output(EXIT_OK);
	}
	while (!ret && !code && !options->total && (!options->count || done < options->count)) {
		sleep_s(options->interval_s);
		now = !now;
		ret = stat_read(&sample[now], watch, options->vm_id, &err);
		if (ret)
			break;
		print_sample(watch, options, &sample[!now], &sample[now]);
		code = finish_output(EXIT_OK);
		done++;
	}
	if (ret) {
		complain("%s", err.text);
		code = EXIT_HOST;
	}
	stat_free(&sample[0]);
	stat_free(&sample[1]);
	return code;
}

static void print_usage(FILE *to)
{
	fputs("usage: vitrine stat [OPTIONS] [VM]\n\n"
	      "Shows what VMs do: how often they leave the guest, and where their time goes.\n\n"
	      "  -i, --interval S   rates over S seconds at a time (1)\n"
	      "  -n, --count N      end after N intervals; else when interrupted\n"
	      "  -t, --total        once, counts since the VM's creation instead of rates\n"
	      "  -v, --vcpus        a line for each vCPU\n"
	      "  -r, --reasons      a line for each exit reason\n"
	      "  -j, --json         a JSON object a line, with every counter and what it counted in the\n"
	      "                     interval\n"
	      "  -h, --help         this text\n", to);
}

static int parse(int argc, char **argv, struct stat_options *to)
{
	static const struct option options[] = {
		{ "interval", required_argument, NULL, 'i' },
		{ "count", required_argument, NULL, 'n' },
		{ "total", no_argument, NULL, 't' },
		{ "vcpus", no_argument, NULL, 'v' },
		{ "reasons", no_argument, NULL, 'r' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int value;

	optind = 0;
	while ((value = getopt_long(argc, argv, ":i:n:tvrjh", options, NULL)) != -1) {
		switch (value) {
		case 'i':
			if (!parse_seconds("--interval", optarg, 0.01, 1e9, &to->interval_s))
				return EXIT_USAGE;
			break;
		case 'n':
			if (!parse_count("--count", optarg, UINT64_MAX, &to->count))
				return EXIT_USAGE;
			break;
		case 't':
			to->total = true;
			break;
		case 'v':
			to->by_vcpu = true;
			break;
		case 'r':
			to->reasons = true;
			break;
		case 'j':
			to->json = true;
			break;
		case 'h':
			print_usage(stdout);
			return -1;
		default:
			return complain_option(argv, value);
		}
	}
	if (optind < argc && !vms_parse_id(argv[optind++], &to->vm_id))
		return EXIT_USAGE;
	if (optind < argc) {
		complain("stat: '%s' is one too many", argv[optind]);
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

int command_stat(int argc, char **argv)
{
	struct stat_options options = { .interval_s = 1 };
	struct vitrine_watch *watch;
	int code = parse(argc, argv, &options);

	if (code)
		return code < 0 ? finish_output(EXIT_OK) : code;
	watch = vms_open();
	if (!watch)
		return EXIT_HOST;
	code = show(watch, &options);
	vitrine_watch_close(watch);
	return code;
}
