// SPDX-License-Identifier: GPL-2.0
/* build: kmod/monitor/policy.c */
/*
 * Rules of an exit policy: what a rule may say, and which one decides, against a plain search of
 * the rules in the order they were given.
 */
#include <string.h>

#include "monitor/policy.h"
#include "tap.h"

#define NR_RULES	64

static const struct vitrine_rule any_cpuid = {
	.on = VITRINE_ON_CPUID, .action = VITRINE_DO_ASK, .vcpu = VITRINE_ALL_VCPUS,
	.last = 0xffffffff, .sub_last = ~0ull,
};

static bool is_wrong(const char *field, struct vitrine_rule rule)
{
	const char *wrong = vitrine_rule_wrong_field(&rule);

	if (!wrong == !field && (!wrong || !strcmp(wrong, field)))
		return true;
	tap_diag("field %s instead of %s", wrong ?: "none", field ?: "none");
	return false;
}

#define WITH(assignment) ({ struct vitrine_rule r = any_cpuid; assignment; r; })

static bool fields(void)
{
	return is_wrong(NULL, any_cpuid) && is_wrong("on", WITH(r.on = 0)) &&
	       is_wrong("on", WITH(r.on = VITRINE_NR_ON)) &&
	       is_wrong("on", WITH(r.on = 0x80000001)) &&
	       is_wrong("action", WITH(r.action = VITRINE_DO_OBSERVE + 1)) &&
	       is_wrong("reserved", WITH(r.reserved = 1)) &&
	       is_wrong("first", WITH(r.first = r.last = 1ull << 32)) &&
	       is_wrong("last", WITH(r.first = 2; r.last = 1)) &&
	       is_wrong("sub_first", WITH(r.sub_first = 1ull << 32)) &&
	       is_wrong("sub_last", WITH(r.sub_first = 2; r.sub_last = 1)) &&
	       is_wrong("mask", WITH(r.mask = 1)) && is_wrong("match", WITH(r.match = 1)) &&
	       is_wrong(NULL, WITH(r.on = VITRINE_ON_WRMSR; r.mask = 3; r.match = 2)) &&
	       is_wrong("match", WITH(r.on = VITRINE_ON_WRMSR; r.mask = 3; r.match = 4)) &&
	       is_wrong("sub_first", WITH(r.on = VITRINE_ON_RDMSR; r.sub_first = 1)) &&
	       is_wrong("first", WITH(r.on = VITRINE_ON_CR_WRITE; r.first = 9)) &&
	       is_wrong("match", WITH(r.on = VITRINE_ON_CR_WRITE; r.mask = 1; r.match = 1)) &&
	       is_wrong("first", WITH(r.on = VITRINE_ON_HLT; r.first = 1));
}

static struct vitrine_policy_rules *build(const struct vitrine_rule *rules, uint32_t nr)
{
	struct vitrine_policy_rules *policy =
		calloc(1, sizeof(*policy) + nr * sizeof(policy->rules[0]));

	policy->nr = nr;
	vitrine_policy_build(policy, rules);
	return policy;
}

/* Few values, so that they meet. */
static uint64_t few(void)
{
	return tap_random() % 4;
}

static struct vitrine_rule random_rule(void)
{
	struct vitrine_rule rule = {
		.on = 1 + tap_random() % (VITRINE_NR_ON - 1), .action = tap_random() % 3,
		.vcpu = tap_random() % 2 ? VITRINE_ALL_VCPUS : few(),
		.first = few(), .sub_first = few(), .mask = few(),
	};

	rule.last = rule.first + few();
	rule.sub_last = rule.sub_first + few();
	rule.match = rule.on == VITRINE_ON_CR_WRITE ? 0 : few() & rule.mask;
	return rule;
}

