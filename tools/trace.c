// SPDX-License-Identifier: GPL-2.0
/*
 * vitrine trace: the exits of a VM of any process, live. Attaches, has a ring for each vCPU, and
 * merges what comes by time. The VM is not asked and goes on when this ends, however it ends.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "command.h"
#include "stop.h"
#include "trace.h"
#include "vms.h"

#define ROOM_ADVICE	"fewer --records, --vcpu, or a higher 'ulimit -l'"
#define MAX_VCPUS	1024
#define LOOK_MS		50	/* for new vCPUs, and for records below the wakeup */
#define MORE_VCPUS	32	/* are to have room, too, when one comes */
#define LOOK_MAX_MS	1000	/* one look for what there is takes less */

/* A ring, and its oldest record that was not shown. */
struct source {
	struct vitrine_ring *ring;
	bool has;
	struct vitrine_record record;
	struct trace_pending pending;	/* of the browser's file */
};

struct trace {
	struct trace_options options;
	struct vitrine_monitor *monitor;
	struct source *sources[MAX_VCPUS];
	unsigned int nr;
	uint64_t room_bytes;	/* for rings */
	bool is_full;		/* which was said */
	uint64_t shown;
	uint64_t first_tsc;
	uint64_t end_tsc;	/* of the time that was asked for; 0 without, or after a sleep */
	uint64_t now_tsc;	/* at the last look */
	double now;		/* and the clock then, which does not count sleeps */
	uint32_t tsc_khz;
	struct trace_chrome chrome;	/* .to is NULL without --output */
	struct trace_totals totals;
	double began;
};

static double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static double ticks_per_us(const struct trace *trace)
{
	return trace->tsc_khz ? trace->tsc_khz / 1000.0 : 1;
}

/* Rings count as locked memory, which only root has without limit. */
static uint64_t room_for_rings(void)
{
	struct rlimit limit;

	if (!geteuid() || getrlimit(RLIMIT_MEMLOCK, &limit) ||
	    limit.rlim_cur > VITRINE_RINGS_MAX_BYTES)
		return VITRINE_RINGS_MAX_BYTES;
	return limit.rlim_cur;
}

/* For the next vCPU; NULL with *err set. */
static struct source *open_source(struct trace *trace, uint32_t nr_records,
				  struct vitrine_error *err)
{
	const struct trace_options *options = &trace->options;
	uint32_t flags = (options->insn ? VITRINE_RING_INSN : 0) |
			 (options->stop ? VITRINE_RING_STOP : 0);
	struct source *source = calloc(1, sizeof(*source));

	if (!source) {
		*err = (struct vitrine_error) { ENOMEM, "out of memory" };
		return NULL;
	}
	source->ring = vitrine_ring_open(trace->monitor, trace->nr, nr_records, flags,
					 nr_records / 4, options->reasons, err);
	if (!source->ring) {
		free(source);
		return NULL;
	}
	trace->room_bytes -= trace_ring_bytes(nr_records);
	return source;
}

/* A ring for each vCPU that has none. 0, or a negative errno; -ESRCH when the VM is gone. */
static int open_rings(struct trace *trace, struct vitrine_error *err)
{
	const struct trace_options *options = &trace->options;
	uint32_t before = trace->nr, nr_records = options->nr_records, more;
	struct vitrine_monitor_info info;
	int ret = vitrine_monitor_info(trace->monitor, &info, err);

	if (ret)
		return ret;
	trace->tsc_khz = info.tsc_khz;
	trace->chrome.ticks_per_us = ticks_per_us(trace);
	more = options->vcpu >= 0 ? 1 : info.nr_vcpus - before;
	if (!nr_records)
		nr_records = trace_fit_records(trace->room_bytes,
					       more > MORE_VCPUS ? more : MORE_VCPUS);
	for (; trace->nr < info.nr_vcpus && trace->nr < MAX_VCPUS; trace->nr++) {
		struct source *source;

		if (options->vcpu >= 0 && trace->nr != options->vcpu)
			continue;
		source = open_source(trace, nr_records, err);
		if (!source && err->code != ENOSPC && err->code != ENOMEM)
			return -err->code;
		if (!source && !before)
			return refuse(err, "no room for %u vCPUs: " ROOM_ADVICE, info.nr_vcpus);
		/* One that came later: the others go on. */
		if (!source && !trace->is_full)
			complain("no records of vCPU %u and later: " ROOM_ADVICE, trace->nr);
		trace->is_full = trace->is_full || !source;
		trace->sources[trace->nr] = source;
		if (source && trace->chrome.to)
			trace_chrome_vcpu(&trace->chrome, trace->nr);
	}
	return 0;
}

