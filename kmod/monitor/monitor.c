// SPDX-License-Identifier: GPL-2.0
/*
 * The monitor fd: its commands, its mapping, and polling it. What needs the VM holds the lock of
 * its monitors, under which it cannot go, and no longer than it takes: never while the tool's
 * memory is read or written, which can be for as long as the tool likes.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/timekeeping.h>
#include <asm/msr.h>
#include <asm/tsc.h>
#include <vitrine.h>

#include "../vcpu.h"
#include "../vm.h"
#include "access.h"
#include "attach.h"
#include "monitor.h"
#include "pause.h"
#include "ring.h"
#include "steer.h"

#define MIN_RECORDS	16
/* Each ring has so much room in the fd's offsets; the largest takes half of it. */
#define RING_SHIFT	25
static_assert(VITRINE_RING_MAX_RECORDS * VITRINE_RECORD_BYTES + PAGE_SIZE <= 1 << RING_SHIFT);

/* The VM, which stays until unlock_vm(); NULL, and nothing is locked, if it is gone. */
static struct vitrine_vm *lock_vm(struct vitrine_monitor *monitor)
{
	struct vitrine_monitors *all = monitor->all;

	/* Who is killed hears no answer. */
	if (mutex_lock_killable(&all->lock))
		return NULL;
	if (!all->vm)
		mutex_unlock(&all->lock);
	return all->vm;
}

static void unlock_vm(struct vitrine_monitor *monitor)
{
	mutex_unlock(&monitor->all->lock);
}

static long monitor_ioctl_info(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_monitor *monitor = obj;
	struct vitrine_monitor_info *info = arg->data;
	struct vitrine_monitors *all = monitor->all;
	struct vitrine_vm *vm = lock_vm(monitor);

	if (!vm)
		return -ESRCH;
	info->vm_id = monitor->vm_id;
	info->flags = monitor->flags;
	info->nr_vcpus = atomic_read(&vm->online_vcpus);
	info->nr_monitors = all->nr;
	unlock_vm(monitor);
	info->tsc_khz = tsc_khz;
	info->tsc = rdtsc();
	info->realtime_ns = ktime_get_real_ns();
	return 0;
}

static int check_config(const struct vitrine_ring_config *config)
{
	const char *field = NULL;

	if (config->flags & ~(VITRINE_RING_STOP | VITRINE_RING_INSN))
		field = "flags";
	else if (!is_power_of_2(config->nr_records) || config->nr_records < MIN_RECORDS ||
		 config->nr_records > VITRINE_RING_MAX_RECORDS)
		field = "nr_records";
	else if (config->wakeup > config->nr_records)
		field = "wakeup";
	else if (config->vcpu_id || config->map_bytes || config->map_offset ||
		 config->reserved[0] || config->reserved[1])
		field = "reserved";
	if (!field)
		return 0;
	pr_debug_ratelimited("VITRINE_RING_CREATE: %s is not what it must be\n", field);
	return -EINVAL;
}

/* The VM is locked. */
static int add_ring(struct vitrine_monitor *monitor, struct vitrine_vm *vm,
		    struct vitrine_ring_config *config)
{
	u32 bytes = vitrine_ring_bytes(config->nr_records);
	struct vitrine_vcpu *vcpu;
	struct vitrine_ring *ring;
	int ret;

	if (config->vcpu >= (u32)atomic_read(&vm->online_vcpus))
		return -ENOENT;
	vcpu = xa_load(&vm->vcpus, config->vcpu);
	if (xa_load(&monitor->rings, config->vcpu))
		return -EEXIST;
	if (bytes > VITRINE_RINGS_MAX_BYTES - monitor->ring_bytes)
		return -ENOSPC;
	config->vcpu_id = vcpu->id;
	config->map_bytes = bytes;
	config->map_offset = (u64)config->vcpu << RING_SHIFT;
	ring = vitrine_ring_create(config, monitor->all->steering == monitor, &monitor->wait);
	if (IS_ERR(ring))
		return PTR_ERR(ring);
	ret = xa_insert(&monitor->rings, config->vcpu, ring, GFP_KERNEL_ACCOUNT);
	if (ret) {
		vitrine_ring_free(ring);
		return ret;
	}
	vitrine_ring_charge(ring);
	monitor->ring_bytes += bytes;
	vitrine_ring_start(ring, vcpu);
	return 0;
}

static long monitor_ioctl_ring_create(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct vitrine_ring_config *config = arg->data;
	struct vitrine_monitor *monitor = obj;
	unsigned long pages;
	struct vitrine_vm *vm;
	int ret;

	ret = check_config(config);
	if (ret)
		return ret;
	/* Not under the lock of the VM's monitors, as it takes the one of the tool's memory. */
	pages = vitrine_ring_bytes(config->nr_records) >> PAGE_SHIFT;
	ret = account_locked_vm(current->mm, pages, true);
	if (ret)
		return ret;
	ret = -ESRCH;
	vm = lock_vm(monitor);
	if (vm) {
		ret = add_ring(monitor, vm, arg->data);
		unlock_vm(monitor);
	}
	if (ret)
		account_locked_vm(current->mm, pages, false);
	return ret;
}

