// SPDX-License-Identifier: GPL-2.0
/*
 * Owns a VM's rules and the events that wait for an answer. A vCPU that has one sleeps in its
 * KVM_RUN with nothing held but its own mutex; whatever happens to the monitor it goes on, at the
 * latest when its time is over. Nothing of the monitor's is trusted: an answer is checked when it
 * comes and again by what the guest can take.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/build_bug.h>
#include <linux/err.h>
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/kvm.h>
#include <linux/poll.h>
#include <linux/printk.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../backend.h"
#include "../compat.h"
#include "../regs.h"
#include "../vm.h"
#include "attach.h"
#include "policy.h"
#include "ring.h"
#include "steer.h"

#define DEFAULT_TIMEOUT_MS	30000

static struct vitrine_steer *to_steer(const struct vitrine_vcpu *vcpu)
{
	return &vcpu->vm->monitors->steer;
}

void vitrine_steer_init(struct vitrine_steer *steer)
{
	spin_lock_init(&steer->lock);
	INIT_LIST_HEAD(&steer->waiting);
	INIT_LIST_HEAD(&steer->fetched);
}

void vitrine_steer_begin(struct vitrine_steer *steer, wait_queue_head_t *poll)
{
	spin_lock(&steer->lock);
	steer->poll = poll;
	steer->timeout_ms = DEFAULT_TIMEOUT_MS;
	spin_unlock(&steer->lock);
}

void vitrine_steer_end(struct vitrine_steer *steer)
{
	struct vitrine_ask *ask;

	spin_lock(&steer->lock);
	/* Who opens an event after this sees that nobody is there. */
	WRITE_ONCE(steer->poll, NULL);
	list_splice_tail_init(&steer->fetched, &steer->waiting);
	/* For good: another monitor may come before they have woken up. */
	while (!list_empty(&steer->waiting)) {
		ask = list_first_entry(&steer->waiting, struct vitrine_ask, node);
		list_del_init(&ask->node);
		if (ask->state == VITRINE_ASK_OPEN)
			ask->answer = (struct vitrine_answer) { .verdict = VITRINE_GO_ON };
		WRITE_ONCE(ask->state, VITRINE_ASK_ANSWERED);
		wake_up(&ask->wait);
	}
	spin_unlock(&steer->lock);
}

static void free_rules(struct rcu_head *rcu)
{
	kvfree(container_of(rcu, struct vitrine_policy_rules, rcu));
}

void vitrine_policy_set(struct vitrine_vm *vm, struct vitrine_policy_rules *rules)
{
	rules = rcu_replace_pointer(vm->policy, rules,
				    lockdep_is_held(&vm->monitors->lock));
	vitrine_vm_kick_all(vm, VITRINE_REQ_POLICY);
	/* Its coming was counted, by who may wait. */
	if (rules)
		call_srcu(&vm->srcu, &rules->rcu, free_rules);
}

void vitrine_policy_destroy(struct vitrine_vm *vm)
{
	kvfree(rcu_dereference_protected(vm->policy, true));
}

void vitrine_ask_free(struct vitrine_vcpu *vcpu)
{
	struct vitrine_steer *steer = to_steer(vcpu);

	if (!vcpu->ask)
		return;
	/* It may be open, where the VMM never ran the vCPU again. */
	spin_lock(&steer->lock);
	list_del(&vcpu->ask->node);
	spin_unlock(&steer->lock);
	kfree(vcpu->ask);
}

void vitrine_steer_wake(struct vitrine_vcpu *vcpu)
{
	/* Pairs with get_ask(). */
	struct vitrine_ask *ask = smp_load_acquire(&vcpu->ask);

	if (ask)
		wake_up(&ask->wait);
}

static struct vitrine_ask *get_ask(struct vitrine_vcpu *vcpu)
{
	struct vitrine_ask *ask = vcpu->ask;

	if (ask)
		return ask;
	ask = kzalloc(sizeof(*ask), GFP_KERNEL_ACCOUNT);
	if (!ask)
		return NULL;
	INIT_LIST_HEAD(&ask->node);
	init_waitqueue_head(&ask->wait);
	/* Pairs with vitrine_steer_wake(). */
	smp_store_release(&vcpu->ask, ask);
	return ask;
}

