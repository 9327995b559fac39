// SPDX-License-Identifier: GPL-2.0
/*
 * Dirty logging by ring: entries from a vCPU to the VMM, and back by KVM_RESET_DIRTY_RINGS.
 *
 * Owns the rings. The VMM sees their entries, never the indices: those decide, so that whatever it
 * writes there costs it its own log and nothing else. One thread writes a ring, that which has the
 * vCPU loaded; one resets it, that which holds vm->slots_lock.
 *
 * An entry's page may be written without another entry until the entry was reset: the VMM reads the
 * page after that.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/srcu.h>
#include <linux/vmalloc.h>

#include "dirty_ring.h"
#include "memslot.h"
#include "mmu.h"
#include "vcpu.h"
#include "vm.h"

/* What one exit may write beside what hardware logs: string I/O, page walks, a device's word. */
#define RESERVED_ENTRIES	64

static u32 reserved_entries(const struct vitrine_vm *vm)
{
	return RESERVED_ENTRIES + vm->hw_log_entries;
}

/*
 * Of slots that are there already. There is no vCPU that could be marking in one, but there may be
 * a monitor that writes: one wait is for all of them.
 */
static int drop_bitmaps(struct vitrine_vm *vm)
{
	unsigned long **bitmaps, id;
	struct vitrine_memslot *slot;
	unsigned int nr = 0;

	lockdep_assert_held(&vm->slots_lock);
	if (!vm->nr_logged)
		return 0;
	bitmaps = kvmalloc_array(vm->nr_logged, sizeof(*bitmaps), GFP_KERNEL_ACCOUNT);
	if (!bitmaps)
		return -ENOMEM;
	xa_for_each(&vm->slot_by_id, id, slot) {
		if (!slot->dirty_bitmap)
			continue;
		bitmaps[nr++] = slot->dirty_bitmap;
		WRITE_ONCE(slot->dirty_bitmap, NULL);
	}
	synchronize_srcu_expedited(&vm->srcu);
	while (nr)
		kvfree(bitmaps[--nr]);
	kvfree(bitmaps);
	return 0;
}

int vitrine_dirty_ring_enable(struct vitrine_vm *vm, u64 bytes)
{
	int ret;

	lockdep_assert_held(&vm->lock);
	if (!is_power_of_2(bytes) || bytes < PAGE_SIZE ||
	    bytes < reserved_entries(vm) * sizeof(struct kvm_dirty_gfn)) {
		pr_debug_ratelimited("KVM_CAP_DIRTY_LOG_RING: args[0] is %llu, must be a power of two and hold more than %u entries\n",
				     bytes, reserved_entries(vm));
		return -EINVAL;
	}
	if (bytes > VITRINE_DIRTY_RING_MAX_BYTES)
		return -E2BIG;
	if (vm->dirty_ring_bytes || vm->nr_vcpus) {
		pr_debug_ratelimited("KVM_CAP_DIRTY_LOG_RING: %s\n",
				     vm->nr_vcpus ? "too late, a vCPU exists" : "it is enabled");
		return -EINVAL;
	}
	mutex_lock(&vm->slots_lock);
	ret = drop_bitmaps(vm);
	if (!ret)
		vm->dirty_ring_bytes = bytes;
	mutex_unlock(&vm->slots_lock);
	return ret;
}

int vitrine_dirty_ring_create(struct vitrine_vcpu *vcpu)
{
	struct vitrine_dirty_ring *ring = &vcpu->dirty_ring;
	u32 bytes = vcpu->vm->dirty_ring_bytes;

	if (!bytes)
		return 0;
	ring->entries = __vmalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!ring->entries)
		return -ENOMEM;
	ring->size = bytes / sizeof(*ring->entries);
	ring->soft_limit = ring->size - reserved_entries(vcpu->vm);
	return 0;
}

void vitrine_dirty_ring_free(struct vitrine_vcpu *vcpu)
{
	vfree(vcpu->dirty_ring.entries);
}

struct page *vitrine_dirty_ring_page(const struct vitrine_vcpu *vcpu, unsigned long offset)
{
	const struct vitrine_dirty_ring *ring = &vcpu->dirty_ring;

	if (offset < KVM_DIRTY_LOG_PAGE_OFFSET)
		return NULL;
	offset -= KVM_DIRTY_LOG_PAGE_OFFSET;
	if (offset >= ring->size * sizeof(*ring->entries) / PAGE_SIZE)
		return NULL;
	return vmalloc_to_page((void *)ring->entries + offset * PAGE_SIZE);
}

static void push(struct vitrine_vcpu *vcpu, const struct vitrine_memslot *slot, gfn_t gfn)
{
	struct vitrine_dirty_ring *ring = &vcpu->dirty_ring;
	u64 offset = gfn - slot->base_gfn;
	struct kvm_dirty_gfn *entry;
	u32 used;

	/*
	 * What was written comes before the question whether the entry still stands. Pairs with the
	 * lock that a reset takes after it moved the index: it returns to a VMM that sees the data,
	 * or it is seen here.
	 */
	smp_mb();
	used = ring->dirty_index - READ_ONCE(ring->reset_index);
	if (used && ring->last_slot == slot->id && ring->last_offset == offset)
		return;
	if (unlikely(used >= ring->size)) {
		/*
		 * The VMM writes, and does not let the vCPU run. No message: the scheduler's
		 * callback holds a lock that printing may want.
		 */
		vcpu->stats.dirty_ring_dropped++;
		return;
	}
	entry = &ring->entries[ring->dirty_index & (ring->size - 1)];
	WRITE_ONCE(entry->slot, slot->id);
	WRITE_ONCE(entry->offset, offset);
	/* The entry is whole before the VMM is told, and before a reset looks at it. */
	smp_store_release(&entry->flags, KVM_DIRTY_GFN_F_DIRTY);
	/* Pairs with take_harvested(). */
	smp_store_release(&ring->dirty_index, ring->dirty_index + 1);
	ring->last_slot = slot->id;
	ring->last_offset = offset;
	if (used + 1 >= ring->soft_limit)
		vitrine_vcpu_request(vcpu, VITRINE_REQ_DIRTY_RING);
}

