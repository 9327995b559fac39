// SPDX-License-Identifier: GPL-2.0
/*
 * Owns kvmclock as the guest sees it: a page for each vCPU from which a guest computes the time out
 * of its TSC, and the wall-clock time at which that was zero. What time it is clock.c knows.
 *
 * A page that is in no memory slot is not written, and nobody is told: so KVM has it, and a slot
 * may come later.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/srcu.h>
#include <linux/timekeeping.h>
#include <asm/barrier.h>
#include <asm/pvclock-abi.h>
#include <asm/tsc.h>

#include "clock.h"
#include "guest.h"
#include "pv.h"
#include "vcpu.h"
#include "vm.h"

/* Where the guest does not count by the host's clock: how long it may count by itself. */
#define DRIFT_JIFFIES	HZ

/* Odd while the rest is being written; what was there before is the guest's and may be anything. */
static int begin_version(struct vitrine_vm *vm, gpa_t gpa, u32 *version)
{
	if (vitrine_guest_read(vm, gpa, version, sizeof(*version)))
		return -EFAULT;
	*version = (*version | 1) + (*version & 1 ? 2 : 0);
	return vitrine_guest_write(vm, gpa, version, sizeof(*version));
}

static void fill_page(struct vitrine_vcpu *vcpu, struct pvclock_vcpu_time_info *page)
{
	struct vitrine_clock_base base;
	u64 khz = tsc_khz;

	vitrine_clock_base(vcpu->vm, &base);
	if (vcpu->tsc_multiplier != BIT_ULL(VITRINE_TSC_RATIO_BITS))
		khz = mul_u64_u64_shr(khz, vcpu->tsc_multiplier, VITRINE_TSC_RATIO_BITS);
	page->tsc_timestamp = vitrine_vcpu_guest_tsc(vcpu, base.tsc);
	page->system_time = base.clock_ns;
	vitrine_clock_scale(max(khz, 1ULL), &page->tsc_to_system_mul, &page->tsc_shift);
	page->flags = base.stable ? PVCLOCK_TSC_STABLE_BIT : 0;
}

static void write_page(struct vitrine_vcpu *vcpu, gpa_t gpa)
{
	struct pvclock_vcpu_time_info page = {};
	struct vitrine_vm *vm = vcpu->vm;
	u8 old_flags;
	u32 version;

	fill_page(vcpu, &page);
	if (vitrine_guest_read(vm, gpa + offsetof(typeof(page), flags), &old_flags, 1) ||
	    begin_version(vm, gpa, &version))
		return;
	/* The guest takes this bit away once it has seen it. */
	page.flags |= old_flags & PVCLOCK_GUEST_STOPPED;
	if (vcpu->pv.guest_stopped)
		page.flags |= PVCLOCK_GUEST_STOPPED;
	page.version = version;
	/* In this order also for other vCPUs of the guest, which may read this page. */
	smp_wmb();
	if (vitrine_guest_write(vm, gpa, &page, sizeof(page)))
		return;
	vcpu->pv.guest_stopped = false;
	version++;
	smp_wmb();	/* as above */
	vitrine_guest_write(vm, gpa, &version, sizeof(version));
}

void vitrine_kvmclock_write_page(struct vitrine_vcpu *vcpu)
{
	gpa_t gpa = vcpu->pv.system_time & ~(u64)KVM_MSR_ENABLED;
	int idx;

	if (!(vcpu->pv.system_time & KVM_MSR_ENABLED) ||
	    offset_in_page(gpa) > PAGE_SIZE - sizeof(struct pvclock_vcpu_time_info))
		return;
	vcpu->pv.clock_jiffies = jiffies;
	vcpu->pv.clock_generation = vitrine_clock_host_generation();
	idx = srcu_read_lock(&vcpu->vm->srcu);
	write_page(vcpu, gpa);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
}

void vitrine_kvmclock_loaded(struct vitrine_vcpu *vcpu)
{
	/* After the host slept this is where a vCPU comes by, whoever else is told when. */
	if (vcpu->pv.clock_generation != vitrine_clock_host_generation() ||
	    (!READ_ONCE(vcpu->vm->clock.master) &&
	     time_after(jiffies, vcpu->pv.clock_jiffies + DRIFT_JIFFIES)))
		vitrine_vcpu_request(vcpu, VITRINE_REQ_CLOCK);
}

