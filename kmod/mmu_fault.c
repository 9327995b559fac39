// SPDX-License-Identifier: GPL-2.0
/*
 * From a second-level fault to a translation: which slot, which host page, how large, with which
 * rights.
 *
 * The host's permissions are the limit of the guest's, and its mapping's size the limit of ours. No
 * page stays pinned: the reference is dropped once the translation stands, and the mmu notifier
 * takes it from there. The rule that makes this safe: read the sequence, look at slots and host,
 * take the lock, look whether the sequence still holds.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched/signal.h>
#include <linux/srcu.h>
#include <asm/e820/api.h>

#include "backend.h"
#include "compat.h"
#include "memslot.h"
#include "mmu.h"
#include "pte.h"
#include "trace.h"
#include "vcpu.h"
#include "vm.h"

/**
 * struct host_frame - what backs the faulting guest frame
 * @page: held until the translation stands; NULL where the host maps memory without struct page
 * @pfn: host frame
 * @writable: the host's own mapping is
 * @ram: ordinary memory, not a device
 */
struct host_frame {
	struct page *page;
	kvm_pfn_t pfn;
	bool writable;
	bool ram;
};

/* Beside EXIT_RESUME and -errno: tables stand where a large translation belongs. */
#define MAP_REPLACE	3

/* Will hardware tell of writes to a page that the guest may write? */
static bool is_logged_by_hw(const struct vitrine_vm *vm, const struct vitrine_memslot *slot)
{
	return vitrine_memslot_is_logged(slot) && vm->hw_log_entries &&
	       !READ_ONCE(vm->mmu.no_hw_log);
}

static int cache_fill(struct vitrine_mmu_cache *cache)
{
	while (cache->nr < ARRAY_SIZE(cache->table)) {
		u64 *table = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);

		if (!table)
			return -ENOMEM;
		cache->table[cache->nr++] = table;
	}
	return 0;
}

/* Memory that get_user_pages() does not know: a device's, mapped by its driver. */
static int frame_get_special(unsigned long hva, bool write, struct host_frame *frame)
{
	struct vm_area_struct *vma;
	bool unlocked = false;
	int ret;

	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, hva);
	if (!vma || !(vma->vm_flags & (VM_IO | VM_PFNMAP))) {
		ret = -EFAULT;
		goto out;
	}
	ret = vitrine_follow_pfn(vma, hva, &frame->pfn, &frame->writable);
	if (ret || (write && !frame->writable)) {
		ret = fixup_user_fault(current->mm, hva, write ? FAULT_FLAG_WRITE : 0, &unlocked);
		if (!ret)
			ret = unlocked ? -EAGAIN : vitrine_follow_pfn(vma, hva, &frame->pfn,
								      &frame->writable);
		if (!ret && write && !frame->writable)
			ret = -EFAULT;
	}
out:
	mmap_read_unlock(current->mm);
	if (ret)
		return ret;
	frame->page = NULL;
	if (pfn_valid(frame->pfn))
		frame->ram = !PageReserved(pfn_to_page(frame->pfn));
	else
		frame->ram = e820__mapped_raw_any(PFN_PHYS(frame->pfn),
						  PFN_PHYS(frame->pfn + 1) - 1, E820_TYPE_RAM);
	return 0;
}

/*
 * The host page for @hva, faulted in if need be; writable without being asked if that costs
 * nothing.
 */
static int frame_get(struct vitrine_vcpu *vcpu, unsigned long hva, bool write, bool may_write,
		     struct host_frame *frame)
{
	unsigned int flags = FOLL_HWPOISON | VITRINE_FOLL_GUEST | (write ? FOLL_WRITE : 0);
	struct page *page;
	int ret;

