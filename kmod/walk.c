// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's own page tables, walked as the CPU walks them (SDM, chapter "Paging"): all modes,
 * access rights, reserved bits, accessed and dirty bits. And KVM_TRANSLATE, which only looks.
 *
 * Goes through guest memory by guest.h. Must not know second-level tables. Protection keys are not
 * looked at: they are never offered to a guest (fpu.h).
 */
#include <linux/bits.h>
#include <linux/mm.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/pgtable_types.h>
#include <asm/processor-flags.h>
#include <asm/trap_pf.h>

#include "backend.h"
#include "compat.h"
#include "guest.h"
#include "ioctl.h"
#include "memslot.h"
#include "monitor/remote.h"
#include "regs.h"
#include "vcpu.h"
#include "vm.h"

#define PHYS_MASK_64	GENMASK_ULL(51, 12)
/*
 * PDE of 32-bit paging that maps 4 MiB: bits 39 to 32 of the address, and the bit that is always
 * reserved.
 */
#define PSE_HIGH_MASK	GENMASK_ULL(20, 13)
#define PSE_HIGH_SHIFT	(32 - 13)
#define PSE_RESERVED	BIT_ULL(21)

void vitrine_paging_get(struct vitrine_vcpu *vcpu, u32 access, struct vitrine_paging *paging)
{
	u64 cr0 = vitrine_backend->get_cr0(vcpu), cr4;

	paging->levels = 0;
	paging->remote = false;
	paging->long_mode = false;
	if (!(cr0 & X86_CR0_PG))
		return;
	cr4 = vitrine_backend->get_cr4(vcpu);
	paging->wp = cr0 & X86_CR0_WP;
	paging->smep = cr4 & X86_CR4_SMEP;
	paging->smap = cr4 & X86_CR4_SMAP && (access & VITRINE_ACCESS_IMPLICIT ||
					      !(vitrine_rflags_read(vcpu) & X86_EFLAGS_AC));
	paging->table = vitrine_backend->get_cr3(vcpu) & PHYS_MASK_64;
	paging->nx = false;
	paging->reserved_gpa = vitrine_reserved_gpa_bits(vcpu);
	if (!(cr4 & X86_CR4_PAE)) {
		paging->levels = 2;
		paging->entry_bytes = 4;
		paging->index_bits = 10;
		paging->pse = cr4 & X86_CR4_PSE;
		paging->reserved = 0;
		return;
	}

	paging->entry_bytes = 8;
	paging->index_bits = 9;
	paging->pse = true;
	paging->nx = vcpu->efer & EFER_NX;
	paging->reserved = paging->reserved_gpa & PHYS_MASK_64;
	if (!paging->nx)
		paging->reserved |= _PAGE_NX;
	paging->long_mode = vitrine_is_long_mode(vcpu);
	if (paging->long_mode) {
		paging->levels = cr4 & X86_CR4_LA57 ? 5 : 4;
		return;
	}

	/*
	 * The top level of PAE paging is four registers; their reserved bits were checked when CR3
	 * was loaded.
	 */
	paging->levels = 2;
	paging->reserved |= GENMASK_ULL(62, 52);
	if (!(vcpu->regs_avail & BIT(VITRINE_CACHE_PDPTRS)))
		vitrine_backend->cache_reg(vcpu, VITRINE_CACHE_PDPTRS);
	memcpy(paging->pdptrs, vcpu->pdptrs, sizeof(paging->pdptrs));
}

/* The first table, with its present bit where it has one. */
static u64 first_table(const struct vitrine_paging *paging, gva_t gva)
{
	if (paging->long_mode || paging->entry_bytes == 4)
		return paging->table | _PAGE_PRESENT;
	return paging->pdptrs[(gva >> 30) & 3];
}

