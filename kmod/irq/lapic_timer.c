// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the local APIC timer: one-shot and periodic counts of a 1 GHz bus clock, and the TSC
 * deadline. It must not touch anything of the vCPU from the timer's callback but what is atomic:
 * the callback runs in a hard interrupt, on any CPU.
 *
 * Where the vendor can exit at a deadline (vcpu->exits_at_deadline), a TSC deadline costs no timer
 * of the host but while the vCPU sleeps. Preempted, or out in userspace, a vCPU can take no
 * interrupt; its next entry finds the deadline over.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/hrtimer.h>
#include <linux/math64.h>
#include <asm/msr.h>
#include <asm/tsc.h>

#include "compat.h"
#include "irq_glue.h"
#include "lapic.h"
#include "lapic_regs.h"
#include "tsc.h"
#include "vm.h"

#define TIMER_MODES	(APIC_LVT_TIMER_PERIODIC | APIC_LVT_TIMER_TSCDEADLINE)
#define BUS_CLOCK_NS	1
/* A deadline further away is looked at again then: what is multiplied below must not overflow. */
#define FAR_SECONDS	(3600ull * 24 * 30)

static u64 host_ticks_to_ns(u64 ticks)
{
	return mul_u64_u64_div_u64(min_t(u64, ticks, tsc_khz * 1000 * FAR_SECONDS), NSEC_PER_MSEC,
				   tsc_khz);
}

static bool deadline_reached(struct vitrine_lapic_timer *timer, u64 *left_ns)
{
	u64 now = rdtsc();

	if (now >= timer->host_deadline)
		return true;
	*left_ns = host_ticks_to_ns(timer->host_deadline - now);
	return false;
}

static enum hrtimer_restart timer_expired(struct hrtimer *hrtimer)
{
	struct vitrine_lapic *lapic = container_of(hrtimer, struct vitrine_lapic, timer.hrtimer);
	struct vitrine_lapic_timer *timer = &lapic->timer;
	u64 left_ns;

	if (timer->mode == APIC_LVT_TIMER_TSCDEADLINE) {
		if (!deadline_reached(timer, &left_ns)) {
			hrtimer_set_expires(hrtimer, ktime_add_ns(ktime_get(), left_ns));
			return HRTIMER_RESTART;
		}
		WRITE_ONCE(timer->tsc_deadline, 0);
		vitrine_lapic_accept_lvt(lapic, APIC_LVTT);
		return HRTIMER_NORESTART;
	}

	vitrine_lapic_accept_lvt(lapic, APIC_LVTT);
	if (timer->mode != APIC_LVT_TIMER_PERIODIC)
		return HRTIMER_NORESTART;
	hrtimer_forward_now(hrtimer, ns_to_ktime(timer->length_ns));
	return HRTIMER_RESTART;
}

void vitrine_lapic_timer_init(struct vitrine_lapic *lapic)
{
	vitrine_hrtimer_setup(&lapic->timer.hrtimer, timer_expired, CLOCK_MONOTONIC,
			      HRTIMER_MODE_ABS_PINNED_HARD);
}

static void timer_arm(struct vitrine_lapic_timer *timer, ktime_t expires)
{
	hrtimer_start(&timer->hrtimer, expires, HRTIMER_MODE_ABS_PINNED_HARD);
}

void vitrine_lapic_timer_stop(struct vitrine_lapic *lapic)
{
	struct vitrine_lapic_timer *timer = &lapic->timer;

	hrtimer_cancel(&timer->hrtimer);
	timer->tsc_deadline = 0;
	lapic->vcpu->deadline_tsc = 0;
	timer->length_ns = 0;
}

void vitrine_lapic_timer_start(struct vitrine_lapic *lapic, u32 count)
{
	struct vitrine_lapic_timer *timer = &lapic->timer;
	u64 clock_ns = (u64)timer->divisor * BUS_CLOCK_NS;
	u64 length_ns = vitrine_lapic_get(lapic, APIC_TMICT) * clock_ns;
	u64 left_ns = min(count * clock_ns, length_ns);

	hrtimer_cancel(&timer->hrtimer);
	timer->length_ns = 0;
	if (!left_ns)
		return;
	/* A guest must not be able to keep the host in its timer interrupt. */
	if (timer->mode == APIC_LVT_TIMER_PERIODIC && length_ns < vitrine_min_timer_period_ns()) {
		pr_debug_ratelimited("vCPU %u: APIC timer period of %llu ns made longer\n",
				     lapic->vcpu->id, length_ns);
		length_ns = vitrine_min_timer_period_ns();
		left_ns = length_ns;
	}
	timer->length_ns = length_ns;
	timer->start = ktime_sub_ns(ktime_get(), length_ns - left_ns);
	timer_arm(timer, ktime_add_ns(timer->start, length_ns));
}

