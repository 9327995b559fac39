// SPDX-License-Identifier: GPL-2.0
/* build: tools/ask_rule.c tools/ask_answer.c tools/command.c kmod/monitor/policy.c */
/* The command line of "vitrine ask": what a rule and an answer mean, and what is none. */
#include <string.h>

#include "../../tools/ask.h"
#include "../../tools/command.h"
#include "monitor/policy.h"
#include "tap.h"

static bool rules(void)
{
	static const struct {
		const char *text;
		struct vitrine_rule rule;
	} good[] = {
		{ "cpuid", { VITRINE_ON_CPUID, 1, ~0u, 0, 0, 0xffffffff, 0, ~0ull, 0, 0 } },
		{ "cpuid:7,1", { VITRINE_ON_CPUID, 1, ~0u, 0, 7, 7, 1, 1, 0, 0 } },
		{ "in:0x60-0x64,1-2@3", { VITRINE_ON_IN, 1, 3, 0, 0x60, 0x64, 1, 2, 0, 0 } },
		{ "wrmsr:0x1a0/0xff=0x12",
		  { VITRINE_ON_WRMSR, 1, ~0u, 0, 0x1a0, 0x1a0, 0, ~0ull, 0xff, 0x12 } },
		{ "exception:14/2", { VITRINE_ON_EXCEPTION, 1, ~0u, 0, 14, 14, 0, ~0ull, 2, 2 } },
		{ "cr-write:4/0x80", { VITRINE_ON_CR_WRITE, 1, ~0u, 0, 4, 4, 0, ~0ull, 0x80, 0 } },
		{ "cpuid:010-0x10",
		  { VITRINE_ON_CPUID, 1, ~0u, 0, 10, 16, 0, ~0ull, 0, 0 } },
		{ "hlt@0", { VITRINE_ON_HLT, 1, 0, 0, 0, 0, 0, ~0ull, 0, 0 } },
	};
	static const char *const bad[] = {
		"", "cpid", "cpuid:", "cpuid:x", "cpuid:2-1", "cpuid:-1", "cpuid:1,", "cpuid:1x",
		"cr-write:9", "cr-write:1-2", "exception:2", "exception:32", "rdrand:3",
		"rdmsr:1,2",
		"in:1,5", "cpuid:1/1", "cr-write:3/1=1", "wrmsr:1/1=2", "interrupt:256",
		"in/", "wrmsr:1/1=", "hlt@", "hlt@0x100000000", "cpuid:0x10000000000000000", ":1",
	};
	struct vitrine_error err;
	struct vitrine_rule rule;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(good); i++)
		if (ask_parse_rule(good[i].text, &rule, &err) ||
		    memcmp(&rule, &good[i].rule, sizeof(rule))) {
			tap_diag("'%s' is not what it should be", good[i].text);
			return false;
		}
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (!ask_parse_rule(bad[i], &rule, &err) || err.code != 22 || !err.text[0]) {
			tap_diag("'%s' is taken", bad[i]);
			return false;
		}
	return true;
}

/* The module takes what is a rule here, and has the same values in mind. */
static bool module_agrees(void)
{
	static const char *const rests[] = { "", ":3", ":0-8", ":8,1", ":1,0-1", ":8/1", "@0" };
	struct vitrine_error err;
	struct vitrine_rule rule;
	unsigned int taken = 0;
	const char *wrong;
	char text[64];

	for (uint32_t on = 1; on < VITRINE_NR_ON; on++) {
		if (ask_class_reads(on) != vitrine_class_reads(on) ||
		    ask_class_writes(on) != vitrine_class_writes(on) ||
		    strcmp(ask_class_name(on), vitrine_rule_class_name(on))) {
			tap_diag("%s is another class there", ask_class_name(on));
			return false;
		}
		for (size_t i = 0; i < ARRAY_SIZE(rests); i++) {
			snprintf(text, sizeof(text), "%s%s", ask_class_name(on), rests[i]);
			if (ask_parse_rule(text, &rule, &err))
				continue;
			taken++;
			wrong = vitrine_rule_wrong_field(&rule);
			if (wrong) {
				tap_diag("'%s' is taken, though %s is wrong", text, wrong);
				return false;
			}
		}
	}
	return taken > 2 * VITRINE_NR_ON;
}

