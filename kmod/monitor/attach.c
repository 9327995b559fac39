// SPDX-License-Identifier: GPL-2.0
/*
 * Owns monitor fds: who may attach to a VM, what becomes of the fd when the VM goes, and of the VM
 * when the fd goes. To read a guest is to read its VMM, so the rules are those of ptrace, which the
 * kernel does not export; and nothing here waits for a vCPU or lets one wait.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/poll.h>
#include <linux/ratelimit.h>
#include <linux/rcupdate.h>
#include <linux/sched/coredump.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>
#include <vitrine.h>

#include "../compat.h"
#include "../netlink.h"
#include "../registry.h"
#include "../vcpu.h"
#include "../vm.h"
#include "attach.h"
#include "monitor.h"
#include "pause.h"
#include "ring.h"
#include "steer.h"

#define ATTACH_FLAGS	(VITRINE_ATTACH_STEER | VITRINE_ATTACH_CONTROL)

static const char *const attach_names[] = { "owner", "root", "off" };
static enum { ATTACH_OWNER, ATTACH_ROOT, ATTACH_OFF } attach_by;

static int set_attach(const char *value, const struct kernel_param *param)
{
	int i = sysfs_match_string(attach_names, value);

	if (i < 0)
		return i;
	WRITE_ONCE(attach_by, i);
	return 0;
}

static int get_attach(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%s\n", attach_names[READ_ONCE(attach_by)]);
}

static const struct kernel_param_ops attach_ops = { .set = set_attach, .get = get_attach };
module_param_cb(attach, &attach_ops, NULL, 0644);
MODULE_PARM_DESC(attach, "who may attach a control tool to a VM: owner, root (CAP_SYS_ADMIN), off");

struct vitrine_monitors *vitrine_monitors_create(struct vitrine_vm *vm)
{
	struct vitrine_monitors *all = kzalloc(sizeof(*all), GFP_KERNEL_ACCOUNT);

	if (!all)
		return NULL;
	refcount_set(&all->users, 1);
	mutex_init(&all->lock);
	INIT_LIST_HEAD(&all->list);
	vitrine_steer_init(&all->steer);
	ratelimit_state_init(&all->log_limit, DEFAULT_RATELIMIT_INTERVAL, DEFAULT_RATELIMIT_BURST);
	all->vm = vm;
	return all;
}

void vitrine_monitors_put(struct vitrine_monitors *all)
{
	if (!refcount_dec_and_test(&all->users))
		return;
	kfree(all);
}

static void stop_rings(struct vitrine_monitor *monitor)
{
	struct vitrine_ring *ring;
	unsigned long index;

	xa_for_each(&monitor->rings, index, ring)
		vitrine_ring_stop(ring);
}

/* No rule is left, and no vCPU waits any more. */
static void end_steering(struct vitrine_monitors *all)
{
	if (!all->steering)
		return;
	if (all->vm)
		vitrine_policy_set(all->vm, NULL);
	vitrine_steer_end(&all->steer);
	all->steering = NULL;
}

/* Every monitor finds the VM gone. */
static void cut_off(struct vitrine_monitors *all)
{
	struct vitrine_monitor *monitor;

	lockdep_assert_held(&all->lock);
	end_steering(all);
	/* Others look without the lock. */
	WRITE_ONCE(all->vm, NULL);
	list_for_each_entry(monitor, &all->list, node) {
		stop_rings(monitor);
		wake_up_interruptible_poll(&monitor->wait, EPOLLHUP);
	}
}

void vitrine_monitors_end(struct vitrine_monitors *all)
{
	mutex_lock(&all->lock);
	cut_off(all);
	mutex_unlock(&all->lock);
}

/* What keeps the caller from being the VM's owner, or NULL. */
static const char *not_the_owner(const struct vitrine_monitors *all)
{
	const struct cred *caller = current_cred(), *creator = all->vm->creator.cred;
	struct vitrine_label label;

	if (caller->user_ns != creator->user_ns)
		return "another user namespace";
	if (!uid_eq(caller->fsuid, creator->uid) || !uid_eq(caller->fsuid, creator->euid) ||
	    !uid_eq(caller->fsuid, creator->suid))
		return "another user";
	if (!gid_eq(caller->fsgid, creator->gid) || !gid_eq(caller->fsgid, creator->egid) ||
	    !gid_eq(caller->fsgid, creator->sgid))
		return "another group";
	/* Like the file-system ids what counts now, as ptrace has it. */
	if (!cap_issubset(creator->cap_permitted, caller->cap_effective))
		return "the VM's creator had more capabilities";
	if (get_dumpable(all->vm->mm) != SUID_DUMP_USER)
		return "the VMM is not dumpable";
	vitrine_label_get(&label);
	if (memcmp(&label, &all->vm->creator.label, sizeof(label)))
		return "another security label";
	return NULL;
}