u32 vitrine_lapic_timer_count(struct vitrine_lapic *lapic)
{
	struct vitrine_lapic_timer *timer = &lapic->timer;
	u64 elapsed_ns, count;

	if (!timer->length_ns || timer->mode == APIC_LVT_TIMER_TSCDEADLINE)
		return 0;
	elapsed_ns = ktime_to_ns(ktime_sub(ktime_get(), timer->start));
	if (elapsed_ns >= timer->length_ns && timer->mode != APIC_LVT_TIMER_PERIODIC)
		/* Zero would tell a VMM that saves this that the interrupt was already sent. */
		return hrtimer_active(&timer->hrtimer) ? 1 : 0;
	div64_u64_rem(elapsed_ns, timer->length_ns, &elapsed_ns);
	count = div_u64(timer->length_ns - elapsed_ns, timer->divisor * BUS_CLOCK_NS);
	return min_t(u64, count, vitrine_lapic_get(lapic, APIC_TMICT));
}

void vitrine_lapic_timer_update_divisor(struct vitrine_lapic *lapic)
{
	struct vitrine_lapic_timer *timer = &lapic->timer;
	u32 divisor = vitrine_lapic_divisor(vitrine_lapic_get(lapic, APIC_TDCR));
	u32 count;

	if (divisor == timer->divisor)
		return;
	count = vitrine_lapic_timer_count(lapic);
	timer->divisor = divisor;
	if (timer->mode != APIC_LVT_TIMER_TSCDEADLINE)
		vitrine_lapic_timer_start(lapic, count);
}

void vitrine_lapic_timer_update_lvt(struct vitrine_lapic *lapic)
{
	struct vitrine_lapic_timer *timer = &lapic->timer;
	u32 mode = vitrine_lapic_get(lapic, APIC_LVTT) & TIMER_MODES;
	u32 old = timer->mode;

	if (mode == old)
		return;
	/*
	 * "TSC-Deadline Mode": a change to or from it disarms; between the other two the count
	 * goes on.
	 */
	if (mode == APIC_LVT_TIMER_TSCDEADLINE || old == APIC_LVT_TIMER_TSCDEADLINE) {
		vitrine_lapic_timer_stop(lapic);
		vitrine_lapic_put(lapic, APIC_TMICT, 0);
		timer->mode = mode;
	} else {
		u32 count = vitrine_lapic_timer_count(lapic);

		hrtimer_cancel(&timer->hrtimer);
		timer->mode = mode;
		vitrine_lapic_timer_start(lapic, count);
	}
}

/* The deadline in host ticks; one that is over is due now. */
static u64 deadline_to_host(struct vitrine_vcpu *vcpu, u64 deadline)
{
	u64 host_now = rdtsc();
	u64 guest_now = vitrine_vcpu_guest_tsc(vcpu, host_now);
	u64 left;

	if (deadline <= guest_now)
		return host_now;
	left = deadline - guest_now;
	if (vcpu->tsc_multiplier != BIT_ULL(VITRINE_TSC_RATIO_BITS))
		/* Bounded so that the quotient fits: a deadline years away comes early. */
		left = mul_u64_u64_div_u64(min(left, BIT_ULL(56) - 1),
					   BIT_ULL(VITRINE_TSC_RATIO_BITS),
					   max(vcpu->tsc_multiplier,
					       BIT_ULL(VITRINE_TSC_RATIO_BITS - 8)));
	return host_now + left < host_now ? U64_MAX : host_now + left;
}

static void deadline_over(struct vitrine_lapic *lapic)
{
	lapic->timer.tsc_deadline = 0;
	lapic->vcpu->deadline_tsc = 0;
	vitrine_lapic_accept_lvt(lapic, APIC_LVTT);
}

