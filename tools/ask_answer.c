// SPDX-License-Identifier: GPL-2.0
/* Answers of "vitrine ask": their grammar, and which events they are for. */
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "command.h"

#define WORD_BYTES	64
#define NMI		2	/* has a vector, and is no exception */

static const char *const registers[] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
	"r13", "r14", "r15", "rip", "rflags",
};

_Static_assert(sizeof(struct vitrine_guest_regs) == ARRAY_SIZE(registers) * sizeof(uint64_t),
	       "a name for each register");

const char *ask_register_name(unsigned int i)
{
	return i < ARRAY_SIZE(registers) ? registers[i] : NULL;
}

static int find_register(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(registers); i++)
		if (!strcmp(registers[i], name))
			return (int)i;
	return -1;
}

/* Such an assignment is none. */
static const char *why_not(const char *name)
{
	if (!strcmp(name, "inject"))
		return "0 to 31 are possible, but not 2";
	if (!strcmp(name, "error"))
		return "0 to 0x7fff are possible";
	if (!strcmp(name, "slow"))
		return "1 to 0x7fffffffffffffff are possible";
	return "no register, nor inject, error, cr2, value or slow";
}

/* NAME=VALUE */
static int parse_assignment(const char *word, struct ask_answer *answer, struct vitrine_error *err)
{
	const char *equals = strchr(word, '='), *at;
	char name[WORD_BYTES];
	uint64_t value;
	int i;

	if (!equals)
		return refuse(err, "answer '%s': go-on, skip, retry or NAME=VALUE", word);
	snprintf(name, sizeof(name), "%.*s", (int)(equals - word), word);
	at = equals + 1;
	if (!take_number(&at, &value) || *at)
		return refuse(err, "answer '%s': no number after the equals sign", word);
	i = find_register(name);
	if (i >= 0) {
		answer->set |= 1u << i;
		answer->value[i] = value;
	} else if (!strcmp(name, "inject") && value < 32 && value != NMI) {
		answer->verdict = VITRINE_INJECT;
		answer->flags &= ~VITRINE_ADVANCE;
		answer->vector = (uint32_t)value;
	} else if (!strcmp(name, "error") && value <= 0x7fff) {
		answer->flags |= VITRINE_HAS_ERROR;
		answer->error_code = (uint32_t)value;
	} else if (!strcmp(name, "value")) {
		answer->flags |= VITRINE_SET_VALUE;
		answer->set_value = value;
	} else if (!strcmp(name, "slow") && value && value <= INT64_MAX) {
		answer->flags |= VITRINE_SET_VALUE;
		answer->slow = value;
	} else if (!strcmp(name, "cr2")) {
		answer->cr2 = value;
	} else {
		return refuse(err, "answer '%s': %s", word, why_not(name));
	}
	return 0;
}

int ask_parse_answer(const char *text, struct ask_answer *answer, struct vitrine_error *err)
{
	bool go_on = false, retry = false;
	int ret;

	if (!*text)
		return refuse(err, "answer '': nothing is in it; skip, go-on, ...");
	/* What sets registers has done the instruction, unless it says otherwise. */
	*answer = (struct ask_answer) { .verdict = VITRINE_DONE, .flags = VITRINE_ADVANCE };
	while (*text) {
		size_t length = strcspn(text, ",");
		char word[WORD_BYTES];

		if (length >= sizeof(word))
			return refuse(err, "answer '%.40s...': too long", text);
		snprintf(word, sizeof(word), "%.*s", (int)length, text);
		text += length;
		text += *text == ',';
		if (!strcmp(word, "go-on")) {
			go_on = true;
		} else if (!strcmp(word, "retry")) {
			retry = true;
		} else if (strcmp(word, "skip")) {
			ret = parse_assignment(word, answer, err);
			if (ret)
				return ret;
		}
	}
	if (go_on || retry) {
		if (answer->verdict == VITRINE_INJECT || (go_on && retry))
			return refuse(err, "answer: go-on, retry and inject exclude each other");
		answer->verdict = go_on ? VITRINE_GO_ON : VITRINE_DONE;
		answer->flags &= ~VITRINE_ADVANCE;
	}
	if (answer->flags & VITRINE_SET_VALUE && (retry || answer->verdict == VITRINE_INJECT))
		return refuse(err, "answer: value= is for what is read, or with go-on written");
	if (answer->slow && (go_on || answer->set_value))
		return refuse(err, "answer: slow= is what a clock shows, and excludes others");
	if (answer->flags & VITRINE_HAS_ERROR && answer->verdict != VITRINE_INJECT)
		return refuse(err, "answer: error= goes with inject=");
	return 0;
}

int ask_check_answer(const struct ask_answer *answer, const struct vitrine_rule *rule,
		     struct vitrine_error *err)
{
	const char *name = ask_class_name(rule->on);
	bool go_on = answer->verdict == VITRINE_GO_ON;

	if (rule->action == VITRINE_DO_TELL)
		return refuse(err, "%s: what is told afterwards has no answer", name);
	if (answer->slow && rule->on != VITRINE_ON_RDTSC)
		return refuse(err, "%s: slow= is for rdtsc", name);
	if (answer->flags & VITRINE_SET_VALUE && go_on && !ask_class_writes(rule->on))
		return refuse(err, "%s: writes no value that go-on could go on with", name);
	if (answer->flags & VITRINE_SET_VALUE && !go_on && !ask_class_reads(rule->on))
		return refuse(err, ask_class_writes(rule->on) ?
			      "%s: reads no value; to write another one is value=N,go-on" :
			      "%s: reads no value; answer with registers", name);
	if (rule->on == VITRINE_ON_INTERRUPT && answer->verdict == VITRINE_INJECT)
		return refuse(err, "%s: no exception can take its place", name);
	/* Nothing to be done with: it is over, or between two. */
	if ((rule->on == VITRINE_ON_INTERRUPT || rule->on == VITRINE_ON_STEP) &&
	    answer->flags & VITRINE_ADVANCE)
		return refuse(err, "%s: no instruction to be skipped; go-on or retry", name);
	return 0;
}

void ask_fill_answer(struct ask_answer *from, const struct vitrine_exit_event *event,
		     struct vitrine_answer *answer)
{
	uint64_t values[ARRAY_SIZE(registers)];
	unsigned int i;
	int64_t passed;

	*answer = (struct vitrine_answer) { .seq = event->seq, .verdict = VITRINE_GO_ON };
	if (!from || event->flags & VITRINE_EVENT_AFTER)
		return;
	answer->verdict = from->verdict;
	answer->flags = from->flags;
	answer->vector = from->vector;
	answer->error_code = from->error_code;
	answer->cr2 = from->cr2;
	answer->value = from->set_value;
	if (from->slow) {
		if (!from->slow_from)
			from->slow_from = event->value;
		/* Another vCPU's clock may be a little behind the one that was first. */
		passed = (int64_t)(event->value - from->slow_from);
		answer->value = from->slow_from + (uint64_t)(passed / (int64_t)from->slow);
	}
	if (!from->set)
		return;
	answer->flags |= VITRINE_SET_REGS;
	memcpy(values, &event->regs, sizeof(values));
	for (i = 0; i < ARRAY_SIZE(registers); i++)
		if (from->set & 1u << i)
			values[i] = from->value[i];
	memcpy(&answer->regs, values, sizeof(values));
}
