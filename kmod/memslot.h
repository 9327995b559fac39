/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest-physical memory slots: which guest frames are which host virtual addresses, and what was dirtied.
 * Nothing here is allocated in proportion to a slot's size: a bitmap exists only while dirty logging is on.
 */
#ifndef VITRINE_MEMSLOT_H
#define VITRINE_MEMSLOT_H

#include <linux/kvm.h>
#include <linux/kvm_types.h>
#include <linux/types.h>

struct vitrine_vm;
struct vitrine_vcpu;
struct vitrine_ioctl;

#define VITRINE_MAX_SLOTS	32764	/* KVM_CAP_NR_MEMSLOTS */

/**
 * struct vitrine_memslot - one slot; immutable once published
 * @base_gfn: first guest frame
 * @nr_pages: length in 4 KiB pages
 * @hva: where it starts in the creator's address space
 * @id: the VMM's number
 * @flags: KVM_MEM_*
 * @dirty_bitmap: one bit a page while KVM_MEM_LOG_DIRTY_PAGES is set, else NULL
 */
struct vitrine_memslot {
	gfn_t base_gfn;
	unsigned long nr_pages;
	unsigned long hva;
	u32 id;
	u32 flags;
	unsigned long *dirty_bitmap;
};

/**
 * struct vitrine_memslots - a published generation, sorted by @base_gfn; replaced whole, read under vm->srcu
 * @generation: grows by one with each change
 * @nr: slots in use
 * @slot: pointers, ascending by base_gfn
 */
struct vitrine_memslots {
	u64 generation;
	unsigned int nr;
	struct vitrine_memslot *slot[];
};

int vitrine_memslots_init(struct vitrine_vm *vm);
void vitrine_memslots_destroy(struct vitrine_vm *vm);
struct vitrine_memslot *vitrine_memslot_find(struct vitrine_memslots *slots, gfn_t gfn);
void vitrine_memslot_mark_dirty(struct vitrine_memslot *slot, gfn_t gfn);

static inline unsigned long vitrine_memslot_hva(const struct vitrine_memslot *slot, gfn_t gfn)
{
	return slot->hva + ((gfn - slot->base_gfn) << 12);
}

/* KVM_SET_USER_MEMORY_REGION, KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG: rows of the VM fd. */
extern const struct vitrine_ioctl vitrine_memslot_ioctls[];

#endif