	might_sleep();
	frame->ram = true;
	frame->writable = may_write;
	if (get_user_page_fast_only(hva, may_write ? FOLL_WRITE : 0, &frame->page))
		goto found;
	frame->writable = write;
	/* The page may have come from a disk, by whatever drivers and daemons that takes. */
	vcpu->host_data_read = true;
	ret = get_user_pages_unlocked(hva, 1, &frame->page, flags);
	if (ret == -EFAULT)
		return frame_get_special(hva, write, frame);
	if (ret != 1)
		return ret ? ret : -EFAULT;
	if (!write && may_write && get_user_page_fast_only(hva, FOLL_WRITE, &page)) {
		put_page(frame->page);
		frame->page = page;
		frame->writable = true;
	}
found:
	frame->pfn = page_to_pfn(frame->page);
	return 0;
}

/*
 * How large the host maps @hva. Interrupts off keep the host's tables from being freed under us;
 * each entry is read once, because it may turn from table to leaf meanwhile. The answer holds as
 * long as mmu->lock is held and vitrine_mmu_retry() said no before.
 */
static int host_level(struct mm_struct *mm, unsigned long hva)
{
	unsigned long flags;
	int level = 1;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(mm, hva));
	if (pgd_none(pgd))
		goto out;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	if (pud_leaf(pud)) {
		level = 3;
		goto out;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (!pmd_none(pmd) && pmd_present(pmd) && pmd_leaf(pmd))
		level = 2;
out:
	local_irq_restore(flags);
	return level;
}

/*
 * The largest level at which @gfn and @hva are equally aligned and the slot covers all of the
 * translation.
 */
static int slot_level(const struct vitrine_memslot *slot, gfn_t gfn, unsigned long hva)
{
	int level;

	for (level = vitrine_pte_max_level(); level > 1; level--) {
		gfn_t pages = vitrine_pte_pages(level), first = gfn & ~(pages - 1);

		if (!((gfn ^ (hva >> PAGE_SHIFT)) & (pages - 1)) && first >= slot->base_gfn &&
		    first + pages <= slot->base_gfn + slot->nr_pages)
			break;
	}
	return level;
}

static int frame_level(struct vitrine_vm *vm, const struct vitrine_memslot *slot, gfn_t gfn,
		       const struct host_frame *frame)
{
	unsigned long hva = vitrine_memslot_hva(slot, gfn);
	int level;

	/* Most pages are small, and their struct page tells at once. */
	if (!frame->page || vitrine_memslot_is_logged(slot) ||
	    !(PageCompound(frame->page) || is_zone_device_page(frame->page)))
		return 1;
	level = slot_level(slot, gfn, hva);
	return level == 1 ? 1 : min(level, host_level(vm->mm, hva));
}

/* A table in the place of the empty or large leaf @old; true if @entry now holds @old, a table. */
static bool add_table(struct vitrine_vm *vm, struct vitrine_mmu_cache *cache, u64 *entry, u64 *old,
		      int level, bool nx_split, bool hw_log)
{
	u64 *table = cache->table[cache->nr - 1];
	u64 new = vitrine_pte_make_table(table, nx_split);
	bool split = vitrine_pte_present(*old);
	/* A CPU may go on to write by a large one that is writable, until it is flushed. */
	bool log_anew = hw_log && level == 2 && !vitrine_pte_writable(*old);
	unsigned int index;

	/*
	 * No flush: the small translations lead where the large one did and forbid nothing that it
	 * allowed, and a CPU that still knows the large one faults once where they allow more.
	 */
	for (index = 0; split && index < VITRINE_PTE_ENTRIES; index++) {
		table[index] = vitrine_pte_split(*old, level, index);
		if (log_anew)
			table[index] = vitrine_pte_make_logged(table[index]);
	}
	if (!try_cmpxchg64(entry, old, new)) {
		if (split)
			clear_page(table);
		return false;
	}
	cache->nr--;
	atomic_long_inc(&vm->mmu.nr_tables);
	if (nx_split)
		atomic_long_inc(&vm->mmu.nr_nx_splits);
	atomic_long_inc(&vitrine_mmu_total_tables);
	*old = new;
	return true;
}

/*
 * From now on the page counts as dirty: whatever cleans it takes its translations away first, so
 * the guest can write only while this holds, and a translation can go without another word. That
 * is so under mmu->lock, the sequence checked, and not before: a page that is written back at the
 * same time would stay dirty with nobody to know of it.
 */
