// SPDX-License-Identifier: GPL-2.0
/* Rules of "vitrine ask": their grammar, and nothing of where they go. */
#include <string.h>

#include "ask.h"
#include "command.h"

#define BIT(n) (1ull << (n))

/* What can be masked, and what an answer can put something in place of. */
enum { VALUE = 1, READS = 2, WRITES = 4 };

/*
 * What a class is called, where its keys and its second keys end, and, where there are few, a bit
 * for each key that there is. The module has a table like it, and refuses what does not fit without
 * saying to the caller which rule it is.
 */
static const struct {
	const char *name;
	uint64_t last;
	uint64_t sub_last;
	unsigned int has;
	uint64_t keys;
} classes[VITRINE_NR_ON] = {
	[VITRINE_ON_CPUID] = { "cpuid", 0xffffffff, 0xffffffff },
	[VITRINE_ON_RDMSR] = { "rdmsr", 0xffffffff, 0, READS },
	[VITRINE_ON_WRMSR] = { "wrmsr", 0xffffffff, 0, VALUE | WRITES },
	[VITRINE_ON_IN] = { "in", 0xffff, 4, READS },
	[VITRINE_ON_OUT] = { "out", 0xffff, 4, VALUE | WRITES },
	[VITRINE_ON_CR_READ] = { "cr-read", 8, 0, READS, BIT(3) | BIT(8) },
	[VITRINE_ON_CR_WRITE] = { "cr-write", 8, 0, VALUE, BIT(0) | BIT(3) | BIT(4) | BIT(8) },
	[VITRINE_ON_EXCEPTION] = { "exception", 31, 0, VALUE, 0xb7cfb },
	[VITRINE_ON_HYPERCALL] = { "hypercall", UINT64_MAX },
	[VITRINE_ON_HLT] = { "hlt", 0 },
	[VITRINE_ON_RDTSC] = { "rdtsc", 1, 0, READS },
	[VITRINE_ON_XSETBV] = { "xsetbv", 0xffffffff, 0, VALUE | WRITES },
	[VITRINE_ON_INVLPG] = { "invlpg", UINT64_MAX },
	[VITRINE_ON_INVPCID] = { "invpcid", UINT64_MAX, 0, VALUE },
	[VITRINE_ON_RDPMC] = { "rdpmc", 0xffffffff, 0, READS },
	[VITRINE_ON_RDRAND] = { "rdrand", 8, 0, READS, BIT(2) | BIT(4) | BIT(8) },
	[VITRINE_ON_RDSEED] = { "rdseed", 8, 0, READS, BIT(2) | BIT(4) | BIT(8) },
	[VITRINE_ON_WBINVD] = { "wbinvd", 1 },
	[VITRINE_ON_PAUSE] = { "pause", 0 },
	[VITRINE_ON_MONITOR] = { "monitor", 1 },
	[VITRINE_ON_VMX] = { "vmx", 0xffff },
	[VITRINE_ON_DR_READ] = { "dr-read", 7, 0, READS },
	[VITRINE_ON_DR_WRITE] = { "dr-write", 7, 0, VALUE | WRITES },
	[VITRINE_ON_MMIO_READ] = { "mmio-read", UINT64_MAX, 8, READS },
	[VITRINE_ON_MMIO_WRITE] = { "mmio-write", UINT64_MAX, 8, VALUE | WRITES },
	[VITRINE_ON_TABLE_LOAD] = { "table-load", 3 },
	[VITRINE_ON_TABLE_STORE] = { "table-store", 3 },
	[VITRINE_ON_INTERRUPT] = { "interrupt", 255 },
	[VITRINE_ON_STEP] = { "step", UINT64_MAX },
};

const char *ask_class_name(uint32_t on)
{
	return on && on < VITRINE_NR_ON ? classes[on].name : "unknown";
}

bool ask_class_reads(uint32_t on)
{
	return classes[on].has & READS;
}

bool ask_class_writes(uint32_t on)
{
	return classes[on].has & WRITES;
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

/* Whether there is what the rule names. */
static int check_rule(const char *text, const struct vitrine_rule *rule, struct vitrine_error *err)
{
	const char *name = classes[rule->on].name;
	uint64_t keys = classes[rule->on].keys;

	if (rule->first > classes[rule->on].last)
		return refuse(err, "rule '%s': %s goes from 0 to %llu", text, name,
			      (unsigned long long)classes[rule->on].last);
	/* Only where all keys have a bit. */
	if (keys && !(keys >> rule->first << rule->first &
		      (rule->last < 63 ? BIT(rule->last + 1) - 1 : UINT64_MAX)))
		return refuse(err, "rule '%s': there is no such %s; vitrine-ask(1) lists them",
			      text, name);
	if (rule->sub_first > classes[rule->on].sub_last)
		return classes[rule->on].sub_last ?
		       refuse(err, "rule '%s': after the comma %s has 0 to %llu", text, name,
			      (unsigned long long)classes[rule->on].sub_last) :
		       refuse(err, "rule '%s': %s has nothing after a comma", text, name);
	if (rule->mask && !(classes[rule->on].has & VALUE))
		return refuse(err, "rule '%s': %s has no value for a mask", text, name);
	if (rule->on == VITRINE_ON_CR_WRITE && rule->match)
		return refuse(err, "rule '%s': the mask is of bits that change, to whatever", text);
	if (rule->on != VITRINE_ON_CR_WRITE && rule->match & ~rule->mask)
		return refuse(err, "rule '%s': bits after the equals sign that the mask lacks",
			      text);
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
	return check_rule(text, rule, err);
}
