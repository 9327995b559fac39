// SPDX-License-Identifier: GPL-2.0
/*
 * Second-level tables: their pages, and sweeps that take away or narrow what stands in a range of
 * guest frames.
 *
 * Owns the life of table pages. Must not ask the host what is mapped where (mmu_fault.c), and must
 * not sleep or allocate under mmu->lock, which the mmu notifier takes.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/gfp.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <asm/processor.h>

#include "memslot.h"
#include "mmu.h"
#include "pte.h"
#include "trace.h"
#include "vcpu.h"
#include "vm.h"

/* What the tables can translate, in bits of address. */
#define REACH_BITS	(PAGE_SHIFT + 9 * VITRINE_PTE_LEVELS)
/* A sweep looks whether it should pause after each of these: at most 513 tables. */
#define STRIDE_LEVEL	3

atomic_long_t vitrine_mmu_total_tables = ATOMIC_LONG_INIT(0);

unsigned int vitrine_mmu_gpa_bits(void)
{
	return min_t(unsigned int, boot_cpu_data.x86_phys_bits, REACH_BITS);
}

int vitrine_mmu_init(struct vitrine_vm *vm)
{
	struct vitrine_mmu *mmu = &vm->mmu;

	mmu->root = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!mmu->root)
		return -ENOMEM;
	mmu->root_hpa = __pa(mmu->root);
	rwlock_init(&mmu->lock);
	atomic_long_set(&mmu->nr_tables, 0);
	mmu->max_tables = ULONG_MAX;
	mmu->nx_huge_pages = vitrine_mmu_nx_huge_pages;
	vitrine_mmu_shrink_add(mmu);
	return 0;
}

static void sweep_free(struct vitrine_mmu *mmu, struct vitrine_mmu_sweep *sweep)
{
	struct page *page;

	while ((page = sweep->tables)) {
		sweep->tables = (struct page *)page_private(page);
		set_page_private(page, 0);
		__free_page(page);
	}
	atomic_long_sub(sweep->nr_tables, &mmu->nr_tables);
	atomic_long_sub(sweep->nr_tables, &vitrine_mmu_total_tables);
	atomic_long_sub(sweep->nr_nx_splits, &mmu->nr_nx_splits);
	sweep->nr_tables = 0;
	sweep->nr_nx_splits = 0;
}

void vitrine_mmu_destroy(struct vitrine_vm *vm)
{
	struct vitrine_mmu *mmu = &vm->mmu;

	if (!mmu->root)
		return;
	vitrine_mmu_shrink_remove(mmu);
	vitrine_mmu_zap_all(vm);
	WARN_ON_ONCE(atomic_long_read(&mmu->nr_tables));
	free_page((unsigned long)mmu->root);
	mmu->root = NULL;
}

void vitrine_mmu_cache_free(struct vitrine_vcpu *vcpu)
{
	struct vitrine_mmu_cache *cache = &vcpu->mmu_cache;

	while (cache->nr)
		free_page((unsigned long)cache->table[--cache->nr]);
}

/*
 * Hands the table that @entry led to, whose entries are of @level, and all below it over to be
 * freed after the flush.
 */
static void retire_table(u64 entry, int level, struct vitrine_mmu_sweep *sweep)
{
	u64 *table = vitrine_pte_table(entry);
	struct page *page = virt_to_page(table);
	unsigned int index;

	for (index = 0; level > 1 && index < VITRINE_PTE_ENTRIES; index++)
		if (vitrine_pte_present(table[index]) && !vitrine_pte_leaf(table[index], level))
			retire_table(table[index], level - 1, sweep);
	set_page_private(page, (unsigned long)sweep->tables);
	sweep->tables = page;
	sweep->nr_tables++;
	sweep->nr_nx_splits += vitrine_pte_nx_split(entry);
}

static bool sweep_leaf(u64 *entry, int level, enum vitrine_mmu_op op)
{
	switch (op) {
	case VITRINE_MMU_ZAP:
		WRITE_ONCE(*entry, 0);
		return true;
	case VITRINE_MMU_CLEAN:
		if (level == 1)
			return vitrine_pte_writable(READ_ONCE(*entry)) &&
			       vitrine_pte_clear_dirty(entry);
		fallthrough;
	case VITRINE_MMU_WRITE_PROTECT:
		return vitrine_pte_writable(READ_ONCE(*entry)) && vitrine_pte_clear_writable(entry);
	case VITRINE_MMU_AGE:
		return vitrine_pte_accessed(READ_ONCE(*entry)) && vitrine_pte_clear_accessed(entry);
	case VITRINE_MMU_UNSPLIT:
		return false;
	case VITRINE_MMU_TEST_YOUNG:
		/* Without accessed bits there is only this to go by. */
		return !vitrine_pte_has_accessed() || vitrine_pte_accessed(READ_ONCE(*entry));
	}
	return false;
}