static void frame_dirty(const struct host_frame *frame)
{
	if (frame->page && frame->writable && !PageDirty(frame->page) &&
	    !PageReserved(frame->page))
		SetPageDirty(frame->page);
}

/* mmu->lock is held, for reading at least, and the sequence was checked. */
static int map_frame(struct vitrine_vcpu *vcpu, struct vitrine_memslot *slot,
		     const struct mem_fault *fault, const struct host_frame *frame)
{
	struct vitrine_vm *vm = vcpu->vm;
	gfn_t gfn = fault->gpa >> PAGE_SHIFT;
	int level, large = frame_level(vm, slot, gfn, frame), target = large;
	bool nx_split = target > 1 && fault->exec && vm->mmu.nx_huge_pages;
	bool hw_log = is_logged_by_hw(vm, slot);
	bool write = frame->writable &&
		     (fault->write || hw_log || !vitrine_memslot_is_logged(slot));
	u64 *table = vm->mmu.root, *entry, old, new;

	frame_dirty(frame);
	if (nx_split)
		target = 1;
	for (level = VITRINE_PTE_LEVELS; ; level--) {
		entry = &table[vitrine_pte_index(gfn, level)];
		old = READ_ONCE(*entry);
		if (level == target) {
			if (!vitrine_pte_present(old) || vitrine_pte_leaf(old, level))
				break;
			if (!vitrine_pte_nx_split(old))
				return MAP_REPLACE;
			/*
			 * The guest runs code here: large again would fault on the next fetch, and
			 * so for ever.
			 */
			target--;
		}
		while (!vitrine_pte_present(old) || vitrine_pte_leaf(old, level)) {
			if (vitrine_pte_present(old) &&
			    vitrine_pte_permits(old, fault->write, fault->exec))
				return EXIT_RESUME;
			if (add_table(vm, &vcpu->mmu_cache, entry, &old, level,
				      nx_split && level <= large, hw_log))
				break;
		}
		table = vitrine_pte_table(old);
	}

	new = vitrine_pte_make_leaf(frame->pfn, level, write,
				    level == 1 || !vm->mmu.nx_huge_pages, frame->writable,
				    frame->ram);
	if (hw_log && !fault->write)
		new = vitrine_pte_make_logged(new);
	if (vitrine_pte_present(old)) {
		if (vitrine_pte_permits(old, fault->write, fault->exec))
			return EXIT_RESUME;
		/* A slot that moved onto its own old place, whose translations are about to go. */
		if (unlikely(vitrine_pte_pfn(old) != vitrine_pte_pfn(new)))
			return MAP_REPLACE;
	}
	/* Whoever was faster faulted on the same frame: the guest's next try decides. */
	if (!try_cmpxchg64(entry, &old, new))
		return EXIT_RESUME;
	trace_vitrine_table_change(vm, VITRINE_TRACE_MAP, gfn & ~(vitrine_pte_pages(level) - 1),
				   vitrine_pte_pages(level));
	if (fault->write)
		vitrine_memslot_mark_dirty(slot, gfn);
	return EXIT_RESUME;
}

/*
 * Tables stand where the host now maps large: they go first, and from every CPU, then the large
 * leaf comes.
 */
static int map_replace(struct vitrine_vcpu *vcpu, struct vitrine_memslot *slot,
		       const struct mem_fault *fault, const struct host_frame *frame,
		       unsigned long seq)
{
	struct vitrine_vm *vm = vcpu->vm;
	gfn_t gfn = fault->gpa >> PAGE_SHIFT, pages;
	struct vitrine_mmu_sweep sweep = { .op = VITRINE_MMU_ZAP };
	int ret;

	/* The first try may have used some, and what it made goes with the rest. */
	ret = cache_fill(&vcpu->mmu_cache);
	if (ret)
		return ret;
	ret = EXIT_RESUME;
	write_lock(&vm->mmu.lock);
	if (!vitrine_mmu_retry(&vm->mmu, seq, vitrine_memslot_hva(slot, gfn))) {
		pages = vitrine_pte_pages(frame_level(vm, slot, gfn, frame));
		gfn &= ~(pages - 1);
		vitrine_mmu_sweep(vm, gfn, gfn + pages, &sweep);
		vitrine_mmu_sweep_finish(vm, &sweep);
		ret = map_frame(vcpu, slot, fault, frame);
	}
	write_unlock(&vm->mmu.lock);
	return ret == MAP_REPLACE ? EXIT_RESUME : ret;
}

