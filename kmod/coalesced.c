// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the zones whose writes are coalesced, and the kernel's end of the ring. The ring's indices
 * are the VMM's word as much as ours: each is read once and bounded before it is used.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/gfp.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "bus.h"
#include "coalesced.h"
#include "vcpu.h"
#include "vm.h"

struct coalesced_zone {
	struct vitrine_bus_dev dev;	/* [I] */
	unsigned int bus;		/* [I] */
	struct list_head node;		/* vm->coalesced.zones */
};

static int zone_write(struct vitrine_vcpu *vcpu, struct vitrine_bus_dev *dev, gpa_t addr,
		      const void *data, unsigned int len_bytes)
{
	struct coalesced_zone *zone = container_of(dev, struct coalesced_zone, dev);
	struct vitrine_coalesced *coalesced = &vcpu->vm->coalesced;
	struct kvm_coalesced_mmio_ring *ring = page_address(coalesced->page);
	struct kvm_coalesced_mmio *entry;
	int ret = -EOPNOTSUPP;
	u32 last, next;

	/* A bus takes a length of 0 for "any"; a zone of no bytes has none. */
	if (!dev->len_bytes || len_bytes > sizeof(entry->data))
		return -EOPNOTSUPP;

	spin_lock(&coalesced->lock);
	last = READ_ONCE(ring->last);
	next = (last + 1) % KVM_COALESCED_MMIO_MAX;
	/* Full, or the VMM wrote nonsense: it gets this write, and all before it, by an exit. */
	if (last < KVM_COALESCED_MMIO_MAX && next != READ_ONCE(ring->first)) {
		entry = &ring->coalesced_mmio[array_index_nospec(last, KVM_COALESCED_MMIO_MAX)];
		entry->phys_addr = addr;
		entry->len = len_bytes;
		memcpy(entry->data, data, len_bytes);
		entry->pio = zone->bus == VITRINE_BUS_PIO;
		/* The VMM reads the entry after it has seen the index. */
		smp_store_release(&ring->last, next);
		ret = 0;
	}
	spin_unlock(&coalesced->lock);
	return ret;
}

static void zone_free(struct vitrine_bus_dev *dev)
{
	kfree(container_of(dev, struct coalesced_zone, dev));
}

static const struct vitrine_bus_ops zone_ops = {
	.write = zone_write,
	.destroy = zone_free,
};

static int check_pio(const char *name, const struct kvm_coalesced_mmio_zone *args)
{
	if (args->pio <= 1)
		return 0;
	pr_debug_ratelimited("%s: field pio is %u, must be 0 or 1\n", name, args->pio);
	return -EINVAL;
}

static long coalesced_ioctl_register(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_coalesced_mmio_zone *args = arg->data;
	struct vitrine_vm *vm = obj;
	struct coalesced_zone *zone;
	int ret = check_pio("KVM_REGISTER_COALESCED_MMIO", args);

	if (ret)
		return ret;
	zone = kzalloc(sizeof(*zone), GFP_KERNEL_ACCOUNT);
	if (!zone)
		return -ENOMEM;
	zone->dev.ops = &zone_ops;
	zone->dev.base = args->addr;
	zone->dev.len_bytes = args->size;
	zone->bus = args->pio ? VITRINE_BUS_PIO : VITRINE_BUS_MMIO;

	mutex_lock(&vm->slots_lock);
	ret = vitrine_bus_add(vm, zone->bus, &zone->dev);
	if (!ret)
		list_add_tail(&zone->node, &vm->coalesced.zones);
	mutex_unlock(&vm->slots_lock);
	if (ret)
		kfree(zone);
	return ret;
}

static bool zone_covers(const struct coalesced_zone *zone,
			const struct kvm_coalesced_mmio_zone *args)
{
	u64 offset = args->addr - zone->dev.base;

	return zone->bus == (args->pio ? VITRINE_BUS_PIO : VITRINE_BUS_MMIO) &&
	       args->addr >= zone->dev.base && args->size <= zone->dev.len_bytes &&
	       offset <= zone->dev.len_bytes - args->size;
}

/* As in KVM: every zone that the range lies in goes, as a whole, and to find none is no error. */
static long coalesced_ioctl_unregister(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_coalesced_mmio_zone *args = arg->data;
	struct vitrine_vm *vm = obj;
	struct coalesced_zone *zone, *next;
	int ret = check_pio("KVM_UNREGISTER_COALESCED_MMIO", args);

	if (ret)
		return ret;
	mutex_lock(&vm->slots_lock);
	list_for_each_entry_safe(zone, next, &vm->coalesced.zones, node) {
		if (!zone_covers(zone, args))
			continue;
		ret = vitrine_bus_remove(vm, zone->bus, &zone->dev);
		if (ret)
			break;
		list_del(&zone->node);
		kfree(zone);
	}
	mutex_unlock(&vm->slots_lock);
	return ret;
}

struct page *vitrine_coalesced_get_page(struct vitrine_vm *vm)
{
	get_page(vm->coalesced.page);
	return vm->coalesced.page;
}

int vitrine_coalesced_init(struct vitrine_vm *vm)
{
	struct vitrine_coalesced *coalesced = &vm->coalesced;

	spin_lock_init(&coalesced->lock);
	INIT_LIST_HEAD(&coalesced->zones);
	coalesced->page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	return coalesced->page ? 0 : -ENOMEM;
}

void vitrine_coalesced_destroy(struct vitrine_vm *vm)
{
	put_page(vm->coalesced.page);
}

const struct vitrine_ioctl vitrine_coalesced_ioctls[] = {
	{ KVM_REGISTER_COALESCED_MMIO, 0, coalesced_ioctl_register },
	{ KVM_UNREGISTER_COALESCED_MMIO, 0, coalesced_ioctl_unregister },
	{}
};
