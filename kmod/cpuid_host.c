// SPDX-License-Identifier: GPL-2.0
/*
 * What CPUID a guest on this host can have: KVM_GET_SUPPORTED_CPUID and KVM_GET_EMULATED_CPUID. A
 * bit is offered only if the CPU has it, the kernel did not turn it off, and this module carries
 * what it needs (the masks below).
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/sched/stat.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/fpu/types.h>
#include <asm/processor.h>

#include "backend.h"
#include "cpuid.h"
#include "cpuid_leaf.h"
#include "fpu.h"
#include "ioctl.h"
#include "pv.h"

#define MAX_BASIC_LEAF		0x1f
#define MAX_SUBLEAVES		64
#define MAX_XFEATURES		64
#define POWER_ARAT		BIT(2)	/* the APIC timer does not stop: ours is a kernel timer */
#define INVARIANT_TSC		BIT(8)
#define XSAVE_LEGACY_BYTES	576	/* the FXSAVE image and the XSAVE header */
#define XSAVE_SUPERVISOR	BIT(0)
#define XSAVE_ALIGNED		BIT(1)
#define SECOND_LEVEL_BITS	48	/* reach of four levels of second-level tables */

/*
 * Leaf 7.2, EDX: bits of IA32_SPEC_CTRL (PSFD, IPRED_DIS, RRSBA_DIS, DDPD_U, BHI_DIS_S) and MCDT_NO
 */
#define STRUCTURED2_EDX		0x3fU

#define F(feature)	BIT(X86_FEATURE_##feature % 32)
/*
 * By number where the older of the kernels built for has no name yet: FZRM, FSRS, FSRC, CMPCCXADD,
 * AVX_IFMA
 */
#define STRUCTURED1_UNNAMED	(BIT(7) | BIT(10) | BIT(11) | BIT(12) | BIT(23))

static const struct cpuid_word words[] = {
	[0] = { LEAF_FEATURES, 0, CPUID_REG_EDX, .supported =
		F(FPU) | F(VME) | F(DE) | F(PSE) | F(TSC) | F(MSR) | F(PAE) | F(MCE) | F(CX8) |
		F(APIC) | F(SEP) | F(MTRR) | F(PGE) | F(MCA) | F(CMOV) | F(PAT) | F(PSE36) |
		F(CLFLUSH) | F(MMX) | F(FXSR) | F(XMM) | F(XMM2) | F(SELFSNOOP) },
	[1] = { LEAF_EXTENDED_FEATURES, 0, CPUID_REG_EDX, .supported =
		F(SYSCALL) | F(NX) | F(GBPAGES) | F(RDTSCP) | F(LM) },
	[4] = { LEAF_FEATURES, 0, CPUID_REG_ECX, .supported =
		F(XMM3) | F(PCLMULQDQ) | F(SSSE3) | F(FMA) | F(CX16) | F(PCID) | F(XMM4_1) |
		F(XMM4_2) | F(MOVBE) | F(POPCNT) | F(AES) | F(XSAVE) | F(AVX) | F(F16C) |
		F(RDRAND), .emulated = F(X2APIC) | F(HYPERVISOR) },
	[6] = { LEAF_EXTENDED_FEATURES, 0, CPUID_REG_ECX, .supported =
		F(LAHF_LM) | F(ABM) | F(3DNOWPREFETCH) },
	[9] = { LEAF_STRUCTURED, 0, CPUID_REG_EBX, .supported =
		F(FSGSBASE) | F(BMI1) | F(HLE) | F(AVX2) | F(FDP_EXCPTN_ONLY) | F(SMEP) | F(BMI2) |
		F(ERMS) | F(INVPCID) | F(RTM) | F(ZERO_FCS_FDS) | F(AVX512F) | F(AVX512DQ) |
		F(RDSEED) | F(ADX) | F(SMAP) | F(AVX512IFMA) | F(CLFLUSHOPT) | F(CLWB) |
		F(AVX512PF) | F(AVX512ER) | F(AVX512CD) | F(SHA_NI) | F(AVX512BW) | F(AVX512VL),
		.emulated = F(TSC_ADJUST) },
	[10] = { LEAF_XSAVE, 1, CPUID_REG_EAX, .supported = F(XSAVEOPT) | F(XSAVEC) | F(XGETBV1) },
	[12] = { LEAF_STRUCTURED, 1, CPUID_REG_EAX, .supported =
		F(AVX_VNNI) | F(AVX512_BF16) | STRUCTURED1_UNNAMED },
	[13] = { LEAF_ADDRESS_SIZES, 0, CPUID_REG_EBX, .supported = F(WBNOINVD) },
	[16] = { LEAF_STRUCTURED, 0, CPUID_REG_ECX, .supported =
		F(AVX512VBMI) | F(UMIP) | F(AVX512_VBMI2) | F(GFNI) | F(VAES) | F(VPCLMULQDQ) |
		F(AVX512_VNNI) | F(AVX512_BITALG) | F(AVX512_VPOPCNTDQ) | F(LA57) | F(RDPID) |
		F(CLDEMOTE) | F(MOVDIRI) | F(MOVDIR64B) },
	[18] = { LEAF_STRUCTURED, 0, CPUID_REG_EDX, .supported =
		F(AVX512_4VNNIW) | F(AVX512_4FMAPS) | F(FSRM) | F(AVX512_VP2INTERSECT) |
		F(MD_CLEAR) | F(SERIALIZE) | F(TSXLDTRK) | F(AVX512_FP16) | F(SPEC_CTRL) |
		F(INTEL_STIBP) | F(FLUSH_L1D) | F(SPEC_CTRL_SSBD),
		.emulated = F(ARCH_CAPABILITIES) },
};

