// SPDX-License-Identifier: GPL-2.0
/*
 * THE story: RUN -> load -> loop(enter, exit, dispatch) -> put. Knows no VMCS; what an exit means
 * is the vendor's handler's business, what userspace sees of it is exit.c's.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/entry-kvm.h>
#include <linux/kvm.h>
#include <linux/lockdep.h>
#include <linux/rcuwait.h>
#include <linux/sched/signal.h>
#include <linux/signal.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "backend.h"
#include "compat.h"
#include "context.h"
#include "exit.h"
#include "fpu.h"
#include "halt.h"
#include "monitor/call.h"
#include "monitor/pause.h"
#include "monitor/ring.h"
#include "monitor/steer.h"
#include "regs.h"
#include "run.h"
#include "trace.h"
#include "vm.h"
#include "work.h"

static bool is_runnable(const struct vitrine_vcpu *vcpu)
{
	return vcpu->mp_state == KVM_MP_STATE_RUNNABLE;
}

/* What ends HLT; a request alone does not, or the guest would go on without an interrupt. */
static bool wakes_from_halt(struct vitrine_vcpu *vcpu)
{
	const struct vitrine_events *events = &vcpu->events;

	if (READ_ONCE(vcpu->pv.unhalted) || vitrine_events_under_way(events))
		return true;
	if ((atomic_read(&vcpu->nmi_queued) || events->nmi.pending) && !vcpu->halt_nmi_masked)
		return true;
	return vcpu->lapic && vcpu->halt_if && vitrine_irq_pending(vcpu);
}

bool vitrine_vcpu_has_work(struct vitrine_vcpu *vcpu)
{
	if (READ_ONCE(vcpu->requests) & ~BIT(VITRINE_REQ_EVENT))
		return true;
	if (vcpu->lapic && vitrine_lapic_has_events(vcpu))
		return true;
	return READ_ONCE(vcpu->mp_state) == KVM_MP_STATE_HALTED && wakes_from_halt(vcpu);
}

/* Would the guest take what KVM_INTERRUPT brings, if it were brought now? */
static bool ready_for_queued(struct vitrine_vcpu *vcpu)
{
	vcpu->events.shadow = vitrine_backend->interrupt_shadow(vcpu);
	return vitrine_irq_takes_queued(vcpu) &&
	       vitrine_events_can_interrupt(&vcpu->events, vitrine_rflags_read(vcpu));
}

/*
 * Sleeps until there is work or a signal. HLT with interrupts off waits for an NMI, INIT or the VMM
 * only, and within an NMI's handler the next NMI does not end it. Neither can change meanwhile, so
 * they are read once, while the vCPU is loaded.
 */
static int block(struct vitrine_vcpu *vcpu)
{
	u64 start = rdtsc(), ticks;
	int ret;

	/* A PIC in userspace waits for this moment, and no entry will bring it. */
	if (vcpu->irq_window_requested && ready_for_queued(vcpu)) {
		vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
		return EXIT_USER;
	}
	if (unlikely(vcpu->apic_words & VITRINE_WORDS_LOAD))
		vitrine_irq_load_words(vcpu);
	vcpu->halt_if = vitrine_rflags_read(vcpu) & X86_EFLAGS_IF;
	vcpu->halt_nmi_masked = vitrine_backend->nmi_masked(vcpu);
	vitrine_lapic_sleep(vcpu);
	ret = vitrine_halt_wait(vcpu);
	vitrine_lapic_wake(vcpu);
	vcpu->stats.halts++;
	ticks = rdtsc() - start;
	vcpu->stats.halt_ticks += ticks;
	trace_vitrine_halt(vcpu, ticks, ret);
	if (vcpu->lapic && vitrine_lapic_has_events(vcpu))
		vitrine_lapic_accept_events(vcpu);
	if (vcpu->mp_state == KVM_MP_STATE_HALTED && wakes_from_halt(vcpu)) {
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
		WRITE_ONCE(vcpu->pv.unhalted, false);
		vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
	}
	if (!ret)
		return EXIT_RESUME;
	vcpu->run->exit_reason = KVM_EXIT_INTR;
	vcpu->stats.signal_exits++;
	return -EINTR;
}

