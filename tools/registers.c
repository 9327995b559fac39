// SPDX-License-Identifier: GPL-2.0
/* Registers of a vCPU by their names: from text, as text and as JSON. */
#include <json-c/json.h>
#include <stddef.h>
#include <string.h>

#include "command.h"
#include "json.h"
#include "registers.h"

struct name {
	const char *name;
	uint32_t part;
	uint16_t offset;
	uint16_t bytes;
};

#define FIELD(name, part, member)							\
	{ name, VITRINE_REGS_##part, offsetof(struct vitrine_regs, member),		\
	  sizeof(((struct vitrine_regs *)0)->member) }
#define GENERAL(name)	FIELD(#name, GENERAL, general.name)
#define SYSTEM(name)	FIELD(#name, SYSTEM, system.name)

static const struct name names[] = {
	GENERAL(rax), GENERAL(rbx), GENERAL(rcx), GENERAL(rdx),
	GENERAL(rsi), GENERAL(rdi), GENERAL(rsp), GENERAL(rbp),
	GENERAL(r8), GENERAL(r9), GENERAL(r10), GENERAL(r11),
	GENERAL(r12), GENERAL(r13), GENERAL(r14), GENERAL(r15),
	GENERAL(rip), GENERAL(rflags),
	SYSTEM(cr0), SYSTEM(cr2), SYSTEM(cr3), SYSTEM(cr4), SYSTEM(cr8), SYSTEM(efer),
	FIELD("gdtr.base", SYSTEM, system.gdt.base), FIELD("gdtr.limit", SYSTEM, system.gdt.limit),
	FIELD("idtr.base", SYSTEM, system.idt.base), FIELD("idtr.limit", SYSTEM, system.idt.limit),
	FIELD("pdptr0", SYSTEM, system.pdptrs[0]), FIELD("pdptr1", SYSTEM, system.pdptrs[1]),
	FIELD("pdptr2", SYSTEM, system.pdptrs[2]), FIELD("pdptr3", SYSTEM, system.pdptrs[3]),
	FIELD("dr0", DEBUG, debug.db[0]), FIELD("dr1", DEBUG, debug.db[1]),
	FIELD("dr2", DEBUG, debug.db[2]), FIELD("dr3", DEBUG, debug.db[3]),
	FIELD("dr6", DEBUG, debug.dr6), FIELD("dr7", DEBUG, debug.dr7),
};

static const struct {
	const char *name;
	uint16_t offset;
} segments[] = {
#define SEGMENT(name, member)	{ name, offsetof(struct vitrine_regs, system.member) }
	SEGMENT("cs", cs), SEGMENT("ss", ss), SEGMENT("ds", ds), SEGMENT("es", es),
	SEGMENT("fs", fs), SEGMENT("gs", gs), SEGMENT("ldtr", ldt), SEGMENT("tr", tr),
};

static const struct {
	const char *name;
	uint16_t offset;
	uint16_t bytes;
} segment_fields[] = {
#define IN_SEGMENT(name, member)							\
	{ name, offsetof(struct kvm_segment, member), sizeof(((struct kvm_segment *)0)->member) }
	IN_SEGMENT("", selector), IN_SEGMENT(".base", base), IN_SEGMENT(".limit", limit),
	IN_SEGMENT(".type", type), IN_SEGMENT(".dpl", dpl), IN_SEGMENT(".present", present),
	IN_SEGMENT(".s", s), IN_SEGMENT(".db", db), IN_SEGMENT(".l", l), IN_SEGMENT(".g", g),
	IN_SEGMENT(".avl", avl), IN_SEGMENT(".unusable", unusable),
};

static const struct kvm_segment *segment(const struct vitrine_regs *regs, size_t i)
{
	return (const void *)((const char *)regs + segments[i].offset);
}

/* "cs.base" among all of them. */
static bool find_in_segment(const char *text, struct name *found)
{
	size_t i, j, length;

	for (i = 0; i < ARRAY_SIZE(segments); i++) {
		length = strlen(segments[i].name);
		if (strncmp(text, segments[i].name, length))
			continue;
		for (j = 0; j < ARRAY_SIZE(segment_fields); j++) {
			if (strcmp(text + length, segment_fields[j].name))
				continue;
			found->part = VITRINE_REGS_SYSTEM;
			found->offset = segments[i].offset + segment_fields[j].offset;
			found->bytes = segment_fields[j].bytes;
			return true;
		}
	}
	return false;
}

static bool find(const char *text, struct name *found)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i].name))
			continue;
		*found = names[i];
		return true;
	}
	return find_in_segment(text, found);
}

int registers_set(struct vitrine_regs *regs, const char *text, struct vitrine_error *err)
{
	const char *equals = strchr(text, '=');
	struct name found;
	const char *at;
	uint64_t value;
	char name[32];

	if (!equals)
		return refuse(err, "'%s': NAME=VALUE is wanted", text);
	snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
	if (!find(name, &found))
		return refuse(err, "'%s': there is no register '%s'", text, name);
	at = equals + 1;
	if (!take_number(&at, &value) || *at)
		return refuse(err, "'%s': no number after the equals sign", text);
	if (found.bytes < sizeof(value) && value >> 8 * found.bytes)
		return refuse(err, "'%s': '%s' has %u bits", text, name, 8u * found.bytes);
	memcpy((char *)regs + found.offset, &value, found.bytes);
	regs->parts |= found.part;
	return 0;
}