/* What a guest needs the vendor's help for. */
static const unsigned int vendor_features[] = {
	X86_FEATURE_RDTSCP, X86_FEATURE_RDPID, X86_FEATURE_INVPCID,
};

/* All of this is filled in once, at module load. */
static u32 host_words[ARRAY_SIZE(words)] __read_mostly;
static struct {
	u32 bytes;
	u32 offset;
	u32 flags;
} xfeatures[MAX_XFEATURES] __read_mostly;

struct cpuid_list {
	u32 nr;
	struct kvm_cpuid_entry2 entry[VITRINE_CPUID_MAX_ENTRIES];
};

const struct cpuid_word *cpuid_word_find(unsigned int word)
{
	return word < ARRAY_SIZE(words) && (words[word].supported | words[word].emulated) ?
	       &words[word] : NULL;
}

bool vitrine_cpuid_host_has(unsigned int x86_feature)
{
	if (WARN_ON_ONCE(!cpuid_word_find(x86_feature / 32)))
		return false;
	return host_words[x86_feature / 32] & BIT(x86_feature % 32);
}

u32 cpuid_xsave_bytes(u64 xcr0, bool compacted)
{
	u32 bytes = XSAVE_LEGACY_BYTES;
	unsigned int i;

	for (i = 2; i < MAX_XFEATURES; i++) {
		if (!(xcr0 & BIT_ULL(i)))
			continue;
		if (compacted) {
			if (xfeatures[i].flags & XSAVE_ALIGNED)
				bytes = ALIGN(bytes, 64);
			bytes += xfeatures[i].bytes;
		} else {
			bytes = max(bytes, xfeatures[i].offset + xfeatures[i].bytes);
		}
	}
	return bytes;
}

static struct kvm_cpuid_entry2 *add(struct cpuid_list *list, u32 function, u32 index, bool indexed)
{
	struct kvm_cpuid_entry2 *entry;

	/* More than any CPU has: what does not fit is not told. */
	if (WARN_ON_ONCE(list->nr == ARRAY_SIZE(list->entry)))
		return &list->entry[list->nr - 1];
	entry = &list->entry[list->nr++];
	entry->function = function;
	entry->index = index;
	entry->flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
	return entry;
}

static struct kvm_cpuid_entry2 *add_raw(struct cpuid_list *list, u32 function, u32 index,
					bool indexed)
{
	struct kvm_cpuid_entry2 *entry = add(list, function, index, indexed);

	cpuid_count(function, index, &entry->eax, &entry->ebx, &entry->ecx, &entry->edx);
	return entry;
}

static void add_cache(struct cpuid_list *list)
{
	u32 i;

	for (i = 0; i < MAX_SUBLEAVES; i++)
		if (!(add_raw(list, LEAF_CACHE, i, true)->eax & 0x1f))
			return;
}