/* Why the caller may not attach, or NULL. */
static const char *refusal(const struct vitrine_monitors *all)
{
	int by = READ_ONCE(attach_by);
	const char *why;

	if (by == ATTACH_OFF)
		return "the module's parameter attach is off";
	if (all->forbidden)
		return "the VMM forbids it";
	why = by == ATTACH_ROOT ? "the module's parameter attach is root" : not_the_owner(all);
	/* In the initial namespace; asked last, as the question leaves a mark on the task. */
	return why && capable(CAP_SYS_ADMIN) ? NULL : why;
}

static const char *kind_of(u32 flags)
{
	if (flags & VITRINE_ATTACH_STEER)
		return "steering";
	return flags & VITRINE_ATTACH_CONTROL ? "controlling" : "observing";
}

/* Who is let in is seen in the log whatever others are refused, and wherever. */
static void log_attach(struct vitrine_monitors *all, u64 vm_id, u32 flags, const char *refused)
{
	static DEFINE_RATELIMIT_STATE(refusals, DEFAULT_RATELIMIT_INTERVAL,
				      DEFAULT_RATELIMIT_BURST);
	/* A name may hold anything. */
	char comm[TASK_COMM_LEN];

	if (!__ratelimit(refused ? &refusals : &all->log_limit))
		return;
	get_task_comm(comm, current);
	pr_notice("VM %llu: %s monitor %s by %*pE, pid %d, uid %u%s%s\n", vm_id, kind_of(flags),
		  refused ? "refused" : "attached", (int)strlen(comm), comm, task_tgid_nr(current),
		  from_kuid(&init_user_ns, current_uid()), refused ? ": " : "", refused ?: "");
}

/* all->lock is held. */
static int admit(struct vitrine_monitors *all, struct vitrine_monitor *monitor, u32 flags)
{
	const char *why;
	int ret = 0;

	if (!all->vm && !all->forbidden)
		return -ESRCH;
	why = refusal(all);
	if (why) {
		ret = -EPERM;
	} else if (all->nr == VITRINE_MAX_MONITORS) {
		why = "it has too many monitors";
		ret = -EBUSY;
	} else if (flags & VITRINE_ATTACH_STEER && all->steering) {
		why = "it is steered already";
		ret = -EBUSY;
	}
	log_attach(all, monitor->vm_id, flags, why);
	if (ret)
		return ret;
	list_add_tail(&monitor->node, &all->list);
	all->nr++;
	if (flags & VITRINE_ATTACH_STEER) {
		all->steering = monitor;
		vitrine_steer_begin(&all->steer, &monitor->wait);
	}
	vitrine_netlink_event(all->vm, NULL, VITRINE_NL_EVENT_MONITOR_ATTACHED, flags);
	return 0;
}

/* The monitor's fd is closed, or it never had one. */
void vitrine_monitor_free(struct vitrine_monitor *monitor)
{
	struct vitrine_monitors *all = monitor->all;
	struct vitrine_ring *ring;
	unsigned long index;

	mutex_lock(&all->lock);
	if (!list_empty(&monitor->node)) {
		list_del(&monitor->node);
		all->nr--;
		if (all->vm)
			vitrine_netlink_event(all->vm, NULL, VITRINE_NL_EVENT_MONITOR_DETACHED,
					      monitor->flags);
	}
	if (all->steering == monitor)
		end_steering(all);
	if (monitor->pauses && all->vm)
		vitrine_pause_update(all);
	stop_rings(monitor);
	mutex_unlock(&all->lock);

	if (!xa_empty(&monitor->rings))
		synchronize_rcu();
	xa_for_each(&monitor->rings, index, ring)
		vitrine_ring_free(ring);
	xa_destroy(&monitor->rings);
	vitrine_monitors_put(all);
	kfree(monitor);
}

struct vitrine_vm *vitrine_monitor_get_vm(struct vitrine_monitor *monitor)
{
	struct vitrine_monitors *all = monitor->all;
	struct vitrine_vm *vm;

