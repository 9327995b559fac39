// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory for who is not the VMM. Pages are taken from the VMM's address space one at a time,
 * each for the moment of a copy, so that neither it nor the VM is kept for longer. They are pinned,
 * so that a VMM that forks meanwhile keeps the one that is written.
 */
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/srcu.h>
#include <linux/string.h>

#include "../compat.h"
#include "../memslot.h"
#include "../vcpu.h"
#include "../vm.h"
#include "attach.h"
#include "remote.h"

static struct vitrine_memslot *find_slot(struct vitrine_vm *vm, gpa_t gpa, bool write)
{
	struct vitrine_memslot *slot =
		vitrine_memslot_find(srcu_dereference(vm->slots, &vm->srcu), gpa >> PAGE_SHIFT);

	return slot && write && slot->flags & KVM_MEM_READONLY ? NULL : slot;
}

/* Where the VMM has the page, or 0; at once, as a slot is not kept. */
static unsigned long find_hva(struct vitrine_vm *vm, gpa_t gpa, bool write)
{
	const struct vitrine_memslot *slot;
	unsigned long hva = 0;
	int idx;

	idx = srcu_read_lock(&vm->srcu);
	slot = find_slot(vm, gpa, write);
	if (slot)
		hva = vitrine_memslot_hva(slot, gpa >> PAGE_SHIFT);
	srcu_read_unlock(&vm->srcu, idx);
	return hva;
}

int vitrine_remote_get(struct vitrine_vm *vm, gpa_t gpa, bool write, struct vitrine_remote *remote)
{
	unsigned int flags = VITRINE_FOLL_INTERRUPTIBLE | (write ? FOLL_WRITE : 0);
	struct mm_struct *mm = vm->mm;
	int locked = 1;
	long ret;

	remote->page = NULL;
	remote->hva = find_hva(vm, gpa, write);
	if (!remote->hva)
		return -ENOENT;
	if (!mmget_not_zero(mm))
		return -ESRCH;
	ret = mmap_read_lock_killable(mm);
	if (!ret) {
		ret = vitrine_pin_page_remote(mm, remote->hva, flags, &remote->page, &locked);
		if (locked)
			mmap_read_unlock(mm);
	}
	mmput(mm);
	if (ret == 1)
		return 0;
	remote->page = NULL;
	return signal_pending(current) ? -EINTR : -EFAULT;
}

void vitrine_remote_put(struct vitrine_remote *remote)
{
	if (remote->page)
		unpin_user_page(remote->page);
	remote->page = NULL;
}

int vitrine_remote_read(struct vitrine_vm *vm, gpa_t gpa, const struct vitrine_remote *remote,
			void *data, unsigned int bytes)
{
	int idx, ret = -ESTALE;

	idx = srcu_read_lock(&vm->srcu);
	/* Is the page still the one of @gpa, and the VM one that a monitor may look into? */
	if (find_hva(vm, gpa, false) == remote->hva && vitrine_monitors_may_reach(vm)) {
		memcpy(data, page_address(remote->page) + offset_in_page(gpa), bytes);
		ret = 0;
	}
	srcu_read_unlock(&vm->srcu, idx);
	return ret;
}

int vitrine_remote_read_entry(struct vitrine_vm *vm, gpa_t gpa, u64 *entry, unsigned int bytes)
{
	struct vitrine_remote remote;
	const void *from;
	int ret;

	ret = vitrine_remote_get(vm, gpa, false, &remote);
	if (ret)
		return ret;
	/* Entries are aligned, and other CPUs of the guest's may change them now. */
	from = page_address(remote.page) + offset_in_page(gpa);
	*entry = bytes == sizeof(u64) ? READ_ONCE(*(const u64 *)from) :
					READ_ONCE(*(const u32 *)from);
	vitrine_remote_put(&remote);
	return 0;
}

int vitrine_remote_write(struct vitrine_vm *vm, gpa_t gpa, struct vitrine_remote *remote,
			 const void *data, unsigned int bytes)
{
	struct vitrine_memslot *slot;
	int idx, ret = -ESTALE;

	idx = srcu_read_lock(&vm->srcu);
	slot = find_slot(vm, gpa, true);
	if (!slot || !vitrine_monitors_may_reach(vm) ||
	    vitrine_memslot_hva(slot, gpa >> PAGE_SHIFT) != remote->hva)
		goto out;
	ret = -EXDEV;
	if (vitrine_memslot_is_logged(slot) && !READ_ONCE(slot->dirty_bitmap) &&
	    !vitrine_vcpu_current())
		goto out;
	memcpy(page_address(remote->page) + offset_in_page(gpa), data, bytes);
	vitrine_memslot_mark_dirty(slot, gpa >> PAGE_SHIFT);
	ret = 0;
out:
	srcu_read_unlock(&vm->srcu, idx);
	return ret;
}
