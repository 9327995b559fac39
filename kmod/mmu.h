/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Second-level translation of one VM: filled by faults, torn down by the mmu notifier, shared by
 * all its vCPUs. The format of an entry belongs to the vendor (pte.h); the mmu*.c files own the
 * tables' life and the races:
 *
 *	mmu.c		tables, and sweeps over a range of guest frames
 *	mmu_count.c	how much is mapped, and how large
 *	mmu_fault.c	from a fault to a translation
 *	mmu_notifier.c	what the host's mm tells
 *	mmu_nx.c	what large translations that are not executable ask for
 *	mmu_shrink.c	giving tables back under memory pressure
 *
 * Entries are added and widened by compare-and-exchange under mmu->lock for reading, so that vCPUs
 * fault in parallel; they are taken away or narrowed, and tables unlinked, under the lock for
 * writing. A CPU in the guest may use what is taken away until it was flushed: this happens before
 * the lock is dropped, and tables are freed after it.
 */
#ifndef VITRINE_MMU_H
#define VITRINE_MMU_H

#include <linux/kvm_types.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <asm/apicdef.h>

#include "ioctl.h"

struct vitrine_vm;
struct vitrine_vcpu;
struct vitrine_memslot;
struct vitrine_memslots;
struct mmu_notifier_ops;
struct page;

/**
 * struct vitrine_mmu - second-level tables
 * @lock: everything below [n]; the mmu notifier takes it, so nothing under it may allocate or sleep
 * @root: kernel address of the top table, allocated with the VM
 * @root_hpa: its physical address, what the vendor's root pointer is made of
 * @invalidate_seq: grows when an invalidation ends or slots change; a fault that sees another value
 * retries
 * @invalidate_count: invalidations going on now
 * @invalidate_hit: one of them covers memory of a slot
 * @invalidate_start: @invalidate_end: the host-virtual range they cover together
 * @catch_page_gone: @catch_page_mapped: see vitrine_mmu_map_catch_page()
 * @no_hw_log: translations made now are logged by faults, even where hardware could
 * @nr_tables: pages of tables below the root, for statistics and the shrinker
 * @nx_huge_pages: as vitrine_mmu_nx_huge_pages, or not for this VM; fixed before the first vCPU
 * @nr_nx_splits: tables that stand where a large translation is not executable
 * @recover_gfn: where their recovery goes on
 * @node: in the shrinker's list, under its mutex
 * @shrink_gfn: where the shrinker goes on
 * @max_tables: a fault that finds that many gives some back first; set by the VMM, [m]
 */
struct vitrine_mmu {
	rwlock_t lock;
	u64 *root;
	hpa_t root_hpa;
	unsigned long invalidate_seq;
	unsigned long invalidate_count;
	bool invalidate_hit;
	unsigned long invalidate_start;
	unsigned long invalidate_end;
	bool catch_page_gone;
	bool catch_page_mapped;
	bool no_hw_log;
	atomic_long_t nr_tables;
	bool nx_huge_pages;
	atomic_long_t nr_nx_splits;
	gfn_t recover_gfn;
	struct list_head node;
	gfn_t shrink_gfn;
	unsigned long max_tables;
};

/*
 * struct vitrine_mmu_cache - zeroed table pages allocated where sleeping was allowed: one below
 * each level but the last
 */
struct vitrine_mmu_cache {
	unsigned int nr;
	u64 *table[3];
};

/**
 * struct mem_fault - a second-level fault, as the vendor's exit told it
 * @gpa: guest-physical address
 * @read: @write: @exec: what the guest tried
 * @present: a translation existed and forbade it
 * @gva_valid: @gva is the linear address whose access this was, not a walk on its behalf
 * @gva: that address
 * @delivery: not an instruction made the access but the delivery of an event; these three are only
 * given to vitrine_exit_mmio()
 */
struct mem_fault {
	gpa_t gpa;
	bool read;
	bool write;
	bool exec;
	bool present;
	bool gva_valid;
	bool delivery;
	gva_t gva;
};

/*
 * vitrine_mmu_fault()'s third answer beside EXIT_RESUME and -errno: no memory there (or a write to
 * read-only).
 */
#define VITRINE_FAULT_MMIO	2

int vitrine_mmu_init(struct vitrine_vm *vm);
/* After mmu_notifier_unregister() and the last vCPU. */
void vitrine_mmu_destroy(struct vitrine_vm *vm);
void vitrine_mmu_cache_free(struct vitrine_vcpu *vcpu);
/* Loaded, vm->srcu held for reading, in vm->mm's context. */
int vitrine_mmu_fault(struct vitrine_vcpu *vcpu, const struct mem_fault *fault);
/*
 * A page of the host's that is no memory of any guest: its address tells the processor which
 * accesses to catch, and none reaches it as long as every vCPU of the VM catches them. So it goes
 * for good before one stops to.
 */
#define VITRINE_CATCH_GFN	(APIC_DEFAULT_PHYS_BASE >> PAGE_SHIFT)
/* As vitrine_mmu_fault(), with VITRINE_FAULT_MMIO where it is gone. No slot is at the address. */
int vitrine_mmu_map_catch_page(struct vitrine_vcpu *vcpu, struct page *page);
void vitrine_mmu_remove_catch_page(struct vitrine_vm *vm);
/* Guest-physical addresses need this many bits or fewer: the host's width and the tables' reach. */
unsigned int vitrine_mmu_gpa_bits(void);

