/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Second-level translation of one VM: filled by faults, torn down by the mmu notifier, shared by all its vCPUs.
 * The format of an entry belongs to the vendor (vmx/ept.h); this file owns the tables' life and the races.
 */
#ifndef VITRINE_MMU_H
#define VITRINE_MMU_H

#include <linux/kvm_types.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct vitrine_vm;
struct vitrine_vcpu;
struct vitrine_memslot;
struct mmu_notifier_ops;

/**
 * struct vitrine_mmu - second-level tables
 * @lock: everything below [n]; the mmu notifier takes it, so nothing under it may allocate or sleep
 * @root: kernel address of the top table, allocated with the VM
 * @root_hpa: its physical address, what the vendor's root pointer is made of
 * @invalidate_seq: grows when an invalidation ends; a fault that sees another value retries
 * @invalidate_count: invalidations going on now
 * @invalidate_start: @invalidate_end: the host-virtual range they cover together
 * @nr_tables: pages of tables, for statistics and the shrinker
 */
struct vitrine_mmu {
	rwlock_t lock;
	u64 *root;
	hpa_t root_hpa;
	unsigned long invalidate_seq;
	unsigned long invalidate_count;
	unsigned long invalidate_start;
	unsigned long invalidate_end;
	atomic_long_t nr_tables;
};

/**
 * struct mem_fault - a second-level fault, as the vendor's exit told it
 * @gpa: guest-physical address
 * @read: @write: @exec: what the guest tried
 * @present: a translation existed and forbade it
 */
struct mem_fault {
	gpa_t gpa;
	bool read;
	bool write;
	bool exec;
	bool present;
};

/* vitrine_mmu_fault()'s third answer beside EXIT_RESUME and -errno: no memory there (or a write to read-only). */
#define VITRINE_FAULT_MMIO	2

int vitrine_mmu_init(struct vitrine_vm *vm);
void vitrine_mmu_destroy(struct vitrine_vm *vm);
int vitrine_mmu_fault(struct vitrine_vcpu *vcpu, const struct mem_fault *fault);
void vitrine_mmu_zap_slot(struct vitrine_vm *vm, const struct vitrine_memslot *slot);
void vitrine_mmu_zap_all(struct vitrine_vm *vm);
void vitrine_mmu_write_protect(struct vitrine_vm *vm, const struct vitrine_memslot *slot, gfn_t first,
			       unsigned long nr_pages);
int vitrine_mmu_module_init(void);
void vitrine_mmu_module_exit(void);

extern const struct mmu_notifier_ops vitrine_mmu_notifier_ops;

#endif