/* What the module would refuse each time is refused before. */
static bool fitting(void)
{
	static const struct {
		const char *rule, *answer;
		bool fits;
	} pairs[] = {
		{ "cpuid", "rax=1", true }, { "cpuid", "value=1", false },
		{ "in", "value=1", true }, { "in", "value=1,go-on", false },
		{ "out", "value=1", false }, { "out", "value=1,go-on", true },
		{ "cr-write", "value=1,go-on", false }, { "rdtsc", "slow=2", true },
		{ "rdmsr:16", "slow=2", false }, { "interrupt", "retry", true },
		{ "interrupt", "skip", false }, { "interrupt", "inject=6", false },
		{ "step", "go-on", true }, { "step", "rax=1", false },
		{ "step", "rax=1,retry", true },
	};
	struct vitrine_error err;
	struct ask_answer answer;
	struct vitrine_rule rule;

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		if (ask_parse_rule(pairs[i].rule, &rule, &err) ||
		    ask_parse_answer(pairs[i].answer, &answer, &err) ||
		    !ask_check_answer(&answer, &rule, &err) != pairs[i].fits) {
			tap_diag("'%s' to '%s'", pairs[i].answer, pairs[i].rule);
			return false;
		}
		rule.action = VITRINE_DO_TELL;
		if (!ask_check_answer(&answer, &rule, &err))
			return false;
	}
	return true;
}

static bool answers(void)
{
	static const char *const bad[] = {
		"rxx=1", "rax", "rax=", "rax=1x", "inject=32", "error=1", "inject=13,error=0x8000",
		"", "inject=2", "slow=0x8000000000000000",
		"value=", "value=1,retry", "value=1,inject=6", "slow=0",
		"slow=2,go-on", "slow=2,value=1",
		"go-on,retry", "go-on,inject=6",
		"rax=00000000000000000000000000000000000000000000000000000000000000001",
	};
	struct vitrine_exit_event event = { .seq = 9, .regs = { .rax = 1, .rbx = 2, .rip = 3 } };
	struct vitrine_answer answer;
	struct vitrine_error err;
	struct ask_answer parsed;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (!ask_parse_answer(bad[i], &parsed, &err) || err.code != 22 || !err.text[0]) {
			tap_diag("'%s' is taken", bad[i]);
			return false;
		}

	ask_fill_answer(NULL, &event, &answer);
	if (answer.seq != 9 || answer.verdict != VITRINE_GO_ON || answer.flags)
		return false;
	/* What is not named stays as it was. */
	if (ask_parse_answer("rbx=0x22,r15=5", &parsed, &err))
		return false;
	ask_fill_answer(&parsed, &event, &answer);
	if (answer.verdict != VITRINE_DONE ||
	    answer.flags != (VITRINE_ADVANCE | VITRINE_SET_REGS) ||
	    answer.regs.rax != 1 || answer.regs.rbx != 0x22 || answer.regs.r15 != 5 ||
	    answer.regs.rip != 3)
		return false;
	/* An event that only tells has one answer. */
	event.flags = VITRINE_EVENT_AFTER;
	ask_fill_answer(&parsed, &event, &answer);
	if (answer.verdict != VITRINE_GO_ON || answer.flags)
		return false;
	event.flags = 0;
	if (ask_parse_answer("inject=14,error=2,cr2=0x1000", &parsed, &err))
		return false;
	ask_fill_answer(&parsed, &event, &answer);
	if (answer.verdict != VITRINE_INJECT || answer.flags != VITRINE_HAS_ERROR ||
	    answer.vector != 14 || answer.error_code != 2 || answer.cr2 != 0x1000)
		return false;
	if (ask_parse_answer("value=0x10,go-on", &parsed, &err))
		return false;
	ask_fill_answer(&parsed, &event, &answer);
	if (answer.verdict != VITRINE_GO_ON || answer.flags != VITRINE_SET_VALUE ||
	    answer.value != 0x10)
		return false;
	if (ask_parse_answer("value=3", &parsed, &err))
		return false;
	ask_fill_answer(&parsed, &event, &answer);
	if (answer.verdict != VITRINE_DONE || answer.value != 3 ||
	    answer.flags != (VITRINE_ADVANCE | VITRINE_SET_VALUE))
		return false;
	/* From the first one on. */
	if (ask_parse_answer("slow=4", &parsed, &err))
		return false;
	event.value = 1000;
	ask_fill_answer(&parsed, &event, &answer);
	if (answer.flags != (VITRINE_ADVANCE | VITRINE_SET_VALUE) || answer.value != 1000)
		return false;
	event.value = 1400;
	ask_fill_answer(&parsed, &event, &answer);
	if (answer.value != 1100)
		return false;
	/* Another vCPU, which is a little behind. */
	event.value = 992;
	ask_fill_answer(&parsed, &event, &answer);
	if (answer.value != 998)
		return false;
	if (ask_parse_answer("rax=7,go-on", &parsed, &err))
		return false;
	ask_fill_answer(&parsed, &event, &answer);
	return answer.verdict == VITRINE_GO_ON && answer.flags == VITRINE_SET_REGS &&
	       answer.regs.rax == 7;
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "rules", rules },
		{ "the module agrees", module_agrees },
		{ "answers that fit", fitting },
		{ "answers", answers },
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