/* Both in the order of the registers' encoding, then RIP and RFLAGS. */
static_assert(offsetof(struct vitrine_guest_regs, r15) == VITRINE_REG_R15 * sizeof(u64));
static_assert(offsetof(struct vitrine_guest_regs, rip) == VITRINE_REG_RIP * sizeof(u64));
static_assert(offsetof(struct vitrine_guest_regs, rflags) == VITRINE_REG_RFLAGS * sizeof(u64));

static void copy_regs(struct vitrine_vcpu *vcpu, struct vitrine_guest_regs *to)
{
	vitrine_reg_read(vcpu, VITRINE_REG_RSP);
	vitrine_rip_read(vcpu);
	vitrine_rflags_read(vcpu);
	memcpy(to, vcpu->regs, sizeof(*to));
}

/* The VMM's own call for it, which keeps what may not change. */
static void write_regs(struct vitrine_vcpu *vcpu, const struct vitrine_guest_regs *from)
{
	struct kvm_regs regs = {
		.rax = from->rax, .rbx = from->rbx, .rcx = from->rcx, .rdx = from->rdx,
		.rsi = from->rsi, .rdi = from->rdi, .rsp = from->rsp, .rbp = from->rbp,
		.r8 = from->r8, .r9 = from->r9, .r10 = from->r10, .r11 = from->r11,
		.r12 = from->r12, .r13 = from->r13, .r14 = from->r14, .r15 = from->r15,
		.rip = from->rip,
		.rflags = (from->rflags & VITRINE_ANSWER_RFLAGS) |
			  (vitrine_rflags_read(vcpu) & ~(u64)VITRINE_ANSWER_RFLAGS),
	};
	struct vitrine_events events = vcpu->events;
	bool stays = from->rip == vitrine_rip_read(vcpu);

	/* What STI and MOV SS hold back they hold back for the instruction behind them. */
	if (!stays || !(from->rflags & X86_EFLAGS_IF))
		vitrine_backend->set_interrupt_shadow(vcpu, 0);
	vitrine_regs_set(vcpu, &regs);
	/* What the instruction has raised, where the answer is to an event after it. */
	if (stays)
		vcpu->events.exception = events.exception;
}

static void fill_event(struct vitrine_vcpu *vcpu, struct vitrine_exit_event *event)
{
	event->vcpu = vcpu->id;
	event->tsc = vcpu->exit.tsc;
	event->cr0 = vitrine_backend->get_cr0(vcpu);
	event->cr3 = vitrine_backend->get_cr3(vcpu);
	event->cr4 = vitrine_backend->get_cr4(vcpu);
	event->efer = vcpu->efer;
	copy_regs(vcpu, &event->regs);
}

static void get_rest(struct vitrine_vcpu *vcpu, struct kvm_sregs2 *system,
		     struct kvm_debugregs *debug)
{
	memset(system, 0, sizeof(*system));
	memset(debug, 0, sizeof(*debug));
	vitrine_sregs2_get(vcpu, system);
	vitrine_debugregs_get(vcpu, debug);
	/* What KVM_RUN takes from its page, or a fault of the VMM's own making may leave. */
	system->cr2 = 0;
	system->cr8 = 0;
	system->apic_base = 0;
}

/* KVM_RUN ends, and the event stays: what comes back is compared with this. */
static void keep_rest(struct vitrine_vcpu *vcpu, struct vitrine_ask *ask)
{
	if (!ask->is_kept)
		get_rest(vcpu, &ask->kept.system, &ask->kept.debug);
	ask->is_kept = true;
}

static noinline bool is_rest_changed(struct vitrine_vcpu *vcpu, const struct vitrine_ask *ask)
{
	struct kvm_debugregs debug;
	struct kvm_sregs2 system;

	get_rest(vcpu, &system, &debug);
	return memcmp(&system, &ask->kept.system, sizeof(system)) ||
	       memcmp(&debug, &ask->kept.debug, sizeof(debug));
}

void vitrine_steer_overwritten(struct vitrine_vcpu *vcpu)
{
	if (vcpu->ask)
		vcpu->ask->overwritten = true;
}

static bool was_changed(struct vitrine_vcpu *vcpu, const struct vitrine_ask *ask)
{
	const struct vitrine_exit_event *event = &ask->event;
	struct vitrine_exit_event now = {};

	if (ask->overwritten || (ask->is_kept && is_rest_changed(vcpu, ask)))
		return true;
	fill_event(vcpu, &now);
	return now.cr0 != event->cr0 || now.cr3 != event->cr3 || now.cr4 != event->cr4 ||
	       now.efer != event->efer || memcmp(&now.regs, &event->regs, sizeof(now.regs));
}