/* Recursion is as deep as the tables. A large leaf that is partly in the range is treated whole. */
static void sweep_table(u64 *table, int level, gfn_t first, gfn_t last,
			struct vitrine_mmu_sweep *sweep)
{
	gfn_t span = vitrine_pte_pages(level), gfn;

	for (gfn = first & ~(span - 1); gfn < last; gfn += span) {
		u64 *entry = &table[vitrine_pte_index(gfn, level)];
		u64 old = READ_ONCE(*entry);

		if (!vitrine_pte_present(old))
			continue;
		if (vitrine_pte_leaf(old, level)) {
			sweep->changed |= sweep_leaf(entry, level, sweep->op);
		} else if (sweep->op == VITRINE_MMU_ZAP && gfn >= first && gfn + span <= last) {
			WRITE_ONCE(*entry, 0);
			retire_table(old, level - 1, sweep);
			sweep->changed = true;
		} else if (sweep->op == VITRINE_MMU_UNSPLIT && vitrine_pte_nx_split(old) &&
			   gfn >= first && gfn + span <= last) {
			if (!sweep->nr_wanted)
				return;
			WRITE_ONCE(*entry, 0);
			retire_table(old, level - 1, sweep);
			sweep->changed = true;
			sweep->nr_wanted--;
			sweep->next_gfn = gfn + span;
		} else {
			sweep_table(vitrine_pte_table(old), level - 1, max(gfn, first),
				    min(gfn + span, last), sweep);
		}
	}
}

void vitrine_mmu_sweep_finish(struct vitrine_vm *vm, struct vitrine_mmu_sweep *sweep)
{
	lockdep_assert_held_write(&vm->mmu.lock);
	if (!sweep->changed)
		return;
	/*
	 * Still under the lock: another invalidation of the same frames finds them gone already and
	 * does not flush, so it must not get past us before they are gone from the CPUs too.
	 */
	vitrine_vm_kick_all(vm, VITRINE_REQ_TLB_FLUSH);
	sweep_free(&vm->mmu, sweep);
	sweep->changed = false;
}

gfn_t vitrine_mmu_stride_end(const struct vitrine_mmu *mmu, gfn_t gfn, bool *empty)
{
	u64 top = READ_ONCE(mmu->root[vitrine_pte_index(gfn, VITRINE_PTE_LEVELS)]);

	*empty = !vitrine_pte_present(top);
	return (gfn | (vitrine_pte_pages(*empty ? VITRINE_PTE_LEVELS : STRIDE_LEVEL) - 1)) + 1;
}

void vitrine_mmu_sweep(struct vitrine_vm *vm, gfn_t first, gfn_t last,
		       struct vitrine_mmu_sweep *sweep)
{
	struct vitrine_mmu *mmu = &vm->mmu;
	gfn_t gfn, next;
	bool empty;

	lockdep_assert_held(&mmu->lock);
	trace_vitrine_table_change(vm, sweep->op, first, last - first);
	last = min_t(gfn_t, last, 1ULL << (REACH_BITS - PAGE_SHIFT));
	for (gfn = first; gfn < last; gfn = next) {
		next = min(last, vitrine_mmu_stride_end(mmu, gfn, &empty));
		if (empty)
			continue;
		sweep_table(mmu->root, VITRINE_PTE_LEVELS, gfn, next, sweep);
		if (sweep->may_block && (need_resched() || rwlock_needbreak(&mmu->lock))) {
			vitrine_mmu_sweep_finish(vm, sweep);
			cond_resched_rwlock_write(&mmu->lock);
		}
	}
}

static void sweep_whole(struct vitrine_vm *vm, gfn_t first, gfn_t last, enum vitrine_mmu_op op)
{
	struct vitrine_mmu_sweep sweep = { .op = op, .may_block = true };

	might_sleep();
	write_lock(&vm->mmu.lock);
	vitrine_mmu_sweep(vm, first, last, &sweep);
	vitrine_mmu_sweep_finish(vm, &sweep);
	write_unlock(&vm->mmu.lock);
}

