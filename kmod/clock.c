// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the clock of a VM and its relation to the host's: the moment that guests count from, and the
 * news that the host's clock became another one. Guest memory is kvmclock.c's.
 *
 * Guests multiply TSC ticks, so that the clock under it is the host's raw one, which no NTP slews.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/clocksource.h>
#include <linux/errno.h>
#include <linux/irq_work.h>
#include <linux/kvm.h>
#include <linux/math64.h>
#include <linux/pvclock_gtod.h>
#include <linux/timekeeper_internal.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>
#include <asm/msr.h>
#include <asm/pvclock.h>
#include <asm/tsc.h>

#include "clock.h"
#include "registry.h"
#include "tsc.h"
#include "vcpu.h"
#include "vm.h"

/* Written by the host's timekeeping, which nothing here may wait for. */
static bool host_uses_tsc __read_mostly;
static ktime_t host_boot_offset __read_mostly;
static unsigned int host_generation __read_mostly;

unsigned int vitrine_clock_host_generation(void)
{
	return READ_ONCE(host_generation);
}

struct moment {
	u64 tsc;
	u64 ns;		/* the host's raw clock since boot, sleep included */
	u64 real_ns;
};

static u64 boot_ns(ktime_t raw)
{
	return ktime_to_ns(ktime_mono_to_any(raw, TK_OFFS_BOOT));
}

/* All three at once, which only a clock that is the TSC itself can tell. */
static bool get_moment(struct moment *moment)
{
	struct system_time_snapshot snap;

	if (!READ_ONCE(host_uses_tsc))
		return false;
	ktime_get_snapshot(&snap);
	/* The word goes down before the first reading of another clock is possible. */
	smp_rmb();
	if (!READ_ONCE(host_uses_tsc))
		return false;
	moment->tsc = snap.cycles;
	moment->ns = boot_ns(snap.raw);
	moment->real_ns = ktime_to_ns(snap.real);
	return true;
}

bool vitrine_clock_realtime(u64 *tsc, u64 *real_ns)
{
	struct moment moment;

	if (!get_moment(&moment))
		return false;
	*tsc = moment.tsc;
	*real_ns = moment.real_ns;
	return true;
}

void vitrine_clock_scale(u64 khz, u32 *mul, s8 *shift)
{
	u64 ns = NSEC_PER_SEC, ticks = khz * 1000;

	/* A multiplier with all of its 32 bits in use: ns / ticks in [1/2, 1). */
	*shift = 0;
	while (ns >= ticks) {
		ticks <<= 1;
		++*shift;
	}
	while (ns << 1 < ticks) {
		ns <<= 1;
		--*shift;
	}
	*mul = mul_u64_u64_div_u64(ns, BIT_ULL(32), ticks);
}

/* The guests' arithmetic, so that a VMM reads what they do. */
static u64 ticks_to_ns(u64 ticks)
{
	u32 mul;
	s8 shift;

	vitrine_clock_scale(tsc_khz, &mul, &shift);
	return pvclock_scale_delta(ticks, mul, shift);
}

static bool agree(const struct vitrine_vcpu *a, const struct vitrine_vcpu *b)
{
	return READ_ONCE(a->tsc_offset) == READ_ONCE(b->tsc_offset) &&
	       READ_ONCE(a->tsc_multiplier) == READ_ONCE(b->tsc_multiplier);
}

/* Do the TSCs of all vCPUs show the same? A vCPU may be writing its own right now, and tells us. */
static bool tscs_agree(struct vitrine_vm *vm)
{
	struct vitrine_vcpu *vcpu, *first = NULL;
	unsigned long index;

	if (!atomic_read(&vm->online_vcpus))
		return true;
	vitrine_vm_for_each_vcpu(index, vcpu, vm) {
		if (!first)
			first = vcpu;
		if (!agree(vcpu, first))
			return false;
	}
	return true;
}

static bool wants_master(struct vitrine_vm *vm)
{
	return READ_ONCE(host_uses_tsc) && !vm->clock.old_msr && tscs_agree(vm);
}

