// SPDX-License-Identifier: GPL-2.0
/*
 * How much is mapped, and how large. Counted when somebody asks, so that no fault pays for it: the
 * tables are walked, a stride at a time.
 */
#include <linux/sched.h>

#include "mmu.h"
#include "pte.h"
#include "vm.h"

/* Recursion is as deep as the tables. @entry is of @level. */
static void count_entry(u64 entry, int level, struct vitrine_mmu_pages *pages)
{
	const u64 *table;
	unsigned int index;

	if (!vitrine_pte_present(entry))
		return;
	if (vitrine_pte_leaf(entry, level)) {
		pages->nr[level - 1]++;
		return;
	}
	table = vitrine_pte_table(entry);
	for (index = 0; index < VITRINE_PTE_ENTRIES; index++)
		count_entry(READ_ONCE(table[index]), level - 1, pages);
}

void vitrine_mmu_count(struct vitrine_vm *vm, struct vitrine_mmu_pages *pages)
{
	struct vitrine_mmu *mmu = &vm->mmu;
	gfn_t end = vitrine_pte_pages(VITRINE_PTE_LEVELS) * VITRINE_PTE_ENTRIES, gfn, next;
	int level = VITRINE_PTE_LEVELS - 1;
	bool empty;

	might_sleep();
	*pages = (struct vitrine_mmu_pages){};
	read_lock(&mmu->lock);
	for (gfn = 0; gfn < end; gfn = next) {
		next = vitrine_mmu_stride_end(mmu, gfn, &empty);
		if (!empty) {
			u64 top = READ_ONCE(mmu->root[vitrine_pte_index(gfn, VITRINE_PTE_LEVELS)]);
			const u64 *table = vitrine_pte_table(top);

			count_entry(READ_ONCE(table[vitrine_pte_index(gfn, level)]), level, pages);
		}
		cond_resched_rwlock_read(&mmu->lock);
	}
	read_unlock(&mmu->lock);
}
