// SPDX-License-Identifier: GPL-2.0
/*
 * Giving table pages back when the host is short of memory, or when the VMM allows no more: what
 * was mapped comes back by faults.
 *
 * Owns the list of all tables' owners. Runs inside reclaim: must not allocate, and must not wait
 * for a lock that is held across an allocation.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kernel.h>
#include <linux/kvm.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/shrinker.h>

#include "compat.h"
#include "ioctl.h"
#include "memslot.h"
#include "mmu.h"
#include "vm.h"

/* What KVM asks for: room for the faults that one instruction can meet. */
#define MIN_MAX_TABLES	64

static DEFINE_MUTEX(shrink_lock);
static LIST_HEAD(shrink_list);

void vitrine_mmu_shrink_add(struct vitrine_mmu *mmu)
{
	mutex_lock(&shrink_lock);
	list_add_tail(&mmu->node, &shrink_list);
	mutex_unlock(&shrink_lock);
}

void vitrine_mmu_shrink_remove(struct vitrine_mmu *mmu)
{
	mutex_lock(&shrink_lock);
	list_del(&mmu->node);
	mutex_unlock(&shrink_lock);
}

/*
 * At least @nr_wanted tables if there are so many. A stride at a time, with a look at who waits for
 * the lock or the CPU after each.
 */
static unsigned long shrink_vm(struct vitrine_vm *vm, unsigned long nr_wanted)
{
	struct vitrine_mmu *mmu = &vm->mmu;
	gfn_t end = 1ULL << (vitrine_mmu_gpa_bits() - PAGE_SHIFT);
	struct vitrine_mmu_sweep sweep = { .op = VITRINE_MMU_ZAP };
	unsigned long nr_freed = 0;
	gfn_t done, gfn, next;
	bool empty;

	might_sleep();
	write_lock(&mmu->lock);
	for (done = 0; done < end && nr_freed + sweep.nr_tables < nr_wanted; done += next - gfn) {
		gfn = mmu->shrink_gfn;
		next = vitrine_mmu_stride_end(mmu, gfn, &empty);
		if (!empty)
			vitrine_mmu_sweep(vm, gfn, next, &sweep);
		mmu->shrink_gfn = next < end ? next : 0;
		/* Faults and the mmu notifier wait. Another shrinker may go on from here. */
		if (need_resched() || rwlock_needbreak(&mmu->lock)) {
			nr_freed += sweep.nr_tables;
			vitrine_mmu_sweep_finish(vm, &sweep);
			cond_resched_rwlock_write(&mmu->lock);
		}
	}
	nr_freed += sweep.nr_tables;
	vitrine_mmu_sweep_finish(vm, &sweep);
	write_unlock(&mmu->lock);
	return nr_freed;
}

void vitrine_mmu_make_room(struct vitrine_vm *vm)
{
	unsigned long max_tables = READ_ONCE(vm->mmu.max_tables);
	long excess = atomic_long_read(&vm->mmu.nr_tables) - max_tables;

	/* A quarter more, so that the next fault does not come here again. */
	if (excess >= 0)
		shrink_vm(vm, excess + max_tables / 4);
}

static long mmu_ioctl_set_nr_pages(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vm *vm = obj;

	if (arg->value < MIN_MAX_TABLES || arg->value > INT_MAX) {
		pr_debug_ratelimited("KVM_SET_NR_MMU_PAGES: %lu pages, must be %u to %u\n",
				     arg->value, MIN_MAX_TABLES, INT_MAX);
		return -EINVAL;
	}
	WRITE_ONCE(vm->mmu.max_tables, arg->value);
	vitrine_mmu_make_room(vm);
	return 0;
}

/* What was set, or 0: no bound but the host's memory. */
static long mmu_ioctl_get_nr_pages(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vm *vm = obj;

	return vm->mmu.max_tables == ULONG_MAX ? 0 : vm->mmu.max_tables;
}

const struct vitrine_ioctl vitrine_mmu_ioctls[] = {
	{ KVM_SET_NR_MMU_PAGES, VITRINE_IOCTL_LOCK, mmu_ioctl_set_nr_pages },
	{ KVM_GET_NR_MMU_PAGES, VITRINE_IOCTL_LOCK, mmu_ioctl_get_nr_pages },
	{}
};

static unsigned long shrink_count(struct shrinker *shrinker, struct shrink_control *control)
{
	unsigned long nr = atomic_long_read(&vitrine_mmu_total_tables);

	return nr ? nr : SHRINK_EMPTY;
}

static unsigned long shrink_scan(struct shrinker *shrinker, struct shrink_control *control)
{
	unsigned long nr_freed = 0;
	struct vitrine_mmu *mmu;

	/* A VM that comes or goes right now may itself be waiting for memory. */
	if (!mutex_trylock(&shrink_lock))
		return SHRINK_STOP;
	list_for_each_entry(mmu, &shrink_list, node) {
		if (!atomic_long_read(&mmu->nr_tables))
			continue;
		nr_freed =
			shrink_vm(container_of(mmu, struct vitrine_vm, mmu), control->nr_to_scan);
		/* The next scan begins with another VM. */
		list_move_tail(&mmu->node, &shrink_list);
		break;
	}
	mutex_unlock(&shrink_lock);
	return nr_freed;
}

VITRINE_SHRINKER(table_shrinker, shrink_count, shrink_scan);

int __init vitrine_mmu_shrink_init(void)
{
	return vitrine_shrinker_register(&table_shrinker, "vitrine-tables");
}

void vitrine_mmu_shrink_exit(void)
{
	vitrine_shrinker_unregister(&table_shrinker);
}