static void begin_anew(struct vitrine_vm *vm)
{
	struct vitrine_clock *clock = &vm->clock;
	struct moment now;

	lockdep_assert_held(&clock->lock);
	/* Before the look at that clock, so that no later news is taken for known. */
	clock->host_generation = vitrine_clock_host_generation();
	smp_rmb();	/* pairs with vitrine_clock_host_changed() */
	clock->master = wants_master(vm) && get_moment(&now);
	if (clock->master) {
		clock->master_tsc = now.tsc;
		clock->master_ns = now.ns;
	}
}

void vitrine_clock_update(struct vitrine_vm *vm, bool always)
{
	struct vitrine_clock *clock = &vm->clock;

	mutex_lock(&clock->lock);
	if (always || clock->master != wants_master(vm)) {
		/*
		 * Out of the guest, and in again only with the new page, for which they wait here:
		 * no two of them count from different moments.
		 */
		if (atomic_read(&vm->online_vcpus))
			vitrine_vm_kick_all(vm, VITRINE_REQ_CLOCK);
		begin_anew(vm);
	}
	mutex_unlock(&clock->lock);
}

void vitrine_clock_add_vcpu(struct vitrine_vcpu *vcpu)
{
	struct vitrine_vm *vm = vcpu->vm;
	bool odd;

	mutex_lock(&vm->clock.lock);
	odd = vm->clock.master && !agree(vcpu, xa_load(&vm->vcpus, 0));
	mutex_unlock(&vm->clock.lock);
	if (odd)
		vitrine_clock_update(vm, false);
}

void vitrine_clock_use_old_msr(struct vitrine_vm *vm, bool old)
{
	bool changed;

	mutex_lock(&vm->clock.lock);
	changed = vm->clock.old_msr != old;
	vm->clock.old_msr = old;
	mutex_unlock(&vm->clock.lock);
	if (changed)
		vitrine_clock_update(vm, false);
}

/*
 * Takes the lock, for a look at the clock. The host may have slept since it was set, and the work
 * that tells every VM may be yet to come.
 */
static void lock_current(struct vitrine_vm *vm)
{
	mutex_lock(&vm->clock.lock);
	if (unlikely(vm->clock.host_generation != vitrine_clock_host_generation()))
		begin_anew(vm);
}

void vitrine_clock_base(struct vitrine_vm *vm, struct vitrine_clock_base *base)
{
	struct vitrine_clock *clock = &vm->clock;
	unsigned long flags;
	u64 ns;

	lock_current(vm);
	base->stable = clock->master;
	if (clock->master) {
		base->tsc = clock->master_tsc;
		ns = clock->master_ns;
	} else {
		local_irq_save(flags);
		base->tsc = rdtsc_ordered();
		ns = boot_ns(ktime_get_raw());
		local_irq_restore(flags);
	}
	base->clock_ns = ns + clock->offset_ns;
	mutex_unlock(&clock->lock);
}

static void read_clock(struct vitrine_vm *vm, struct kvm_clock_data *data)
{
	struct vitrine_clock *clock = &vm->clock;
	struct moment now;

	lock_current(vm);
	if (clock->master) {
		data->flags = KVM_CLOCK_TSC_STABLE;
		if (get_moment(&now)) {
			data->flags |= KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
			data->realtime = now.real_ns;
			data->host_tsc = now.tsc;
		} else {
			now.tsc = rdtsc_ordered();
		}
		data->clock = clock->master_ns + ticks_to_ns(now.tsc - clock->master_tsc);
	} else {
		data->clock = boot_ns(ktime_get_raw());
	}
	data->clock += clock->offset_ns;
	mutex_unlock(&clock->lock);
}

u64 vitrine_clock_now_ns(struct vitrine_vm *vm)
{
	struct kvm_clock_data data = {};

	read_clock(vm, &data);
	return data.clock;
}

