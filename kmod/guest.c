// SPDX-License-Identifier: GPL-2.0
/*
 * Reading and writing guest-physical memory in the VMM's own context, through the host addresses of
 * the slots.
 *
 * Goes by what the VMM may do with its mapping: no second-level table is looked at, and nothing is
 * pinned.
 */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>

#include "guest.h"
#include "memslot.h"
#include "vm.h"

static struct vitrine_memslot *guest_slot(struct vitrine_vm *vm, gpa_t gpa, bool write)
{
	struct vitrine_memslot *slot;

	/* A worker or another process would reach its own memory. */
	if (WARN_ON_ONCE(current->mm != vm->mm))
		return NULL;
	slot = vitrine_memslot_find(srcu_dereference(vm->slots, &vm->srcu), gpa >> PAGE_SHIFT);
	return slot && write && slot->flags & KVM_MEM_READONLY ? NULL : slot;
}

bool vitrine_guest_has_memory(struct vitrine_vm *vm, gpa_t gpa, bool write)
{
	return guest_slot(vm, gpa, write);
}

static void __user *slot_address(const struct vitrine_memslot *slot, gpa_t gpa)
{
	return (void __user *)(vitrine_memslot_hva(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa));
}

static unsigned int bytes_in_page(gpa_t gpa, unsigned int len_bytes)
{
	return min_t(unsigned int, len_bytes, PAGE_SIZE - offset_in_page(gpa));
}

/*
 * One to 16 bytes, as an instruction or one access has them, by two loads that may overlap:
 * copy_from_user() takes several times as long to find out what it is to do.
 */
static int read_few(const void __user *from, void *data, unsigned int len_bytes)
{
#define READ_TWICE(type) do {								\
	unsigned int last_at = len_bytes - sizeof(type);				\
	type first, last;								\
											\
	unsafe_get_user(first, (const type __user *)from, fault);			\
	unsafe_get_user(last, (const type __user *)(from + last_at), fault);		\
	memcpy(data, &first, sizeof(type));						\
	memcpy(data + last_at, &last, sizeof(type));					\
} while (0)
	if (!user_read_access_begin(from, len_bytes))
		return -EFAULT;
	if (len_bytes >= sizeof(u64))
		READ_TWICE(u64);
	else if (len_bytes >= sizeof(u32))
		READ_TWICE(u32);
	else if (len_bytes >= sizeof(u16))
		READ_TWICE(u16);
	else
		unsafe_get_user(*(u8 *)data, (const u8 __user *)from, fault);
#undef READ_TWICE
	user_read_access_end();
	return 0;
fault:
	user_read_access_end();
	return -EFAULT;
}

int vitrine_guest_read(struct vitrine_vm *vm, gpa_t gpa, void *data, unsigned int len_bytes)
{
	while (len_bytes) {
		unsigned int bytes = bytes_in_page(gpa, len_bytes);
		const struct vitrine_memslot *slot = guest_slot(vm, gpa, false);

		if (!slot)
			return -ENOENT;
		if (bytes <= 2 * sizeof(u64)) {
			if (read_few(slot_address(slot, gpa), data, bytes))
				return -EFAULT;
		} else if (copy_from_user(data, slot_address(slot, gpa), bytes)) {
			return -EFAULT;
		}
		gpa += bytes;
		data += bytes;
		len_bytes -= bytes;
	}
	return 0;
}

int vitrine_guest_write(struct vitrine_vm *vm, gpa_t gpa, const void *data, unsigned int len_bytes)
{
	while (len_bytes) {
		unsigned int bytes = bytes_in_page(gpa, len_bytes);
		struct vitrine_memslot *slot = guest_slot(vm, gpa, true);

		if (!slot)
			return -ENOENT;
		if (copy_to_user(slot_address(slot, gpa), data, bytes))
			return -EFAULT;
		vitrine_memslot_mark_dirty(slot, gpa >> PAGE_SHIFT);
		gpa += bytes;
		data += bytes;
		len_bytes -= bytes;
	}
	return 0;
}

int vitrine_guest_cmpxchg(struct vitrine_vm *vm, gpa_t gpa, u64 *old, u64 new,
			  unsigned int len_bytes)
{
	struct vitrine_memslot *slot = guest_slot(vm, gpa, true);
	void __user *address;
	u32 old32 = *old;
	int ret;

	if (!slot)
		return -ENOENT;
	if (!IS_ALIGNED(gpa, len_bytes))
		return -EFAULT;
	address = slot_address(slot, gpa);
	if (!user_access_begin(address, len_bytes))
		return -EFAULT;
	if (len_bytes == sizeof(u64)) {
		ret = !unsafe_try_cmpxchg_user((u64 __user *)address, old, new, fault);
	} else {
		ret = !unsafe_try_cmpxchg_user((u32 __user *)address, &old32, (u32)new, fault);
		*old = old32;
	}
	user_access_end();
	if (!ret)
		vitrine_memslot_mark_dirty(slot, gpa >> PAGE_SHIFT);
	return ret;
fault:
	user_access_end();
	return -EFAULT;
}