extern const struct vitrine_ioctl vitrine_mmu_ioctls[];	/* SET_NR_MMU_PAGES, GET_NR_MMU_PAGES */

/* For memslot.c, under vm->slots_lock. */
void vitrine_mmu_publish_slots(struct vitrine_vm *vm, struct vitrine_memslots *slots);
void vitrine_mmu_zap_slot(struct vitrine_vm *vm, const struct vitrine_memslot *slot);
/* From now on writes to the slot's pages are logged. */
void vitrine_mmu_log_slot(struct vitrine_vm *vm, const struct vitrine_memslot *slot);
/*
 * Zaps the slot; up to the next vitrine_mmu_zap_slot() its pages are logged by faults, and what
 * hardware had logged is marked.
 */
void vitrine_mmu_stop_hw_log(struct vitrine_vm *vm, const struct vitrine_memslot *slot);
/* Small translations that the host maps large go, to come back large. In vm->mm's context. */
void vitrine_mmu_zap_collapsible(struct vitrine_vm *vm, const struct vitrine_memslot *slot);
void vitrine_mmu_zap_all(struct vitrine_vm *vm);

/* Translations of 4 KiB, 2 MiB and 1 GiB. */
struct vitrine_mmu_pages {
	u64 nr[3];
};

/* What is mapped now; faults go on meanwhile. Takes mmu->lock, and time by the tables there are. */
void vitrine_mmu_count(struct vitrine_vm *vm, struct vitrine_mmu_pages *pages);

int vitrine_mmu_module_init(void);
void vitrine_mmu_module_exit(void);

extern const struct mmu_notifier_ops vitrine_mmu_notifier_ops;
/*
 * Large translations are not executable, small ones are: the ITLB multihit erratum. Fixed at load.
 */
extern bool vitrine_mmu_nx_huge_pages;
/* KVM_CAP_VM_DISABLE_NX_HUGE_PAGES; vm->lock is held. */
int vitrine_mmu_disable_nx_huge_pages(struct vitrine_vm *vm);

/* Among the files named above. */

enum vitrine_mmu_op {
	VITRINE_MMU_ZAP,		/* lock held for writing */
	VITRINE_MMU_WRITE_PROTECT,	/* lock held for writing */
	VITRINE_MMU_CLEAN,		/* likewise: small ones clean, large ones not writable */
	VITRINE_MMU_AGE,		/* test and clear accessed bits */
	VITRINE_MMU_TEST_YOUNG,
	VITRINE_MMU_UNSPLIT,		/* tables that stand because of code go, up to nr_wanted */
};

/**
 * struct vitrine_mmu_sweep - one operation over ranges of guest frames
 * @op: what to do
 * @may_block: the lock may be dropped and taken again on the way
 * @changed: something was found; a flush is due for ZAP, WRITE_PROTECT and CLEAN
 * @nr_wanted: UNSPLIT: how many more are to go,
 * @next_gfn: and where it was done with the last one
 * @nr_nx_splits: of @tables, those that stood because of code
 * @nr_tables: length of @tables
 * @tables: unlinked, chained by page_private, to be freed after the flush
 */
struct vitrine_mmu_sweep {
	enum vitrine_mmu_op op;
	bool may_block;
	bool changed;
	unsigned long nr_wanted;
	gfn_t next_gfn;
	unsigned long nr_nx_splits;
	unsigned long nr_tables;
	struct page *tables;
};

/* What makes the next write to a page be logged. */
enum vitrine_mmu_op vitrine_mmu_log_op(const struct vitrine_vm *vm);
/* Guest frames from @first up to, not including, @last. */
void vitrine_mmu_sweep(struct vitrine_vm *vm, gfn_t first, gfn_t last,
		       struct vitrine_mmu_sweep *sweep);
/* Where one that begins at @gfn may pause. @empty: there is nothing up to there. Lock held. */
gfn_t vitrine_mmu_stride_end(const struct vitrine_mmu *mmu, gfn_t gfn, bool *empty);
/* Flush and free what is due, before the lock is dropped. */
void vitrine_mmu_sweep_finish(struct vitrine_vm *vm, struct vitrine_mmu_sweep *sweep);

/* Must a fault that read @seq before it looked at @hva start again? Lock held. */
static inline bool vitrine_mmu_retry(const struct vitrine_mmu *mmu, unsigned long seq,
				     unsigned long hva)
{
	return mmu->invalidate_seq != seq ||
	       (unlikely(mmu->invalidate_count) && hva >= mmu->invalidate_start &&
		hva < mmu->invalidate_end);
}

int vitrine_mmu_nx_init(void);
void vitrine_mmu_nx_exit(void);
int vitrine_mmu_shrink_init(void);
void vitrine_mmu_shrink_exit(void);
void vitrine_mmu_shrink_add(struct vitrine_mmu *mmu);
void vitrine_mmu_shrink_remove(struct vitrine_mmu *mmu);
/* Room for one fault's tables below the VMM's bound. */
void vitrine_mmu_make_room(struct vitrine_vm *vm);
/* Tables of all VMs together. */
extern atomic_long_t vitrine_mmu_total_tables;

#endif