/* Into the list, unless nobody is there to fetch it. */
static void publish(struct vitrine_vcpu *vcpu, struct vitrine_ask *ask)
{
	struct vitrine_steer *steer = to_steer(vcpu);
	u64 base;

	ask->code64 = vitrine_backend->get_code_mode(vcpu, &base) == VITRINE_INSN_64;
	ask->overwritten = false;
	ask->is_kept = false;
	spin_lock(&steer->lock);
	if (steer->poll) {
		ask->event.seq = ++steer->seq;
		ask->state = VITRINE_ASK_OPEN;
		ask->deadline = jiffies + msecs_to_jiffies(steer->timeout_ms);
		list_add_tail(&ask->node, &steer->waiting);
		wake_up_interruptible_poll(steer->poll, EPOLLIN | EPOLLRDNORM);
	} else {
		ask->answer = (struct vitrine_answer) { .verdict = VITRINE_GO_ON };
		ask->state = VITRINE_ASK_ANSWERED;
	}
	spin_unlock(&steer->lock);
}

/* VITRINE_DO_*, and which rule says so. */
static u32 ask_policy(struct vitrine_vcpu *vcpu, const struct vitrine_happening *what, u32 *index)
{
	const struct vitrine_rule *rule = NULL;
	const struct vitrine_policy_rules *rules;
	u32 action = VITRINE_DO_NOTHING;
	int idx;

	idx = srcu_read_lock(&vcpu->vm->srcu);
	rules = srcu_dereference(vcpu->vm->policy, &vcpu->vm->srcu);
	if (rules)
		rule = vitrine_policy_find(rules, vcpu->id, what);
	if (rule) {
		action = rule->action;
		*index = rule->reserved;
	}
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return action;
}

static void note(struct vitrine_ask *ask, struct vitrine_vcpu *vcpu,
		 const struct vitrine_happening *what, u32 rule)
{
	ask->event = (struct vitrine_exit_event) {
		.on = what->on, .key = what->key, .sub = what->sub, .value = what->value,
		.insn_len = what->insn_len, .rule = rule,
	};
	/* An interrupt is not of an exit. */
	if (what->on != VITRINE_ON_INTERRUPT) {
		ask->event.reason = vcpu->exit.reason;
		ask->event.qualification = vcpu->exit.qualification;
	}
	if (!what->string && (vitrine_class_reads(what->on) || vitrine_class_writes(what->on)))
		ask->event.flags = VITRINE_EVENT_VALUE;
	ask->resume = NULL;
}

static void open_event(struct vitrine_vcpu *vcpu, struct vitrine_ask *ask)
{
	fill_event(vcpu, &ask->event);
	publish(vcpu, ask);
	vitrine_vcpu_request(vcpu, VITRINE_REQ_ASK);
}

static void tell_later(struct vitrine_vcpu *vcpu, struct vitrine_ask *ask)
{
	ask->event.flags = VITRINE_EVENT_AFTER;
	ask->state = VITRINE_ASK_DUE;
	vitrine_vcpu_request(vcpu, VITRINE_REQ_ASK);
}

int vitrine_steer_handle(struct vitrine_vcpu *vcpu)
{
	/* Before what the exit interrupted is settled. */
	u32 vectoring_info = vcpu->exit.vectoring_info;
	struct vitrine_happening what;
	struct vitrine_ask *ask;
	u32 action, rule;
	int ret;

	if (!vitrine_backend->describe_exit(vcpu, &what))
		return vitrine_backend->handle_exit(vcpu);
	action = ask_policy(vcpu, &what, &rule);
	if (action == VITRINE_DO_OBSERVE)
		return vitrine_ring_observe(vcpu, vectoring_info, vitrine_backend->handle_exit);
	if (action != VITRINE_DO_ASK && action != VITRINE_DO_TELL)
		return vitrine_backend->handle_exit(vcpu);
	ask = get_ask(vcpu);
	if (!ask)
		return -ENOMEM;
	note(ask, vcpu, &what, rule);
	if (action == VITRINE_DO_ASK) {
		open_event(vcpu, ask);
		return EXIT_RESUME;
	}
	ret = vitrine_backend->handle_exit(vcpu);
	/* Told when it is over, which for a device of the VMM's is in its next KVM_RUN. */
	if (ret >= 0)
		tell_later(vcpu, ask);
	return ret;
}