static bool wanted(const struct trace_options *options, const struct vitrine_record *record)
{
	uint64_t rip = record->rip + record->code_base;

	return (!options->has_rip || (rip >= options->rip_first && rip <= options->rip_last)) &&
	       (!options->has_cr3 || record->cr3 == options->cr3);
}

static void show(struct trace *trace, struct source *source, uint32_t vcpu)
{
	const struct trace_options *options = &trace->options;
	const struct vitrine_record *record = &source->record;
	double us;

	if (!trace->shown)
		trace->first_tsc = record->entry_tsc;
	us = (int64_t)(record->exit_tsc - trace->first_tsc) / ticks_per_us(trace);
	trace->shown++;
	trace_count(&trace->totals, record);
	if (trace->chrome.to)
		trace_chrome_record(&trace->chrome, &source->pending, record, vcpu, us,
				    vitrine_ring_lost(source->ring));
	if (options->json)
		trace_print_json(stdout, record, vcpu, us);
	else if (!options->summary && !trace->chrome.to)
		trace_print_text(stdout, record, vcpu, us);
}

/* No more records, also not those that there are. */
static bool is_enough(const struct trace *trace)
{
	const struct trace_options *options = &trace->options;

	return stop_signal() || ferror(stdout) || (trace->chrome.to && ferror(trace->chrome.to)) ||
	       (options->count && trace->shown >= options->count);
}

/* How long to wait for more; 0 when the time is over. */
static int wait_ms(const struct trace *trace)
{
	double left_ms;

	if (!trace->options.seconds)
		return LOOK_MS;
	left_ms = (trace->options.seconds - (now_seconds() - trace->began)) * 1000;
	return left_ms <= 0 ? 0 : left_ms < LOOK_MS ? (int)left_ms + 1 : LOOK_MS;
}

/*
 * What there is from @first_tsc to @last_tsc, the oldest of all rings first. A sleep of the host's
 * ends it: the bounds mean nothing after that.
 */
static void show_between(struct trace *trace, uint64_t first_tsc, uint64_t last_tsc)
{
	while (!is_enough(trace) && __rdtsc() >= trace->now_tsc) {
		unsigned int i, oldest = trace->nr;
		uint64_t oldest_tsc = UINT64_MAX;

		for (i = 0; i < trace->nr; i++) {
			struct source *source = trace->sources[i];

			if (!source)
				continue;
			if (!source->has)
				source->has = vitrine_ring_read(source->ring, &source->record);
			if (source->has && source->record.exit_tsc >= first_tsc &&
			    source->record.exit_tsc < oldest_tsc) {
				oldest = i;
				oldest_tsc = source->record.exit_tsc;
			}
		}
		if (oldest == trace->nr || oldest_tsc > last_tsc)
			break;
		trace->sources[oldest]->has = false;
		if (wanted(&trace->options, &trace->sources[oldest]->record))
			show(trace, trace->sources[oldest], oldest);
	}
}

/* What there is now. The guest may be faster than this. */
static void drain(struct trace *trace)
{
	uint64_t before_tsc = trace->now_tsc, end_tsc = __rdtsc();
	double before = trace->now;

	trace->now_tsc = end_tsc;
	trace->now = now_seconds();
	if (end_tsc < before_tsc) {
		/* The host slept, and its TSC starts anew in that: first the records of before. */
		show_between(trace, end_tsc + (uint64_t)LOOK_MAX_MS * trace->tsc_khz, UINT64_MAX);
		trace->first_tsc -= before_tsc - end_tsc +
				    (uint64_t)((trace->now - before) * 1000 * trace->tsc_khz);
		/* The clock, which did not count the sleep, says when it is over. */
		trace->end_tsc = 0;
	}
	if (trace->end_tsc && trace->end_tsc < end_tsc)
		end_tsc = trace->end_tsc;
	show_between(trace, 0, end_tsc);
	if (!ferror(stdout))
		fflush(stdout);
}

static uint64_t lost(const struct trace *trace)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < trace->nr; i++)
		if (trace->sources[i])
			sum += vitrine_ring_lost(trace->sources[i]->ring);
	return sum;
}

