// SPDX-License-Identifier: GPL-2.0
/*
 * Dirty logging: what marks a page, and, by bitmap, KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG.
 *
 * A bit is cleared and its page write-protected under one hold of mmu->lock, so that a fault comes
 * either before both or after both. Where hardware logs writes, the page's dirty bit goes instead
 * of its write right; what hardware logged was marked before the CPU that did it can answer a kick.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>

#include "ioctl.h"
#include "memslot.h"
#include "mmu.h"
#include "vcpu.h"
#include "vm.h"

/* The bitmap goes out and comes in through a buffer: bounded, whatever the slot's size. */
#define CHUNK_WORDS	(PAGE_SIZE / sizeof(long))
/* Up to 16 MiB of memory need no allocation. */
#define STACK_WORDS	64

/* Test first: most writes to a logged page find the bit set, and a locked operation is dear. */
static void mark(unsigned long *bitmap, unsigned long bit)
{
	if (!test_bit(bit, bitmap))
		set_bit(bit, bitmap);
}

void vitrine_dirty_mark(struct vitrine_memslot *slot, gfn_t gfn)
{
	unsigned long *bitmap = READ_ONCE(slot->dirty_bitmap);
	struct vitrine_vcpu *vcpu;

	if (bitmap) {
		/*
		 * What was written comes before the question whether that is known. Pairs with the
		 * exchange that takes a word: its VMM sees the data, or the bit is seen gone here.
		 */
		smp_mb();
		mark(bitmap, gfn - slot->base_gfn);
		return;
	}
	vcpu = vitrine_vcpu_current();
	if (vcpu)
		vitrine_dirty_ring_push(vcpu, slot, gfn);
	else
		pr_warn_ratelimited("dirty ring: a write without a vCPU is not logged\n");
}

void vitrine_dirty_mark_logged(struct vitrine_vcpu *vcpu, const u64 *gpas, unsigned int nr)
{
	struct vitrine_vm *vm = vcpu->vm;
	struct vitrine_memslot *slot;
	int idx = srcu_read_lock(&vm->srcu);

	while (nr--) {
		gfn_t gfn = gpas[nr] >> PAGE_SHIFT;

		slot = vitrine_memslot_find(srcu_dereference(vm->slots, &vm->srcu), gfn);
		if (!slot || !vitrine_memslot_is_logged(slot))
			continue;
		/* With a vCPU, that there is a bitmap does not change any more. */
		if (slot->dirty_bitmap)
			mark(slot->dirty_bitmap, gfn - slot->base_gfn);
		else
			vitrine_dirty_ring_push(vcpu, slot, gfn);
	}
	srcu_read_unlock(&vm->srcu, idx);
}

static struct vitrine_memslot *logged_slot(struct vitrine_vm *vm, u32 id)
{
	struct vitrine_memslot *slot;

	if (vm->dirty_ring_bytes) {
		pr_debug_ratelimited("dirty log: this VM has rings, not bitmaps\n");
		return ERR_PTR(-ENXIO);
	}

	if (id >= VITRINE_MAX_SLOTS) {
		pr_debug_ratelimited("dirty log: slot is %u, must be below %u\n", id,
				     VITRINE_MAX_SLOTS);
		return ERR_PTR(-EINVAL);
	}
	slot = vitrine_memslot_by_id(vm, id);
	if (!slot || !slot->dirty_bitmap) {
		pr_debug_ratelimited("dirty log: slot %u is not there or not logged\n", id);
		return ERR_PTR(-ENOENT);
	}
	return slot;
}

/*
 * Clears in words @first to @first + @nr of the bitmap what is set in @words, or everything if
 * @take, and leaves in @words what was cleared.
 */
static void clear_words(struct vitrine_vm *vm, struct vitrine_memslot *slot, unsigned long first,
			unsigned long nr, unsigned long *words, bool take)
{
	struct vitrine_mmu_sweep sweep = { .op = vitrine_mmu_log_op(vm) };
	unsigned long i;

	write_lock(&vm->mmu.lock);
	for (i = 0; i < nr; i++) {
		unsigned long *word = &slot->dirty_bitmap[first + i];
		gfn_t gfn = slot->base_gfn + (first + i) * BITS_PER_LONG;

		if (!READ_ONCE(*word) || (!take && !words[i])) {
			words[i] = 0;
			continue;
		}
		if (take)
			words[i] = xchg(word, 0);
		else
			words[i] &= atomic_long_fetch_andnot(words[i], (atomic_long_t *)word);
		/* Pages in between that were clean are not writable anyway. */
		if (words[i])
			vitrine_mmu_sweep(vm, gfn + __ffs(words[i]), gfn + __fls(words[i]) + 1,
					  &sweep);
	}
	vitrine_mmu_sweep_finish(vm, &sweep);
	write_unlock(&vm->mmu.lock);
}

