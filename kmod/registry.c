// SPDX-License-Identifier: GPL-2.0
/*
 * Every VM by its id: for those who come by another way than its file descriptors. Two locks: one
 * that sleeps holds VMs where they are while somebody goes through all of them; the XArray's own,
 * innermost and spinning, is all that a look-up takes.
 */
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/xarray.h>

#include "registry.h"
#include "vm.h"

static DEFINE_MUTEX(registry_lock);
static DEFINE_XARRAY_FLAGS(vms, XA_FLAGS_ACCOUNT);	/* written under registry_lock */
static unsigned int nr_vms;		/* [registry_lock] */
static u64 next_id = 1;			/* [registry_lock] */

int vitrine_registry_add(struct vitrine_vm *vm)
{
	int ret;

	/* An id is an index. */
	BUILD_BUG_ON(sizeof(vm->id) != sizeof(unsigned long));
	mutex_lock(&registry_lock);
	vm->id = next_id;
	ret = xa_err(xa_store(&vms, vm->id, vm, GFP_KERNEL_ACCOUNT));
	if (!ret) {
		next_id++;
		WRITE_ONCE(nr_vms, nr_vms + 1);
	}
	mutex_unlock(&registry_lock);
	return ret;
}

void vitrine_registry_remove(struct vitrine_vm *vm)
{
	mutex_lock(&registry_lock);
	/* Takes the XArray's lock: who found the VM before has seen that no reference is left. */
	xa_erase(&vms, vm->id);
	WRITE_ONCE(nr_vms, nr_vms - 1);
	mutex_unlock(&registry_lock);
}

struct vitrine_vm *vitrine_vm_get_by_id(u64 id)
{
	struct vitrine_vm *vm;

	xa_lock(&vms);
	vm = xa_load(&vms, id);
	if (vm && !refcount_inc_not_zero(&vm->users))
		vm = NULL;
	xa_unlock(&vms);
	return vm;
}

struct vitrine_vm *vitrine_vm_get_next(u64 *id)
{
	unsigned long index = *id;
	struct vitrine_vm *vm;

	xa_lock(&vms);
	vm = xa_find(&vms, &index, ULONG_MAX, XA_PRESENT);
	while (vm && !refcount_inc_not_zero(&vm->users))
		vm = xa_find_after(&vms, &index, ULONG_MAX, XA_PRESENT);
	xa_unlock(&vms);
	if (vm)
		*id = index;
	return vm;
}

unsigned int vitrine_vm_count(void)
{
	return READ_ONCE(nr_vms);
}

void vitrine_vm_for_each(void (*fn)(struct vitrine_vm *vm))
{
	struct vitrine_vm *vm;
	unsigned long id;

	mutex_lock(&registry_lock);
	xa_for_each(&vms, id, vm)
		fn(vm);
	mutex_unlock(&registry_lock);
}

void vitrine_registry_walk_alone(void (*fn)(struct vitrine_vm *vm, void *data), void *data)
{
	struct vitrine_vm *vm;
	unsigned long id;

	lockdep_assert_irqs_disabled();
	/* Who was stopped on its way to free one has taken it out before. */
	rcu_read_lock();
	xa_for_each(&vms, id, vm)
		fn(vm, data);
	rcu_read_unlock();
}

void vitrine_registry_exit(void)
{
	WARN_ON(!xa_empty(&vms));
}