/*
 * A translation that forbids what was tried, but need not: another vCPU was faster, or it was
 * write-protected for dirty logging. True if the guest can go on.
 */
static bool fix_present(struct vitrine_vm *vm, struct vitrine_memslot *slot,
			const struct mem_fault *fault, unsigned long seq)
{
	gfn_t gfn = fault->gpa >> PAGE_SHIFT;
	u64 *table = vm->mmu.root, *entry, old;
	bool fixed = false;
	int level;

	read_lock(&vm->mmu.lock);
	/* The sequence stands for the slot too: the log that is marked must be the one in force. */
	if (READ_ONCE(vm->mmu.invalidate_seq) != seq)
		goto out;
	for (level = VITRINE_PTE_LEVELS; ; level--) {
		entry = &table[vitrine_pte_index(gfn, level)];
		old = READ_ONCE(*entry);
		if (!vitrine_pte_present(old))
			goto out;
		if (vitrine_pte_leaf(old, level))
			break;
		table = vitrine_pte_table(old);
	}
	fixed = vitrine_pte_permits(old, fault->write, fault->exec);
	if (fixed || !vitrine_pte_permits(old, false, fault->exec) ||
	    !vitrine_pte_host_writable(old) || (level > 1 && vitrine_memslot_is_logged(slot)))
		goto out;
	if (try_cmpxchg64(entry, &old, vitrine_pte_make_writable(old)))
		vitrine_memslot_mark_dirty(slot, gfn);
	fixed = true;
out:
	read_unlock(&vm->mmu.lock);
	return fixed;
}

/* A host page that cannot be had: what KVM_RUN answers. */
static int frame_error(unsigned long hva, int error)
{
	switch (error) {
	case -EHWPOISON:
		/* The VMM's handler learns the address; RUN ends by the signal. */
		send_sig_mceerr(BUS_MCEERR_AR, (void __user *)hva, PAGE_SHIFT, current);
		return EXIT_RESUME;
	case -EAGAIN:
	case -EINTR:
	case -ERESTARTSYS:
		/* Try again, or leave by the pending signal. */
		return EXIT_RESUME;
	case -ENOMEM:
		return -ENOMEM;
	default:
		return -EFAULT;
	}
}

/**
 * vitrine_mmu_fault() - let the guest have the memory it touched
 * @vcpu: loaded, in RUN, vm->srcu held for reading
 * @fault: what it tried
 *
 * Return: EXIT_RESUME; VITRINE_FAULT_MMIO where no slot is, or a read-only one was written; -EFAULT
 * where the VMM has nothing mapped that would do; -ENOMEM.
 */
int vitrine_mmu_fault(struct vitrine_vcpu *vcpu, const struct mem_fault *fault)
{
	struct vitrine_vm *vm = vcpu->vm;
	/* Before everything that it vouches for: see vitrine_mmu_publish_slots(). */
	unsigned long seq = smp_load_acquire(&vm->mmu.invalidate_seq);
	struct vitrine_memslot *slot;
	gfn_t gfn = fault->gpa >> PAGE_SHIFT;
	struct host_frame frame;
	unsigned long hva;
	bool may_write;
	int ret;

	slot = vitrine_memslot_find(srcu_dereference(vm->slots, &vm->srcu), gfn);
	if (!slot)
		return VITRINE_FAULT_MMIO;
	may_write = !(slot->flags & KVM_MEM_READONLY);
	if (fault->write && !may_write)
		return VITRINE_FAULT_MMIO;

	vcpu->stats.mem_faults++;
	if (fault->present && fix_present(vm, slot, fault, seq))
		return EXIT_RESUME;

	ret = cache_fill(&vcpu->mmu_cache);
	if (ret)
		return ret;
	if (unlikely(atomic_long_read(&vm->mmu.nr_tables) >= READ_ONCE(vm->mmu.max_tables)))
		vitrine_mmu_make_room(vm);
	hva = vitrine_memslot_hva(slot, gfn);
	ret = frame_get(vcpu, hva, fault->write, may_write, &frame);
	if (ret)
		return frame_error(hva, ret);
	frame.writable &= may_write;

	read_lock(&vm->mmu.lock);
	if (likely(!vitrine_mmu_retry(&vm->mmu, seq, hva))) {
		ret = map_frame(vcpu, slot, fault, &frame);
	} else {
		vcpu->stats.mem_fault_retries++;
		ret = EXIT_RESUME;
	}
	read_unlock(&vm->mmu.lock);
	if (unlikely(ret == MAP_REPLACE))
		ret = map_replace(vcpu, slot, fault, &frame, seq);
	if (frame.page)
		put_page(frame.page);
	return ret;
}