static int get_words(struct vitrine_vm *vm, struct vitrine_memslot *slot,
		     unsigned long __user *user, unsigned long *words, unsigned long chunk)
{
	unsigned long total = BITS_TO_LONGS(slot->nr_pages), first, nr, i;

	for (first = 0; first < total; first += nr) {
		nr = min(total - first, chunk);
		clear_words(vm, slot, first, nr, words, true);
		if (copy_to_user(user + first, words, nr * sizeof(long))) {
			/* Whoever asks again must find them. */
			for (i = 0; i < nr; i++)
				atomic_long_or(words[i],
					       (atomic_long_t *)&slot->dirty_bitmap[first + i]);
			return -EFAULT;
		}
		cond_resched();
	}
	return 0;
}

static int get_log(struct vitrine_vm *vm, const struct kvm_dirty_log *log)
{
	struct vitrine_memslot *slot = logged_slot(vm, log->slot);
	unsigned long small[STACK_WORDS], *words;
	int ret;

	if (IS_ERR(slot))
		return PTR_ERR(slot);
	/* Whoever is in the guest comes out, and has marked what its CPU logged when he does. */
	if (vm->hw_log_entries)
		vitrine_vm_kick_all(vm, VITRINE_REQ_KICK);
	if (vm->dirty_log_caps)
		return copy_to_user(log->dirty_bitmap, slot->dirty_bitmap,
				    vitrine_memslot_bitmap_bytes(slot)) ? -EFAULT : 0;
	if (BITS_TO_LONGS(slot->nr_pages) <= STACK_WORDS)
		return get_words(vm, slot, log->dirty_bitmap, small, STACK_WORDS);
	words = kmalloc_array(CHUNK_WORDS, sizeof(*words), GFP_KERNEL_ACCOUNT);
	if (!words)
		return -ENOMEM;
	ret = get_words(vm, slot, log->dirty_bitmap, words, CHUNK_WORDS);
	kfree(words);
	return ret;
}

static int clear_log(struct vitrine_vm *vm, const struct kvm_clear_dirty_log *log)
{
	unsigned long __user *user = log->dirty_bitmap;
	struct vitrine_memslot *slot = logged_slot(vm, log->slot);
	unsigned long total = BITS_TO_LONGS(log->num_pages), first, nr;
	unsigned long words[STACK_WORDS];

	if (IS_ERR(slot))
		return PTR_ERR(slot);
	if (log->first_page % BITS_PER_LONG || log->first_page > slot->nr_pages ||
	    log->num_pages > slot->nr_pages - log->first_page ||
	    (log->num_pages < slot->nr_pages - log->first_page &&
	     log->num_pages % BITS_PER_LONG)) {
		pr_debug_ratelimited("KVM_CLEAR_DIRTY_LOG: first_page %llu, num_pages %u: must be multiples of 64, in the slot\n",
				     log->first_page, log->num_pages);
		return -EINVAL;
	}
	for (first = 0; first < total; first += nr) {
		nr = min_t(unsigned long, total - first, STACK_WORDS);
		if (copy_from_user(words, user + first, nr * sizeof(long)))
			return -EFAULT;
		clear_words(vm, slot, log->first_page / BITS_PER_LONG + first, nr, words, false);
		cond_resched();
	}
	return 0;
}

int vitrine_dirty_set_manual(struct vitrine_vm *vm, u64 how)
{
	if (how & ~(u64)VITRINE_DIRTY_MANUAL_ALL || how == KVM_DIRTY_LOG_INITIALLY_SET) {
		pr_debug_ratelimited("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: args[0] is 0x%llx\n", how);
		return -EINVAL;
	}
	mutex_lock(&vm->slots_lock);
	vm->dirty_log_caps = how;
	mutex_unlock(&vm->slots_lock);
	return 0;
}

static long dirty_ioctl_get(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vm *vm = obj;
	int ret;

	mutex_lock(&vm->slots_lock);
	ret = get_log(vm, arg->data);
	mutex_unlock(&vm->slots_lock);
	return ret;
}

static long dirty_ioctl_clear(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vm *vm = obj;
	int ret;

	mutex_lock(&vm->slots_lock);
	ret = clear_log(vm, arg->data);
	mutex_unlock(&vm->slots_lock);
	return ret;
}

const struct vitrine_ioctl vitrine_dirty_ioctls[] = {
	{ KVM_GET_DIRTY_LOG, 0, dirty_ioctl_get },
	{ KVM_CLEAR_DIRTY_LOG, 0, dirty_ioctl_clear },
	{}
};
