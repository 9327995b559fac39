// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's time-stamp counter. A vCPU has a frequency, a multiplier that makes it from the
 * host's, and an offset; hardware gets both through backend->set_tsc. Nothing else in the module
 * computes with them.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kvm.h>
#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/printk.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <asm/tsc.h>

#include "ioctl.h"
#include "monitor/steer.h"
#include "registry.h"
#include "regs.h"
#include "tsc.h"
#include "vm.h"

/* Deviation that is within what crystals and their calibration differ by: no need to scale. */
#define TOLERANCE_PPM	250
#define MAX_KHZ		100000000ULL

bool vitrine_tsc_scaling_supported __read_mostly;

/*
 * Of every vm->tsc_sync: they are written a few times in a VM's life, also while it is being
 * created.
 */
static DEFINE_RAW_SPINLOCK(sync_lock);

static u64 scale_by(u64 multiplier, u64 host_tsc)
{
	if (likely(multiplier == BIT_ULL(VITRINE_TSC_RATIO_BITS)))
		return host_tsc;
	return mul_u64_u64_shr(host_tsc, multiplier, VITRINE_TSC_RATIO_BITS);
}

static u64 scale(const struct vitrine_vcpu *vcpu, u64 host_tsc)
{
	return scale_by(vcpu->tsc_multiplier, host_tsc);
}

u64 vitrine_vcpu_guest_tsc(struct vitrine_vcpu *vcpu, u64 host_tsc)
{
	return scale(vcpu, host_tsc) + vcpu->tsc_offset;
}

static void put_offset(struct vitrine_vcpu *vcpu, u64 offset)
{
	vcpu->tsc_offset = offset;
	vitrine_backend->set_tsc(vcpu);
	if (vcpu->lapic)
		vitrine_lapic_tsc_changed(vcpu);
	vitrine_vcpu_request(vcpu, VITRINE_REQ_CLOCK);
}

static void set_offset(struct vitrine_vcpu *vcpu, u64 offset)
{
	put_offset(vcpu, offset);
	vitrine_clock_update(vcpu->vm, false);
}

/* Who is written as a moment from now on joins this one. */
static void lead(struct vitrine_vcpu *vcpu, u64 offset)
{
	lockdep_assert_held(&sync_lock);
	vcpu->vm->tsc_sync = (struct vitrine_tsc_sync) {
		.khz = vcpu->tsc_khz,
		.offset = offset,
	};
}

/* Is @value within a second of what the last one's counter is by now? Zero always is. */
static bool means_same_moment(const struct vitrine_vcpu *vcpu, u64 value)
{
	const struct vitrine_tsc_sync *sync = &vcpu->vm->tsc_sync;
	u64 second = vcpu->tsc_khz * 1000, now;

	lockdep_assert_held(&sync_lock);
	if (sync->khz != vcpu->tsc_khz)
		return false;
	now = scale(vcpu, rdtsc()) + sync->offset;
	return !value || (value < now + second && value + second > now);
}

/*
 * VMMs start and restore vCPUs one after the other, each with a write that means the same moment:
 * such a write takes over the other's offset.
 */
static u64 join_or_lead(struct vitrine_vcpu *vcpu, u64 value)
{
	u64 offset;

	raw_spin_lock(&sync_lock);
	if (means_same_moment(vcpu, value)) {
		offset = vcpu->vm->tsc_sync.offset;
	} else {
		offset = value - scale(vcpu, rdtsc());
		lead(vcpu, offset);
	}
	raw_spin_unlock(&sync_lock);
	return offset;
}

void vitrine_tsc_write(struct vitrine_vcpu *vcpu, u64 value, bool host)
{
	u64 change;

	if (host) {
		set_offset(vcpu, join_or_lead(vcpu, value));
		return;
	}
	/* "Adjusting the Time-Stamp Counter": a write of one shows in the other. */
	change = value - vitrine_vcpu_guest_tsc(vcpu, rdtsc());
	vcpu->msrs.tsc_adjust += change;
	set_offset(vcpu, vcpu->tsc_offset + change);
}

void vitrine_tsc_write_adjust(struct vitrine_vcpu *vcpu, u64 value, bool host)
{
	u64 change = value - vcpu->msrs.tsc_adjust;

	vcpu->msrs.tsc_adjust = value;
	/* A VMM that restores writes IA32_TSC as well, with this already in it. */
	if (!host)
		set_offset(vcpu, vcpu->tsc_offset + change);
}

/* What makes @khz out of the host's frequency, or 0 where that cannot be. */
static u64 multiplier_for(u64 khz)
{
	u64 tolerance = div_u64((u64)tsc_khz * TOLERANCE_PPM, 1000000);

	if (khz >= tsc_khz - tolerance && khz <= tsc_khz + tolerance)
		return BIT_ULL(VITRINE_TSC_RATIO_BITS);
	/* The bound keeps every product with this frequency within what is divided below. */
	if (!vitrine_tsc_scaling_supported || khz > MAX_KHZ || khz >> 16 >= tsc_khz)
		return 0;
	return mul_u64_u64_div_u64(khz, BIT_ULL(VITRINE_TSC_RATIO_BITS), tsc_khz);
}

struct fall {
	u64 before;
	u64 after;
};

static u64 scaled_fall(const struct fall *fall, u64 multiplier)
{
	return scale_by(multiplier, fall->before) - scale_by(multiplier, fall->after);
}

/*
 * Threads are frozen where they hold a vCPU's mutex but change nothing: what they own is ours. Of
 * the last exit goes with the count what is compared with a later reading.
 */
