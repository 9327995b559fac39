// SPDX-License-Identifier: GPL-2.0
/* Rules and answers of "vitrine ask": their grammar, and nothing of where they go. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "command.h"

#define WORD_BYTES 64

/* What a class is called, and where its keys end. */
static const struct {
	const char *name;
	uint64_t last;
} classes[VITRINE_NR_ON] = {
	[VITRINE_ON_CPUID] = { "cpuid", 0xffffffff },
	[VITRINE_ON_RDMSR] = { "rdmsr", 0xffffffff },
	[VITRINE_ON_WRMSR] = { "wrmsr", 0xffffffff },
	[VITRINE_ON_IN] = { "in", 0xffff },
	[VITRINE_ON_OUT] = { "out", 0xffff },
	[VITRINE_ON_CR_READ] = { "cr-read", 8 },
	[VITRINE_ON_CR_WRITE] = { "cr-write", 8 },
	[VITRINE_ON_EXCEPTION] = { "exception", 31 },
	[VITRINE_ON_HYPERCALL] = { "hypercall", UINT64_MAX },
	[VITRINE_ON_HLT] = { "hlt", 0 },
	[VITRINE_ON_RDTSC] = { "rdtsc", 1 },
	[VITRINE_ON_XSETBV] = { "xsetbv", 0xffffffff },
	[VITRINE_ON_INVLPG] = { "invlpg", UINT64_MAX },
	[VITRINE_ON_INVPCID] = { "invpcid", UINT64_MAX },
	[VITRINE_ON_RDPMC] = { "rdpmc", 0xffffffff },
	[VITRINE_ON_RDRAND] = { "rdrand", 8 },
	[VITRINE_ON_RDSEED] = { "rdseed", 8 },
	[VITRINE_ON_WBINVD] = { "wbinvd", 1 },
	[VITRINE_ON_PAUSE] = { "pause", 0 },
	[VITRINE_ON_MONITOR] = { "monitor", 1 },
	[VITRINE_ON_VMX] = { "vmx", 0xffff },
	[VITRINE_ON_DR_READ] = { "dr-read", 7 },
	[VITRINE_ON_DR_WRITE] = { "dr-write", 7 },
	[VITRINE_ON_MMIO_READ] = { "mmio-read", UINT64_MAX },
	[VITRINE_ON_MMIO_WRITE] = { "mmio-write", UINT64_MAX },
	[VITRINE_ON_TABLE_LOAD] = { "table-load", 3 },
	[VITRINE_ON_TABLE_STORE] = { "table-store", 3 },
	[VITRINE_ON_INTERRUPT] = { "interrupt", 255 },
	[VITRINE_ON_STEP] = { "step", UINT64_MAX },
};

static const char *const registers[] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
	"r13", "r14", "r15", "rip", "rflags",
};

_Static_assert(sizeof(struct vitrine_guest_regs) == ARRAY_SIZE(registers) * sizeof(uint64_t),
	       "a name for each register");

const char *ask_class_name(uint32_t on)
{
	return on && on < VITRINE_NR_ON ? classes[on].name : "unknown";
}

const char *ask_register_name(unsigned int i)
{
	return i < ARRAY_SIZE(registers) ? registers[i] : NULL;
}

static bool parse_number(const char **at, __u64 *value)
{
	uint64_t number;

	if (!take_number(at, &number))
		return false;
	*value = number;
	return true;
}

/* N or N-M */
static bool parse_range(const char **at, __u64 *first, __u64 *last)
{
	if (!parse_number(at, first))
		return false;
	*last = *first;
	if (**at != '-')
		return true;
	(*at)++;
	return parse_number(at, last) && *last >= *first;
}

static uint32_t find_class(const char *name, size_t length)
{
	uint32_t on;

	for (on = 1; on < VITRINE_NR_ON; on++)
		if (strlen(classes[on].name) == length && !memcmp(classes[on].name, name, length))
			return on;
	return 0;
}

