/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What "vitrine ask" is told on its command line: rules and answers, as text and as the kernel
 * takes them. Touches no device.
 */
#ifndef VITRINE_ASK_H
#define VITRINE_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vitrine_policy.h>

#include "lib/libvitrine.h"

/**
 * struct ask_answer - what a rule's events are answered with
 * @verdict: @flags: @vector: @error_code: @cr2: as in struct vitrine_answer
 * @set_value: with VITRINE_SET_VALUE
 * @slow: a clock goes so many times slower, 0: none
 * @slow_from: from this time on, once it is known
 * @set: a bit for each register that @value replaces, in the order of struct vitrine_guest_regs
 * @value: of the registers
 */
struct ask_answer {
	uint32_t verdict;
	uint32_t flags;
	uint32_t vector;
	uint32_t error_code;
	uint64_t cr2;
	uint64_t set_value;
	uint64_t slow, slow_from;
	uint32_t set;
	uint64_t value[18];
};

/* CLASS[:FIRST[-LAST][,SUB[-SUB]]][/MASK[=MATCH]][@VCPU], see vitrine-ask(1). 0 or -EINVAL. */
int ask_parse_rule(const char *text, struct vitrine_rule *rule, struct vitrine_error *err);
/*
 * go-on, skip, retry, inject=VECTOR, error=CODE, cr2=ADDRESS, value=N, slow=N, REGISTER=VALUE;
 * with commas.
 */
int ask_parse_answer(const char *text, struct ask_answer *answer, struct vitrine_error *err);
/* Whether events of this rule can have that answer. 0 or -EINVAL. */
int ask_check_answer(const struct ask_answer *answer, const struct vitrine_rule *rule,
		     struct vitrine_error *err);
/* For this event; NULL: go on. A slow clock begins with it. */
void ask_fill_answer(struct ask_answer *from, const struct vitrine_exit_event *event,
		     struct vitrine_answer *answer);
/* Whether it is about a value that the guest reads, or writes. */
bool ask_class_reads(uint32_t on);
bool ask_class_writes(uint32_t on);
/* "cpuid"; "unknown" for a number without a name */
const char *ask_class_name(uint32_t on);
/* RAX and so on by their place in struct vitrine_guest_regs; NULL behind the last. */
const char *ask_register_name(unsigned int i);

#endif
