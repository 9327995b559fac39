/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The steering side of a VM: the monitor that answers, and the vCPUs that wait for it. Exits come
 * in by vitrine_steer_handle(); the answer is waited for in run.c, as a request. The rules are the
 * VM's, what waits belongs to struct vitrine_monitors, which outlives the VM and its monitors.
 */
#ifndef VITRINE_MONITOR_STEER_H
#define VITRINE_MONITOR_STEER_H

#include <linux/kvm.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <vitrine_policy.h>

#include "../ioctl.h"

struct vitrine_happening;
struct vitrine_policy_rules;
struct vitrine_vcpu;
struct vitrine_vm;

/**
 * struct vitrine_steer - who waits for whom
 * @lock: spinning, a leaf but for wait queues
 * @poll: where the steering monitor waits for events; NULL: nobody steers
 * @timeout_ms: how long an event waits for its answer
 * @seq: of the last event
 * @waiting: events that were not fetched, the oldest first
 * @fetched: events that were
 */
struct vitrine_steer {
	spinlock_t lock;
	wait_queue_head_t *poll;
	u32 timeout_ms;
	u64 seq;
	struct list_head waiting;
	struct list_head fetched;
};

/* enum vitrine_ask_state - of one vCPU; under steer->lock but for the vCPU's own reads */
enum vitrine_ask_state {
	VITRINE_ASK_NONE,
	VITRINE_ASK_DUE,	/* to be told once the usual handling is over */
	VITRINE_ASK_OPEN,	/* waits */
	VITRINE_ASK_ANSWERED,
};

/**
 * struct vitrine_ask - a vCPU's event, made when the first rule wants one
 * @state: enum vitrine_ask_state
 * @node: in steer->waiting or steer->fetched
 * @wait: the vCPU sleeps here
 * @resume: [v] what goes on with the answer, where it is not the exit's handler; it gets NULL where
 *	another event was told meanwhile, and its own is to be asked about yet
 * @deadline: [v] in jiffies
 * @event: [v] written before it is in the list, then only read
 * @code64: [v] likewise: the guest runs code of 64 bits
 * @overwritten: [v] a monitor has written registers since
 * @is_kept: [v] KVM_RUN has ended since, and @kept is
 * @kept: [v] what the VMM may have changed when it enters again, beyond what @event has
 * @answer: [lock]
 */
struct vitrine_ask {
	enum vitrine_ask_state state;
	struct list_head node;
	wait_queue_head_t wait;
	int (*resume)(struct vitrine_vcpu *vcpu, const struct vitrine_answer *answer);
	unsigned long deadline;
	struct vitrine_exit_event event;
	bool code64;
	bool overwritten;
	bool is_kept;
	struct {
		struct kvm_sregs2 system;
		struct kvm_debugregs debug;
	} kept;
	struct vitrine_answer answer;
};

void vitrine_steer_init(struct vitrine_steer *steer);
/* The monitor whose wait queue @poll is begins to steer. */
void vitrine_steer_begin(struct vitrine_steer *steer, wait_queue_head_t *poll);
/* It is gone: every vCPU goes on. Its rules are taken away before. */
void vitrine_steer_end(struct vitrine_steer *steer);
/* Is there an event to fetch? */
static inline bool vitrine_steer_readable(const struct vitrine_steer *steer)
{
	return !list_empty_careful(&steer->waiting);
}

/*
 * Rules take the place of the VM's, who frees them; from kvmalloc(), NULL: none. Under the lock of
 * the VM's monitors; none of its readers is waited for.
 */
void vitrine_policy_set(struct vitrine_vm *vm, struct vitrine_policy_rules *rules);
/* Nobody can reach the VM, or the vCPU, any more. */
void vitrine_policy_destroy(struct vitrine_vm *vm);
void vitrine_ask_free(struct vitrine_vcpu *vcpu);

/* In place of backend->handle_exit() while vcpu->policy_on is not 0. Loaded; EXIT_* or -errno. */
int vitrine_steer_handle(struct vitrine_vcpu *vcpu);
/*
 * About something that is no exit of its own: 0: nobody wants to wait for it; EXIT_RESUME: it is to
 * stop here, and @resume is called later, if at all; or -errno. Loaded.
 */
int vitrine_steer_ask(struct vitrine_vcpu *vcpu, const struct vitrine_happening *what,
		      int (*resume)(struct vitrine_vcpu *vcpu,
				    const struct vitrine_answer *answer));
/*
 * steer_irq.c: an interrupt is about to be injected; true: not now, as a monitor is asked about it.
 * It stays in vcpu->events. Loaded.
 */
bool vitrine_steer_interrupt(struct vitrine_vcpu *vcpu, u8 vector);
/*
 * VITRINE_REQ_ASK: waits for the answer and does what it says. Loaded; EXIT_* or -errno. The
 * request is set again, with EXIT_RESUME, where VITRINE_REQ_CALL has to be served first.
 */
int vitrine_steer_wait(struct vitrine_vcpu *vcpu);
/* Has it look again whether its wait is over: VM dead, or a call. Interrupts may be off. */
void vitrine_steer_wake(struct vitrine_vcpu *vcpu);
/* A monitor has written registers: an event that waits is over. Loaded. */
void vitrine_steer_overwritten(struct vitrine_vcpu *vcpu);
/* VITRINE_REQ_POLICY: intercepts follow the rules. Loaded. */
void vitrine_steer_update(struct vitrine_vcpu *vcpu);
/* The host's TSC fell back by @ticks in its sleep. Interrupts off, nobody else runs. */
void vitrine_steer_tsc_fell_back(struct vitrine_vcpu *vcpu, u64 ticks);
/* Is there a rule about this MSR, read or written? Any vCPU's. */
bool vitrine_steer_wants_msr(struct vitrine_vcpu *vcpu, u32 msr, bool write);

/* Rows of a monitor's fd, of which only the steering one may use them. */
extern const struct vitrine_ioctl vitrine_steer_ioctls[];

#endif