static const char *mp_state_name(uint32_t state)
{
	switch (state) {
	case KVM_MP_STATE_RUNNABLE:
		return "runnable";
	case KVM_MP_STATE_HALTED:
		return "halted";
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
		return "not-started";
	default:
		return "?";
	}
}

static uint64_t value_of(const struct vitrine_regs *regs, const struct name *name)
{
	uint64_t value = 0;

	memcpy(&value, (const char *)regs + name->offset, name->bytes);
	return value;
}

static void print_segment(FILE *to, const char *name, const struct kvm_segment *seg)
{
	fprintf(to, "%-5s %04x base %016llx limit %08x", name, seg->selector,
		(unsigned long long)seg->base, seg->limit);
	if (seg->unusable)
		fputs(" unusable\n", to);
	else
		fprintf(to, " type %-2u dpl %u%s%s%s\n", seg->type, seg->dpl,
			!seg->s ? " system" : seg->type & 8 ? " code" : " data",
			seg->s && seg->l ? " 64" : seg->s && seg->db ? " 32" : seg->s ? " 16" : "",
			seg->present ? "" : " not-present");
}

static void print_flags(FILE *to, uint64_t rflags)
{
	static const char flags[][5] = {
		"CF", "", "PF", "", "AF", "", "ZF", "SF", "TF", "IF", "DF", "OF", "", "", "NT", "",
		"RF", "VM", "AC", "VIF", "VIP", "ID",
	};
	size_t i;

	fprintf(to, " IOPL%llu", (unsigned long long)(rflags >> 12 & 3));
	for (i = 0; i < ARRAY_SIZE(flags); i++)
		if (rflags >> i & 1 && *flags[i])
			fprintf(to, " %s", flags[i]);
	putc('\n', to);
}

void registers_print(FILE *to, const struct vitrine_regs *regs)
{
	bool pae = regs->system.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
	unsigned int column = 0;
	size_t i;

	fprintf(to, "vCPU %u, id %u: %s\n", regs->vcpu, regs->vcpu_id,
		mp_state_name(regs->mp_state));
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (strchr(names[i].name, '.') || (names[i].name[0] == 'p' && !pae))
			continue;
		if (!strcmp(names[i].name, "cr0")) {
			print_flags(to, regs->general.rflags);
			for (size_t j = 0; j < ARRAY_SIZE(segments); j++)
				print_segment(to, segments[j].name, segment(regs, j));
			fprintf(to, "gdtr       base %016llx limit %08x\n",
				(unsigned long long)regs->system.gdt.base, regs->system.gdt.limit);
			fprintf(to, "idtr       base %016llx limit %08x\n",
				(unsigned long long)regs->system.idt.base, regs->system.idt.limit);
			column = 0;
		}
		fprintf(to, "%-6s %016llx", names[i].name,
			(unsigned long long)value_of(regs, &names[i]));
		if (!strcmp(names[i].name, "rflags"))
			continue;
		fputs(++column % 3 && strcmp(names[i].name, "dr7") ? "  " : "\n", to);
	}
}

static struct json_object *json_value(uint64_t value, uint16_t bytes)
{
	return bytes == sizeof(value) ? json_hex(value) : json_object_new_uint64(value);
}

static struct json_object *json_segment(const struct kvm_segment *seg)
{
	struct json_object *object = json_object_new_object();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(segment_fields); i++) {
		const char *name = segment_fields[i].name;
		uint64_t value = 0;

		memcpy(&value, (const char *)seg + segment_fields[i].offset,
		       segment_fields[i].bytes);
		json_object_object_add(object, *name ? name + 1 : "selector",
				       json_value(value, segment_fields[i].bytes));
	}
	return object;
}

static struct json_object *json_table(const struct kvm_dtable *table)
{
	struct json_object *object = json_object_new_object();

	json_add_hex(object, "base", table->base);
	json_object_object_add(object, "limit", json_object_new_int64(table->limit));
	return object;
}

struct json_object *registers_json(const struct vitrine_regs *regs)
{
	bool pae = regs->system.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
	struct json_object *object = json_object_new_object();
	size_t i;

	json_object_object_add(object, "vcpu", json_object_new_int64(regs->vcpu));
	json_object_object_add(object, "id", json_object_new_int64(regs->vcpu_id));
	json_object_object_add(object, "state",
			       json_object_new_string(mp_state_name(regs->mp_state)));
	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (!strchr(names[i].name, '.') && (names[i].name[0] != 'p' || pae))
			json_object_object_add(object, names[i].name,
					       json_value(value_of(regs, &names[i]),
							  names[i].bytes));
	for (i = 0; i < ARRAY_SIZE(segments); i++)
		json_object_object_add(object, segments[i].name, json_segment(segment(regs, i)));
	json_object_object_add(object, "gdtr", json_table(&regs->system.gdt));
	json_object_object_add(object, "idtr", json_table(&regs->system.idt));
	return object;
}