int vitrine_mmu_map_catch_page(struct vitrine_vcpu *vcpu, struct page *page)
{
	struct vitrine_vm *vm = vcpu->vm;
	/* Pairs with vitrine_mmu_publish_slots(). */
	unsigned long seq = smp_load_acquire(&vm->mmu.invalidate_seq);
	u64 *table = vm->mmu.root, *entry, old;
	int level, ret;

	if (READ_ONCE(vm->mmu.catch_page_gone))
		return VITRINE_FAULT_MMIO;
	ret = cache_fill(&vcpu->mmu_cache);
	if (ret)
		return ret;
	ret = EXIT_RESUME;
	read_lock(&vm->mmu.lock);
	/* The guest tries again where slots changed, or the page went. */
	if (READ_ONCE(vm->mmu.invalidate_seq) != seq || vm->mmu.catch_page_gone)
		goto out;
	if (vitrine_memslot_find(srcu_dereference(vm->slots, &vm->srcu), VITRINE_CATCH_GFN))
		goto out;
	for (level = VITRINE_PTE_LEVELS; level > 1; level--) {
		entry = &table[vitrine_pte_index(VITRINE_CATCH_GFN, level)];
		old = READ_ONCE(*entry);
		while (!vitrine_pte_present(old))
			if (add_table(vm, &vcpu->mmu_cache, entry, &old, level, false, false))
				break;
		/* Of a slot that was here and whose translations are about to go. */
		if (unlikely(vitrine_pte_leaf(old, level)))
			goto out;
		table = vitrine_pte_table(old);
	}
	entry = &table[vitrine_pte_index(VITRINE_CATCH_GFN, level)];
	old = 0;
	try_cmpxchg64(entry, &old, vitrine_pte_make_leaf(page_to_pfn(page), 1, true, false, true,
							 true));
	WRITE_ONCE(vm->mmu.catch_page_mapped, true);
out:
	read_unlock(&vm->mmu.lock);
	return ret;
}

void vitrine_mmu_zap_collapsible(struct vitrine_vm *vm, const struct vitrine_memslot *slot)
{
	gfn_t pages = vitrine_pte_pages(2), last = slot->base_gfn + slot->nr_pages, gfn;
	struct vitrine_mmu_sweep sweep = { .op = VITRINE_MMU_ZAP };

	write_lock(&vm->mmu.lock);
	for (gfn = ALIGN(slot->base_gfn, pages); gfn + pages <= last; gfn += pages) {
		unsigned long hva = vitrine_memslot_hva(slot, gfn);

		if (slot_level(slot, gfn, hva) > 1 && host_level(vm->mm, hva) > 1)
			vitrine_mmu_sweep(vm, gfn, gfn + pages, &sweep);
		if (need_resched() || rwlock_needbreak(&vm->mmu.lock)) {
			vitrine_mmu_sweep_finish(vm, &sweep);
			cond_resched_rwlock_write(&vm->mmu.lock);
		}
	}
	vitrine_mmu_sweep_finish(vm, &sweep);
	write_unlock(&vm->mmu.lock);
}