static long clock_ioctl_get(void *obj, struct vitrine_ioctl_arg *arg)
{
	read_clock(obj, arg->data);
	return 0;
}

static long clock_ioctl_set(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_clock_data *data = arg->data;
	struct vitrine_vm *vm = obj;
	struct vitrine_clock *clock = &vm->clock;
	u64 real_ns, value = data->clock;

	/* What KVM_GET_CLOCK brought can be handed back as it is. */
	if (data->flags & ~VITRINE_CLOCK_FLAGS) {
		pr_debug_ratelimited("KVM_SET_CLOCK: field flags is %#x, must be within %#x\n",
				     data->flags, VITRINE_CLOCK_FLAGS);
		return -EINVAL;
	}
	mutex_lock(&clock->lock);
	if (atomic_read(&vm->online_vcpus))
		vitrine_vm_kick_all(vm, VITRINE_REQ_CLOCK);
	begin_anew(vm);
	if (data->flags & KVM_CLOCK_REALTIME) {
		real_ns = ktime_get_real_ns();
		/* A host whose wall clock is behind does not make the guest's go back. */
		if (real_ns > data->realtime)
			value += real_ns - data->realtime;
	}
	clock->offset_ns = value - (clock->master ? clock->master_ns : boot_ns(ktime_get_raw()));
	mutex_unlock(&clock->lock);
	return 0;
}

void vitrine_clock_init(struct vitrine_vm *vm)
{
	mutex_init(&vm->clock.lock);
	mutex_lock(&vm->clock.lock);
	begin_anew(vm);
	vm->clock.offset_ns = -(vm->clock.master ? vm->clock.master_ns : boot_ns(ktime_get_raw()));
	mutex_unlock(&vm->clock.lock);
}

static void update_vm(struct vitrine_vm *vm)
{
	vitrine_clock_update(vm, true);
}

static void host_clock_work(struct work_struct *work)
{
	vitrine_vm_for_each(update_vm);
}

static DECLARE_WORK(host_clock_worker, host_clock_work);

/* The timekeeper's lock is held, and queueing work may want it: from an interrupt, then. */
static void queue_host_clock_work(struct irq_work *unused)
{
	schedule_work(&host_clock_worker);
}

static DEFINE_IRQ_WORK(host_clock_irq_work, queue_host_clock_work);

void vitrine_clock_host_changed(void)
{
	smp_wmb();	/* pairs with begin_anew() */
	WRITE_ONCE(host_generation, host_generation + 1);
	irq_work_queue(&host_clock_irq_work);
}

/*
 * Called with each tick, so nearly always for nothing: only another clock, or the end of a sleep,
 * is news.
 */
static int host_clock_notify(struct notifier_block *nb, unsigned long was_set, void *data)
{
	const struct timekeeper *tk = data;
	bool uses_tsc = tk->tkr_mono.clock->vdso_clock_mode == VDSO_CLOCKMODE_TSC;

	if (likely(uses_tsc == host_uses_tsc && tk->offs_boot == host_boot_offset))
		return NOTIFY_DONE;
	WRITE_ONCE(host_uses_tsc, uses_tsc);
	host_boot_offset = tk->offs_boot;
	vitrine_clock_host_changed();
	return NOTIFY_DONE;
}

static struct notifier_block host_clock_notifier = { .notifier_call = host_clock_notify };

int vitrine_clock_module_init(void)
{
	/* It calls us once, with what is so now. */
	return pvclock_gtod_register_notifier(&host_clock_notifier);
}

void vitrine_clock_module_exit(void)
{
	pvclock_gtod_unregister_notifier(&host_clock_notifier);
	irq_work_sync(&host_clock_irq_work);
	cancel_work_sync(&host_clock_worker);
}

const struct vitrine_ioctl vitrine_clock_vm_ioctls[] = {
	{ KVM_GET_CLOCK, 0, clock_ioctl_get },
	{ KVM_SET_CLOCK, 0, clock_ioctl_set },
	{}
};