static void start_deadline(struct vitrine_lapic *lapic)
{
	struct vitrine_lapic_timer *timer = &lapic->timer;
	u64 left_ns;

	timer->host_deadline = deadline_to_host(lapic->vcpu, timer->tsc_deadline);
	if (rdtsc() >= timer->host_deadline)
		deadline_over(lapic);
	else if (lapic->vcpu->exits_at_deadline)
		lapic->vcpu->deadline_tsc = timer->host_deadline;
	else if (deadline_reached(timer, &left_ns))
		deadline_over(lapic);
	else
		timer_arm(timer, ktime_add_ns(ktime_get(), left_ns));
}

void vitrine_lapic_deadline_exit(struct vitrine_vcpu *vcpu)
{
	if (vcpu->deadline_tsc && rdtsc() >= vcpu->deadline_tsc)
		deadline_over(vcpu->lapic);
}

void vitrine_lapic_sleep(struct vitrine_vcpu *vcpu)
{
	struct vitrine_lapic *lapic = vcpu->lapic;
	u64 left_ns;

	if (!vcpu->deadline_tsc)
		return;
	if (deadline_reached(&lapic->timer, &left_ns))
		deadline_over(lapic);
	else
		timer_arm(&lapic->timer, ktime_add_ns(ktime_get(), left_ns));
}

void vitrine_lapic_wake(struct vitrine_vcpu *vcpu)
{
	if (!vcpu->deadline_tsc)
		return;
	hrtimer_cancel(&vcpu->lapic->timer.hrtimer);
	if (!vcpu->lapic->timer.tsc_deadline)
		vcpu->deadline_tsc = 0;
}

void vitrine_lapic_set_tsc_deadline(struct vitrine_vcpu *vcpu, u64 deadline)
{
	struct vitrine_lapic *lapic = vcpu->lapic;

	if (!lapic || lapic->timer.mode != APIC_LVT_TIMER_TSCDEADLINE)
		return;
	/* The vendor's exit needs no timer here, and this is the guest's most frequent register. */
	if (!vcpu->exits_at_deadline)
		hrtimer_cancel(&lapic->timer.hrtimer);
	lapic->timer.tsc_deadline = deadline;
	vcpu->deadline_tsc = 0;
	if (deadline)
		start_deadline(lapic);
}

u64 vitrine_lapic_get_tsc_deadline(struct vitrine_vcpu *vcpu)
{
	struct vitrine_lapic *lapic = vcpu->lapic;

	if (!lapic || lapic->timer.mode != APIC_LVT_TIMER_TSCDEADLINE)
		return 0;
	return READ_ONCE(lapic->timer.tsc_deadline);
}

void vitrine_lapic_tsc_changed(struct vitrine_vcpu *vcpu)
{
	vitrine_lapic_set_tsc_deadline(vcpu, vitrine_lapic_get_tsc_deadline(vcpu));
}

/* What is due is as far away as it was, and so is a timer of the host's that is armed for it. */
void vitrine_lapic_tsc_fell_back(struct vitrine_vcpu *vcpu, u64 ticks)
{
	u64 *deadline = &vcpu->lapic->timer.host_deadline;

	*deadline = *deadline > ticks ? *deadline - ticks : 1;
	if (vcpu->deadline_tsc)
		vcpu->deadline_tsc = *deadline;
}

void vitrine_lapic_timer_restore(struct vitrine_lapic *lapic, u32 count)
{
	struct vitrine_lapic_timer *timer = &lapic->timer;

	hrtimer_cancel(&timer->hrtimer);
	timer->length_ns = 0;
	timer->divisor = vitrine_lapic_divisor(vitrine_lapic_get(lapic, APIC_TDCR));
	timer->mode = vitrine_lapic_get(lapic, APIC_LVTT) & TIMER_MODES;
	if (timer->mode == APIC_LVT_TIMER_TSCDEADLINE) {
		if (timer->tsc_deadline)
			start_deadline(lapic);
		return;
	}
	timer->tsc_deadline = 0;
	/* A periodic timer never rests. */
	if (!count && timer->mode == APIC_LVT_TIMER_PERIODIC)
		count = vitrine_lapic_get(lapic, APIC_TMICT);
	vitrine_lapic_timer_start(lapic, count);
}
