/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Control tools and the VMs that they are attached to. A monitor fd does not keep its VM alive:
 * what the two share is struct vitrine_monitors, which outlives both.
 */
#ifndef VITRINE_MONITOR_ATTACH_H
#define VITRINE_MONITOR_ATTACH_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/ratelimit_types.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "../ioctl.h"
#include "steer.h"

struct vitrine_vcpu;
struct vitrine_vm;

/**
 * struct vitrine_monitors - who is attached to one VM
 * @users: [a] the VM, and each monitor fd
 * @lock: inside it the locks of the VM may be taken, and it is inside none of those
 * @vm: NULL when it is gone, or cut its monitors off
 * @forbidden: its VMM wants no monitor
 * @list: struct vitrine_monitor
 * @nr: length of it
 * @steering: one of them, or NULL
 * @stays_paused: some monitor, which may be gone, or the VMM paused the VM until further notice
 * @steer: what waits for its answers
 * @log_limit: of those who were let in; each VM has its own, or one could silence the others
 */
struct vitrine_monitors {
	refcount_t users;
	struct mutex lock;
	struct vitrine_vm *vm;			/* [lock] */
	bool forbidden;				/* [lock] */
	struct list_head list;			/* [lock] */
	unsigned int nr;			/* [lock] */
	struct vitrine_monitor *steering;	/* [lock] */
	bool stays_paused;			/* [lock] */
	struct vitrine_steer steer;		/* under its own lock */
	struct ratelimit_state log_limit;	/* under its own lock */
};

/**
 * struct vitrine_monitor - one monitor fd
 * @all: of the VM
 * @vm_id: also when it is gone
 * @flags: VITRINE_ATTACH_*
 * @controls: it may write: it has some flag
 * @pauses: the VM, for as long as the fd is open
 * @node: in all->list
 * @rings: struct vitrine_ring by index of the vCPU; they stay until the fd is closed
 * @ring_bytes: of all of them
 * @wait: who polls the fd
 */
struct vitrine_monitor {
	struct vitrine_monitors *all;	/* [I] */
	u64 vm_id;			/* [I] */
	u32 flags;			/* [I] */
	bool controls;			/* [I] */
	bool pauses;			/* [all->lock] */
	struct list_head node;		/* [all->lock] */
	struct xarray rings;		/* [all->lock] for writers */
	u32 ring_bytes;			/* [all->lock] */
	wait_queue_head_t wait;
};

/* For vm.c. Both ends of a VM's life; the first before, the second after it can be found. */
struct vitrine_monitors *vitrine_monitors_create(struct vitrine_vm *vm);
void vitrine_monitors_end(struct vitrine_monitors *all);
/* Its vCPUs are gone as well. */
void vitrine_monitors_put(struct vitrine_monitors *all);

/*
 * For commands that wait: the VM with a reference, to be put under no lock; NULL if it is gone, or
 * has cut its monitors off.
 */
struct vitrine_vm *vitrine_monitor_get_vm(struct vitrine_monitor *monitor);
/*
 * For what is done without the lock: may monitors still reach into the VM? Asked and done within
 * vm->srcu, as VITRINE_FORBID_ATTACH waits for who was told yes.
 */
bool vitrine_monitors_may_reach(const struct vitrine_vm *vm);
/* By its index; NULL if there is none. */
struct vitrine_vcpu *vitrine_monitor_vcpu(struct vitrine_vm *vm, u32 index);

extern const struct vitrine_ioctl vitrine_attach_dev_ioctls[];	/* VITRINE_ATTACH */
extern const struct vitrine_ioctl vitrine_attach_vm_ioctls[];	/* GET_VM_ID, FORBID_ATTACH */

#endif
