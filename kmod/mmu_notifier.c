// SPDX-License-Identifier: GPL-2.0
/*
 * What the host's mm tells about the creator's address space: translations that must go, and
 * questions of age.
 *
 * No page is pinned, so everything rests on this: what is going to change is gone from the tables
 * and from every CPU before invalidate_range_start() returns, and does not come back before
 * invalidate_range_end(). There is no change_pte(): the mm brackets it with an invalidation, which
 * does the work. Dirtiness was passed on when the translation was made (mmu_fault.c).
 */
#include <linux/interval_tree.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/srcu.h>

#include "memslot.h"
#include "mmu.h"
#include "pte.h"
#include "vm.h"

static struct vitrine_vm *notifier_vm(struct mmu_notifier *notifier)
{
	return container_of(notifier, struct vitrine_vm, notifier);
}

/*
 * Sweeps all guest frames that @start to @end backs; true if there are slots there. The lock and
 * vm->srcu are held.
 */
static bool sweep_hva(struct vitrine_vm *vm, unsigned long start, unsigned long end,
		      struct vitrine_mmu_sweep *sweep)
{
	struct vitrine_memslots *slots = srcu_dereference(vm->slots, &vm->srcu);
	struct interval_tree_node *place;
	struct vitrine_memslot *slot;
	bool hit = false;

	vitrine_memslots_for_each_hva(slots, slot, place, start, end - 1) {
		unsigned long low = max(start, slot->hva);
		unsigned long high = min(end, slot->hva + (slot->nr_pages << PAGE_SHIFT));

		hit = true;
		vitrine_mmu_sweep(vm, slot->base_gfn + ((low - slot->hva) >> PAGE_SHIFT),
				  slot->base_gfn + (PAGE_ALIGN(high - slot->hva) >> PAGE_SHIFT),
				  sweep);
	}
	return hit;
}

static int invalidate_range_start(struct mmu_notifier *notifier,
				  const struct mmu_notifier_range *range)
{
	struct vitrine_vm *vm = notifier_vm(notifier);
	struct vitrine_mmu *mmu = &vm->mmu;
	struct vitrine_mmu_sweep sweep = {
		.op = VITRINE_MMU_ZAP,
		.may_block = mmu_notifier_range_blockable(range),
	};
	int idx;

	idx = srcu_read_lock(&vm->srcu);
	write_lock(&mmu->lock);
	if (!mmu->invalidate_count++) {
		mmu->invalidate_start = range->start;
		mmu->invalidate_end = range->end;
	} else {
		/* What covers both: nothing can be taken out of it before the last one ends. */
		mmu->invalidate_start = min(mmu->invalidate_start, range->start);
		mmu->invalidate_end = max(mmu->invalidate_end, range->end);
	}
	if (sweep_hva(vm, range->start, range->end, &sweep))
		mmu->invalidate_hit = true;
	vitrine_mmu_sweep_finish(vm, &sweep);
	write_unlock(&mmu->lock);
	srcu_read_unlock(&vm->srcu, idx);
	return 0;
}

static void invalidate_range_end(struct mmu_notifier *notifier,
				 const struct mmu_notifier_range *range)
{
	struct vitrine_mmu *mmu = &notifier_vm(notifier)->mmu;

	write_lock(&mmu->lock);
	/*
	 * A fault that looked at the host's tables before or during an invalidation is stopped by
	 * the range while any goes on, and by the sequence afterwards. Memory that is none of the
	 * guest's must not make it start again.
	 */
	if (!--mmu->invalidate_count && mmu->invalidate_hit) {
		mmu->invalidate_seq++;
		mmu->invalidate_hit = false;
	}
	write_unlock(&mmu->lock);
}

static int sweep_young(struct vitrine_vm *vm, unsigned long start, unsigned long end,
		       enum vitrine_mmu_op op)
{
	struct vitrine_mmu_sweep sweep = { .op = op };
	bool young;
	int idx;

	idx = srcu_read_lock(&vm->srcu);
	if (op == VITRINE_MMU_ZAP) {
		write_lock(&vm->mmu.lock);
		sweep_hva(vm, start, end, &sweep);
		young = sweep.changed;
		vitrine_mmu_sweep_finish(vm, &sweep);
		write_unlock(&vm->mmu.lock);
	} else {
		read_lock(&vm->mmu.lock);
		sweep_hva(vm, start, end, &sweep);
		young = sweep.changed;
		read_unlock(&vm->mmu.lock);
	}
	srcu_read_unlock(&vm->srcu, idx);
	return young;
}

/*
 * No flush after clearing the accessed bit, as for the CPU's own tables: a stale one costs a wrong
 * guess at age. Without accessed bits the translation goes, and the next fault tells that the page
 * is young.
 */
static int clear_flush_young(struct mmu_notifier *notifier, struct mm_struct *mm,
			     unsigned long start, unsigned long end)
{
	return sweep_young(notifier_vm(notifier), start, end,
			   vitrine_pte_has_accessed() ? VITRINE_MMU_AGE : VITRINE_MMU_ZAP);
}

/* A weaker question, of idle-page tracking and DAMON: not worth taking translations away for. */
static int clear_young(struct mmu_notifier *notifier, struct mm_struct *mm, unsigned long start,
		       unsigned long end)
{
	return sweep_young(notifier_vm(notifier), start, end,
			   vitrine_pte_has_accessed() ? VITRINE_MMU_AGE : VITRINE_MMU_TEST_YOUNG);
}

static int test_young(struct mmu_notifier *notifier, struct mm_struct *mm, unsigned long address)
{
	return sweep_young(notifier_vm(notifier), address, address + 1, VITRINE_MMU_TEST_YOUNG);
}

/* The mm goes away; no vCPU can run in it any more, and nothing will be told after this. */
static void release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	vitrine_mmu_zap_all(notifier_vm(notifier));
}

const struct mmu_notifier_ops vitrine_mmu_notifier_ops = {
	.release = release,
	.clear_flush_young = clear_flush_young,
	.clear_young = clear_young,
	.test_young = test_young,
	.invalidate_range_start = invalidate_range_start,
	.invalidate_range_end = invalidate_range_end,
};