static unsigned int feature_of(u32 msr)
{
	return msr >= MSR_KVM_WALL_CLOCK_NEW ? KVM_FEATURE_CLOCKSOURCE2 : KVM_FEATURE_CLOCKSOURCE;
}

MSR_GET(vitrine_kvmclock_get_system_time)
{
	if (!vitrine_pv_has(vcpu, feature_of(msr)))
		return -ENOENT;
	*data = vcpu->pv.system_time;
	return 0;
}

MSR_SET(vitrine_kvmclock_set_system_time)
{
	if (!vitrine_pv_has(vcpu, feature_of(msr)))
		return -ENOENT;
	if (!host && !vcpu->id)
		vitrine_clock_use_old_msr(vcpu->vm, msr == MSR_KVM_SYSTEM_TIME);
	vcpu->pv.system_time = data;
	vitrine_vcpu_request(vcpu, VITRINE_REQ_CLOCK);
	return 0;
}

MSR_GET(vitrine_kvmclock_get_wall_clock)
{
	if (!vitrine_pv_has(vcpu, feature_of(msr)))
		return -ENOENT;
	*data = READ_ONCE(vcpu->vm->clock.wall_clock);
	return 0;
}

static void write_wall_clock(struct vitrine_vm *vm, gpa_t gpa)
{
	struct pvclock_wall_clock wall;
	u64 start_ns;
	u32 version;

	if (begin_version(vm, gpa, &version))
		return;
	start_ns = ktime_get_real_ns() - vitrine_clock_now_ns(vm);
	wall.version = version;
	wall.sec = div_u64_rem(start_ns, NSEC_PER_SEC, &wall.nsec);
	smp_wmb();	/* the odd version before the rest */
	if (vitrine_guest_write(vm, gpa, &wall, sizeof(wall)))
		return;
	version++;
	smp_wmb();	/* as above */
	vitrine_guest_write(vm, gpa, &version, sizeof(version));
}

/* Written when it is asked for, and never again. */
MSR_SET(vitrine_kvmclock_set_wall_clock)
{
	struct vitrine_vm *vm = vcpu->vm;
	int idx;

	if (!vitrine_pv_has(vcpu, feature_of(msr)))
		return -ENOENT;
	WRITE_ONCE(vm->clock.wall_clock, data);
	if (!data)
		return 0;
	idx = srcu_read_lock(&vm->srcu);
	write_wall_clock(vm, data);
	srcu_read_unlock(&vm->srcu, idx);
	return 0;
}

/* The host's wall clock and the guest's TSC at one moment, for clocks that follow the host's. */
long vitrine_kvmclock_pair(struct vitrine_vcpu *vcpu, u64 gpa, u64 type)
{
	struct kvm_clock_pairing pairing = {};
	u64 tsc, real_ns;
	u32 nsec;
	long ret;
	int idx;

	if (type != KVM_CLOCK_PAIRING_WALLCLOCK || !vitrine_clock_realtime(&tsc, &real_ns))
		return -KVM_EOPNOTSUPP;
	pairing.sec = div_u64_rem(real_ns, NSEC_PER_SEC, &nsec);
	pairing.nsec = nsec;
	pairing.tsc = vitrine_vcpu_guest_tsc(vcpu, tsc);
	idx = srcu_read_lock(&vcpu->vm->srcu);
	ret = vitrine_guest_write(vcpu->vm, gpa, &pairing, sizeof(pairing)) ? -KVM_EFAULT : 0;
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

/* The VMM stopped the guest for longer than its watchdogs understand. */
static long kvmclock_ioctl_ctrl(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;

	if (!(vcpu->pv.system_time & KVM_MSR_ENABLED)) {
		pr_debug_ratelimited("KVM_KVMCLOCK_CTRL: the guest uses no kvmclock\n");
		return -EINVAL;
	}
	vcpu->pv.guest_stopped = true;
	vitrine_vcpu_request(vcpu, VITRINE_REQ_CLOCK);
	return 0;
}

const struct vitrine_ioctl vitrine_kvmclock_vcpu_ioctls[] = {
	{ KVM_KVMCLOCK_CTRL, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_NO_LOAD, kvmclock_ioctl_ctrl },
	{}
};
