/* SPDX-License-Identifier: GPL-2.0 */
/* What list, stat and events have in common: VMs as tables, and values as text. */
#ifndef VITRINE_VMS_H
#define VITRINE_VMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/libvitrine_watch.h"

/* In the order of ids. */
struct vms {
	struct vitrine_vm_info *vm;
	size_t nr_vms, max_vms;
	struct vitrine_vcpu_info *vcpu;		/* a VM's after another's */
	size_t nr_vcpus, max_vcpus;
	bool no_memory;
};

/*
 * Everything there is, or only VM @vm_id; 0 or a negative errno. vms_free() in any case; the
 * structure begins as zeroes.
 */
int vms_gather(struct vms *vms, struct vitrine_watch *watch, uint64_t vm_id, bool with_vcpus,
	       struct vitrine_error *err);
void vms_free(struct vms *vms);

/* Connects, or complains and returns NULL. */
struct vitrine_watch *vms_open(void);
/* Attaches; NULL, with a complaint. @device: NULL for the usual one. */
struct vitrine_monitor *vms_attach(const char *device, uint64_t vm_id, uint32_t flags);
/* A VM's id from the command line; false, with a complaint, if it is none. */
bool vms_parse_id(const char *text, uint64_t *id);
/* The same of the one word that getopt_long() has left of a command line. */
bool vms_take_id(int argc, char **argv, uint64_t *id);

/* Waits for a VM that the caller may see to be created; 0, or a negative errno, complained of. */
int vms_wait_next(uint64_t *vm_id);

/* A name that somebody else chose: nothing in it does anything to a terminal. */
void vms_clean_name(char *name);
/* "12.5M", "3h04m", "root" or a number. The buffers hold 24 bytes and more. */
const char *vms_bytes(uint64_t bytes, char *buffer, size_t size);
const char *vms_age(uint64_t ns, char *buffer, size_t size);
const char *vms_user(uint32_t uid, char *buffer, size_t size);
/* "CPUID", or "REASON_99"; flag bits of @reason do not count. */
const char *vms_reason(uint32_t reason, char *buffer, size_t size);

#endif