/* 0, -ENOENT where no slot is, -EFAULT where the VMM has nothing mapped. */
static int entry_read(struct vitrine_vm *vm, const struct vitrine_paging *paging, gpa_t gpa,
		      u64 *entry)
{
	unsigned int bytes = paging->entry_bytes;
	struct vitrine_memslot *slot;
	unsigned long address;
	u32 entry32;

	if (unlikely(paging->remote))
		return vitrine_remote_read_entry(vm, gpa, entry, bytes);
	slot = vitrine_memslot_find(srcu_dereference(vm->slots, &vm->srcu), gpa >> PAGE_SHIFT);
	if (!slot)
		return -ENOENT;
	address = vitrine_memslot_hva(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa);
	if (bytes == sizeof(u64))
		return get_user(*entry, (u64 __user *)address);
	if (get_user(entry32, (u32 __user *)address))
		return -EFAULT;
	*entry = entry32;
	return 0;
}

/* The CPU that walks for the guest does not ask what the guest's CPUID says of 1 GiB pages. */
static bool entry_large(const struct vitrine_paging *paging, int level, u64 entry)
{
	if (!(entry & _PAGE_PSE))
		return false;
	if (level == 2)
		return paging->pse;
	return level == 3 && paging->long_mode && boot_cpu_has(X86_FEATURE_GBPAGES);
}

static u64 entry_reserved(const struct vitrine_paging *paging, int level, bool large)
{
	u64 reserved = paging->reserved;

	if (paging->entry_bytes == 4) {
		if (large)
			reserved |= PSE_RESERVED |
				    ((paging->reserved_gpa >> PSE_HIGH_SHIFT) & PSE_HIGH_MASK);
		return reserved;
	}
	if (large)
		/* Bit 12 is the PAT's. */
		reserved |= GENMASK_ULL(PAGE_SHIFT + 9 * (level - 1) - 1, PAGE_SHIFT + 1);
	else if (level > 2)
		reserved |= _PAGE_PSE;
	return reserved;
}

static gpa_t leaf_gpa(const struct vitrine_paging *paging, int level, u64 entry, gva_t gva)
{
	u64 offset_mask = GENMASK_ULL(PAGE_SHIFT + paging->index_bits * (level - 1) - 1, 0);
	gpa_t base = entry & PHYS_MASK_64;

	if (paging->entry_bytes == 4 && level == 2)
		base = (entry & GENMASK_ULL(31, 22)) | ((entry & PSE_HIGH_MASK) << PSE_HIGH_SHIFT);
	return (base & ~offset_mask) | (gva & offset_mask);
}

/* @all_set: bits that every entry on the way had; @any_set: that one of them had. */
static bool is_permitted(const struct vitrine_paging *paging, u64 all_set, u64 any_set, u32 access)
{
	bool user_page = all_set & _PAGE_USER, user = access & VITRINE_ACCESS_USER;

	if (access & VITRINE_ACCESS_LOOK)
		return true;
	if (user && !user_page)
		return false;
	if (access & VITRINE_ACCESS_FETCH)
		return !(paging->nx && any_set & _PAGE_NX) && !(!user && user_page && paging->smep);
	if (!user && user_page && paging->smap)
		return false;
	return !(access & VITRINE_ACCESS_WRITE) || all_set & _PAGE_RW || (!user && !paging->wp);
}

static int page_fault(const struct vitrine_paging *paging, u32 access, u32 why,
		      struct vitrine_walk *walk)
{
	walk->fault = true;
	walk->error_code = why | (access & (VITRINE_ACCESS_WRITE | VITRINE_ACCESS_USER));
	if (access & VITRINE_ACCESS_FETCH && (paging->nx || paging->smep))
		walk->error_code |= X86_PF_INSTR;
	return 0;
}

/* 0, or -EAGAIN if another CPU changed an entry meanwhile: then the walk proved nothing. */
static int set_accessed(struct vitrine_vm *vm, const struct vitrine_paging *paging,
			struct vitrine_walk *walk, bool write)
{
	unsigned int i;

	for (i = 0; i < walk->nr_steps; i++) {
		bool is_leaf = i == walk->nr_steps - 1;
		u64 old = walk->steps[i].entry;
		u64 wanted = old | _PAGE_ACCESSED | (write && is_leaf ? _PAGE_DIRTY : 0);

		/* An error is a read-only slot: tables in ROM stay as they are. */
		if (wanted != old && vitrine_guest_cmpxchg(vm, walk->steps[i].gpa, &old, wanted,
							   paging->entry_bytes) > 0)
			return -EAGAIN;
	}
	return 0;
}

