/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Calls into a vCPU: a function that a monitor wants done with the vCPU loaded. It is done by the
 * monitor's thread where the vCPU is free, else by the thread that runs it.
 */
#ifndef VITRINE_MONITOR_CALL_H
#define VITRINE_MONITOR_CALL_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/wait.h>

struct vitrine_vcpu;

/**
 * struct vitrine_call - at the head of what its function works on, from kmalloc()
 * @users: the caller, and the vCPU's list or whoever has taken it from there
 * @fn: what is to be done; the vCPU is loaded, and KVM_SET_REGS would be in order. It must not wait
 * for memory of the guest's: the caller can be another process. Within vm->srcu.
 * @release: before it is freed, or NULL
 * @node: in vcpu->calls.list
 * @wait: the caller's
 * @done: @ret says what came of it
 * @ret: what @fn returned
 */
struct vitrine_call {
	refcount_t users;
	long (*fn)(struct vitrine_vcpu *vcpu, struct vitrine_call *call);
	void (*release)(struct vitrine_call *call);
	struct list_head node;
	wait_queue_head_t wait;
	bool done;
	long ret;
};

void vitrine_call_init(struct vitrine_call *call,
		       long (*fn)(struct vitrine_vcpu *vcpu, struct vitrine_call *call));
/* The last one frees it. */
void vitrine_call_put(struct vitrine_call *call);

/**
 * vitrine_call() - have it done
 * @vcpu: kept by a reference to its VM
 * @call: may be reused once it is done, and not after an error
 *
 * Waits for as long as the VMM does something else with the vCPU. What the function returned;
 * -EINTR for a signal: then it was done, or is being done, or never will be; -EIO if the VM is
 * dead. No lock may be held.
 */
long vitrine_call(struct vitrine_vcpu *vcpu, struct vitrine_call *call);

/* VITRINE_REQ_CALL: whatever is in the list. Loaded. */
void vitrine_calls_serve(struct vitrine_vcpu *vcpu);

#endif
