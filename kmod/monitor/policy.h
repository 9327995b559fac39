/* SPDX-License-Identifier: GPL-2.0 */
/* The rules of an exit policy, checked once and then only read. Pure: unit-tested on its own. */
#ifndef VITRINE_MONITOR_POLICY_H
#define VITRINE_MONITOR_POLICY_H

#include <linux/types.h>
#include <vitrine_policy.h>

/**
 * struct vitrine_policy_rules - rules in force
 * @rcu: for who frees them
 * @nr: of @rules
 * @on: a bit for each VITRINE_ON_* that some rule names, which is what has to be intercepted
 * @first: index of the first rule of each class, @first[class + 1] the end
 * @rules: by class, within a class in the order they were given
 */
struct vitrine_policy_rules {
	struct rcu_head rcu;
	u32 nr;
	u32 on;
	u32 first[VITRINE_NR_ON + 1];
	struct vitrine_rule rules[];
};

/**
 * struct vitrine_happening - what a guest is about to do, in the words of the rules
 * @on: VITRINE_ON_*
 * @insn_len: bytes of the instruction, 0 if it is about none
 * @string: it moves to or from memory: no value can stand in its place
 * @key: @sub: @value: as the table in vitrine_policy.h has them
 */
struct vitrine_happening {
	u32 on;
	u32 insn_len;
	bool string;
	u64 key;
	u64 sub;
	u64 value;
};

/* Of a class that there is, as the tool has it. */
const char *vitrine_rule_class_name(u32 on);
/* Can an answer say what is read, or what is written? */
bool vitrine_class_reads(u32 on);
bool vitrine_class_writes(u32 on);
/* The name of the field that makes @rule one that cannot be, or NULL. */
const char *vitrine_rule_wrong_field(const struct vitrine_rule *rule);
/* Fills @policy, of which only nr is set and which has room for that many, from checked rules. */
void vitrine_policy_build(struct vitrine_policy_rules *policy, const struct vitrine_rule *rules);
/*
 * The rule that decides, or NULL. Its @reserved is its index among those that were handed in.
 */
const struct vitrine_rule *vitrine_policy_find(const struct vitrine_policy_rules *policy, u32 vcpu,
					       const struct vitrine_happening *what);

/* Does some rule of the class, for whatever vCPU and value, speak of @key? */
bool vitrine_policy_names(const struct vitrine_policy_rules *policy, u32 on, u64 key);

#endif