static void add_structured(struct cpuid_list *list)
{
	struct kvm_cpuid_entry2 *entry = add_raw(list, LEAF_STRUCTURED, 0, true);
	u32 max = min(entry->eax, 2U);

	entry->eax = max;
	entry->ebx = host_words[9];
	entry->ecx = host_words[16];
	entry->edx = host_words[18];
	if (max >= 1)
		add(list, LEAF_STRUCTURED, 1, true)->eax = host_words[12];
	if (max >= 2) {
		entry = add_raw(list, LEAF_STRUCTURED, 2, true);
		entry->eax = 0;
		entry->ebx = 0;
		entry->ecx = 0;
		entry->edx &= STRUCTURED2_EDX;
	}
}

static void add_xsave(struct cpuid_list *list)
{
	u64 xcr0 = vitrine_fpu_supported_xcr0();
	struct kvm_cpuid_entry2 *entry = add(list, LEAF_XSAVE, 0, true);
	u32 i;

	if (!vitrine_cpuid_host_has(X86_FEATURE_XSAVE))
		return;
	entry->eax = xcr0;
	entry->edx = xcr0 >> 32;
	entry->ebx = cpuid_xsave_bytes(xcr0, false);
	entry->ecx = entry->ebx;
	entry = add(list, LEAF_XSAVE, 1, true);
	entry->eax = host_words[10];
	if (entry->eax & F(XSAVEC))
		entry->ebx = cpuid_xsave_bytes(xcr0, true);
	for (i = 2; i < MAX_XFEATURES; i++) {
		if (!(xcr0 & BIT_ULL(i)))
			continue;
		entry = add(list, LEAF_XSAVE, i, true);
		entry->eax = xfeatures[i].bytes;
		entry->ebx = xfeatures[i].offset;
		entry->ecx = xfeatures[i].flags;
	}
}

static void add_basic(struct cpuid_list *list)
{
	struct kvm_cpuid_entry2 *entry = add_raw(list, LEAF_BASIC, 0, false);
	u32 max = min_t(u32, entry->eax, MAX_BASIC_LEAF);
	u32 leaf;

	entry->eax = max;
	for (leaf = 1; leaf <= max; leaf++) {
		switch (leaf) {
		case LEAF_FEATURES:
			entry = add_raw(list, leaf, 0, false);
			/*
			 * CLFLUSH size and brand; APIC id and their number are the VMM's to give.
			 */
			entry->ebx &= 0xffff;
			entry->ecx = host_words[4];
			entry->edx = host_words[0];
			break;
		case 2:
			add_raw(list, leaf, 0, false);
			break;
		case LEAF_CACHE:
			add_cache(list);
			break;
		case LEAF_POWER:
			add(list, leaf, 0, false)->eax = POWER_ARAT;
			break;
		case LEAF_STRUCTURED:
			add_structured(list);
			break;
		case LEAF_TOPOLOGY:
		case LEAF_TOPOLOGY_V2:
			/* No levels: how its CPUs hang together is the VMM's to say. */
			add(list, leaf, 0, true);
			break;
		case LEAF_XSAVE:
			add_xsave(list);
			break;
		default:
			/*
			 * Nothing of it works in a guest: MONITOR, PMU, SGX, PT, AMX; host's
			 * frequencies.
			 */
			add(list, leaf, 0, false);
			break;
		}
	}
}

static void add_hypervisor(struct cpuid_list *list)
{
	/*
	 * By this signature guests know how to look for features; without one they would assume
	 * none.
	 */
	static const char signature[12] = "KVMKVMKVM";
	struct kvm_cpuid_entry2 *entry = add(list, LEAF_HYPERVISOR, 0, false);

	entry->eax = LEAF_HYPERVISOR_FEATURES;
	memcpy(&entry->ebx, signature, 4);
	memcpy(&entry->ecx, signature + 4, 4);
	memcpy(&entry->edx, signature + 8, 4);
	entry = add(list, LEAF_HYPERVISOR_FEATURES, 0, false);
	entry->eax = VITRINE_PV_FEATURES;
	if (!sched_info_on())
		entry->eax &= ~(BIT(KVM_FEATURE_STEAL_TIME) | BIT(KVM_FEATURE_PV_TLB_FLUSH));
}

static void add_address_sizes(struct cpuid_list *list)
{
	struct kvm_cpuid_entry2 *entry = add(list, LEAF_ADDRESS_SIZES, 0, false);
	u32 phys_bits = cpuid_eax(LEAF_ADDRESS_SIZES) & 0xff;
	u32 virt_bits = vitrine_cpuid_host_has(X86_FEATURE_LA57) ? 57 : 48;

	entry->eax = phys_bits | virt_bits << 8;
	/* A CPU with more than our tables can map: the guest is told what can be used of it. */
	if (phys_bits > SECOND_LEVEL_BITS)
		entry->eax |= SECOND_LEVEL_BITS << 16;
	entry->ebx = host_words[13];
}