static int walk_once(struct vitrine_vm *vm, const struct vitrine_paging *paging, u64 first,
		     u32 access, struct vitrine_walk *walk)
{
	u64 all_set = ~0ULL, any_set = 0, entry;
	gpa_t table = first & PHYS_MASK_64;
	unsigned int nr = 0;
	bool is_large;
	int level, ret;

	for (level = paging->levels; ; level--) {
		unsigned int shift = PAGE_SHIFT + paging->index_bits * (level - 1);
		gpa_t gpa = table + ((walk->gva >> shift) & (BIT(paging->index_bits) - 1)) *
				    paging->entry_bytes;

		ret = entry_read(vm, paging, gpa, &entry);
		/*
		 * A real machine reads ones or zeroes there; KVM has it not present, and so do we.
		 */
		if (ret == -ENOENT)
			return page_fault(paging, access, 0, walk);
		if (ret)
			return ret;
		if (!(entry & _PAGE_PRESENT))
			return page_fault(paging, access, 0, walk);
		is_large = level > 1 && entry_large(paging, level, entry);
		if (entry & entry_reserved(paging, level, is_large))
			return page_fault(paging, access, X86_PF_PROT | X86_PF_RSVD, walk);
		all_set &= entry;
		any_set |= entry;
		walk->steps[nr].gpa = gpa;
		walk->steps[nr++].entry = entry;
		if (level == 1 || is_large)
			break;
		table = entry & PHYS_MASK_64;
	}

	if (!is_permitted(paging, all_set, any_set, access))
		return page_fault(paging, access, X86_PF_PROT, walk);
	walk->nr_steps = nr;
	walk->gpa = leaf_gpa(paging, level, entry, walk->gva);
	if (access & VITRINE_ACCESS_LOOK)
		return 0;
	if (likely(all_set & _PAGE_ACCESSED &&
		   (entry & _PAGE_DIRTY || !(access & VITRINE_ACCESS_WRITE))))
		return 0;
	return set_accessed(vm, paging, walk, access & VITRINE_ACCESS_WRITE);
}

int vitrine_paging_walk(struct vitrine_vm *vm, const struct vitrine_paging *paging, gva_t gva,
			u32 access, struct vitrine_walk *walk)
{
	u64 first;
	int ret;

	walk->gva = gva;
	walk->fault = false;
	walk->nr_steps = 0;
	if (!paging->levels) {
		walk->gpa = gva;
		return 0;
	}
	first = first_table(paging, gva);
	if (!(first & _PAGE_PRESENT))
		return page_fault(paging, access, 0, walk);
	do {
		if (fatal_signal_pending(current))
			return -EINTR;
		ret = walk_once(vm, paging, first, access, walk);
	} while (ret == -EAGAIN);
	return ret;
}

int vitrine_guest_walk(struct vitrine_vcpu *vcpu, gva_t gva, u32 access, struct vitrine_walk *walk)
{
	struct vitrine_paging paging vitrine_uninitialized;

	vitrine_paging_get(vcpu, access, &paging);
	return vitrine_paging_walk(vcpu->vm, &paging, gva, access, walk);
}

static long walk_ioctl_translate(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct kvm_translation *translation = arg->data;
	struct vitrine_vcpu *vcpu = obj;
	struct vitrine_walk walk;
	int idx, ret;

	idx = srcu_read_lock(&vcpu->vm->srcu);
	ret = vitrine_guest_walk(vcpu, translation->linear_address, VITRINE_ACCESS_LOOK, &walk);
	srcu_read_unlock(&vcpu->vm->srcu, idx);

	/* The constants are KVM's: it promises nothing by them. */
	translation->valid = !ret && !walk.fault;
	translation->physical_address = translation->valid ? walk.gpa : ~0ULL;
	translation->writeable = 1;
	translation->usermode = 0;
	return 0;
}

const struct vitrine_ioctl vitrine_walk_vcpu_ioctls[] = {
	{ KVM_TRANSLATE, VITRINE_IOCTL_LOCK, walk_ioctl_translate },
	{}
};
