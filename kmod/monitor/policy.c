// SPDX-License-Identifier: GPL-2.0
/*
 * Owns what a rule may say and which rule decides. Knows nothing of VMs and exits, and is asked
 * with the rules held still by whoever asks.
 */
#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "policy.h"

/*
 * What the keys of a class can be, whether there is a second one and a value; and whether the
 * instruction reads something, or writes it, that an answer can put another value in place of.
 */
struct on_class {
	const char *name;
	u64 last;
	u64 sub_last;
	bool has_value;
	bool reads;
	bool writes;
};

static const struct on_class classes[VITRINE_NR_ON] = {
	[VITRINE_ON_CPUID] = { "cpuid", 0xffffffffULL, 0xffffffffULL },
	[VITRINE_ON_RDMSR] = { "rdmsr", 0xffffffffULL, .reads = true },
	[VITRINE_ON_WRMSR] = { "wrmsr", 0xffffffffULL, 0, true, .writes = true },
	[VITRINE_ON_IN] = { "in", 0xffff, 4, .reads = true },
	[VITRINE_ON_OUT] = { "out", 0xffff, 4, true, .writes = true },
	[VITRINE_ON_CR_READ] = { "cr-read", 8, .reads = true },
	[VITRINE_ON_CR_WRITE] = { "cr-write", 8, 0, true },
	[VITRINE_ON_EXCEPTION] = { "exception", 31, 0, true },
	[VITRINE_ON_HYPERCALL] = { "hypercall", ~0ULL },
	[VITRINE_ON_HLT] = { "hlt", 0 },
	[VITRINE_ON_RDTSC] = { "rdtsc", 1, .reads = true },
	[VITRINE_ON_XSETBV] = { "xsetbv", 0xffffffffULL, 0, true, .writes = true },
	[VITRINE_ON_INVLPG] = { "invlpg", ~0ULL },
	[VITRINE_ON_INVPCID] = { "invpcid", ~0ULL, 0, true },
	[VITRINE_ON_RDPMC] = { "rdpmc", 0xffffffffULL, .reads = true },
	[VITRINE_ON_RDRAND] = { "rdrand", 8, .reads = true },
	[VITRINE_ON_RDSEED] = { "rdseed", 8, .reads = true },
	[VITRINE_ON_WBINVD] = { "wbinvd", 1 },
	[VITRINE_ON_PAUSE] = { "pause", 0 },
	[VITRINE_ON_MONITOR] = { "monitor", 1 },
	[VITRINE_ON_VMX] = { "vmx", 0xffff },
	[VITRINE_ON_DR_READ] = { "dr-read", 7, .reads = true },
	[VITRINE_ON_DR_WRITE] = { "dr-write", 7, 0, true, .writes = true },
	[VITRINE_ON_MMIO_READ] = { "mmio-read", ~0ULL, 8, .reads = true },
	[VITRINE_ON_MMIO_WRITE] = { "mmio-write", ~0ULL, 8, true, .writes = true },
	[VITRINE_ON_TABLE_LOAD] = { "table-load", 3 },
	[VITRINE_ON_TABLE_STORE] = { "table-store", 3 },
	[VITRINE_ON_INTERRUPT] = { "interrupt", 255 },
	[VITRINE_ON_STEP] = { "step", ~0ULL },
};

const char *vitrine_rule_class_name(u32 on)
{
	return classes[on].name;
}

bool vitrine_class_reads(u32 on)
{
	return classes[on].reads;
}

bool vitrine_class_writes(u32 on)
{
	return classes[on].writes;
}

const char *vitrine_rule_wrong_field(const struct vitrine_rule *rule)
{
	const struct on_class *class;

	if (!rule->on || rule->on >= VITRINE_NR_ON)
		return "on";
	class = &classes[rule->on];
	/* No record is one of an interrupt: records are of exits. */
	if (rule->action > VITRINE_DO_OBSERVE ||
	    (rule->on == VITRINE_ON_INTERRUPT && rule->action == VITRINE_DO_OBSERVE))
		return "action";
	if (rule->reserved)
		return "reserved";
	if (rule->first > class->last)
		return "first";
	if (rule->last < rule->first)
		return "last";
	/* Where there is no second key the whole of it is meant, and nothing else can be. */
	if (rule->sub_first > class->sub_last)
		return "sub_first";
	if (rule->sub_last < rule->sub_first)
		return "sub_last";
	if (rule->mask && !class->has_value)
		return "mask";
	if (rule->on == VITRINE_ON_CR_WRITE ? rule->match : rule->match & ~rule->mask)
		return "match";
	return NULL;
}

void vitrine_policy_build(struct vitrine_policy_rules *policy, const struct vitrine_rule *rules)
{
	u32 on, i, n = 0;

	policy->on = 0;
	policy->first[0] = 0;
	for (on = 1; on < VITRINE_NR_ON; on++) {
		policy->first[on] = n;
		for (i = 0; i < policy->nr; i++) {
			if (rules[i].on != on)
				continue;
			policy->rules[n] = rules[i];
			policy->rules[n++].reserved = i;
			if (rules[i].action != VITRINE_DO_NOTHING)
				policy->on |= BIT(on);
		}
	}
	policy->first[VITRINE_NR_ON] = n;
}

static bool value_fits(const struct vitrine_rule *rule, u64 value)
{
	if (rule->on == VITRINE_ON_CR_WRITE)
		return !rule->mask || value & rule->mask;
	return (value & rule->mask) == rule->match;
}

bool vitrine_policy_names(const struct vitrine_policy_rules *policy, u32 on, u64 key)
{
	u32 i;

	for (i = policy->first[on]; i < policy->first[on + 1]; i++)
		if (key >= policy->rules[i].first && key <= policy->rules[i].last &&
		    policy->rules[i].action != VITRINE_DO_NOTHING)
			return true;
	return false;
}

const struct vitrine_rule *vitrine_policy_find(const struct vitrine_policy_rules *policy, u32 vcpu,
					       const struct vitrine_happening *what)
{
	u32 i;

	if (!(policy->on & BIT(what->on)))
		return NULL;
	for (i = policy->first[what->on]; i < policy->first[what->on + 1]; i++) {
		const struct vitrine_rule *rule = &policy->rules[i];

		if (what->key >= rule->first && what->key <= rule->last &&
		    what->sub >= rule->sub_first && what->sub <= rule->sub_last &&
		    (rule->vcpu == VITRINE_ALL_VCPUS || rule->vcpu == vcpu) &&
		    value_fits(rule, what->value))
			return rule;
	}
	return NULL;
}
