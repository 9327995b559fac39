/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Dirty logging by ring, KVM_CAP_DIRTY_LOG_RING: each vCPU tells what it wrote in a ring that the
 * VMM maps from the vCPU fd. Tags as in vm.h.
 */
#ifndef VITRINE_DIRTY_RING_H
#define VITRINE_DIRTY_RING_H

#include <linux/kvm.h>
#include <linux/kvm_types.h>
#include <linux/types.h>

#include "ioctl.h"

struct page;
struct vitrine_memslot;
struct vitrine_vcpu;
struct vitrine_vm;

/* KVM_CAP_DIRTY_LOG_RING: the largest ring of one vCPU. */
#define VITRINE_DIRTY_RING_MAX_BYTES	(65536 * sizeof(struct kvm_dirty_gfn))

/**
 * struct vitrine_dirty_ring - one vCPU's
 * @entries: shared with the VMM, which may write anything at any time: what counts is below
 * @size: entries, a power of two; 0 where there is no ring
 * @soft_limit: with so many in use RUN ends, so that one exit's writes always find room
 * @dirty_index: entries written so far, by the thread that has the vCPU loaded
 * @reset_index: entries taken back so far
 * @last_slot: @last_offset: what the last entry says
 */
struct vitrine_dirty_ring {
	struct kvm_dirty_gfn *entries;	/* [I] */
	u32 size;			/* [I] */
	u32 soft_limit;			/* [I] */
	u32 dirty_index;		/* [v] */
	u32 reset_index;		/* [s] */
	u32 last_slot;			/* [v] */
	u64 last_offset;		/* [v] */
};

/* KVM_ENABLE_CAP; vm->lock is held. */
int vitrine_dirty_ring_enable(struct vitrine_vm *vm, u64 bytes);
/* Nothing to do where the VM has none. */
int vitrine_dirty_ring_create(struct vitrine_vcpu *vcpu);
void vitrine_dirty_ring_free(struct vitrine_vcpu *vcpu);
/* Page @offset of the vCPU fd, or NULL if it is none of the ring's. */
struct page *vitrine_dirty_ring_page(const struct vitrine_vcpu *vcpu, unsigned long offset);
/* Loaded, by its own thread; any context. */
void vitrine_dirty_ring_push(struct vitrine_vcpu *vcpu, const struct vitrine_memslot *slot,
			     gfn_t gfn);
bool vitrine_dirty_ring_soft_full(const struct vitrine_vcpu *vcpu);

/* KVM_RESET_DIRTY_RINGS: a row of the VM fd. */
extern const struct vitrine_ioctl vitrine_dirty_ring_ioctls[];

#endif