/*
 * Events from elsewhere and from the last exit into the next entry; windows for those that must
 * wait.
 */
static void prepare_events(struct vitrine_vcpu *vcpu)
{
	struct vitrine_events *events = &vcpu->events;
	struct vitrine_injection inj;
	bool irq_waits, window, nmi_masked = vitrine_backend->nmi_masked(vcpu);
	int vector;

	events->shadow = vitrine_backend->interrupt_shadow(vcpu);
	events->nmi.masked = nmi_masked;
	irq_waits = vcpu->lapic && !(vcpu->db.guest_debug & KVM_GUESTDBG_BLOCKIRQ) &&
		    vitrine_irq_to_inject(vcpu);
	vitrine_events_choose(events, vitrine_rflags_read(vcpu), irq_waits, &inj);
	if (inj.ack_interrupt) {
		vector = vitrine_irq_ack(vcpu);
		if (vector >= 0) {
			vitrine_events_take_interrupt(events, vector, &inj);
			vcpu->stats.irq_injected++;
			inj.interrupt_window = vitrine_irq_to_inject(vcpu);
		}
	}
	if (vcpu->vm->tpr_shadow && vcpu->lapic)
		vitrine_lapic_prepare_entry(vcpu);
	if (unlikely(events->nmi.masked != nmi_masked))
		vitrine_backend->set_nmi_masked(vcpu, events->nmi.masked);
	window = inj.interrupt_window ||
		 (vcpu->irq_window_requested && vitrine_irq_takes_queued(vcpu));
	vitrine_backend->set_windows(vcpu, window, inj.nmi_window);
	if (!inj.valid)
		return;
	if (unlikely(vcpu->policy_on & BIT(VITRINE_ON_INTERRUPT)) &&
	    inj.event.type == VITRINE_EVENT_INTERRUPT &&
	    vitrine_steer_interrupt(vcpu, inj.event.vector))
		return;
	if (inj.has_payload && inj.event.vector == X86_TRAP_PF)
		vcpu->cr2 = inj.payload;
	else if (inj.has_payload && inj.event.vector == X86_TRAP_DB)
		vitrine_debug_deliver(vcpu, inj.payload);
	if (inj.event.type == VITRINE_EVENT_NMI)
		vcpu->stats.nmi_injected++;
	trace_vitrine_inject(vcpu, &inj.event);
	vitrine_backend->inject(vcpu, &inj);
	vcpu->injected = true;
}

/* The entry did not happen: the event is still in vcpu->events and is chosen again. */
static void cancel_events(struct vitrine_vcpu *vcpu)
{
	if (vcpu->injected) {
		vitrine_backend->cancel_inject(vcpu);
		vcpu->injected = false;
		vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
	}
}

static bool take_request(struct vitrine_vcpu *vcpu, unsigned int request)
{
	return test_bit(request, &vcpu->requests) && test_and_clear_bit(request, &vcpu->requests);
}

/* What KVM_SET_REGS finds when KVM_RUN is over, a call of a monitor's finds, too. */
static void serve_calls(struct vitrine_vcpu *vcpu)
{
	cancel_events(vcpu);
	if (unlikely(vcpu->apic_words & VITRINE_WORDS_LOAD))
		vitrine_irq_load_words(vcpu);
	vitrine_calls_serve(vcpu);
	vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
}

/* What monitors want. An event comes first, as the exit is not over before its answer. */
static int serve_monitors(struct vitrine_vcpu *vcpu)
{
	int ret;

	do {
		if (take_request(vcpu, VITRINE_REQ_CALL))
			serve_calls(vcpu);
		if (take_request(vcpu, VITRINE_REQ_ASK)) {
			ret = vitrine_steer_wait(vcpu);
			if (ret != EXIT_RESUME)
				return ret;
		} else if (take_request(vcpu, VITRINE_REQ_PAUSE)) {
			ret = vitrine_pause_wait(vcpu);
			if (ret != EXIT_RESUME)
				return ret;
		}
		/* Both come back with their request set where a call came meanwhile. */
	} while (READ_ONCE(vcpu->requests) & (BIT(VITRINE_REQ_ASK) | BIT(VITRINE_REQ_PAUSE)));
	return EXIT_RESUME;
}

