// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU's CPUID: the table that the VMM set, and what the guest reads from it. What this host can
 * offer is cpuid_host.c's. Bits that follow the guest's own doing (OSXSAVE, APIC, the size of its
 * XSAVE area) are written into the table when that changes, so that an exit only looks up and
 * copies.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "cpuid.h"
#include "cpuid_leaf.h"
#include "fpu.h"
#include "ioctl.h"
#include "msr.h"
#include "regs.h"
#include "vm.h"

#define DEFAULT_MAXPHYADDR	36	/* "CPUID": where leaf 0x80000008 is missing */
#define MISC_FEATURE_CPUID_FAULT	1ULL

/*
 * The first entry of a leaf, or NULL. Bits 31:30 tell the range, the rest must be small to be found
 * directly; a VMM that puts leaves elsewhere pays with a search.
 */
static const struct kvm_cpuid_entry2 *find_leaf(const struct vitrine_cpuid *cpuid, u32 function)
{
	u32 offset = function & 0x3fffffff;
	u32 i;

	if (likely(offset < VITRINE_CPUID_DIRECT)) {
		offset = array_index_nospec(offset, VITRINE_CPUID_DIRECT);
		i = cpuid->first[function >> 30][offset];
		return i ? &cpuid->entry[i - 1] : NULL;
	}
	for (i = 0; i < cpuid->nr; i++)
		if (cpuid->entry[i].function == function)
			return &cpuid->entry[i];
	return NULL;
}

