// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the eventfds that a guest's writes signal: a device on the bus for each. It must not know
 * how the write got here, nor who waits for the eventfd.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/list.h>
#include <linux/slab.h>

#include "bus.h"
#include "compat.h"
#include "ioeventfd.h"
#include "vm.h"

#define KNOWN_FLAGS	(KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO | \
			 KVM_IOEVENTFD_FLAG_DEASSIGN)

struct ioeventfd {
	struct vitrine_bus_dev dev;	/* [I] its length is the write's, 0: any */
	struct eventfd_ctx *eventfd;	/* [I] */
	u64 datamatch;			/* [I] what must be written, if @matches */
	bool matches;			/* [I] */
	unsigned int bus;		/* [I] */
	struct list_head node;		/* vm->ioeventfds */
};

static bool data_matches(const struct ioeventfd *ioeventfd, const void *data)
{
	u64 value;

	switch (ioeventfd->dev.len_bytes) {
	case 1:
		value = *(const u8 *)data;
		break;
	case 2:
		value = *(const u16 *)data;
		break;
	case 4:
		value = *(const u32 *)data;
		break;
	default:
		value = *(const u64 *)data;
		break;
	}
	return value == ioeventfd->datamatch;
}

static int ioeventfd_write(struct vitrine_vcpu *vcpu, struct vitrine_bus_dev *dev, gpa_t addr,
			   const void *data, unsigned int len_bytes)
{
	const struct ioeventfd *ioeventfd = container_of(dev, struct ioeventfd, dev);

	if (dev->len_bytes) {
		if (addr != dev->base || len_bytes != dev->len_bytes)
			return -EOPNOTSUPP;
		if (ioeventfd->matches && !data_matches(ioeventfd, data))
			return -EOPNOTSUPP;
	}
	vitrine_eventfd_signal(ioeventfd->eventfd);
	return 0;
}

static void ioeventfd_free(struct vitrine_bus_dev *dev)
{
	struct ioeventfd *ioeventfd = container_of(dev, struct ioeventfd, dev);

	eventfd_ctx_put(ioeventfd->eventfd);
	kfree(ioeventfd);
}

static const struct vitrine_bus_ops ioeventfd_ops = {
	.write = ioeventfd_write,
	.destroy = ioeventfd_free,
};

/* Could one write signal both, where only one of them is asked? */
static bool collide(const struct ioeventfd *a, const struct ioeventfd *b)
{
	if (a->bus != b->bus || a->dev.base != b->dev.base)
		return false;
	if (!a->dev.len_bytes || !b->dev.len_bytes)
		return true;
	if (a->dev.len_bytes != b->dev.len_bytes)
		return false;
	return !a->matches || !b->matches || a->datamatch == b->datamatch;
}

static int add(struct vitrine_vm *vm, struct ioeventfd *ioeventfd)
{
	struct ioeventfd *other;
	int ret;

	lockdep_assert_held(&vm->slots_lock);
	list_for_each_entry(other, &vm->ioeventfds, node) {
		if (!collide(ioeventfd, other))
			continue;
		pr_debug_ratelimited("KVM_IOEVENTFD: field addr is %#llx, where another one answers\n",
				     ioeventfd->dev.base);
		return -EEXIST;
	}
	ret = vitrine_bus_add(vm, ioeventfd->bus, &ioeventfd->dev);
	if (!ret)
		list_add_tail(&ioeventfd->node, &vm->ioeventfds);
	return ret;
}

static unsigned int bus_of(const struct kvm_ioeventfd *args)
{
	return args->flags & KVM_IOEVENTFD_FLAG_PIO ? VITRINE_BUS_PIO : VITRINE_BUS_MMIO;
}

static int check(const struct kvm_ioeventfd *args)
{
	if (args->flags & ~KNOWN_FLAGS) {
		pr_debug_ratelimited("KVM_IOEVENTFD: field flags is %#x, must be within %#x\n",
				     args->flags, KNOWN_FLAGS);
		return -EINVAL;
	}
	if (args->len > 8 || (args->len && !is_power_of_2(args->len))) {
		pr_debug_ratelimited("KVM_IOEVENTFD: field len is %u, must be 0, 1, 2, 4 or 8\n",
				     args->len);
		return -EINVAL;
	}
	if (args->addr + args->len < args->addr) {
		pr_debug_ratelimited("KVM_IOEVENTFD: field addr is %#llx, the range wraps around\n",
				     args->addr);
		return -EINVAL;
	}
	if (!args->len && args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH) {
		pr_debug_ratelimited("KVM_IOEVENTFD: field len is 0, so there is no data to match\n");
		return -EINVAL;
	}
	return 0;
}

static int assign(struct vitrine_vm *vm, const struct kvm_ioeventfd *args)
{
	struct ioeventfd *ioeventfd;
	int ret = check(args);

	if (ret)
		return ret;
	ioeventfd = kzalloc(sizeof(*ioeventfd), GFP_KERNEL_ACCOUNT);
	if (!ioeventfd)
		return -ENOMEM;
	ioeventfd->eventfd = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(ioeventfd->eventfd)) {
		ret = PTR_ERR(ioeventfd->eventfd);
		kfree(ioeventfd);
		return ret;
	}
	ioeventfd->dev.ops = &ioeventfd_ops;
	ioeventfd->dev.base = args->addr;
	ioeventfd->dev.len_bytes = args->len;
	ioeventfd->dev.eventfd = true;
	ioeventfd->bus = bus_of(args);
	ioeventfd->matches = args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH;
	ioeventfd->datamatch = args->datamatch;

	mutex_lock(&vm->slots_lock);
	ret = add(vm, ioeventfd);
	mutex_unlock(&vm->slots_lock);
	if (ret)
		ioeventfd_free(&ioeventfd->dev);
	return ret;
}

static struct ioeventfd *find(struct vitrine_vm *vm, const struct kvm_ioeventfd *args,
			      const struct eventfd_ctx *eventfd)
{
	bool matches = args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH;
	struct ioeventfd *ioeventfd;

	lockdep_assert_held(&vm->slots_lock);
	list_for_each_entry(ioeventfd, &vm->ioeventfds, node)
		if (ioeventfd->bus == bus_of(args) && ioeventfd->eventfd == eventfd &&
		    ioeventfd->dev.base == args->addr && ioeventfd->dev.len_bytes == args->len &&
		    ioeventfd->matches == matches &&
		    (!matches || ioeventfd->datamatch == args->datamatch))
			return ioeventfd;
	return NULL;
}

/* No write that comes after the return signals it. */
static int deassign(struct vitrine_vm *vm, const struct kvm_ioeventfd *args)
{
	struct eventfd_ctx *eventfd = eventfd_ctx_fdget(args->fd);
	struct ioeventfd *ioeventfd;
	int ret = -ENOENT;

	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	mutex_lock(&vm->slots_lock);
	ioeventfd = find(vm, args, eventfd);
	if (ioeventfd)
		ret = vitrine_bus_remove(vm, ioeventfd->bus, &ioeventfd->dev);
	if (!ret) {
		list_del(&ioeventfd->node);
		ioeventfd_free(&ioeventfd->dev);
	}
	mutex_unlock(&vm->slots_lock);
	eventfd_ctx_put(eventfd);
	return ret;
}

static long ioeventfd_ioctl(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_ioeventfd *args = arg->data;

	return args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN ? deassign(obj, args) : assign(obj, args);
}

const struct vitrine_ioctl vitrine_ioeventfd_ioctls[] = {
	{ KVM_IOEVENTFD, 0, ioeventfd_ioctl },
	{}
};