/* All but events, which some of these ask for. */
static noinline int serve_rare_requests(struct vitrine_vcpu *vcpu)
{
	int ret;

	ret = serve_monitors(vcpu);
	if (ret != EXIT_RESUME)
		return ret;
	if (take_request(vcpu, VITRINE_REQ_POLICY))
		vitrine_steer_update(vcpu);
	if (take_request(vcpu, VITRINE_REQ_TLB_FLUSH)) {
		preempt_disable();
		vitrine_backend->tlb_flush(vcpu);
		preempt_enable();
	}
	if (take_request(vcpu, VITRINE_REQ_TSC))
		vitrine_backend->set_tsc(vcpu);
	if (take_request(vcpu, VITRINE_REQ_CLOCK))
		vitrine_kvmclock_write_page(vcpu);
	if (take_request(vcpu, VITRINE_REQ_STEAL))
		vitrine_steal_write_page(vcpu);
	if (take_request(vcpu, VITRINE_REQ_LOG_MODE))
		vitrine_backend->update_dirty_log(vcpu);
	if (take_request(vcpu, VITRINE_REQ_DIRTY_RING) && vitrine_dirty_ring_soft_full(vcpu)) {
		/* Until the VMM has made room. */
		vitrine_vcpu_request(vcpu, VITRINE_REQ_DIRTY_RING);
		vcpu->run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
		return EXIT_USER;
	}
	if (take_request(vcpu, VITRINE_REQ_NMI)) {
		int queued = atomic_xchg(&vcpu->nmi_queued, 0);

		/* How many are kept depends on it. */
		vcpu->events.nmi.masked = vitrine_backend->nmi_masked(vcpu);
		while (queued-- > 0)
			vitrine_events_queue_nmi(&vcpu->events);
		vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
	}
	if (take_request(vcpu, VITRINE_REQ_APIC_EVENT) && vcpu->lapic)
		vitrine_lapic_accept_events(vcpu);
	if (take_request(vcpu, VITRINE_REQ_TRIPLE_FAULT))
		return vitrine_exit_shutdown(vcpu);
	if (take_request(vcpu, VITRINE_REQ_EOI_EXIT)) {
		vcpu->run->exit_reason = KVM_EXIT_IOAPIC_EOI;
		vcpu->run->eoi.vector = vcpu->eoi_vector;
		return EXIT_USER;
	}
	if (take_request(vcpu, VITRINE_REQ_TPR_ACCESS))
		return vitrine_vapic_tpr_exit(vcpu);
	if (take_request(vcpu, VITRINE_REQ_EXCEPTIONS))
		vitrine_backend->update_exceptions(vcpu);
	if (take_request(vcpu, VITRINE_REQ_MSR_FILTER))
		vitrine_msr_update_intercepts(vcpu);
	if (take_request(vcpu, VITRINE_REQ_DEBUG_EXIT))
		return vitrine_debug_exit(vcpu);
	return EXIT_RESUME;
}

/* Apart, as the buffers that it needs would cost each entry. */
static noinline int serve_requests(struct vitrine_vcpu *vcpu)
{
	int ret;

	take_request(vcpu, VITRINE_REQ_KICK);
	/* Almost always there is no other. */
	if (READ_ONCE(vcpu->requests) & ~BIT(VITRINE_REQ_EVENT)) {
		ret = serve_rare_requests(vcpu);
		if (ret != EXIT_RESUME)
			return ret;
	}
	if (take_request(vcpu, VITRINE_REQ_EVENT)) {
		cancel_events(vcpu);
		/* Before the request goes: it asks for what comes here next. */
		if (unlikely(vcpu->apic_words & VITRINE_WORDS_LOAD))
			vitrine_irq_load_words(vcpu);
		clear_bit(VITRINE_REQ_EVENT, &vcpu->requests);
		prepare_events(vcpu);
		if (unlikely(vcpu->apic_words & VITRINE_WORDS_STORE))
			vitrine_irq_store_words(vcpu);
	}
	return EXIT_RESUME;
}