enum vitrine_mmu_op vitrine_mmu_log_op(const struct vitrine_vm *vm)
{
	return vm->hw_log_entries ? VITRINE_MMU_CLEAN : VITRINE_MMU_WRITE_PROTECT;
}

static void sweep_slot(struct vitrine_vm *vm, const struct vitrine_memslot *slot,
		       enum vitrine_mmu_op op)
{
	sweep_whole(vm, slot->base_gfn, slot->base_gfn + slot->nr_pages, op);
}

void vitrine_mmu_zap_slot(struct vitrine_vm *vm, const struct vitrine_memslot *slot)
{
	sweep_slot(vm, slot, VITRINE_MMU_ZAP);
	WRITE_ONCE(vm->mmu.no_hw_log, false);
}

void vitrine_mmu_stop_hw_log(struct vitrine_vm *vm, const struct vitrine_memslot *slot)
{
	/* Who maps after the sweep had the lock sees this, and the sweep takes what came before. */
	WRITE_ONCE(vm->mmu.no_hw_log, true);
	sweep_slot(vm, slot, VITRINE_MMU_ZAP);
}

void vitrine_mmu_log_slot(struct vitrine_vm *vm, const struct vitrine_memslot *slot)
{
	sweep_slot(vm, slot, vitrine_mmu_log_op(vm));
}

void vitrine_mmu_zap_all(struct vitrine_vm *vm)
{
	unsigned int index;
	struct vitrine_mmu_sweep sweep = { .op = VITRINE_MMU_ZAP, .may_block = true };

	sweep_whole(vm, 0, 1ULL << (REACH_BITS - PAGE_SHIFT), VITRINE_MMU_ZAP);
	/* The strides have left the tables right below the root, empty by now. */
	write_lock(&vm->mmu.lock);
	for (index = 0; index < VITRINE_PTE_ENTRIES; index++) {
		gfn_t gfn = index * vitrine_pte_pages(VITRINE_PTE_LEVELS);

		sweep_table(vm->mmu.root, VITRINE_PTE_LEVELS, gfn,
			    gfn + vitrine_pte_pages(VITRINE_PTE_LEVELS), &sweep);
	}
	vitrine_mmu_sweep_finish(vm, &sweep);
	write_unlock(&vm->mmu.lock);
}

/* Lock held for writing. */
static void zap_catch_page(struct vitrine_vm *vm)
{
	struct vitrine_mmu_sweep sweep = { .op = VITRINE_MMU_ZAP };

	vitrine_mmu_sweep(vm, VITRINE_CATCH_GFN, VITRINE_CATCH_GFN + 1, &sweep);
	vitrine_mmu_sweep_finish(vm, &sweep);
	vm->mmu.catch_page_mapped = false;
}

void vitrine_mmu_remove_catch_page(struct vitrine_vm *vm)
{
	if (READ_ONCE(vm->mmu.catch_page_gone))
		return;
	write_lock(&vm->mmu.lock);
	WRITE_ONCE(vm->mmu.catch_page_gone, true);
	if (vm->mmu.catch_page_mapped)
		zap_catch_page(vm);
	write_unlock(&vm->mmu.lock);
}

void vitrine_mmu_publish_slots(struct vitrine_vm *vm, struct vitrine_memslots *slots)
{
	struct vitrine_mmu *mmu = &vm->mmu;

	lockdep_assert_held(&vm->slots_lock);
	write_lock(&mmu->lock);
	rcu_assign_pointer(vm->slots, slots);
	/*
	 * A fault reads the sequence first and the slots next: if it saw the old slots, it fails
	 * its check.
	 */
	smp_store_release(&mmu->invalidate_seq, mmu->invalidate_seq + 1);
	/* An invalidation that began before may cover the new slot: its end must count. */
	if (mmu->invalidate_count)
		mmu->invalidate_hit = true;
	/* A slot that comes to its place is there from now on. */
	if (mmu->catch_page_mapped && vitrine_memslot_find(slots, VITRINE_CATCH_GFN))
		zap_catch_page(vm);
	write_unlock(&mmu->lock);
}

int __init vitrine_mmu_module_init(void)
{
	int ret = vitrine_mmu_nx_init();

	if (ret)
		return ret;
	ret = vitrine_mmu_shrink_init();
	if (ret)
		vitrine_mmu_nx_exit();
	return ret;
}

void vitrine_mmu_module_exit(void)
{
	vitrine_mmu_shrink_exit();
	vitrine_mmu_nx_exit();
	WARN_ON_ONCE(atomic_long_read(&vitrine_mmu_total_tables));
}