static const struct kvm_cpuid_entry2 *find(const struct vitrine_cpuid *cpuid, u32 function,
					   u32 index)
{
	const struct kvm_cpuid_entry2 *entry = find_leaf(cpuid, function);
	u32 i;

	while (entry) {
		if (!(entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || entry->index == index)
			return entry;
		i = cpuid->next[entry - cpuid->entry];
		entry = i ? &cpuid->entry[i - 1] : NULL;
	}
	return NULL;
}

const struct kvm_cpuid_entry2 *vitrine_cpuid_find(struct vitrine_vcpu *vcpu, u32 function,
						  u32 index)
{
	return vcpu->cpuid ? find(vcpu->cpuid, function, index) : NULL;
}

/* What "CPUID" says of a leaf that the table does not have. */
static void emulate_missing(const struct vitrine_cpuid *cpuid, u32 function, u32 index,
			    u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	const struct kvm_cpuid_entry2 *entry = NULL;

	if (cpuid->intel && function > cpuid->max[function >> 30]) {
		entry = find(cpuid, cpuid->max[0], index);
		if (entry) {
			*eax = entry->eax;
			*ebx = entry->ebx;
			*ecx = entry->ecx;
			*edx = entry->edx;
			return;
		}
		function = cpuid->max[0];
	}
	/* Topology: below the last level the x2APIC id and the level number are still there. */
	if (function == LEAF_TOPOLOGY || function == LEAF_TOPOLOGY_V2)
		entry = find(cpuid, function, 1);
	*eax = 0;
	*ebx = 0;
	*ecx = entry ? index & 0xff : 0;
	*edx = entry ? entry->edx : 0;
}

void vitrine_cpuid_emulate(struct vitrine_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	const struct kvm_cpuid_entry2 *entry;
	u32 function = *eax, index = *ecx;

	if (unlikely(!vcpu->cpuid)) {
		*eax = 0;
		*ebx = 0;
		*ecx = 0;
		*edx = 0;
		return;
	}
	entry = find(vcpu->cpuid, function, index);
	if (unlikely(!entry)) {
		emulate_missing(vcpu->cpuid, function, index, eax, ebx, ecx, edx);
		return;
	}
	*eax = entry->eax;
	*ebx = entry->ebx;
	*ecx = entry->ecx;
	*edx = entry->edx;
}

bool vitrine_cpuid_faults(struct vitrine_vcpu *vcpu)
{
	return unlikely(vcpu->msrs.misc_features & MISC_FEATURE_CPUID_FAULT) &&
	       vitrine_backend->get_cpl(vcpu);
}

bool vitrine_cpuid_has(struct vitrine_vcpu *vcpu, unsigned int x86_feature)
{
	const struct kvm_cpuid_entry2 *entry;
	const struct cpuid_word *word = cpuid_word_find(x86_feature / 32);

	if (WARN_ON_ONCE(!word))
		return false;
	entry = vitrine_cpuid_find(vcpu, word->function, word->index);
	return entry && (*cpuid_entry_reg((struct kvm_cpuid_entry2 *)entry, word->reg) &
			 BIT(x86_feature % 32));
}

static struct kvm_cpuid_entry2 *find_writable(struct vitrine_cpuid *cpuid, u32 function, u32 index)
{
	return (struct kvm_cpuid_entry2 *)find(cpuid, function, index);
}

/* Hypervisors' leaves: each has 256 of them, and a signature in the first. */
#define FIRST_PV_BASE	KVM_CPUID_SIGNATURE
#define LAST_PV_BASE	(KVM_CPUID_SIGNATURE + 0xff00)
#define PV_BASE_STEP	0x100

struct kvm_cpuid_entry2 *vitrine_cpuid_find_pv(struct vitrine_cpuid *cpuid)
{
	static const char signature[12] = KVM_SIGNATURE;
	const struct kvm_cpuid_entry2 *entry;
	u32 base;

	for (base = FIRST_PV_BASE; base <= LAST_PV_BASE; base += PV_BASE_STEP) {
		entry = find(cpuid, base, 0);
		if (entry && !memcmp(&entry->ebx, signature, 4) &&
		    !memcmp(&entry->ecx, signature + 4, 4) &&
		    !memcmp(&entry->edx, signature + 8, 4))
			return find_writable(cpuid, base + 1, 0);
	}
	return NULL;
}

static void set_bit_to(u32 *reg, u32 bit, bool on)
{
	*reg = on ? *reg | bit : *reg & ~bit;
}

static void update_runtime(struct vitrine_vcpu *vcpu, struct vitrine_cpuid *cpuid)
{
	u64 base = vcpu->lapic ? vitrine_lapic_get_base(vcpu) : vcpu->apic_base;
	struct kvm_cpuid_entry2 *entry;

	entry = find_writable(cpuid, LEAF_FEATURES, 0);
	if (entry) {
		if (boot_cpu_has(X86_FEATURE_XSAVE))
			set_bit_to(&entry->ecx, BIT(X86_FEATURE_OSXSAVE % 32),
				   vitrine_backend->get_cr4(vcpu) & X86_CR4_OSXSAVE);
		set_bit_to(&entry->edx, BIT(X86_FEATURE_APIC % 32),
			   base & MSR_IA32_APICBASE_ENABLE);
		if (!vitrine_vm_has_quirk(vcpu->vm, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT))
			set_bit_to(&entry->ecx, BIT(X86_FEATURE_MWAIT % 32),
				   vcpu->msrs.misc_enable & MSR_IA32_MISC_ENABLE_MWAIT);
	}
	entry = find_writable(cpuid, LEAF_XSAVE, 0);
	if (entry)
		entry->ebx = cpuid_xsave_bytes(vcpu->xcr0, false);
	entry = find_writable(cpuid, LEAF_XSAVE, 1);
	if (entry && (entry->eax & BIT(X86_FEATURE_XSAVEC % 32)))
		entry->ebx = cpuid_xsave_bytes(vcpu->xcr0, true);
	if (unlikely(vcpu->vm->disabled_exits & KVM_X86_DISABLE_EXITS_HLT)) {
		/* A kick would not reach a guest that halts with interrupts off. */
		entry = vitrine_cpuid_find_pv(cpuid);
		if (entry)
			entry->eax &= ~BIT(KVM_FEATURE_PV_UNHALT);
	}
}

void vitrine_cpuid_update_runtime(struct vitrine_vcpu *vcpu)
{
	if (vcpu->cpuid)
		update_runtime(vcpu, vcpu->cpuid);
}

static void build_index(struct vitrine_cpuid *cpuid)
{
	u32 range, i, j;

	for (range = 0; range < VITRINE_CPUID_RANGES; range++) {
		const struct kvm_cpuid_entry2 *base;

		for (i = cpuid->nr; i-- > 0;) {
			const struct kvm_cpuid_entry2 *entry = &cpuid->entry[i];
			u32 offset = entry->function & 0x3fffffff;

			if (entry->function >> 30 == range && offset < VITRINE_CPUID_DIRECT)
				cpuid->first[range][offset] = i + 1;
		}
		base = find_leaf(cpuid, range << 30);
		cpuid->max[range] = base ? base->eax : 0;
	}
	for (i = 0; i < cpuid->nr; i++) {
		for (j = i + 1; j < cpuid->nr; j++) {
			if (cpuid->entry[j].function == cpuid->entry[i].function) {
				cpuid->next[i] = j + 1;
				break;
			}
		}
	}
}

static bool is_intel(const struct vitrine_cpuid *cpuid)
{
	const struct kvm_cpuid_entry2 *entry = find_leaf(cpuid, 0);

	/* "GenuineIntel" */
	return entry && entry->ebx == 0x756e6547 && entry->edx == 0x49656e69 &&
	       entry->ecx == 0x6c65746e;
}

static struct vitrine_cpuid *cpuid_alloc(u32 nr)
{
	struct vitrine_cpuid *cpuid;

	cpuid = kvzalloc(struct_size(cpuid, entry, nr), GFP_KERNEL_ACCOUNT);
	if (!cpuid)
		return ERR_PTR(-ENOMEM);
	cpuid->nr = nr;
	return cpuid;
}

static bool same_entries(const struct vitrine_cpuid *a, const struct vitrine_cpuid *b)
{
	u32 i;

	if (a->nr != b->nr)
		return false;
	for (i = 0; i < a->nr; i++) {
		const struct kvm_cpuid_entry2 *x = &a->entry[i], *y = &b->entry[i];

		if (x->function != y->function || x->index != y->index || x->flags != y->flags ||
		    x->eax != y->eax || x->ebx != y->ebx || x->ecx != y->ecx || x->edx != y->edx)
			return false;
	}
	return true;
}

static int check_widths(const struct vitrine_cpuid *cpuid)
{
	const struct kvm_cpuid_entry2 *entry = find(cpuid, LEAF_ADDRESS_SIZES, 0);
	u32 bits;

	if (!entry)
		return 0;
	bits = entry->eax >> 8 & 0xff;
	if (bits != 48 && bits != 57 && bits != 0) {
		pr_debug_ratelimited("KVM_SET_CPUID2: leaf 0x80000008 field eax[15:8] is %u, must be 0, 48 or 57\n",
				     bits);
		return -EINVAL;
	}
	bits = entry->eax & 0xff;
	if (bits > 52) {
		pr_debug_ratelimited("KVM_SET_CPUID2: leaf 0x80000008 field eax[7:0] is %u, must be at most 52\n",
				     bits);
		return -EINVAL;
	}
	return 0;
}

/* Takes @cpuid in every case. */
static int cpuid_set(struct vitrine_vcpu *vcpu, struct vitrine_cpuid *cpuid)
{
	const struct kvm_cpuid_entry2 *entry;
	int ret;

	build_index(cpuid);
	cpuid->intel = is_intel(cpuid);
	update_runtime(vcpu, cpuid);
	ret = check_widths(cpuid);
	if (ret)
		goto err_free;
	/*
	 * Once the guest ran it may rely on what it saw; a VMM that only restores sets the same
	 * again.
	 */
	if (vcpu->stats.guest_ticks) {
		ret = vcpu->cpuid && same_entries(vcpu->cpuid, cpuid) ? 0 : -EINVAL;
		if (ret)
			pr_debug_ratelimited("KVM_SET_CPUID2: field entries differs, must be what it was before KVM_RUN\n");
		goto err_free;
	}

	vitrine_cpuid_free(vcpu);
	vcpu->cpuid = cpuid;
	entry = find(cpuid, LEAF_ADDRESS_SIZES, 0);
	vcpu->maxphyaddr = entry && (entry->eax & 0xff) ? entry->eax & 0xff : DEFAULT_MAXPHYADDR;
	entry = find(cpuid, LEAF_XSAVE, 0);
	cpuid->xcr0 = entry ? (entry->eax | (u64)entry->edx << 32) & vitrine_fpu_supported_xcr0() :
			      0;
	cpuid->cr4_reserved = vitrine_cr4_reserved_by_cpuid(vcpu);
	vitrine_pv_update_cpuid(vcpu);
	vitrine_msr_update_intercepts(vcpu);
	return 0;

err_free:
	kvfree(cpuid);
	return ret;
}

void vitrine_cpuid_free(struct vitrine_vcpu *vcpu)
{
	kvfree(vcpu->cpuid);
	vcpu->cpuid = NULL;
}

static int check_nent(const char *cmd, u32 nent)
{
	if (nent <= VITRINE_CPUID_MAX_ENTRIES)
		return 0;
	pr_debug_ratelimited("%s: field nent is %u, must be at most %u\n", cmd, nent,
			     VITRINE_CPUID_MAX_ENTRIES);
	return -E2BIG;
}

static long cpuid_ioctl_set2(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_cpuid2 *header = arg->data;
	struct vitrine_cpuid *cpuid;

	if (check_nent("KVM_SET_CPUID2", header->nent))
		return -E2BIG;
	cpuid = cpuid_alloc(header->nent);
	if (IS_ERR(cpuid))
		return PTR_ERR(cpuid);
	if (copy_from_user(cpuid->entry, arg->user + sizeof(*header),
			   header->nent * sizeof(cpuid->entry[0]))) {
		kvfree(cpuid);
		return -EFAULT;
	}
	return cpuid_set(obj, cpuid);
}

/* The form of before there were indices. */
static long cpuid_ioctl_set(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_cpuid *header = arg->data;
	const struct kvm_cpuid_entry *old;
	struct kvm_cpuid_entry *entries;
	struct vitrine_cpuid *cpuid;
	u32 i;

	if (check_nent("KVM_SET_CPUID", header->nent))
		return -E2BIG;
	cpuid = cpuid_alloc(header->nent);
	if (IS_ERR(cpuid))
		return PTR_ERR(cpuid);
	entries = vmemdup_user(arg->user + sizeof(*header), header->nent * sizeof(entries[0]));
	if (IS_ERR(entries)) {
		kvfree(cpuid);
		return PTR_ERR(entries);
	}
	for (i = 0, old = entries; i < header->nent; i++, old++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entry[i];

		entry->function = old->function;
		entry->eax = old->eax;
		entry->ebx = old->ebx;
		entry->ecx = old->ecx;
		entry->edx = old->edx;
	}
	kvfree(entries);
	return cpuid_set(obj, cpuid);
}

static long cpuid_ioctl_get2(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;
	struct kvm_cpuid2 *header = arg->data;
	u32 nr = vcpu->cpuid ? vcpu->cpuid->nr : 0;

	if (header->nent < nr) {
		pr_debug_ratelimited("KVM_GET_CPUID2: field nent is %u, must be at least %u\n",
				     header->nent, nr);
		return -E2BIG;
	}
	if (nr && copy_to_user(arg->user + sizeof(*header), vcpu->cpuid->entry,
			       nr * sizeof(vcpu->cpuid->entry[0])))
		return -EFAULT;
	header->nent = nr;
	return 0;
}

const struct vitrine_ioctl vitrine_cpuid_vcpu_ioctls[] = {
	{ KVM_SET_CPUID, VITRINE_IOCTL_LOCK, cpuid_ioctl_set },
	{ KVM_SET_CPUID2, VITRINE_IOCTL_LOCK, cpuid_ioctl_set2 },
	{ KVM_GET_CPUID2, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_NO_LOAD, cpuid_ioctl_get2 },
	{}
};