/* Signal, stop, requests: everything that must be seen before the guest runs on. */
static int check_before_entry(struct vitrine_vcpu *vcpu)
{
	int ret;

	if (unlikely(READ_ONCE(vcpu->vm->dead)))
		return -EIO;
	if (unlikely(READ_ONCE(vcpu->requests))) {
		ret = serve_requests(vcpu);
		if (ret != EXIT_RESUME)
			return ret;
		/* A flush that fails ends the VM. */
		if (unlikely(READ_ONCE(vcpu->vm->dead)))
			return -EIO;
	}
	if (unlikely(__xfer_to_guest_mode_work_pending())) {
		vcpu->pv.at_boundary = true;
		ret = vitrine_guest_work();
		vcpu->pv.at_boundary = false;
		if (ret) {
			vcpu->run->exit_reason = KVM_EXIT_INTR;
			vcpu->stats.signal_exits++;
			return ret;
		}
	}
	return EXIT_RESUME;
}

static __always_inline void account_exit(struct vitrine_vcpu *vcpu, u64 entered)
{
	struct vitrine_vcpu_counters *stats = &vcpu->stats;
	/* The last one is for all that the processor may yet invent. */
	u32 slot = min_t(u32, (u16)vcpu->exit.reason, VITRINE_NR_EXIT_REASONS - 1);

	vcpu->exit.slot = slot;
	stats->guest_ticks += vcpu->exit.tsc - entered;
	stats->exit_count[slot]++;
}

/* Time outside the guest is the cost of the exit that began it. */
static __always_inline void account_host_time(struct vitrine_vcpu *vcpu, u64 now)
{
	u64 ticks = now - vcpu->exit.tsc;

	vcpu->stats.host_ticks += ticks;
	vcpu->stats.exit_ticks[vcpu->exit.slot] += ticks;
}

/*
 * One entry. EXIT_RESUME also where something came up at the last moment: the loop looks again.
 * Returns with the exit's facts in vcpu->exit if @exited.
 */
static int enter(struct vitrine_vcpu *vcpu, bool *exited)
{
	u64 entered;
	int ret;

	*exited = false;
	preempt_disable();
	local_irq_disable();
	/*
	 * Pairs with the kick: who sets a request after this sees the mode, who set it before is
	 * seen here.
	 */
	smp_store_mb(vcpu->mode, VITRINE_IN_GUEST);
	if (unlikely(READ_ONCE(vcpu->requests) || xfer_to_guest_mode_work_pending())) {
		WRITE_ONCE(vcpu->mode, VITRINE_OUTSIDE_GUEST);
		local_irq_enable();
		preempt_enable();
		return EXIT_RESUME;
	}
	trace_vitrine_entry(vcpu);
	entered = rdtsc();
	vcpu->exit.entry_tsc = entered;
	account_host_time(vcpu, entered);
	ret = vitrine_backend->vcpu_run(vcpu);
	vcpu->exit.tsc = rdtsc();
	WRITE_ONCE(vcpu->mode, VITRINE_OUTSIDE_GUEST);
	local_irq_enable();
	account_exit(vcpu, entered);
	vitrine_guest_time_tick_taken();
	preempt_enable();
	if (unlikely(ret))
		return ret;
	vcpu->injected = false;
	*exited = true;
	return EXIT_RESUME;
}

static int run_loop(struct vitrine_vcpu *vcpu)
{
	bool exited;
	int ret;

	do {
		ret = check_before_entry(vcpu);
		if (ret != EXIT_RESUME)
			break;
		if (unlikely(!is_runnable(vcpu))) {
			ret = block(vcpu);
			continue;
		}
		ret = enter(vcpu, &exited);
		if (likely(exited)) {
			trace_vitrine_exit(vcpu);
			/* The one place where somebody else than the handler sees an exit first. */
			if (unlikely(READ_ONCE(vcpu->watch)))
				ret = vitrine_ring_handle_exit(vcpu);
			else
				ret = vitrine_backend->handle_exit(vcpu);
		}
	} while (ret == EXIT_RESUME);
	return ret;
}

/*
 * What the last exit to userspace left to do with its answer: IN data, MMIO data, an MSR's value.
 */
static int complete_user_exit(struct vitrine_vcpu *vcpu)
{
	int (*complete)(struct vitrine_vcpu *vcpu) = vcpu->complete_user_exit;

	if (!complete)
		return EXIT_RESUME;
	vcpu->complete_user_exit = NULL;
	return complete(vcpu);
}

