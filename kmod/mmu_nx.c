// SPDX-License-Identifier: GPL-2.0
/*
 * ITLB multihit: whether large translations are executable, and the recovery of those that were
 * split because code was fetched there. Now and then some of the small ones are dropped: what holds
 * no code any more comes back large, what does is split again.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpu.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/workqueue.h>
#include <asm/cpufeature.h>

#include "mmu.h"
#include "registry.h"
#include "vm.h"

#define HOUR_MS		(3600 * MSEC_PER_SEC)
#define MAX_RATIO	3600u	/* a second between two of them */

static char *nx_huge_pages = "auto";
module_param(nx_huge_pages, charp, 0444);
MODULE_PARM_DESC(nx_huge_pages,
		 "Large second-level translations not executable, for ITLB multihit: auto, on, off");

bool vitrine_mmu_nx_huge_pages __read_mostly;

static void recover(struct work_struct *work);
static DECLARE_DELAYED_WORK(recovery, recover);
static bool recovery_on;

static int set_recovery_param(const char *value, const struct kernel_param *param);
static const struct kernel_param_ops recovery_param_ops = {
	.set = set_recovery_param,
	.get = param_get_uint,
};

static unsigned int recovery_ratio = 60;
module_param_cb(nx_huge_pages_recovery_ratio, &recovery_param_ops, &recovery_ratio, 0644);
MODULE_PARM_DESC(nx_huge_pages_recovery_ratio,
		 "Of what was split for code this part is dropped in each period; 0: nothing");

static unsigned int recovery_period_ms;
module_param_cb(nx_huge_pages_recovery_period_ms, &recovery_param_ops, &recovery_period_ms, 0644);
MODULE_PARM_DESC(nx_huge_pages_recovery_period_ms,
		 "The period in milliseconds; 0: such that all are dropped once an hour");

static unsigned long period_jiffies(void)
{
	unsigned int ms = READ_ONCE(recovery_period_ms);

	if (!ms)
		ms = HOUR_MS / clamp(READ_ONCE(recovery_ratio), 1u, MAX_RATIO);
	return msecs_to_jiffies(ms);
}

/* From now on it goes by the parameters as they are. */
static void restart_recovery(void)
{
	if (READ_ONCE(recovery_ratio))
		mod_delayed_work(system_unbound_wq, &recovery, period_jiffies());
	else
		cancel_delayed_work(&recovery);
}

static int set_recovery_param(const char *value, const struct kernel_param *param)
{
	int ret = param_set_uint(value, param);

	/* Under the lock of parameters, which the end of the module is not: see below. */
	if (!ret && READ_ONCE(recovery_on))
		restart_recovery();
	return ret;
}

static void recover_vm(struct vitrine_vm *vm)
{
	struct vitrine_mmu *mmu = &vm->mmu;
	unsigned int ratio = max(READ_ONCE(recovery_ratio), 1u);
	gfn_t end = 1ULL << (vitrine_mmu_gpa_bits() - PAGE_SHIFT), done, gfn, next;
	struct vitrine_mmu_sweep sweep = { .op = VITRINE_MMU_UNSPLIT };
	bool empty;

	sweep.nr_wanted = DIV_ROUND_UP(atomic_long_read(&mmu->nr_nx_splits), ratio);
	if (!sweep.nr_wanted)
		return;
	write_lock(&mmu->lock);
	for (done = 0; done < end && sweep.nr_wanted; done += next - gfn) {
		gfn = mmu->recover_gfn;
		next = vitrine_mmu_stride_end(mmu, gfn, &empty);
		if (!empty)
			vitrine_mmu_sweep(vm, gfn, next, &sweep);
		if (!sweep.nr_wanted)
			next = sweep.next_gfn;
		mmu->recover_gfn = next < end ? next : 0;
		if (need_resched() || rwlock_needbreak(&mmu->lock)) {
			vitrine_mmu_sweep_finish(vm, &sweep);
			cond_resched_rwlock_write(&mmu->lock);
		}
	}
	vitrine_mmu_sweep_finish(vm, &sweep);
	write_unlock(&mmu->lock);
}

static void recover(struct work_struct *work)
{
	vitrine_vm_for_each(recover_vm);
	if (READ_ONCE(recovery_on) && READ_ONCE(recovery_ratio))
		queue_delayed_work(system_unbound_wq, &recovery, period_jiffies());
}

int vitrine_mmu_disable_nx_huge_pages(struct vitrine_vm *vm)
{
	lockdep_assert_held(&vm->lock);
	if (vm->nr_vcpus) {
		pr_debug_ratelimited("KVM_ENABLE_CAP: KVM_CAP_VM_DISABLE_NX_HUGE_PAGES comes after the first vCPU\n");
		return -EINVAL;
	}
	vm->mmu.nx_huge_pages = false;
	return 0;
}

int __init vitrine_mmu_nx_init(void)
{
	if (!strcmp(nx_huge_pages, "on")) {
		vitrine_mmu_nx_huge_pages = true;
	} else if (!strcmp(nx_huge_pages, "auto")) {
		vitrine_mmu_nx_huge_pages = boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) &&
					    !cpu_mitigations_off();
	} else if (strcmp(nx_huge_pages, "off")) {
		pr_err("parameter nx_huge_pages is \"%s\", must be auto, on or off\n",
		       nx_huge_pages);
		return -EINVAL;
	}
	if (vitrine_mmu_nx_huge_pages) {
		WRITE_ONCE(recovery_on, true);
		restart_recovery();
	}
	return 0;
}

void vitrine_mmu_nx_exit(void)
{
	/* A parameter may be written right now: that is over before the second call. */
	WRITE_ONCE(recovery_on, false);
	kernel_param_lock(THIS_MODULE);
	kernel_param_unlock(THIS_MODULE);
	cancel_delayed_work_sync(&recovery);
}
