// SPDX-License-Identifier: GPL-2.0
/* build: tools/ask_rule.c tools/command.c */
/* The command line of "vitrine ask": what a rule and an answer mean, and what is none. */
#include <string.h>

#include "../../tools/ask.h"
#include "../../tools/command.h"
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

static bool answers(void)
{
	static const char *const bad[] = {
		"rxx=1", "rax", "rax=", "rax=1x", "inject=32", "error=1", "inject=13,error=0x8000",
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
		{ "answers", answers },
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