static int nothing(struct vitrine_vcpu *vcpu)
{
	return EXIT_RESUME;
}

int vitrine_steer_ask(struct vitrine_vcpu *vcpu, const struct vitrine_happening *what,
		      int (*resume)(struct vitrine_vcpu *vcpu,
				    const struct vitrine_answer *answer))
{
	struct vitrine_ask *ask = vcpu->ask;
	u32 action, rule;

	/* There is room for one event: what is due is told first. */
	if (ask && ask->state == VITRINE_ASK_DUE) {
		ask->resume = resume;
		return EXIT_RESUME;
	}
	action = ask_policy(vcpu, what, &rule);
	if (action == VITRINE_DO_OBSERVE)
		vitrine_ring_observe(vcpu, vcpu->exit.vectoring_info, nothing);
	if (action != VITRINE_DO_ASK && action != VITRINE_DO_TELL)
		return 0;
	ask = get_ask(vcpu);
	if (!ask)
		return -ENOMEM;
	note(ask, vcpu, what, rule);
	if (action == VITRINE_DO_TELL) {
		tell_later(vcpu, ask);
		return 0;
	}
	ask->resume = resume;
	open_event(vcpu, ask);
	return EXIT_RESUME;
}

static bool is_over(const struct vitrine_vcpu *vcpu, const struct vitrine_ask *ask)
{
	return READ_ONCE(ask->state) == VITRINE_ASK_ANSWERED || !READ_ONCE(to_steer(vcpu)->poll) ||
	       READ_ONCE(vcpu->vm->dead);
}

static bool has_call(const struct vitrine_vcpu *vcpu)
{
	return READ_ONCE(vcpu->requests) & BIT(VITRINE_REQ_CALL);
}

/* 0, or the event stays: -EINTR, or -EAGAIN for a call that a monitor wants done now. */
static int wait(struct vitrine_vcpu *vcpu, struct vitrine_ask *ask)
{
	long left = (long)(ask->deadline - jiffies);

	if (READ_ONCE(vcpu->run->vitrine_immediate_exit) || signal_pending(current))
		return is_over(vcpu, ask) ? 0 : -EINTR;
	if (left <= 0)
		return 0;
	left = wait_event_interruptible_timeout(ask->wait, is_over(vcpu, ask) || has_call(vcpu),
						left);
	if (left < 0)
		return -EINTR;
	return is_over(vcpu, ask) || !has_call(vcpu) ? 0 : -EAGAIN;
}

/* Off the list, whatever became of it; the verdict if one came. */
static void close(struct vitrine_vcpu *vcpu, struct vitrine_ask *ask, struct vitrine_answer *answer)
{
	struct vitrine_steer *steer = to_steer(vcpu);

	spin_lock(&steer->lock);
	list_del_init(&ask->node);
	/* One that came before its monitor was cut off counts no more. */
	if (ask->state == VITRINE_ASK_ANSWERED && vitrine_monitors_may_reach(vcpu->vm))
		*answer = ask->answer;
	else
		*answer = (struct vitrine_answer) { .verdict = VITRINE_GO_ON };
	ask->state = VITRINE_ASK_NONE;
	spin_unlock(&steer->lock);
}

/* The usual handling, or what takes its place. */
static int go_on(struct vitrine_vcpu *vcpu, const struct vitrine_ask *ask,
		 const struct vitrine_answer *answer)
{
	bool after = ask->event.flags & VITRINE_EVENT_AFTER;

	/* It is another instruction's turn where the answer moved RIP; an interrupt is none's. */
	if (vitrine_rip_read(vcpu) != ask->event.regs.rip &&
	    ask->event.on != VITRINE_ON_INTERRUPT)
		return EXIT_RESUME;
	if (ask->resume)
		return ask->resume(vcpu, after ? NULL : answer);
	if (after)
		return EXIT_RESUME;
	return answer->flags & VITRINE_SET_VALUE ?
	       vitrine_backend->handle_exit_with(vcpu, answer->value) :
	       vitrine_backend->handle_exit(vcpu);
}

/*
 * In the shadow of STI or MOV SS an entry with TF demands a pending single step: the one that the
 * answer has taken the place of. So the shadow goes with it.
 */