	/* Who is killed hears no answer. */
	if (mutex_lock_killable(&all->lock))
		return NULL;
	vm = all->vm;
	/* On its way out it waits for this lock. */
	if (vm && !refcount_inc_not_zero(&vm->users))
		vm = NULL;
	mutex_unlock(&all->lock);
	return vm;
}

bool vitrine_monitors_may_reach(const struct vitrine_vm *vm)
{
	return READ_ONCE(vm->monitors->vm);
}

struct vitrine_vcpu *vitrine_monitor_vcpu(struct vitrine_vm *vm, u32 index)
{
	return index < (u32)atomic_read(&vm->online_vcpus) ? xa_load(&vm->vcpus, index) : NULL;
}

/*
 * As netlink has it, what was created outside the caller's PID namespace is not there: containers
 * may be told apart by nothing else.
 */
static bool is_there(const struct vitrine_vm *vm)
{
	return pid_nr_ns(vm->creator.pid, task_active_pid_ns(current)) || capable(CAP_SYS_ADMIN);
}

/* With a reference, or NULL. */
static struct vitrine_monitors *find_monitors(u64 vm_id, u32 flags)
{
	struct vitrine_vm *vm = vitrine_vm_get_by_id(vm_id);
	struct vitrine_monitors *all = NULL;

	if (!vm)
		return NULL;
	if (is_there(vm)) {
		all = vm->monitors;
		refcount_inc(&all->users);
	} else {
		log_attach(vm->monitors, vm_id, flags, "another PID namespace");
	}
	vitrine_vm_put(vm);
	return all;
}

static long dev_ioctl_attach(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct vitrine_attach *attach = arg->data;
	struct vitrine_monitor *monitor;
	struct vitrine_monitors *all;
	int ret;

	if (attach->flags & ~ATTACH_FLAGS || attach->reserved) {
		pr_debug_ratelimited("VITRINE_ATTACH: flags is 0x%x and reserved 0x%x, must be within 0x%x and 0\n",
				     attach->flags, attach->reserved, ATTACH_FLAGS);
		return -EINVAL;
	}
	all = find_monitors(attach->vm_id, attach->flags);
	if (!all)
		return -ESRCH;
	monitor = kzalloc(sizeof(*monitor), GFP_KERNEL_ACCOUNT);
	if (!monitor) {
		vitrine_monitors_put(all);
		return -ENOMEM;
	}
	monitor->all = all;
	monitor->vm_id = attach->vm_id;
	monitor->flags = attach->flags;
	monitor->controls = attach->flags;
	INIT_LIST_HEAD(&monitor->node);
	xa_init_flags(&monitor->rings, XA_FLAGS_ACCOUNT);
	init_waitqueue_head(&monitor->wait);
	ret = mutex_lock_killable(&all->lock);
	if (!ret) {
		ret = admit(all, monitor, attach->flags);
		mutex_unlock(&all->lock);
	}
	if (!ret)
		ret = vitrine_monitor_open_fd(monitor);
	if (ret < 0)
		vitrine_monitor_free(monitor);
	return ret;
}

static long vm_ioctl_get_vm_id(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct vitrine_vm *vm = obj;

	*(u64 *)arg->data = vm->id;
	return 0;
}

/* Nobody is left who could. */
static void end_pause(struct vitrine_monitors *all)
{
	struct vitrine_monitor *monitor;

	all->stays_paused = false;
	list_for_each_entry(monitor, &all->list, node)
		monitor->pauses = false;
	vitrine_pause_update(all);
}

static long vm_ioctl_forbid_attach(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vm *vm = obj;
	struct vitrine_monitors *all = vm->monitors;

	if (mutex_lock_killable(&all->lock))
		return -EINTR;
	all->forbidden = true;
	if (all->vm)
		end_pause(all);
	cut_off(all);
	mutex_unlock(&all->lock);
	/* Who found a moment ago that they may, and who still records into a ring. */
	if (vitrine_vm_wait_for_readers(vm))
		return -EINTR;
	synchronize_rcu();
	return 0;
}

const struct vitrine_ioctl vitrine_attach_dev_ioctls[] = {
	{ VITRINE_ATTACH, 0, dev_ioctl_attach },
	{}
};

const struct vitrine_ioctl vitrine_attach_vm_ioctls[] = {
	{ VITRINE_GET_VM_ID, 0, vm_ioctl_get_vm_id },
	{ VITRINE_FORBID_ATTACH, 0, vm_ioctl_forbid_attach },
	{}
};
