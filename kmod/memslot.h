/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest-physical memory slots: which guest frames are which host virtual addresses, and what was
 * dirtied. Nothing here is allocated in proportion to a slot's size: a bitmap exists only while
 * dirty logging is on.
 */
#ifndef VITRINE_MEMSLOT_H
#define VITRINE_MEMSLOT_H

#include <linux/bitops.h>
#include <linux/interval_tree.h>
#include <linux/kvm.h>
#include <linux/kvm_types.h>
#include <linux/mm.h>
#include <linux/rbtree_types.h>
#include <linux/types.h>

#include "ioctl.h"

struct vitrine_vcpu;
struct vitrine_vm;

/* KVM_CAP_NR_MEMSLOTS; slot ids run below it. */
#define VITRINE_MAX_SLOTS	32764
/* As KVM: a page number fits in an int. */
#define VITRINE_MAX_SLOT_PAGES	((1UL << 31) - 1)

/**
 * struct vitrine_memslot - one slot; immutable once published, but for the bits of its bitmap
 * @by_hva: its places in the indices by host address of the published array and of the spare
 * @base_gfn: first guest frame
 * @nr_pages: length in 4 KiB pages
 * @hva: where it starts in the creator's address space
 * @id: the VMM's number
 * @flags: KVM_MEM_*
 * @dirty_bitmap: one bit a page while KVM_MEM_LOG_DIRTY_PAGES is set, else NULL; NULL with rings
 */
struct vitrine_memslot {
	struct interval_tree_node by_hva[2];
	gfn_t base_gfn;
	unsigned long nr_pages;
	unsigned long hva;
	u32 id;
	u32 flags;
	unsigned long *dirty_bitmap;
};

/**
 * struct vitrine_memslots - a published generation, sorted by @base_gfn; replaced whole, read under
 * vm->srcu
 * @generation: grows by one with each change
 * @nr: slots in use
 * @capacity: room in @slot
 * @last: place of the last hit, a hint that any reader may overwrite
 * @which: the member of a slot's by_hva that is in @by_hva; the VM's other array has the other
 * @by_hva: the same slots by host address; these may overlap, as guest frames may not
 * @slot: pointers, ascending by base_gfn
 */
struct vitrine_memslots {
	u64 generation;
	unsigned int nr;
	unsigned int capacity;
	unsigned int last;
	unsigned int which;
	struct rb_root_cached by_hva;
	struct vitrine_memslot *slot[];
};

int vitrine_memslots_init(struct vitrine_vm *vm);
void vitrine_memslots_destroy(struct vitrine_vm *vm);
struct vitrine_memslot *vitrine_memslot_find(struct vitrine_memslots *slots, gfn_t gfn);
/* By the VMM's number; the caller holds vm->slots_lock. */
struct vitrine_memslot *vitrine_memslot_by_id(struct vitrine_vm *vm, u32 id);

static inline bool vitrine_memslot_covers(const struct vitrine_memslot *slot, gfn_t gfn)
{
	return gfn - slot->base_gfn < slot->nr_pages;
}

static inline unsigned long vitrine_memslot_hva(const struct vitrine_memslot *slot, gfn_t gfn)
{
	return slot->hva + ((gfn - slot->base_gfn) << PAGE_SHIFT);
}

/*
 * Walks the slots that some of the host addresses @first to @last are behind. @place is a struct
 * interval_tree_node *.
 */
#define vitrine_memslots_for_each_hva(slots, slot, place, first, last)				\
	for (place = interval_tree_iter_first(&(slots)->by_hva, first, last);			\
	     place && (slot = container_of(place, struct vitrine_memslot,			\
					   by_hva[(slots)->which]), true);			\
	     place = interval_tree_iter_next(place, first, last))

/* dirty.c; the slot is logged. */
void vitrine_dirty_mark(struct vitrine_memslot *slot, gfn_t gfn);
/*
 * What hardware has logged: the pages of @gpas, the last first. By the thread that has the vCPU
 * loaded, in any context.
 */
void vitrine_dirty_mark_logged(struct vitrine_vcpu *vcpu, const u64 *gpas, unsigned int nr);

static inline bool vitrine_memslot_is_logged(const struct vitrine_memslot *slot)
{
	return slot->flags & KVM_MEM_LOG_DIRTY_PAGES;
}

/* By a thread that has a vCPU loaded. */
static inline void vitrine_memslot_mark_dirty(struct vitrine_memslot *slot, gfn_t gfn)
{
	if (unlikely(vitrine_memslot_is_logged(slot)))
		vitrine_dirty_mark(slot, gfn);
}

/* Whole words, as KVM_GET_DIRTY_LOG copies them. */
static inline unsigned long vitrine_memslot_bitmap_bytes(const struct vitrine_memslot *slot)
{
	return BITS_TO_LONGS(slot->nr_pages) * sizeof(long);
}

/* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: what can be asked for. */
#define VITRINE_DIRTY_MANUAL_ALL \
	(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET)
int vitrine_dirty_set_manual(struct vitrine_vm *vm, u64 how);

/* KVM_SET_USER_MEMORY_REGION: a row of the VM fd. */
extern const struct vitrine_ioctl vitrine_memslot_ioctls[];
/* KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG. */
extern const struct vitrine_ioctl vitrine_dirty_ioctls[];

#endif
