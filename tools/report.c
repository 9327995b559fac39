// SPDX-License-Identifier: GPL-2.0
/*
 * Counters of all vCPUs, summed up and told. Exits that the kernel handled come from the
 * module's own ABI; another hypervisor's device does not have it, and then only exits to user
 * space are known.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <x86intrin.h>

#include <asm/vmx.h>

#include "../uapi/vitrine.h"
#include "lib/libvitrine_watch.h"
#include "loop.h"
#include "report.h"

#define USER_REASONS 64

struct totals {
	bool kernel_counters;
	struct vitrine_vcpu_stats kernel;
	uint64_t exits;
	uint64_t exit_ticks;
	uint64_t halt_ticks;		/* asleep in HLT: neither the guest's time nor work */
	uint64_t user[USER_REASONS];
	uint64_t user_exits;
	uint64_t tsc_khz;
};

uint64_t report_ticks(void)
{
	return __rdtsc();
}

static const char *reason_name(unsigned int reason, char *buffer, size_t size)
{
	const char *name = vitrine_reason_name(reason);

	if (name)
		return name;
	snprintf(buffer, size, "REASON_%u", reason);
	return buffer;
}

static const char *user_reason_name(unsigned int reason, char *buffer, size_t size)
{
	const char *name = vitrine_exit_name(reason);

	if (name)
		return name;
	snprintf(buffer, size, reason == USER_REASONS - 1 ? "OTHER" : "EXIT_%u", reason);
	return buffer;
}

static void add(uint64_t *to, const __u64 *from, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		to[i] += from[i];
}

/* The counter's place in the list of names is its place in the array. */
static uint64_t counter(const struct vitrine_vcpu_stats *stats, const char *wanted)
{
	char names[] = VITRINE_COUNTER_NAMES;
	unsigned int i = 0;
	char *name, *rest = NULL;

	for (name = strtok_r(names, ",", &rest); name && i < VITRINE_STATS_NR_COUNTERS;
	     name = strtok_r(NULL, ",", &rest), i++)
		if (!strcmp(name, wanted))
			return stats->counter[i];
	return 0;
}

/* What is called host time is work: the kernel's figure less the sleep it holds. */
static void take_out_halts(struct totals *totals)
{
	__u64 *halt_exits = &totals->kernel.exit_ticks[EXIT_REASON_HLT];
	uint64_t halted = counter(&totals->kernel, "halt_ticks");

	totals->halt_ticks = halted;
	totals->kernel.host_ticks -= halted < totals->kernel.host_ticks ? halted :
				     totals->kernel.host_ticks;
	*halt_exits -= halted < *halt_exits ? halted : *halt_exits;
}

static void gather(struct machine *machine, struct totals *totals)
{
	struct vitrine_vcpu_stats stats;
	struct vitrine_vcpu *vcpu;
	unsigned int i, reason;
	int khz;

	memset(totals, 0, sizeof(*totals));
	totals->kernel_counters = machine->nr_cpus;
	for (i = 0; i < machine->nr_cpus; i++) {
		vcpu = machine->cpus[i].vcpu;
		for (reason = 0; reason < USER_REASONS; reason++)
			totals->user[reason] += vitrine_vcpu_exits(vcpu, reason);
		if (ioctl(vitrine_vcpu_fd(vcpu), VITRINE_GET_STATS, &stats)) {
			totals->kernel_counters = false;
			continue;
		}
		totals->kernel.guest_ticks += stats.guest_ticks;
		totals->kernel.host_ticks += stats.host_ticks;
		add((uint64_t *)totals->kernel.exit_count, stats.exit_count,
		    VITRINE_STATS_NR_REASONS);
		add((uint64_t *)totals->kernel.exit_ticks, stats.exit_ticks,
		    VITRINE_STATS_NR_REASONS);
		add((uint64_t *)totals->kernel.counter, stats.counter,
		    VITRINE_STATS_NR_COUNTERS);
	}
	take_out_halts(totals);
	for (reason = 0; reason < USER_REASONS; reason++)
		totals->user_exits += totals->user[reason];
	for (reason = 0; reason < VITRINE_STATS_NR_REASONS; reason++) {
		/* A CPU that waits to be started has ticks to its name, but no exit yet. */
		if (!totals->kernel.exit_count[reason])
			continue;
		totals->exits += totals->kernel.exit_count[reason];
		totals->exit_ticks += totals->kernel.exit_ticks[reason];
	}
	if (machine->nr_cpus) {
		khz = ioctl(vitrine_vcpu_fd(machine->cpus[0].vcpu), KVM_GET_TSC_KHZ, 0);
		totals->tsc_khz = khz > 0 ? (uint64_t)khz : 0;
	}
}