void vitrine_dirty_ring_push(struct vitrine_vcpu *vcpu, const struct vitrine_memslot *slot,
			     gfn_t gfn)
{
	/* The scheduler's callback writes into guests, too. */
	preempt_disable();
	push(vcpu, slot, gfn);
	preempt_enable();
}

bool vitrine_dirty_ring_soft_full(const struct vitrine_vcpu *vcpu)
{
	const struct vitrine_dirty_ring *ring = &vcpu->dirty_ring;

	return ring->dirty_index - READ_ONCE(ring->reset_index) >= ring->soft_limit;
}

/* The next entry that the VMM has seen; false if there is none. Its place is free then. */
static bool take_harvested(struct vitrine_dirty_ring *ring, u32 *slot_id, u64 *offset)
{
	u32 index = ring->reset_index;
	struct kvm_dirty_gfn *entry = &ring->entries[index & (ring->size - 1)];

	/* Pairs with push(). */
	if (index == smp_load_acquire(&ring->dirty_index))
		return false;
	/* Pairs with the VMM's store, which comes after its look at the entry. */
	if (!(smp_load_acquire(&entry->flags) & KVM_DIRTY_GFN_F_RESET))
		return false;
	*slot_id = READ_ONCE(entry->slot);
	*offset = READ_ONCE(entry->offset);
	/* Read before the VMM may write here again. */
	smp_store_release(&entry->flags, 0);
	/* Free only after that: push() goes by this. */
	smp_store_release(&ring->reset_index, index + 1);
	return true;
}

/*
 * Lets writes to @nr_pages pages at @offset of the slot be logged again. The slot may be gone by
 * now, or be another; and both numbers are the VMM's.
 */
static void log_again(struct vitrine_vm *vm, u32 slot_id, u64 offset, u64 nr_pages,
		      struct vitrine_mmu_sweep *sweep)
{
	struct vitrine_memslot *slot;

	if (!nr_pages || slot_id >= VITRINE_MAX_SLOTS)
		return;
	slot = vitrine_memslot_by_id(vm, slot_id);
	if (!slot || offset >= slot->nr_pages || !vitrine_memslot_is_logged(slot))
		return;
	nr_pages = min_t(u64, nr_pages, slot->nr_pages - offset);
	vitrine_mmu_sweep(vm, slot->base_gfn + offset, slot->base_gfn + offset + nr_pages, sweep);
}

/* Neighbours go together. An entry is taken and its page protected under one hold of the lock. */
static u32 ring_reset(struct vitrine_vm *vm, struct vitrine_dirty_ring *ring)
{
	struct vitrine_mmu_sweep sweep = { .op = vitrine_mmu_log_op(vm) };
	u32 count, slot_id = 0, next_id;
	u64 offset = 0, nr_pages = 0, next;

	write_lock(&vm->mmu.lock);
	for (count = 0; count < ring->size && take_harvested(ring, &next_id, &next); count++) {
		if (nr_pages && next_id == slot_id && next == offset + nr_pages) {
			nr_pages++;
		} else {
			log_again(vm, slot_id, offset, nr_pages, &sweep);
			slot_id = next_id;
			offset = next;
			nr_pages = 1;
		}
		if (need_resched() || rwlock_needbreak(&vm->mmu.lock)) {
			log_again(vm, slot_id, offset, nr_pages, &sweep);
			nr_pages = 0;
			vitrine_mmu_sweep_finish(vm, &sweep);
			cond_resched_rwlock_write(&vm->mmu.lock);
		}
	}
	log_again(vm, slot_id, offset, nr_pages, &sweep);
	vitrine_mmu_sweep_finish(vm, &sweep);
	write_unlock(&vm->mmu.lock);
	return count;
}

static long dirty_ring_ioctl_reset(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vm *vm = obj;
	struct vitrine_vcpu *vcpu;
	unsigned long index;
	u32 count = 0;

	if (!READ_ONCE(vm->dirty_ring_bytes)) {
		pr_debug_ratelimited("KVM_RESET_DIRTY_RINGS: KVM_CAP_DIRTY_LOG_RING is not enabled\n");
		return -EINVAL;
	}
	mutex_lock(&vm->slots_lock);
	vitrine_vm_for_each_vcpu(index, vcpu, vm) {
		if (fatal_signal_pending(current))
			break;
		count += ring_reset(vm, &vcpu->dirty_ring);
	}
	mutex_unlock(&vm->slots_lock);
	return count;
}

const struct vitrine_ioctl vitrine_dirty_ring_ioctls[] = {
	{ KVM_RESET_DIRTY_RINGS, 0, dirty_ring_ioctl_reset },
	{}
};
