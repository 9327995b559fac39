// SPDX-License-Identifier: GPL-2.0
/*
 * Records on their way out: lines for people, lines of JSON, and the table at the end. Errors of a
 * stream are left in it for the caller.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "command.h"
#include "json.h"
#include "trace.h"

static const char *const reg_names[] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
};

struct texts {
	char reason[24], insn[96], detail[96];
	const char *name;
};

static void describe(const struct vitrine_record *record, struct texts *texts)
{
	texts->name = record_reason(record, texts->reason, sizeof(texts->reason));
	record_insn(record, texts->insn, sizeof(texts->insn));
	record_detail(record, texts->detail, sizeof(texts->detail));
}

/* Where it is, whatever the base of CS may be. */
static uint64_t address(const struct vitrine_record *record)
{
	return record->rip + record->code_base;
}

static uint64_t guest_ticks(const struct vitrine_record *record)
{
	return record->exit_tsc - record->entry_tsc;
}

void trace_print_text(FILE *to, const struct vitrine_record *record, uint32_t vcpu, double us)
{
	struct texts texts;

	describe(record, &texts);
	fprintf(to, "%12.6f vcpu%-2u %-20s %016" PRIx64 " %-30s guest %8" PRIu64 " host %7" PRIu64
		" %s%s%s\n", us / 1e6, vcpu, texts.name, address(record), texts.insn,
		guest_ticks(record), (uint64_t)record->handler_ticks,
		record->result == 1 ? "" : record->result ? "! " : "> ", texts.detail,
		record->cpl ? " (user)" : "");
}

static void add_number(struct json_object *object, const char *name, uint64_t value)
{
	json_object_object_add(object, name, json_object_new_int64((int64_t)value));
}

static void add_text(struct json_object *object, const char *name, const char *text)
{
	if (*text)
		json_object_object_add(object, name, json_object_new_string(text));
}

struct json_object *trace_record_json(const struct vitrine_record *record)
{
	struct json_object *object = json_object_new_object(), *regs = json_object_new_object();
	struct texts texts;

	describe(record, &texts);
	json_add_hex(object, "rip", address(record));
	add_text(object, "insn", texts.insn);
	add_text(object, "detail", texts.detail);
	json_add_hex(object, "qualification", record->qualification);
	if (record->gpa)
		json_add_hex(object, "gpa", record->gpa);
	if (record->intr_info)
		json_add_hex(object, "intr_info", record->intr_info);
	if (record->vectoring_info)
		json_add_hex(object, "vectoring_info", record->vectoring_info);
	json_add_hex(object, "cr3", record->cr3);
	json_add_hex(object, "rflags", record->rflags);
	add_number(object, "cpl", record->cpl);
	add_number(object, "cpu", record->cpu);
	add_number(object, "guest_ticks", guest_ticks(record));
	add_number(object, "handler_ticks", record->handler_ticks);
	json_object_object_add(object, "result", json_object_new_int(record->result));
	for (unsigned int i = 0; i < ARRAY_SIZE(reg_names); i++)
		json_add_hex(regs, reg_names[i], record->regs[i]);
	json_object_object_add(object, "regs", regs);
	return object;
}

void trace_print_json(FILE *to, const struct vitrine_record *record, uint32_t vcpu, double us)
{
	struct json_object *object = trace_record_json(record);
	char reason[24];

	json_object_object_add(object, "us", json_object_new_double(us));
	add_number(object, "vcpu", vcpu);
	add_text(object, "reason", record_reason(record, reason, sizeof(reason)));
	fprintf(to, "%s\n", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
}

void trace_count(struct trace_totals *totals, const struct vitrine_record *record)
{
	unsigned int reason = record->reason & 0xffff;

	if (reason >= TRACE_REASONS)
		reason = TRACE_REASONS - 1;
	totals->exits++;
	totals->guest_ticks += guest_ticks(record);
	totals->by[reason].count++;
	totals->by[reason].to_user += record->result == 0;
	totals->by[reason].ticks += record->handler_ticks;
	if (record->handler_ticks > totals->by[reason].most)
		totals->by[reason].most = record->handler_ticks;
}

void trace_print_summary(FILE *to, const struct trace_totals *totals, double seconds,
			 uint32_t tsc_khz)
{
	bool shown[TRACE_REASONS] = {};
	unsigned int i, best;
	const char *name;

	fprintf(to, "%" PRIu64 " exits recorded in %.3f s, %" PRIu64 " lost; a tick is %.3f ns\n",
		totals->exits, seconds, totals->lost, tsc_khz ? 1e6 / tsc_khz : 0.0);
	fprintf(to, "%-24s %10s %6s %10s %12s %12s\n", "reason", "exits", "%", "to VMM",
		"ticks (mean)", "ticks (max)");
	for (;;) {
		best = TRACE_REASONS;
		for (i = 0; i < TRACE_REASONS; i++)
			if (!shown[i] && totals->by[i].count &&
			    (best == TRACE_REASONS || totals->by[i].count > totals->by[best].count))
				best = i;
		if (best == TRACE_REASONS)
			break;
		shown[best] = true;
		name = vitrine_reason_name(best);
		fprintf(to, "%-24s %10" PRIu64 " %6.1f %10" PRIu64 " %12" PRIu64 " %12" PRIu64 "\n",
			name ? name : "other", totals->by[best].count,
			100.0 * totals->by[best].count / totals->exits, totals->by[best].to_user,
			totals->by[best].ticks / totals->by[best].count, totals->by[best].most);
	}
}