int ask_parse_rule(const char *text, struct vitrine_rule *rule, struct vitrine_error *err)
{
	const char *at = text + strcspn(text, ":/@");
	__u64 vcpu;

	*rule = (struct vitrine_rule) {
		.on = find_class(text, (size_t)(at - text)), .action = VITRINE_DO_ASK,
		.vcpu = VITRINE_ALL_VCPUS, .sub_last = UINT64_MAX,
	};
	if (!rule->on)
		return refuse(err, "rule '%s': no class '%.*s'; vitrine-ask(1) lists them", text,
			      (int)(at - text), text);
	rule->last = classes[rule->on].last;
	if (*at == ':') {
		at++;
		if (!parse_range(&at, &rule->first, &rule->last))
			return refuse(err, "rule '%s': no number or range after the colon", text);
		if (*at == ',' && (at++, !parse_range(&at, &rule->sub_first, &rule->sub_last)))
			return refuse(err, "rule '%s': no number or range after the comma", text);
	}
	if (*at == '/') {
		at++;
		if (!parse_number(&at, &rule->mask))
			return refuse(err, "rule '%s': no number after the slash", text);
		rule->match = rule->on == VITRINE_ON_CR_WRITE ? 0 : rule->mask;
		if (*at == '=' && (at++, !parse_number(&at, &rule->match)))
			return refuse(err, "rule '%s': no number after the equals sign", text);
	}
	if (*at == '@') {
		at++;
		if (!parse_number(&at, &vcpu) || vcpu >= VITRINE_ALL_VCPUS)
			return refuse(err, "rule '%s': no vCPU's id after the @", text);
		rule->vcpu = (uint32_t)vcpu;
	}
	if (*at)
		return refuse(err, "rule '%s': '%s' is too much", text, at);
	return 0;
}

static int find_register(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(registers); i++)
		if (!strcmp(registers[i], name))
			return (int)i;
	return -1;
}

/* NAME=VALUE */
static int parse_assignment(const char *word, struct ask_answer *answer, struct vitrine_error *err)
{
	const char *equals = strchr(word, '='), *at;
	char name[WORD_BYTES];
	__u64 value;
	int i;

	if (!equals)
		return refuse(err, "answer '%s': go-on, skip, retry or NAME=VALUE", word);
	snprintf(name, sizeof(name), "%.*s", (int)(equals - word), word);
	at = equals + 1;
	if (!parse_number(&at, &value) || *at)
		return refuse(err, "answer '%s': no number after the equals sign", word);
	i = find_register(name);
	if (i >= 0) {
		answer->set |= 1u << i;
		answer->value[i] = value;
	} else if (!strcmp(name, "inject") && value < 32) {
		answer->verdict = VITRINE_INJECT;
		answer->flags &= ~VITRINE_ADVANCE;
		answer->vector = (uint32_t)value;
	} else if (!strcmp(name, "error") && value <= 0x7fff) {
		answer->flags |= VITRINE_HAS_ERROR;
		answer->error_code = (uint32_t)value;
	} else if (!strcmp(name, "value")) {
		answer->flags |= VITRINE_SET_VALUE;
		answer->set_value = value;
	} else if (!strcmp(name, "slow") && value) {
		answer->flags |= VITRINE_SET_VALUE;
		answer->slow = value;
	} else if (!strcmp(name, "cr2")) {
		answer->cr2 = value;
	} else {
		return refuse(err, "answer '%s': no register; inject= has 0 to 31, error= 15 bits",
			      word);
	}
	return 0;
}

int ask_parse_answer(const char *text, struct ask_answer *answer, struct vitrine_error *err)
{
	bool go_on = false, retry = false;
	int ret;

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

void ask_fill_answer(struct ask_answer *from, const struct vitrine_exit_event *event,
		     struct vitrine_answer *answer)
{
	uint64_t values[ARRAY_SIZE(registers)];
	unsigned int i;

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
		answer->value = from->slow_from + (event->value - from->slow_from) / from->slow;
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