/* Until the user, an option or the VM ends it. */
static int follow(struct trace *trace, struct vitrine_error *err)
{
	struct pollfd vm = { .fd = vitrine_monitor_fd(trace->monitor), .events = POLLIN };
	int ret = open_rings(trace, err), ms = LOOK_MS;

	/* Whoever wants a year may have more. */
	if (!ret && trace->options.seconds && trace->options.seconds < 1e7)
		trace->end_tsc = __rdtsc() + (uint64_t)(trace->options.seconds * 1000 *
							trace->tsc_khz);
	/* With the rings there, so that nothing is missed. */
	if (!ret && trace->options.nr_rules)
		ret = vitrine_policy_set(trace->monitor, trace->options.rules,
					 trace->options.nr_rules, err);
	while (!ret && ms && !is_enough(trace)) {
		ms = wait_ms(trace);
		if (stop_poll(&vm, 1, ms) > 0 && vm.revents & POLLHUP)
			ret = -ESRCH;
		/* Also when the time is over: there is what came before that. */
		drain(trace);
		if (!ret && ms && !is_enough(trace))
			ret = open_rings(trace, err);
	}
	/* What it did last. */
	if (ret == -ESRCH)
		drain(trace);
	return ret == -ESRCH ? 0 : ret;
}

static int finish(struct trace *trace, int code)
{
	bool bad;

	trace->totals.lost = lost(trace);
	if (trace->chrome.to) {
		for (unsigned int i = 0; i < trace->nr; i++)
			if (trace->sources[i])
				trace_chrome_last(&trace->chrome, &trace->sources[i]->pending, i);
		trace_chrome_end(&trace->chrome);
		bad = ferror(trace->chrome.to);
		if (fclose(trace->chrome.to) || bad) {
			complain("%s: %s", trace->options.output, strerror(errno));
			code = EXIT_HOST;
		}
	}
	if (trace->options.summary)
		trace_print_summary(stdout, &trace->totals, now_seconds() - trace->began,
				    trace->tsc_khz);
	else if (trace->totals.lost)
		complain("%llu records were lost: a larger --records or a narrower --reason helps",
			 (unsigned long long)trace->totals.lost);
	if (trace->options.vcpu >= 0 && trace->options.vcpu >= trace->nr && !code) {
		complain("there was no vCPU %lld", (long long)trace->options.vcpu);
		code = EXIT_HOST;
	}
	return stop_finish_output(code);
}

int command_trace(int argc, char **argv)
{
	struct trace *trace = calloc(1, sizeof(*trace));
	struct vitrine_error err = { 0 };
	int code = EXIT_OK;

	if (!trace)
		return EXIT_HOST;
	if (trace_options_parse(argc, argv, &trace->options, &err)) {
		complain("%s; 'vitrine trace --help' lists the options", err.text);
		code = EXIT_USAGE;
		goto out_free;
	}
	if (trace->options.help) {
		trace_options_usage(stdout);
		code = finish_output(EXIT_OK);
		goto out_free;
	}
	code = EXIT_HOST;
	if (trace->options.next && vms_wait_next(&trace->options.vm_id))
		goto out_free;
	trace->monitor = vms_attach(trace->options.device, trace->options.vm_id,
				    trace->options.nr_rules ? VITRINE_ATTACH_STEER : 0);
	if (!trace->monitor)
		goto out_free;
	if (trace->options.output) {
		trace->chrome.to = fopen(trace->options.output, "we");
		if (!trace->chrome.to) {
			complain("%s: %s", trace->options.output, strerror(errno));
			goto out_detach;
		}
		trace->chrome.vm_id = trace->options.vm_id;
		trace->chrome.whole = !trace->options.has_reasons && !trace->options.nr_rules &&
				      !trace->options.has_rip && !trace->options.has_cr3;
		trace_chrome_begin(&trace->chrome);
	}
	stop_on_signals();
	trace->room_bytes = room_for_rings();
	trace->began = now_seconds();
	code = EXIT_OK;
	if (follow(trace, &err)) {
		complain("%s", err.text);
		code = EXIT_HOST;
	}
	code = finish(trace, code);
out_detach:
	for (unsigned int i = 0; i < trace->nr; i++)
		free(trace->sources[i]);
	vitrine_monitor_detach(trace->monitor);
out_free:
	free(trace);
	return code;
}