static bool fits(const struct vitrine_rule *rule, uint32_t vcpu,
		 const struct vitrine_happening *what)
{
	if (rule->on != what->on || (rule->vcpu != VITRINE_ALL_VCPUS && rule->vcpu != vcpu))
		return false;
	if (what->key < rule->first || what->key > rule->last)
		return false;
	if (what->sub < rule->sub_first || what->sub > rule->sub_last)
		return false;
	if (rule->on == VITRINE_ON_CR_WRITE)
		return rule->mask == 0 || (rule->mask & what->value) != 0;
	return (what->value & rule->mask) == rule->match;
}

static bool first_that_fits(void)
{
	struct vitrine_rule rules[NR_RULES];
	unsigned int round, i, decided = 0;

	for (round = 0; round < 2000; round++) {
		uint32_t nr = 1 + tap_random() % NR_RULES, vcpu, want, got;
		struct vitrine_policy_rules *policy;
		struct vitrine_happening what;
		const struct vitrine_rule *rule;

		for (i = 0; i < nr; i++)
			rules[i] = random_rule();
		policy = build(rules, nr);
		for (i = 0; i < 200; i++) {
			uint32_t n, at = ~0u;

			what.on = 1 + tap_random() % (VITRINE_NR_ON - 1);
			what.key = tap_random() % 8;
			what.sub = tap_random() % 8;
			what.value = few();
			vcpu = few();
			want = VITRINE_DO_NOTHING;
			for (n = 0; n < nr; n++) {
				if (fits(&rules[n], vcpu, &what)) {
					want = rules[n].action;
					at = n;
					break;
				}
			}
			rule = vitrine_policy_find(policy, vcpu, &what);
			got = rule ? rule->action : VITRINE_DO_NOTHING;
			if (rule && rule->reserved != at)
				got = ~0u;
			if (got != want) {
				tap_diag("round %u: on %u key %llu: %u instead of %u", round,
					 what.on, (unsigned long long)what.key, got, want);
				return false;
			}
			decided += want != VITRINE_DO_NOTHING;
		}
		free(policy);
	}
	tap_diag("%u of %u were somebody's", decided, round * 200);
	return decided > 1000;
}

static bool every_class_has_its_name(void)
{
	uint32_t on, other;

	for (on = 1; on < VITRINE_NR_ON; on++) {
		if (!vitrine_rule_class_name(on))
			return false;
		for (other = 1; other < on; other++)
			if (!strcmp(vitrine_rule_class_name(on), vitrine_rule_class_name(other)))
				return false;
	}
	return true;
}

static bool classes_asked_for(void)
{
	struct vitrine_rule rules[3] = { any_cpuid, any_cpuid, any_cpuid };
	struct vitrine_policy_rules *policy;
	bool ok;

	rules[0].on = VITRINE_ON_HLT;
	rules[0].last = 0;
	rules[1].on = VITRINE_ON_WRMSR;
	rules[1].first = 0x10;
	rules[1].last = 0x1f;
	rules[2].action = VITRINE_DO_NOTHING;
	policy = build(rules, 3);
	ok = policy->on == (1u << VITRINE_ON_HLT | 1u << VITRINE_ON_WRMSR) &&
	     vitrine_policy_names(policy, VITRINE_ON_WRMSR, 0x10) &&
	     vitrine_policy_names(policy, VITRINE_ON_WRMSR, 0x1f) &&
	     !vitrine_policy_names(policy, VITRINE_ON_WRMSR, 0x20) &&
	     !vitrine_policy_names(policy, VITRINE_ON_RDMSR, 0x10);
	free(policy);
	policy = build(NULL, 0);
	ok = ok && !policy->on;
	free(policy);
	return ok;
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "a rule that cannot be is told by its field", fields },
		{ "the first rule that fits decides", first_that_fits },
		{ "every class has a name of its own", every_class_has_its_name },
		{ "only what a rule names is asked for", classes_asked_for },
	};

	return tap_main(tests, sizeof(tests) / sizeof(tests[0]));
}
