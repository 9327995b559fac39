// SPDX-License-Identifier: GPL-2.0
/*
 * Memory slots: KVM_SET_USER_MEMORY_REGION and look-up by guest frame and by host address.
 *
 * Owns the published array and its spare, each with an index by host address: an invalidation, for
 * which others wait, must not look at slots that it has nothing to do with. Must not touch page
 * tables but through mmu.h, and must not look at what the host addresses map: that is asked at
 * fault time, every time.
 *
 * A change edits the spare array, publishes it under vm->mmu.lock and lets every fault in flight
 * retry, so that no mapping through the old array can appear afterwards. The old array becomes the
 * spare once its readers are gone.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/interval_tree.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>

#include "ioctl.h"
#include "memslot.h"
#include "mmu.h"
#include "vcpu.h"
#include "vm.h"

#define MIN_CAPACITY	8

/* First place whose slot ends above @gfn. */
static unsigned int slots_search(const struct vitrine_memslots *slots, gfn_t gfn)
{
	unsigned int low = 0, high = slots->nr;

	while (low < high) {
		unsigned int middle = (low + high) / 2;
		const struct vitrine_memslot *slot = slots->slot[middle];

		if (slot->base_gfn + slot->nr_pages <= gfn)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct vitrine_memslot *vitrine_memslot_find(struct vitrine_memslots *slots, gfn_t gfn)
{
	unsigned int place = READ_ONCE(slots->last);
	struct vitrine_memslot *slot;

	if (likely(place < slots->nr)) {
		slot = slots->slot[place];
		if (likely(vitrine_memslot_covers(slot, gfn)))
			return slot;
	}
	place = slots_search(slots, gfn);
	if (place == slots->nr)
		return NULL;
	slot = slots->slot[place];
	if (!vitrine_memslot_covers(slot, gfn))
		return NULL;
	WRITE_ONCE(slots->last, place);
	return slot;
}

struct vitrine_memslot *vitrine_memslot_by_id(struct vitrine_vm *vm, u32 id)
{
	lockdep_assert_held(&vm->slots_lock);
	return xa_load(&vm->slot_by_id, id);
}

static struct vitrine_memslots *slots_alloc(unsigned int capacity, unsigned int which)
{
	struct vitrine_memslots *slots;

	slots = kvzalloc(struct_size(slots, slot, capacity), GFP_KERNEL_ACCOUNT);
	if (!slots)
		return NULL;
	slots->capacity = capacity;
	slots->which = which;
	slots->by_hva = RB_ROOT_CACHED;
	return slots;
}

static void index_add(struct vitrine_memslots *slots, struct vitrine_memslot *slot)
{
	struct interval_tree_node *place = &slot->by_hva[slots->which];

	place->start = slot->hva;
	place->last = slot->hva + (slot->nr_pages << PAGE_SHIFT) - 1;
	interval_tree_insert(place, &slots->by_hva);
}

/* A slot that moves hands its log on to its @heir. */
static void slot_free(struct vitrine_memslot *slot, const struct vitrine_memslot *heir)
{
	if (!slot)
		return;
	if (!heir || heir->dirty_bitmap != slot->dirty_bitmap)
		kvfree(slot->dirty_bitmap);
	kfree(slot);
}

static void slots_edit(struct vitrine_memslots *slots, struct vitrine_memslot *old,
		       struct vitrine_memslot *new)
{
	unsigned int place;

	if (old) {
		place = slots_search(slots, old->base_gfn);
		slots->nr--;
		memmove(&slots->slot[place], &slots->slot[place + 1],
			(slots->nr - place) * sizeof(new));
		interval_tree_remove(&old->by_hva[slots->which], &slots->by_hva);
	}
	if (new) {
		place = slots_search(slots, new->base_gfn);
		memmove(&slots->slot[place + 1], &slots->slot[place],
			(slots->nr - place) * sizeof(new));
		slots->slot[place] = new;
		slots->nr++;
		index_add(slots, new);
	}
	slots->generation++;
}

/* Makes vm->spare_slots a copy of the published array with room for one more. */
static int spare_prepare(struct vitrine_vm *vm, const struct vitrine_memslots *slots)
{
	struct vitrine_memslots *spare;
	unsigned int place;

	if (vm->spare_slots)
		return 0;
	spare = slots_alloc(max(2 * slots->nr, (unsigned int)MIN_CAPACITY), !slots->which);
	if (!spare)
		return -ENOMEM;
	spare->generation = slots->generation;
	spare->nr = slots->nr;
	memcpy(spare->slot, slots->slot, slots->nr * sizeof(spare->slot[0]));
	/* It happens when their number doubles, so each pays for one or two of these. */
	for (place = 0; place < spare->nr; place++)
		index_add(spare, spare->slot[place]);
	vm->spare_slots = spare;
	return 0;
}

/* Does a log begin with all pages in it? A ring begins empty. */
static bool starts_dirty(const struct vitrine_vm *vm)
{
	return vm->dirty_log_caps & KVM_DIRTY_LOG_INITIALLY_SET && !vm->dirty_ring_bytes;
}

/* Where hardware logs, it does so while there is a slot to log. */
static void count_logged(struct vitrine_vm *vm, int difference)
{
	bool before = vm->nr_logged;

	WRITE_ONCE(vm->nr_logged, vm->nr_logged + difference);
	if (vm->hw_log_entries && before != !!vm->nr_logged)
		vitrine_vm_kick_all(vm, VITRINE_REQ_LOG_MODE);
}

/*
 * Puts @new in the place of @old; either may be NULL. Returns when nobody uses the old array or
 * @old any more, and no translation of @old is left where it was.
 */
static int slot_replace(struct vitrine_vm *vm, struct vitrine_memslot *old,
			struct vitrine_memslot *new)
{
	struct vitrine_memslots *slots =
		rcu_dereference_protected(vm->slots, lockdep_is_held(&vm->slots_lock));
	bool logging = new && vitrine_memslot_is_logged(new);
	bool was_logging = old && vitrine_memslot_is_logged(old);
	bool moves = new && old && new->base_gfn != old->base_gfn;
	int ret;

	ret = spare_prepare(vm, slots);
	if (ret)
		return ret;
	/* An entry that exists is replaced or erased without an allocation. */
	if (new) {
		ret = xa_err(xa_store(&vm->slot_by_id, new->id, new, GFP_KERNEL_ACCOUNT));
		if (ret)
			return ret;
	} else {
		xa_erase(&vm->slot_by_id, old->id);
	}

	/* What hardware has logged at the old place must be marked while there is a slot. */
	if (moves && was_logging && logging && vm->hw_log_entries)
		vitrine_mmu_stop_hw_log(vm, old);
	slots_edit(vm->spare_slots, old, new);
	vitrine_mmu_publish_slots(vm, vm->spare_slots);
	vm->spare_slots = NULL;

	count_logged(vm, logging - was_logging);
	if (old && (!new || moves))
		vitrine_mmu_zap_slot(vm, old);
	else if (was_logging && !logging)
		vitrine_mmu_zap_collapsible(vm, new);
	/* Also where it moved: some may have been mapped by a CPU that did not log yet. */
	if (logging && !was_logging && !starts_dirty(vm))
		vitrine_mmu_log_slot(vm, new);

	synchronize_srcu_expedited(&vm->srcu);

	/* It is ours alone now: bring it up to date, so that the next change need not copy. */
	if (slots->nr + !!new - !!old < slots->capacity) {
		slots_edit(slots, old, new);
		vm->spare_slots = slots;
	} else {
		kvfree(slots);
	}
	slot_free(old, new);
	return 0;
}

static bool slots_overlap(const struct vitrine_memslots *slots, const struct vitrine_memslot *old,
			  gfn_t first, unsigned long nr_pages)
{
	unsigned int place;

	for (place = slots_search(slots, first); place < slots->nr; place++) {
		if (slots->slot[place]->base_gfn >= first + nr_pages)
			return false;
		if (slots->slot[place] != old)
			return true;
	}
	return false;
}

/* Everything that can be refused without knowing the other slots. */
static int check_region(const struct kvm_userspace_memory_region *region)
{
	gpa_t limit = BIT_ULL(vitrine_mmu_gpa_bits());
	const char *field;

	if (region->flags & ~(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY))
		field = "flags";
	else if (region->slot >= VITRINE_MAX_SLOTS)
		field = "slot";
	else if (!PAGE_ALIGNED(region->memory_size) ||
		 region->memory_size >> PAGE_SHIFT > VITRINE_MAX_SLOT_PAGES)
		field = "memory_size";
	else if (!PAGE_ALIGNED(region->guest_phys_addr) ||
		 region->guest_phys_addr + region->memory_size < region->guest_phys_addr ||
		 (region->memory_size && region->guest_phys_addr + region->memory_size > limit))
		field = "guest_phys_addr";
	else if (!PAGE_ALIGNED(region->userspace_addr) ||
		 region->userspace_addr != untagged_addr(region->userspace_addr) ||
		 !access_ok((void __user *)(unsigned long)region->userspace_addr,
			    region->memory_size))
		field = "userspace_addr";
	else
		return 0;
	pr_debug_ratelimited("KVM_SET_USER_MEMORY_REGION: %s is out of range or misaligned\n",
			     field);
	return -EINVAL;
}

static struct vitrine_memslot *slot_alloc(struct vitrine_vm *vm,
					  const struct kvm_userspace_memory_region *region,
					  const struct vitrine_memslot *old)
{
	struct vitrine_memslot *slot;

	slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);
	if (!slot)
		return NULL;
	slot->base_gfn = region->guest_phys_addr >> PAGE_SHIFT;
	slot->nr_pages = region->memory_size >> PAGE_SHIFT;
	slot->hva = region->userspace_addr;
	slot->id = region->slot;
	slot->flags = region->flags;
	if (!vitrine_memslot_is_logged(slot) || vm->dirty_ring_bytes)
		return slot;
	if (old && old->dirty_bitmap) {
		slot->dirty_bitmap = old->dirty_bitmap;
		return slot;
	}
	slot->dirty_bitmap = kvzalloc(vitrine_memslot_bitmap_bytes(slot), GFP_KERNEL_ACCOUNT);
	if (!slot->dirty_bitmap) {
		kfree(slot);
		return NULL;
	}
	if (starts_dirty(vm))
		bitmap_set(slot->dirty_bitmap, 0, slot->nr_pages);
	return slot;
}

static int set_region(struct vitrine_vm *vm, const struct kvm_userspace_memory_region *region)
{
	struct vitrine_memslots *slots =
		rcu_dereference_protected(vm->slots, lockdep_is_held(&vm->slots_lock));
	struct vitrine_memslot *old = vitrine_memslot_by_id(vm, region->slot), *new;
	gfn_t base_gfn = region->guest_phys_addr >> PAGE_SHIFT;
	unsigned long nr_pages = region->memory_size >> PAGE_SHIFT;
	int ret;

	if (!nr_pages)
		return old ? slot_replace(vm, old, NULL) : -EINVAL;
	if (old && (old->nr_pages != nr_pages || old->hva != region->userspace_addr ||
		    (old->flags ^ region->flags) & KVM_MEM_READONLY)) {
		pr_debug_ratelimited("KVM_SET_USER_MEMORY_REGION: slot %u exists: only guest_phys_addr and the logging flag can change\n",
				     region->slot);
		return -EINVAL;
	}
	if (old && old->base_gfn == base_gfn && old->flags == region->flags)
		return 0;
	if (slots_overlap(slots, old, base_gfn, nr_pages)) {
		pr_debug_ratelimited("KVM_SET_USER_MEMORY_REGION: slot %u overlaps another\n",
				     region->slot);
		return -EEXIST;
	}

	new = slot_alloc(vm, region, old);
	if (!new)
		return -ENOMEM;
	ret = slot_replace(vm, old, new);
	if (ret)
		slot_free(new, old);
	return ret;
}

static long memslot_ioctl_set_region(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_userspace_memory_region *region = arg->data;
	struct vitrine_vm *vm = obj;
	int ret;

	ret = check_region(region);
	if (ret)
		return ret;
	mutex_lock(&vm->slots_lock);
	ret = set_region(vm, region);
	mutex_unlock(&vm->slots_lock);
	return ret;
}

int vitrine_memslots_init(struct vitrine_vm *vm)
{
	struct vitrine_memslots *slots = slots_alloc(MIN_CAPACITY, 0);

	if (!slots)
		return -ENOMEM;
	xa_init_flags(&vm->slot_by_id, XA_FLAGS_ACCOUNT);
	rcu_assign_pointer(vm->slots, slots);
	return 0;
}

/* After the last vCPU and the notifier are gone: nobody reads any more. */
void vitrine_memslots_destroy(struct vitrine_vm *vm)
{
	struct vitrine_memslots *slots = rcu_dereference_protected(vm->slots, true);
	unsigned int place;

	for (place = 0; place < slots->nr; place++)
		slot_free(slots->slot[place], NULL);
	kvfree(slots);
	kvfree(vm->spare_slots);
	xa_destroy(&vm->slot_by_id);
}

const struct vitrine_ioctl vitrine_memslot_ioctls[] = {
	{ KVM_SET_USER_MEMORY_REGION, 0, memslot_ioctl_set_region },
	{}
};
