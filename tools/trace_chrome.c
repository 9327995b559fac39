// SPDX-License-Identifier: GPL-2.0
/*
 * Records as events of the trace format that browsers show (ui.perfetto.dev, chrome://tracing): a
 * process for the VM, a thread for each vCPU, in it stays in the guest and exits by turns. An exit
 * lasts until the next entry; what it consists of is nested in it. Errors of the stream are left
 * in it for the caller.
 */
#include <inttypes.h>
#include <json-c/json.h>

#include <asm/vmx.h>

#include "trace.h"

void trace_chrome_begin(const struct trace_chrome *chrome)
{
	fprintf(chrome->to, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
		"{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%" PRIu64
		",\"args\":{\"name\":\"VM %" PRIu64 "\"}}", chrome->vm_id, chrome->vm_id);
}

void trace_chrome_vcpu(const struct trace_chrome *chrome, uint32_t vcpu)
{
	fprintf(chrome->to, ",\n{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":%" PRIu64
		",\"tid\":%u,\"args\":{\"name\":\"vCPU %u\"}}", chrome->vm_id, vcpu, vcpu);
}

/* All but the closing brace. Ends are rounded, not lengths, or slices would overlap by rounding. */
static void slice(const struct trace_chrome *chrome, const char *name, const char *category,
		  uint32_t vcpu, double begin_us, double end_us)
{
	int64_t begin = (int64_t)(begin_us * 1000 + 0.5), end = (int64_t)(end_us * 1000 + 0.5);

	fprintf(chrome->to, ",\n{\"ph\":\"X\",\"name\":\"%s\",\"cat\":\"%s\",\"pid\":%" PRIu64
		",\"tid\":%u,\"ts\":%.3f,\"dur\":%.3f", name, category, chrome->vm_id, vcpu,
		(double)begin / 1000, (double)(end - begin) / 1000);
}

/* Until @next_us if that is known, or else as long as the handler took. */
static void exit_slices(const struct trace_chrome *chrome, const struct trace_pending *pending,
			uint32_t vcpu, const double *next_us)
{
	const struct vitrine_record *record = &pending->record;
	double handled_us = pending->us + record->handler_ticks / chrome->ticks_per_us;
	struct json_object *facts = trace_record_json(record);
	const char *rest = NULL;
	char name[24];

	if (next_us && handled_us > *next_us)
		handled_us = *next_us;
	slice(chrome, record_reason(record, name, sizeof(name)), "exit", vcpu, pending->us,
	      next_us ? *next_us : handled_us);
	fprintf(chrome->to, ",\"args\":%s}",
		json_object_to_json_string_ext(facts, JSON_C_TO_STRING_PLAIN));
	json_object_put(facts);
	if (!next_us)
		return;
	slice(chrome, "handler", "host", vcpu, pending->us, handled_us);
	fputc('}', chrome->to);
	if (!record->result)
		rest = "VMM";
	else if ((record->reason & 0xffff) == EXIT_REASON_HLT)
		rest = "halted";
	if (!rest)
		return;
	slice(chrome, rest, "host", vcpu, handled_us, *next_us);
	fputc('}', chrome->to);
}

void trace_chrome_record(const struct trace_chrome *chrome, struct trace_pending *pending,
			 const struct vitrine_record *record, uint32_t vcpu, double us,
			 uint64_t lost)
{
	double entry_us = us - (record->exit_tsc - record->entry_tsc) / chrome->ticks_per_us;
	bool adjoins = chrome->whole && pending->lost == lost && entry_us >= pending->us;

	/* Of a stay that is older than the trace, what is in it. */
	if (entry_us < 0)
		entry_us = 0;
	if (pending->has)
		exit_slices(chrome, pending, vcpu, adjoins ? &entry_us : NULL);
	slice(chrome, "guest", "guest", vcpu, entry_us, us);
	fputc('}', chrome->to);
	pending->has = true;
	pending->record = *record;
	pending->us = us;
	pending->lost = lost;
}

void trace_chrome_last(const struct trace_chrome *chrome, const struct trace_pending *pending,
		       uint32_t vcpu)
{
	if (pending->has)
		exit_slices(chrome, pending, vcpu, NULL);
}

void trace_chrome_end(const struct trace_chrome *chrome)
{
	fputs("\n]}\n", chrome->to);
}
