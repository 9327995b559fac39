/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reading and writing a guest's memory from its VMM's context: by guest-physical address through
 * the memory slots, by guest-virtual address through the guest's own page tables. The caller holds
 * vm->srcu for reading.
 */
#ifndef VITRINE_GUEST_H
#define VITRINE_GUEST_H

#include <linux/kvm_types.h>
#include <linux/types.h>

#include "ioctl.h"

struct vitrine_vm;
struct vitrine_vcpu;

/* Access rights asked for in a guest-virtual walk; the bits of a page fault's error code. */
#define VITRINE_ACCESS_WRITE	0x02
#define VITRINE_ACCESS_USER	0x04
#define VITRINE_ACCESS_FETCH	0x10
/* No access but a look, by a debugger: no rights are checked, no accessed or dirty bit is set. */
#define VITRINE_ACCESS_LOOK	0x10000
/* An access of the CPU's own to a descriptor table or TSS: EFLAGS.AC does not lift SMAP. */
#define VITRINE_ACCESS_IMPLICIT	0x20000

#define VITRINE_WALK_MAX_STEPS	5

/**
 * struct vitrine_walk - the answer of a walk through the guest's page tables
 * @gpa: where @gva leads (page offset included)
 * @fault: the walk ended in a page fault; @error_code is what the guest must see, CR2 is @gva
 * @nr_steps: how many paging-structure entries led there; 0 after a fault
 * @steps: their addresses and what they were, accessed and dirty bits as found
 */
struct vitrine_walk {
	gva_t gva;
	gpa_t gpa;
	bool fault;
	u32 error_code;
	unsigned int nr_steps;
	struct {
		gpa_t gpa;
		u64 entry;
	} steps[VITRINE_WALK_MAX_STEPS];
};

/**
 * struct vitrine_paging - how a vCPU pages, at one moment
 * @levels: entries read from memory; 0: no paging
 * @entry_bytes: 4 or 8
 * @index_bits: of the linear address, per level
 * @nx: EFER.NXE
 * @wp: CR0.WP
 * @smep: CR4.SMEP
 * @smap: CR4.SMAP, off while EFLAGS.AC lifts it
 * @pse: large pages at level 2
 * @long_mode: EFER.LMA
 * @remote: tables are read from another process than the VMM's
 * @reserved: bits that fault in every entry
 * @reserved_gpa: bits above the guest's physical-address width
 * @table: guest-physical address of the first table; of PAE paging it is one of @pdptrs
 * @pdptrs: PAE paging
 */
struct vitrine_paging {
	int levels;
	unsigned int entry_bytes;
	unsigned int index_bits;
	bool nx, wp, smep, smap, pse;
	bool long_mode;
	bool remote;
	u64 reserved;
	u64 reserved_gpa;
	gpa_t table;
	u64 pdptrs[4];
};

/*
 * Both: 0; -ENOENT where no slot (or a read-only one, for writes) covers the range; -EFAULT where
 * the host page is gone. Slots change under vm->srcu, too: what was memory a moment ago need not be
 * now, so who wants to know asks by the access itself.
 */
int vitrine_guest_read(struct vitrine_vm *vm, gpa_t gpa, void *data, unsigned int len_bytes);
int vitrine_guest_write(struct vitrine_vm *vm, gpa_t gpa, const void *data, unsigned int len_bytes);
/* Does a slot cover the page of @gpa, and is it writable if that is asked? */
bool vitrine_guest_has_memory(struct vitrine_vm *vm, gpa_t gpa, bool write);
/*
 * An aligned 4 or 8 bytes at once, as a LOCK-prefixed instruction does it: 0 if it was *@old and
 * now is @new, 1 if it was something else (now in *@old), -ENOENT and -EFAULT as above.
 */
int vitrine_guest_cmpxchg(struct vitrine_vm *vm, gpa_t gpa, u64 *old, u64 new,
			  unsigned int len_bytes);

/*
 * Any paging mode: none, 32-bit, PAE, 4- and 5-level; honours WP, SMEP, SMAP, NX. Returns 0 (look
 * at @walk), or -EFAULT where the tables themselves are in no slot. Loaded.
 */
int vitrine_guest_walk(struct vitrine_vcpu *vcpu, gva_t gva, u32 access, struct vitrine_walk *walk);
/* The two halves of it: the vCPU's, loaded; and what needs the VM's memory only. */
void vitrine_paging_get(struct vitrine_vcpu *vcpu, u32 access, struct vitrine_paging *paging);
int vitrine_paging_walk(struct vitrine_vm *vm, const struct vitrine_paging *paging, gva_t gva,
			u32 access, struct vitrine_walk *walk);

extern const struct vitrine_ioctl vitrine_walk_vcpu_ioctls[];	/* KVM_TRANSLATE */

#endif