/* Registers that travel through the run page. */
static int sync_in(struct vitrine_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	int ret;

	if (unlikely(run->kvm_valid_regs || run->kvm_dirty_regs)) {
		ret = vitrine_regs_sync_in(vcpu);
		if (ret)
			return ret;
	}
	if (!vcpu->lapic) {
		u64 cr8 = READ_ONCE(run->cr8);

		if (cr8 > 15) {
			pr_debug_ratelimited("KVM_RUN: cr8 is 0x%llx, must be below 16\n", cr8);
			return -EINVAL;
		}
		vcpu->cr8 = cr8;
	}
	if (unlikely(vcpu->vapic_addr)) {
		/* The VMM may have set TPR; or the guest exited because it lowered it. */
		vitrine_vapic_store(vcpu);
		vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
	}
	if (vcpu->irq_window_requested != !!READ_ONCE(run->request_interrupt_window)) {
		vcpu->irq_window_requested = !vcpu->irq_window_requested && !vcpu->vm->irq.pic;
		vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
	}
	return 0;
}

static void sync_out(struct vitrine_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 rflags = vitrine_rflags_read(vcpu);

	if (unlikely(vcpu->apic_words & VITRINE_WORDS_LOAD))
		vitrine_irq_load_words(vcpu);
	run->if_flag = !!(rflags & X86_EFLAGS_IF);
	run->cr8 = vcpu->lapic ? vitrine_lapic_get_cr8(vcpu) : vcpu->cr8;
	run->apic_base = vitrine_lapic_get_base(vcpu);
	run->flags = 0;
	run->ready_for_interrupt_injection =
		vcpu->vm->irq.pic || (rflags & X86_EFLAGS_IF && ready_for_queued(vcpu));
	if (unlikely(run->kvm_valid_regs))
		vitrine_regs_sync_out(vcpu);
}

/* Out with EXIT_USER means that userspace was told something, and the reverse. */
static void check_exit_invariant(struct vitrine_vcpu *vcpu, int ret)
{
	bool told = READ_ONCE(vcpu->run->exit_reason) != KVM_EXIT_UNKNOWN;

	if (unlikely(ret == EXIT_USER && !told))
		pr_warn_ratelimited("exit reason %u went to userspace without a word\n",
				    (u16)vcpu->exit.reason);
}

static long run_loaded(struct vitrine_vcpu *vcpu)
{
	int ret = sync_in(vcpu);

	if (ret)
		return ret;
	ret = complete_user_exit(vcpu);
	if (ret != EXIT_RESUME)
		return ret;
	/*
	 * VMMs complete an exit by a RUN that goes no further, and look at what the exit was only
	 * then.
	 */
	if (READ_ONCE(vcpu->run->vitrine_immediate_exit))
		return -EINTR;
	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	ret = run_loop(vcpu);
	check_exit_invariant(vcpu, ret);
	return ret;
}

long vitrine_vcpu_run(struct vitrine_vcpu *vcpu, unsigned long arg)
{
	long ret;

	lockdep_assert_held(&vcpu->mutex);
	if (arg) {
		pr_debug_ratelimited("KVM_RUN: argument is 0x%lx, must be 0\n", arg);
		return -EINVAL;
	}
	/*
	 * As real_blocked, what is fatal by default does not kill a thread that only lets it in to
	 * end RUN.
	 */
	if (vcpu->sigset_active)
		sigprocmask(SIG_SETMASK, &vcpu->sigset, &current->real_blocked);
	if (unlikely(vcpu->pv.thread != task_pid(current)))
		vitrine_pv_set_thread(vcpu);
	vitrine_vcpu_load(vcpu);
	vitrine_fpu_load(vcpu);
	vcpu->stats.runs++;
	vcpu->exit.tsc = rdtsc();

	ret = run_loaded(vcpu);

	account_host_time(vcpu, rdtsc());
	cancel_events(vcpu);
	sync_out(vcpu);
	vitrine_fpu_put(vcpu);
	vitrine_vcpu_put(vcpu);
	if (ret == EXIT_USER)
		vcpu->stats.user_exits++;
	if (vcpu->sigset_active) {
		sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
		sigemptyset(&current->real_blocked);
	}
	return ret;
}