static void add_extended(struct cpuid_list *list)
{
	struct kvm_cpuid_entry2 *entry = add_raw(list, LEAF_EXTENDED, 0, false);
	u32 max = min_t(u32, entry->eax, LEAF_ADDRESS_SIZES);
	u32 leaf;

	entry->eax = max;
	for (leaf = LEAF_EXTENDED_FEATURES; leaf <= max; leaf++) {
		switch (leaf) {
		case LEAF_EXTENDED_FEATURES:
			entry = add(list, leaf, 0, false);
			entry->ecx = host_words[6];
			entry->edx = host_words[1];
			break;
		case LEAF_BRAND_FIRST ... LEAF_BRAND_LAST:
		case LEAF_CACHE_L2:
			add_raw(list, leaf, 0, false);
			break;
		case LEAF_INVARIANT_TSC:
			entry = add_raw(list, leaf, 0, false);
			entry->eax = 0;
			entry->ebx = 0;
			entry->ecx = 0;
			entry->edx &= INVARIANT_TSC;
			break;
		case LEAF_ADDRESS_SIZES:
			add_address_sizes(list);
			break;
		default:
			add(list, leaf, 0, false);
			break;
		}
	}
}

static long copy_list(struct kvm_cpuid2 *header, void __user *user, const struct cpuid_list *list)
{
	if (header->nent < list->nr) {
		pr_debug_ratelimited("KVM_GET_SUPPORTED_CPUID: field nent is %u, must be at least %u\n",
				     header->nent, list->nr);
		return -E2BIG;
	}
	if (copy_to_user(user + sizeof(*header), list->entry, list->nr * sizeof(list->entry[0])))
		return -EFAULT;
	header->nent = list->nr;
	return 0;
}

static long cpuid_ioctl_get_supported(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct cpuid_list *list = kvzalloc(sizeof(*list), GFP_KERNEL_ACCOUNT);
	long ret;

	if (!list)
		return -ENOMEM;
	/* One CPU's answers throughout, as far as they differ. */
	migrate_disable();
	add_basic(list);
	add_hypervisor(list);
	add_extended(list);
	migrate_enable();
	ret = copy_list(arg->data, arg->user, list);
	kvfree(list);
	return ret;
}

/* Features that would be slow because they are emulated: none. */
static long cpuid_ioctl_get_emulated(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct kvm_cpuid2 *header = arg->data;

	header->nent = 0;
	return 0;
}

int vitrine_cpuid_module_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		struct kvm_cpuid_entry2 raw = {};

		if (!cpuid_word_find(i))
			continue;
		if (words[i].function <= cpuid_eax(words[i].function & 0x80000000))
			cpuid_count(words[i].function, words[i].index, &raw.eax, &raw.ebx, &raw.ecx,
				    &raw.edx);
		host_words[i] = (*cpuid_entry_reg(&raw, words[i].reg) & words[i].supported &
				 boot_cpu_data.x86_capability[i]) | words[i].emulated;
	}
	for (i = 0; i < ARRAY_SIZE(vendor_features); i++)
		if (vitrine_backend->has_feature &&
		    !vitrine_backend->has_feature(vendor_features[i]))
			host_words[vendor_features[i] / 32] &= ~BIT(vendor_features[i] % 32);

	if (!vitrine_cpuid_host_has(X86_FEATURE_XSAVE)) {
		host_words[10] = 0;
		return 0;
	}
	for (i = 2; i < MAX_XFEATURES; i++) {
		u32 eax, ebx, ecx, edx;

		if (!(vitrine_fpu_supported_xcr0() & BIT_ULL(i)))
			continue;
		cpuid_count(LEAF_XSAVE, i, &eax, &ebx, &ecx, &edx);
		xfeatures[i].bytes = eax;
		xfeatures[i].offset = ebx;
		xfeatures[i].flags = ecx & (XSAVE_ALIGNED | XSAVE_SUPERVISOR);
	}
	return 0;
}

const struct vitrine_ioctl vitrine_cpuid_dev_ioctls[] = {
	{ KVM_GET_SUPPORTED_CPUID, 0, cpuid_ioctl_get_supported },
	{ KVM_GET_EMULATED_CPUID, 0, cpuid_ioctl_get_emulated },
	{}
};
