// SPDX-License-Identifier: GPL-2.0
/*
 * A monitor's view of the guest's memory: VITRINE_READ_MEMORY and VITRINE_WRITE_MEMORY, page by
 * page. Between two pages nothing is held, not even the VM: either side's memory may take its time.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/delay.h>
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <vitrine_access.h>

#include "../guest.h"
#include "../vcpu.h"
#include "../vm.h"
#include "access.h"
#include "attach.h"
#include "call.h"
#include "remote.h"

#define FULL_RING_MS	10

/**
 * struct memory_call - one command, and what a vCPU does for it
 * @call: the call
 * @paging: how addresses translate; of the vCPU at the beginning
 * @gpa: where the piece under way is, which is within a page
 * @remote: its page
 * @bytes: its length
 * @data: what it holds, or is to
 */
struct memory_call {
	struct vitrine_call call;
	struct vitrine_paging paging;
	gpa_t gpa;
	struct vitrine_remote remote;
	unsigned int bytes;
	u8 data[PAGE_SIZE];
};

static struct memory_call *to_memory_call(struct vitrine_call *call)
{
	return container_of(call, struct memory_call, call);
}

/* May sleep: the page can be a file's. */
static void put_piece(struct memory_call *this, bool written)
{
	if (this->remote.page && written)
		set_page_dirty_lock(this->remote.page);
	vitrine_remote_put(&this->remote);
}

/* Whoever of the two is the last: a call that nobody waited for may have written. */
static void release(struct vitrine_call *call)
{
	put_piece(to_memory_call(call), true);
}

static long do_get_paging(struct vitrine_vcpu *vcpu, struct vitrine_call *call)
{
	struct vitrine_paging *paging = &to_memory_call(call)->paging;

	vitrine_paging_get(vcpu, VITRINE_ACCESS_LOOK, paging);
	paging->remote = true;
	return 0;
}

/* With the vCPU whose ring says that the page is dirty. */
static long do_write(struct vitrine_vcpu *vcpu, struct vitrine_call *call)
{
	struct memory_call *this = to_memory_call(call);

	if (vitrine_dirty_ring_soft_full(vcpu)) {
		/* Its VMM has to make room. */
		vitrine_vcpu_request(vcpu, VITRINE_REQ_DIRTY_RING);
		return -EAGAIN;
	}
	return vitrine_remote_write(vcpu->vm, this->gpa, &this->remote, this->data, this->bytes);
}

static bool is_address(const struct vitrine_paging *paging, u64 gva)
{
	if (!paging->long_mode)
		return !(gva >> 32);
	return (u64)sign_extend64(gva, paging->levels == 5 ? 56 : 47) == gva;
}

/* 0, -EINTR, or -EFAULT where nothing is mapped. */
static long translate(struct vitrine_vm *vm, const struct vitrine_memory *memory,
		      const struct vitrine_paging *paging, u64 address, gpa_t *gpa)
{
	struct vitrine_walk walk;
	int ret;

	*gpa = address;
	if (!(memory->flags & VITRINE_MEMORY_VIRTUAL))
		return 0;
	if (!is_address(paging, address))
		return -EFAULT;
	ret = vitrine_paging_walk(vm, paging, address, VITRINE_ACCESS_LOOK, &walk);
	if (ret)
		return ret;
	*gpa = walk.gpa;
	return walk.fault ? -EFAULT : 0;
}

static long write_piece(struct vitrine_vm *vm, const struct vitrine_memory *memory,
			struct memory_call *this)
{
	struct vitrine_vcpu *vcpu;
	long ret;

	ret = vitrine_remote_write(vm, this->gpa, &this->remote, this->data, this->bytes);
	if (ret != -EXDEV)
		return ret;
	vcpu = vitrine_monitor_vcpu(vm, memory->vcpu);
	if (!vcpu)
		return -ENOENT;
	this->call.fn = do_write;
	return vitrine_call(vcpu, &this->call);
}

/* Between guest and this->data. 0 or -errno. */
static long move_piece(struct vitrine_monitor *monitor, const struct vitrine_memory *memory,
		       struct memory_call *this, u64 address, bool write)
{
	struct vitrine_vm *vm;
	long ret;