static double share(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

struct row {
	unsigned int reason;
	uint64_t count;
};

static int by_count(const void *left, const void *right)
{
	const struct row *a = left, *b = right;

	return (a->count < b->count) - (a->count > b->count);
}

static unsigned int sort_rows(const uint64_t *counts, unsigned int max, struct row *rows)
{
	unsigned int reason, used = 0;

	for (reason = 0; reason < max; reason++)
		if (counts[reason])
			rows[used++] = (struct row) { reason, counts[reason] };
	qsort(rows, used, sizeof(rows[0]), by_count);
	return used;
}

static void print_user_exits(const struct totals *totals)
{
	struct row rows[USER_REASONS];
	unsigned int i, used = sort_rows(totals->user, USER_REASONS, rows);
	char buffer[24];

	fprintf(stderr, "exits to user space: %llu", (unsigned long long)totals->user_exits);
	for (i = 0; i < used; i++)
		fprintf(stderr, "%s%s %llu", i ? ", " : " (",
			user_reason_name(rows[i].reason, buffer, sizeof(buffer)),
			(unsigned long long)rows[i].count);
	fputs(used ? ")\n" : "\n", stderr);
}

static void print_exits(const struct totals *totals)
{
	struct row rows[VITRINE_STATS_NR_REASONS];
	unsigned int i, used, reason;
	char buffer[24];
	uint64_t ticks;

	if (!totals->kernel_counters) {
		print_user_exits(totals);
		fputs("exits handled in the kernel: this device does not count them for us\n",
		      stderr);
		return;
	}
	used = sort_rows((const uint64_t *)totals->kernel.exit_count, VITRINE_STATS_NR_REASONS,
			 rows);
	fprintf(stderr, "exits: %llu\n  %-22s %12s %8s %8s %10s\n",
		(unsigned long long)totals->exits, "reason", "count", "count %", "time %",
		"ticks each");
	for (i = 0; i < used; i++) {
		reason = rows[i].reason;
		ticks = totals->kernel.exit_ticks[reason];
		fprintf(stderr, "  %-22s %12llu %8.1f %8.1f %10llu\n",
			reason_name(reason, buffer, sizeof(buffer)),
			(unsigned long long)rows[i].count, share(rows[i].count, totals->exits),
			share(ticks, totals->exit_ticks),
			(unsigned long long)(ticks / rows[i].count));
	}
	print_user_exits(totals);
}

void report_registers(struct machine *machine)
{
	struct vitrine_error err;
	char text[2048];
	unsigned int i;

	for (i = 0; i < machine->nr_cpus; i++) {
		if (vitrine_vcpu_describe(machine->cpus[i].vcpu, text, sizeof(text), &err))
			complain("%s", err.text);
		else
			fprintf(stderr, "vCPU %u\n%s", i, text);
	}
}

void report_exits(struct machine *machine)
{
	struct totals totals;

	gather(machine, &totals);
	fputc('\n', stderr);
	print_exits(&totals);
}

static void print_ticks(const char *what, uint64_t ticks, uint64_t whole, uint64_t tsc_khz)
{
	fprintf(stderr, "%s %llu ticks", what, (unsigned long long)ticks);
	if (tsc_khz)
		fprintf(stderr, " (%.3f s)", (double)ticks / (double)tsc_khz / 1000);
	if (whole)
		fprintf(stderr, ", %.1f %%", share(ticks, whole));
}

void report_text(struct machine *machine, const struct report_context *context)
{
	uint64_t wall_ns = loop_now_ns() - context->start_ns;
	uint64_t ticks = report_ticks() - context->start_ticks;
	struct totals totals;
	struct rusage usage;
	uint64_t whole;

	gather(machine, &totals);
	getrusage(RUSAGE_SELF, &usage);
	fprintf(stderr, "run: %.3f s,", (double)wall_ns / 1e9);
	print_ticks("", ticks, 0, 0);
	fprintf(stderr, "; CPU time %ld.%03ld s user, %ld.%03ld s system; %u vCPU%s, %llu MiB\n",
		(long)usage.ru_utime.tv_sec, (long)usage.ru_utime.tv_usec / 1000,
		(long)usage.ru_stime.tv_sec, (long)usage.ru_stime.tv_usec / 1000,
		machine->nr_cpus, machine->nr_cpus == 1 ? "" : "s",
		(unsigned long long)(machine->options->memory_bytes >> 20));
	if (totals.kernel_counters) {
		whole = ticks * machine->nr_cpus;
		print_ticks("guest:", totals.kernel.guest_ticks, whole, totals.tsc_khz);
		print_ticks("; host:", totals.kernel.host_ticks, whole, totals.tsc_khz);
		print_ticks("; halted:", totals.halt_ticks, whole, totals.tsc_khz);
		fputs(machine->nr_cpus > 1 ? " of the run on all vCPUs\n" : " of the run\n",
		      stderr);
	}
	print_exits(&totals);
	if (machine->unknown_io || machine->unknown_mmio)
		fprintf(stderr, "accesses that nothing answered: %llu ports, %llu addresses\n",
			(unsigned long long)machine->unknown_io,
			(unsigned long long)machine->unknown_mmio);
}

static void add_u64(struct json_object *to, const char *name, uint64_t value)
{
	json_object_object_add(to, name, json_object_new_uint64(value));
}

static void add_cpu_time(struct json_object *to, const char *name, const struct timeval *time)
{
	add_u64(to, name, (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_usec * 1000);
}

static struct json_object *json_counters(const struct totals *totals)
{
	struct json_object *object = json_object_new_object();
	char names[] = VITRINE_COUNTER_NAMES;
	unsigned int i = 0;
	char *name, *rest = NULL;

	for (name = strtok_r(names, ",", &rest); name && i < VITRINE_STATS_NR_COUNTERS;
	     name = strtok_r(NULL, ",", &rest))
		add_u64(object, name, totals->kernel.counter[i++]);
	return object;
}

static struct json_object *json_exits(const struct totals *totals)
{
	struct json_object *array = json_object_new_array(), *entry;
	const char *name;
	char buffer[24];
	unsigned int i;

	for (i = 0; i < VITRINE_STATS_NR_REASONS; i++) {
		if (!totals->kernel.exit_count[i])
			continue;
		entry = json_object_new_object();
		add_u64(entry, "reason", i);
		name = reason_name(i, buffer, sizeof(buffer));
		json_object_object_add(entry, "name", json_object_new_string(name));
		add_u64(entry, "count", totals->kernel.exit_count[i]);
		add_u64(entry, "ticks", totals->kernel.exit_ticks[i]);
		json_object_array_add(array, entry);
	}
	return array;
}

static struct json_object *build(struct machine *machine, const struct report_context *context)
{
	struct json_object *root = json_object_new_object();
	struct json_object *user = json_object_new_object();
	struct totals totals;
	struct rusage usage;
	char buffer[24];
	unsigned int i;

	gather(machine, &totals);
	getrusage(RUSAGE_SELF, &usage);
	json_object_object_add(root, "end",
			       json_object_new_string(machine_end_name(machine_ended(machine))));
	json_object_object_add(root, "detail", json_object_new_string(machine->end_text));
	json_object_object_add(root, "exit_code",
			       json_object_new_int(machine_exit_code(machine)));
	json_object_object_add(root, "image", json_object_new_string(context->image_kind));
	add_u64(root, "cpus", machine->nr_cpus);
	add_u64(root, "memory_bytes", machine->options->memory_bytes);
	add_u64(root, "wall_ns", loop_now_ns() - context->start_ns);
	add_u64(root, "ticks", report_ticks() - context->start_ticks);
	add_u64(root, "tsc_khz", totals.tsc_khz);
	add_cpu_time(root, "cpu_user_ns", &usage.ru_utime);
	add_cpu_time(root, "cpu_system_ns", &usage.ru_stime);
	add_u64(root, "unanswered_ports", machine->unknown_io);
	add_u64(root, "unanswered_addresses", machine->unknown_mmio);
	for (i = 0; i < USER_REASONS; i++)
		if (totals.user[i])
			add_u64(user, user_reason_name(i, buffer, sizeof(buffer)), totals.user[i]);
	json_object_object_add(root, "user_exits", user);
	if (!totals.kernel_counters)
		return root;
	add_u64(root, "guest_ticks", totals.kernel.guest_ticks);
	add_u64(root, "host_ticks", totals.kernel.host_ticks);
	add_u64(root, "halt_ticks", totals.halt_ticks);
	json_object_object_add(root, "exits", json_exits(&totals));
	json_object_object_add(root, "counters", json_counters(&totals));
	return root;
}

int report_json(struct machine *machine, const struct report_context *context)
{
	struct json_object *root = build(machine, context);
	const char *text;
	int ret = 0;

	errno = 0;
	text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY |
					      JSON_C_TO_STRING_NOSLASHESCAPE);
	if (fprintf(context->json, "%s\n", text) < 0 || fflush(context->json))
		ret = errno ? -errno : -EIO;
	json_object_put(root);
	return ret;
}
