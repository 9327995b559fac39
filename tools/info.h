/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The facts of "vitrine info", gathered into one JSON tree: section, name, then value, state
 * and advice. Text and --json are printed from the same tree.
 */
#ifndef VITRINE_INFO_H
#define VITRINE_INFO_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../uapi/vitrine.h"
#include "command.h"

enum info_state {
	INFO_PLAIN,	/* a fact, neither good nor bad */
	INFO_OK,
	INFO_NOTE,	/* worth knowing; nothing stops */
	INFO_BAD,	/* stands in the way */
};

#define INFO_MSR_BASE 0x480

/* Where the VMX capability MSRs came from, and they themselves. */
struct info_vmx {
	const char *source;	/* NULL: nobody could read them */
	uint64_t msr[VITRINE_NR_VMX_MSRS];
	bool has_feature_control;
	uint64_t feature_control;
};

enum info_kvm { INFO_KVM_NONE, INFO_KVM_MODULE, INFO_KVM_BUILTIN };

/* Who holds VMX, and what is known of kvm_intel. */
struct info_owner {
	enum info_kvm kvm;
	bool kvm_at_load;	/* takes VMX without having VMs */
	char references[16];	/* to its module */
	bool known;		/* our module says: */
	uint32_t holder;	/* VITRINE_VMX_* */
	uint32_t vms;		/* ours */
};

/* Adds a fact; @advice is what to do about it, or NULL. */
__attribute__((format(printf, 6, 7)))
void info_add(struct json_object *root, const char *section, const char *name,
	      enum info_state state, const char *advice, const char *format, ...);

/* A small text file's first line, without its newline; false if it cannot be read. */
bool info_read_line(const char *path, char *line, size_t size);

/* info_host.c */
void info_hardware(struct json_object *root);
void info_firmware(struct json_object *root, const struct info_vmx *vmx);
void info_security(struct json_object *root);
void info_mitigations(struct json_object *root, int fd);

/* info_module.c */
bool info_module(struct json_object *root);
int info_device(struct json_object *root, const char *path);

/* info_owner.c: finding out, and the pure judgement of what was found */
void info_owner(struct json_object *root, int fd);
void info_owner_add(struct json_object *root, const struct info_owner *owner);

/* info_vmx.c: reading, and the pure table; returns how many required ones are missing */
void info_vmx_read(struct info_vmx *vmx, int fd);
unsigned int info_vmx_table(struct json_object *root, const struct info_vmx *vmx);
bool info_vmx_allows(const struct info_vmx *vmx, const char *name);

#endif /* VITRINE_INFO_H */