	do {
		vm = vitrine_monitor_get_vm(monitor);
		if (!vm)
			return -ESRCH;
		ret = translate(vm, memory, &this->paging, address, &this->gpa);
		if (!ret)
			ret = vitrine_remote_get(vm, this->gpa, write, &this->remote);
		if (!ret && write)
			ret = write_piece(vm, memory, this);
		else if (!ret)
			ret = vitrine_remote_read(vm, this->gpa, &this->remote, this->data,
						  this->bytes);
		/* What a call still has, or may have, is its own to put. */
		if (ret != -EINTR && ret != -EIO)
			put_piece(this, write);
		vitrine_vm_put(vm);
		/* With nothing held: its VMM may be gone, and never make room. */
		if (ret == -EAGAIN && msleep_interruptible(FULL_RING_MS))
			ret = -EINTR;
		if (fatal_signal_pending(current))
			ret = -EINTR;
	} while (ret == -ESTALE || ret == -EAGAIN);
	return ret == -ENOENT ? -EFAULT : ret;
}

static long get_paging(struct vitrine_monitor *monitor, const struct vitrine_memory *memory,
		       struct memory_call *this)
{
	struct vitrine_vm *vm = vitrine_monitor_get_vm(monitor);
	struct vitrine_vcpu *vcpu;
	long ret = -ENOENT;

	if (!vm)
		return -ESRCH;
	vcpu = vitrine_monitor_vcpu(vm, memory->vcpu);
	if (vcpu)
		ret = vitrine_call(vcpu, &this->call);
	vitrine_vm_put(vm);
	return ret;
}

/* How many bytes, or -errno if it failed at the first. */
static long move(struct vitrine_monitor *monitor, const struct vitrine_memory *memory,
		 struct memory_call *this, bool write)
{
	u8 __user *user = u64_to_user_ptr(memory->data);
	u32 done = 0;
	long ret = 0;

	while (!ret && done < memory->bytes) {
		u64 address = memory->address + done;

		this->bytes = min_t(u32, memory->bytes - done, PAGE_SIZE - offset_in_page(address));
		if (write && copy_from_user(this->data, user + done, this->bytes))
			ret = -EFAULT;
		if (!ret)
			ret = move_piece(monitor, memory, this, address, write);
		if (!ret && !write && copy_to_user(user + done, this->data, this->bytes))
			ret = -EFAULT;
		if (!ret)
			done += this->bytes;
		if (!ret && done < memory->bytes && signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	return done ? done : ret;
}

static long check(const struct vitrine_memory *memory)
{
	const char *field = NULL;

	if (memory->flags & ~VITRINE_MEMORY_VIRTUAL)
		field = "flags";
	else if (memory->reserved)
		field = "reserved";
	else if (memory->bytes > VITRINE_MEMORY_MAX_BYTES)
		field = "bytes";
	else if (memory->bytes && memory->address + memory->bytes - 1 < memory->address)
		field = "address";
	if (!field)
		return 0;
	pr_debug_ratelimited("VITRINE_READ_MEMORY, WRITE_MEMORY: field %s is not what it must be\n",
			     field);
	return -EINVAL;
}

static long access_memory(struct vitrine_monitor *monitor, const struct vitrine_memory *memory,
			  bool write)
{
	struct memory_call *this;
	long ret;

	if (write && !monitor->controls)
		return -EPERM;
	ret = check(memory);
	if (ret)
		return ret;
	this = kzalloc(sizeof(*this), GFP_KERNEL_ACCOUNT);
	if (!this)
		return -ENOMEM;
	vitrine_call_init(&this->call, do_get_paging);
	this->call.release = release;
	if (memory->flags & VITRINE_MEMORY_VIRTUAL)
		ret = get_paging(monitor, memory, this);
	if (!ret)
		ret = move(monitor, memory, this, write);
	vitrine_call_put(&this->call);
	return ret;
}

static long memory_ioctl_read(void *obj, struct vitrine_ioctl_arg *arg)
{
	return access_memory(obj, arg->data, false);
}

static long memory_ioctl_write(void *obj, struct vitrine_ioctl_arg *arg)
{
	return access_memory(obj, arg->data, true);
}

const struct vitrine_ioctl vitrine_memory_ioctls[] = {
	{ VITRINE_READ_MEMORY, 0, memory_ioctl_read },
	{ VITRINE_WRITE_MEMORY, 0, memory_ioctl_write },
	{}
};
