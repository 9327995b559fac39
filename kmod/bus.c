// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the two arrays of in-kernel devices of a VM (ports, guest-physical addresses). It must not
 * know what the devices are; only the local APIC's page, which every vCPU has of its own, is
 * asked before the shared array.
 *
 * A lookup sits on the way of every port access that goes out to userspace, so it is a binary
 * search in an array of a few ranges and nothing else.
 */
#include <linux/slab.h>
#include <linux/srcu.h>

#include "bus.h"
#include "irq/lapic.h"
#include "vcpu.h"
#include "vm.h"

#define BUS_MAX_DEVS	1000
#define BUS_MAX_EVENTFDS	4096	/* more than devices: each queue of one has its own */

/*
 * reach: the highest address that this range or one before it covers, where a walk backwards may
 * end.
 */
struct bus_range {
	gpa_t base;
	gpa_t last;
	gpa_t reach;
	struct vitrine_bus_dev *dev;
};

struct vitrine_bus {
	struct rcu_head rcu;
	unsigned int nr;
	unsigned int nr_eventfds;
	struct bus_range range[];
};

/* The ranges that begin at or below @addr are those before the returned index. */
static unsigned int bus_upper_bound(const struct vitrine_bus *bus, gpa_t addr)
{
	unsigned int low = 0, high = bus->nr;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (bus->range[middle].base <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A device without a length answers accesses of any length at exactly its address. */
static bool range_covers(const struct bus_range *range, gpa_t addr, unsigned int len_bytes)
{
	if (!range->dev->len_bytes)
		return addr == range->base;
	return addr + len_bytes - 1 <= range->last;
}

int vitrine_bus_read(struct vitrine_vcpu *vcpu, unsigned int index, gpa_t addr, void *data,
		     unsigned int len_bytes)
{
	struct vitrine_bus *bus;
	unsigned int i;
	int ret;

	if (index == VITRINE_BUS_MMIO && vitrine_lapic_owns(vcpu, addr))
		return vitrine_lapic_mmio_read(vcpu, addr, data, len_bytes);

	bus = srcu_dereference(vcpu->vm->buses[index], &vcpu->vm->srcu);
	if (!bus)
		return -EOPNOTSUPP;
	for (i = bus_upper_bound(bus, addr); i-- && bus->range[i].reach >= addr;) {
		struct vitrine_bus_dev *dev = bus->range[i].dev;

		if (!range_covers(&bus->range[i], addr, len_bytes) || !dev->ops->read)
			continue;
		ret = dev->ops->read(vcpu, dev, addr, data, len_bytes);
		if (ret != -EOPNOTSUPP)
			return ret;
	}
	return -EOPNOTSUPP;
}

int vitrine_bus_write(struct vitrine_vcpu *vcpu, unsigned int index, gpa_t addr, const void *data,
		      unsigned int len_bytes)
{
	struct vitrine_bus *bus;
	unsigned int i;
	int ret;

	if (index == VITRINE_BUS_MMIO && vitrine_lapic_owns(vcpu, addr))
		return vitrine_lapic_mmio_write(vcpu, addr, data, len_bytes);

	bus = srcu_dereference(vcpu->vm->buses[index], &vcpu->vm->srcu);
	if (!bus)
		return -EOPNOTSUPP;
	for (i = bus_upper_bound(bus, addr); i-- && bus->range[i].reach >= addr;) {
		struct vitrine_bus_dev *dev = bus->range[i].dev;

		if (!range_covers(&bus->range[i], addr, len_bytes) || !dev->ops->write)
			continue;
		ret = dev->ops->write(vcpu, dev, addr, data, len_bytes);
		if (ret != -EOPNOTSUPP)
			return ret;
	}
	return -EOPNOTSUPP;
}

static struct vitrine_bus *bus_alloc(unsigned int nr, unsigned int nr_eventfds)
{
	struct vitrine_bus *bus = kvmalloc(struct_size(bus, range, nr), GFP_KERNEL_ACCOUNT);

	if (bus) {
		bus->nr = nr;
		bus->nr_eventfds = nr_eventfds;
	}
	return bus;
}

static void bus_set_reach(struct vitrine_bus *bus)
{
	gpa_t reach = 0;
	unsigned int i;

	for (i = 0; i < bus->nr; i++) {
		reach = max(reach, bus->range[i].last);
		bus->range[i].reach = reach;
	}
}

static void bus_free_rcu(struct rcu_head *rcu)
{
	kvfree(container_of(rcu, struct vitrine_bus, rcu));
}

static struct vitrine_bus *bus_locked(struct vitrine_vm *vm, unsigned int index)
{
	return rcu_dereference_protected(vm->buses[index], lockdep_is_held(&vm->slots_lock));
}

int vitrine_bus_add(struct vitrine_vm *vm, unsigned int index, struct vitrine_bus_dev *dev)
{
	struct vitrine_bus *old, *new;
	unsigned int at, nr, nr_eventfds;

	lockdep_assert_held(&vm->slots_lock);
	old = bus_locked(vm, index);
	nr = old ? old->nr : 0;
	nr_eventfds = old ? old->nr_eventfds : 0;
	if (dev->eventfd ? nr_eventfds >= BUS_MAX_EVENTFDS : nr - nr_eventfds >= BUS_MAX_DEVS)
		return -ENOSPC;
	new = bus_alloc(nr + 1, nr_eventfds + dev->eventfd);
	if (!new)
		return -ENOMEM;

	at = old ? bus_upper_bound(old, dev->base) : 0;
	if (old) {
		memcpy(new->range, old->range, at * sizeof(new->range[0]));
		memcpy(new->range + at + 1, old->range + at, (nr - at) * sizeof(new->range[0]));
	}
	new->range[at] = (struct bus_range){
		.base = dev->base,
		.last = dev->base + max_t(u64, dev->len_bytes, 1) - 1,
		.dev = dev,
	};
	bus_set_reach(new);

	rcu_assign_pointer(vm->buses[index], new);
	if (old) {
		call_srcu(&vm->srcu, &old->rcu, bus_free_rcu);
		vitrine_vm_count_retired(vm);
	}
	return 0;
}

/* Waits for readers: after it the caller may free @dev. */
int vitrine_bus_remove(struct vitrine_vm *vm, unsigned int index, struct vitrine_bus_dev *dev)
{
	struct vitrine_bus *old, *new = NULL;
	unsigned int at;

	lockdep_assert_held(&vm->slots_lock);
	old = bus_locked(vm, index);
	if (!old)
		return -ENOENT;
	for (at = 0; at < old->nr; at++)
		if (old->range[at].dev == dev)
			break;
	if (at == old->nr)
		return -ENOENT;

	if (old->nr > 1) {
		new = bus_alloc(old->nr - 1, old->nr_eventfds - dev->eventfd);
		if (!new)
			return -ENOMEM;
		memcpy(new->range, old->range, at * sizeof(new->range[0]));
		memcpy(new->range + at, old->range + at + 1,
		       (old->nr - 1 - at) * sizeof(new->range[0]));
		bus_set_reach(new);
	}
	rcu_assign_pointer(vm->buses[index], new);
	synchronize_srcu_expedited(&vm->srcu);
	kvfree(old);
	return 0;
}

int vitrine_bus_init(struct vitrine_vm *vm)
{
	unsigned int i;

	for (i = 0; i < VITRINE_NR_BUSES; i++)
		RCU_INIT_POINTER(vm->buses[i], NULL);
	return 0;
}

/* Nobody can reach the VM any more. */
void vitrine_bus_destroy(struct vitrine_vm *vm)
{
	unsigned int i, at;

	srcu_barrier(&vm->srcu);
	for (i = 0; i < VITRINE_NR_BUSES; i++) {
		struct vitrine_bus *bus = rcu_dereference_protected(vm->buses[i], true);

		RCU_INIT_POINTER(vm->buses[i], NULL);
		for (at = 0; bus && at < bus->nr; at++)
			if (bus->range[at].dev->ops->destroy)
				bus->range[at].dev->ops->destroy(bus->range[at].dev);
		kvfree(bus);
	}
}