static void end_debug_shadow(struct vitrine_vcpu *vcpu, const struct vitrine_ask *ask)
{
	if (ask->event.on == VITRINE_ON_EXCEPTION && ask->event.key == X86_TRAP_DB)
		vitrine_backend->set_interrupt_shadow(vcpu, 0);
}

static int obey(struct vitrine_vcpu *vcpu, const struct vitrine_ask *ask,
		const struct vitrine_answer *answer)
{
	if (answer->flags & VITRINE_SET_REGS)
		write_regs(vcpu, &answer->regs);
	switch (answer->verdict) {
	case VITRINE_DONE:
		if (ask->resume)
			return ask->resume(vcpu, answer);
		if (answer->flags & VITRINE_SET_VALUE)
			vitrine_backend->put_result(vcpu, answer->value);
		if (answer->flags & VITRINE_ADVANCE)
			vitrine_backend->skip_insn(vcpu);
		end_debug_shadow(vcpu, ask);
		return EXIT_RESUME;
	case VITRINE_INJECT:
		end_debug_shadow(vcpu, ask);
		if (answer->vector == X86_TRAP_PF)
			vitrine_vcpu_queue_page_fault(vcpu, answer->cr2, answer->error_code);
		else
			vitrine_vcpu_queue_exception(vcpu, answer->vector,
						     answer->flags & VITRINE_HAS_ERROR,
						     answer->error_code);
		return EXIT_RESUME;
	default:
		return go_on(vcpu, ask, answer);
	}
}

int vitrine_steer_wait(struct vitrine_vcpu *vcpu)
{
	struct vitrine_ask *ask = vcpu->ask;
	struct vitrine_answer answer;
	int idx, ret;

	if (!ask || ask->state == VITRINE_ASK_NONE)
		return EXIT_RESUME;
	if (ask->state == VITRINE_ASK_DUE) {
		fill_event(vcpu, &ask->event);
		publish(vcpu, ask);
	} else if (was_changed(vcpu, ask)) {
		/* By the VMM or a monitor: the guest does it anew, if it comes there at all. */
		close(vcpu, ask, &answer);
		return EXIT_RESUME;
	}
	ret = wait(vcpu, ask);
	if (ret)
		vitrine_vcpu_request(vcpu, VITRINE_REQ_ASK);
	if (ret == -EAGAIN)
		return EXIT_RESUME;
	if (ret) {
		keep_rest(vcpu, ask);
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		vcpu->stats.signal_exits++;
		return ret;
	}
	/* VITRINE_FORBID_ATTACH waits for who has found that the answer counts. */
	idx = srcu_read_lock(&vcpu->vm->srcu);
	close(vcpu, ask, &answer);
	ret = obey(vcpu, ask, &answer);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

/* What waits for an answer is told in the new count, as all is that a monitor reads from now on. */
void vitrine_steer_tsc_fell_back(struct vitrine_vcpu *vcpu, u64 ticks)
{
	if (vcpu->ask)
		vcpu->ask->event.tsc -= ticks;
}

void vitrine_steer_update(struct vitrine_vcpu *vcpu)
{
	const struct vitrine_policy_rules *rules;
	u32 old = vcpu->policy_on;
	int idx;

	idx = srcu_read_lock(&vcpu->vm->srcu);
	rules = srcu_dereference(vcpu->vm->policy, &vcpu->vm->srcu);
	vcpu->policy_on = rules ? rules->on : 0;
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	assign_bit(VITRINE_WATCH_POLICY, &vcpu->watch, vcpu->policy_on);
	vitrine_backend->update_policy(vcpu);
	vitrine_msr_update_intercepts(vcpu);
	if ((old ^ vcpu->policy_on) & BIT(VITRINE_ON_INTERRUPT))
		vitrine_irq_delivery_changed(vcpu);
}

bool vitrine_steer_wants_msr(struct vitrine_vcpu *vcpu, u32 msr, bool write)
{
	const struct vitrine_policy_rules *rules;
	bool wants;
	int idx;

	if (likely(!(vcpu->policy_on & (BIT(VITRINE_ON_RDMSR) | BIT(VITRINE_ON_WRMSR)))))
		return false;
	idx = srcu_read_lock(&vcpu->vm->srcu);
	rules = srcu_dereference(vcpu->vm->policy, &vcpu->vm->srcu);
	wants = rules && vitrine_policy_names(rules, write ? VITRINE_ON_WRMSR : VITRINE_ON_RDMSR,
					      msr);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return wants;
}