static long monitor_ioctl_ring_filter(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct vitrine_ring_filter *filter = arg->data;
	struct vitrine_monitor *monitor = obj;
	struct vitrine_ring *ring;

	if (filter->reserved) {
		pr_debug_ratelimited("VITRINE_RING_FILTER: reserved is not 0\n");
		return -EINVAL;
	}
	if (!lock_vm(monitor))
		return -ESRCH;
	ring = xa_load(&monitor->rings, filter->vcpu);
	if (ring)
		vitrine_ring_filter(ring, filter->reasons);
	unlock_vm(monitor);
	return ring ? 0 : -ENOENT;
}

static long monitor_ioctl_ring_state(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_monitor *monitor = obj;
	struct vitrine_ring_state *state = arg->data;
	const struct vitrine_ring *ring;

	if (state->reserved) {
		pr_debug_ratelimited("VITRINE_RING_STATE: reserved is not 0\n");
		return -EINVAL;
	}
	ring = xa_load(&monitor->rings, state->vcpu);
	if (!ring)
		return -ENOENT;
	state->head = READ_ONCE(ring->head);
	state->lost = READ_ONCE(ring->lost);
	return 0;
}

static const struct vitrine_ioctl monitor_ioctls[] = {
	{ VITRINE_MONITOR_INFO, 0, monitor_ioctl_info },
	{ VITRINE_RING_CREATE, 0, monitor_ioctl_ring_create },
	{ VITRINE_RING_FILTER, 0, monitor_ioctl_ring_filter },
	{ VITRINE_RING_STATE, 0, monitor_ioctl_ring_state },
	{}
};

static const struct vitrine_ioctl *const monitor_tables[] = {
	monitor_ioctls, vitrine_steer_ioctls, vitrine_registers_ioctls, vitrine_memory_ioctls,
	vitrine_pause_ioctls, vitrine_nmi_ioctls, NULL
};

static struct vitrine_ioctl_set monitor_set = { .tables = monitor_tables };

static long monitor_fd_ioctl(struct file *file, unsigned int cmd, unsigned long value)
{
	const struct vitrine_ioctl *row = vitrine_ioctl_find(&monitor_set, cmd);

	return row ? vitrine_ioctl_call(row, file->private_data, value) : -ENOTTY;
}

static __poll_t monitor_fd_poll(struct file *file, poll_table *table)
{
	struct vitrine_monitor *monitor = file->private_data;
	struct vitrine_ring *ring;
	unsigned long index;
	__poll_t events = 0;

	poll_wait(file, &monitor->wait, table);
	/* Pairs with the writer's look for sleepers, after it has counted the record. */
	smp_mb();
	if (!READ_ONCE(monitor->all->vm))
		events |= EPOLLHUP;
	if (READ_ONCE(monitor->all->steering) == monitor &&
	    vitrine_steer_readable(&monitor->all->steer))
		events |= EPOLLIN | EPOLLRDNORM;
	xa_for_each(&monitor->rings, index, ring)
		if (vitrine_ring_readable(ring))
			return events | EPOLLIN | EPOLLRDNORM;
	return events;
}

static vm_fault_t monitor_fd_fault(struct vm_fault *vmf)
{
	struct vitrine_monitor *monitor = vmf->vma->vm_file->private_data;
	const unsigned int shift = RING_SHIFT - PAGE_SHIFT;
	struct vitrine_ring *ring;
	struct page *page;

	/* It stays as long as the fd, and that as long as the mapping. */
	ring = xa_load(&monitor->rings, vmf->pgoff >> shift);
	page = ring ? vitrine_ring_page(ring, vmf->pgoff & ((1UL << shift) - 1)) : NULL;
	if (!page)
		return VM_FAULT_SIGBUS;
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct monitor_vm_ops = { .fault = monitor_fd_fault };

static int monitor_fd_mmap(struct file *file, struct vm_area_struct *vma)
{
	/* A private copy would be a ring that nobody writes. */
	if (vma->vm_flags & VM_EXEC || !(vma->vm_flags & VM_SHARED)) {
		pr_debug_ratelimited("mmap: a ring of records must be shared and not executable\n");
		return -EINVAL;
	}
	vma->vm_ops = &monitor_vm_ops;
	return 0;
}

static int monitor_fd_release(struct inode *inode, struct file *file)
{
	vitrine_monitor_free(file->private_data);
	return 0;
}

static const struct file_operations monitor_fops = {
	.owner = THIS_MODULE,
	.release = monitor_fd_release,
	.unlocked_ioctl = monitor_fd_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = monitor_fd_poll,
	.mmap = monitor_fd_mmap,
	.llseek = noop_llseek,
};

int vitrine_monitor_open_fd(struct vitrine_monitor *monitor)
{
	return anon_inode_getfd("vitrine-monitor", &monitor_fops, monitor, O_RDWR | O_CLOEXEC);
}

int vitrine_monitor_init(void)
{
	return vitrine_ioctl_set_build(&monitor_set);
}