static void vm_tsc_fell_back(struct vitrine_vm *vm, void *data)
{
	const struct fall *fall = data;
	u64 ticks = fall->before - fall->after;
	struct vitrine_vcpu *vcpu;
	unsigned long index;

	/* Those that come later join the others. */
	if (vm->tsc_sync.khz)
		vm->tsc_sync.offset += scaled_fall(fall, multiplier_for(vm->tsc_sync.khz));
	vitrine_vm_for_each_vcpu(index, vcpu, vm) {
		vcpu->tsc_offset += scaled_fall(fall, vcpu->tsc_multiplier);
		vcpu->exit.entry_tsc -= ticks;
		vcpu->exit.tsc -= ticks;
		vitrine_steer_tsc_fell_back(vcpu, ticks);
		if (vcpu->lapic)
			vitrine_lapic_tsc_fell_back(vcpu, ticks);
		vitrine_vcpu_request(vcpu, VITRINE_REQ_TSC);
	}
}

void vitrine_tsc_fell_back(u64 before, u64 after)
{
	struct fall fall = { .before = before, .after = after };

	raw_spin_lock(&sync_lock);
	vitrine_registry_walk_alone(vm_tsc_fell_back, &fall);
	raw_spin_unlock(&sync_lock);
	vitrine_clock_host_changed();
}

void vitrine_tsc_init_vcpu(struct vitrine_vcpu *vcpu)
{
	u64 khz = READ_ONCE(vcpu->vm->default_tsc_khz);

	vcpu->tsc_khz = khz ? khz : tsc_khz;
	vcpu->tsc_multiplier = multiplier_for(vcpu->tsc_khz);
	/* What the VM's clock makes of it is looked at when the vCPU is one of the VM's. */
	put_offset(vcpu, join_or_lead(vcpu, 0));
}

/* The frequency by the VMM's number; 0 asks for the host's. */
static long check_khz(unsigned long value, u64 *khz)
{
	*khz = value ? value : tsc_khz;
	if (multiplier_for(*khz))
		return 0;
	pr_debug_ratelimited("KVM_SET_TSC_KHZ: the value is %lu, must be %u within %u ppm or what the CPU can scale to\n",
			     value, tsc_khz, TOLERANCE_PPM);
	return -EINVAL;
}

static long tsc_ioctl_vm_get(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vm *vm = obj;

	return vm->default_tsc_khz ? vm->default_tsc_khz : tsc_khz;
}

static long tsc_ioctl_vm_set(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vm *vm = obj;
	u64 khz;
	long ret = check_khz(arg->value, &khz);

	if (!ret)
		WRITE_ONCE(vm->default_tsc_khz, khz);
	return ret;
}

static long tsc_ioctl_vcpu_get(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;

	return vcpu->tsc_khz;
}

static long tsc_ioctl_vcpu_set(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;
	u64 khz, now;
	long ret = check_khz(arg->value, &khz);

	if (ret)
		return ret;
	/* The counter goes on from where it is. */
	now = rdtsc();
	vcpu->tsc_offset += scale(vcpu, now);
	vcpu->tsc_khz = khz;
	vcpu->tsc_multiplier = multiplier_for(khz);
	set_offset(vcpu, vcpu->tsc_offset - scale(vcpu, now));
	return 0;
}

/* KVM_VCPU_TSC_OFFSET is the one attribute that a vCPU has. */
static int check_attr(const struct kvm_device_attr *attr)
{
	if (attr->group != KVM_VCPU_TSC_CTRL || attr->attr != KVM_VCPU_TSC_OFFSET)
		return -ENXIO;
	if (attr->flags) {
		pr_debug_ratelimited("KVM_SET_DEVICE_ATTR: field flags is %#x, must be 0\n",
				     attr->flags);
		return -EINVAL;
	}
	return 0;
}

static long tsc_ioctl_has_attr(void *obj, struct vitrine_ioctl_arg *arg)
{
	return check_attr(arg->data);
}

static long tsc_ioctl_get_attr(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_device_attr *attr = arg->data;
	struct vitrine_vcpu *vcpu = obj;
	long ret = check_attr(attr);

	return ret ? ret : put_user(vcpu->tsc_offset, (u64 __user *)u64_to_user_ptr(attr->addr));
}

static long tsc_ioctl_set_attr(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_device_attr *attr = arg->data;
	struct vitrine_vcpu *vcpu = obj;
	long ret = check_attr(attr);
	u64 offset;

	if (ret)
		return ret;
	if (get_user(offset, (u64 __user *)u64_to_user_ptr(attr->addr)))
		return -EFAULT;
	raw_spin_lock(&sync_lock);
	lead(vcpu, offset);
	raw_spin_unlock(&sync_lock);
	set_offset(vcpu, offset);
	return 0;
}

const struct vitrine_ioctl vitrine_tsc_vm_ioctls[] = {
	{ KVM_GET_TSC_KHZ, VITRINE_IOCTL_LOCK, tsc_ioctl_vm_get },
	{ KVM_SET_TSC_KHZ, VITRINE_IOCTL_LOCK, tsc_ioctl_vm_set },
	{}
};

const struct vitrine_ioctl vitrine_tsc_vcpu_ioctls[] = {
	{ KVM_GET_TSC_KHZ, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_NO_LOAD, tsc_ioctl_vcpu_get },
	{ KVM_SET_TSC_KHZ, VITRINE_IOCTL_LOCK, tsc_ioctl_vcpu_set },
	{ KVM_HAS_DEVICE_ATTR, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_NO_LOAD, tsc_ioctl_has_attr },
	{ KVM_GET_DEVICE_ATTR, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_NO_LOAD, tsc_ioctl_get_attr },
	{ KVM_SET_DEVICE_ATTR, VITRINE_IOCTL_LOCK, tsc_ioctl_set_attr },
	{}
};
