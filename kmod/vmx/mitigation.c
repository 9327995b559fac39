// SPDX-License-Identifier: GPL-2.0
/*
 * Side channels: asks the CPU and the kernel, has the plan made, and sets the switches that the
 * entry path reads. After load nothing changes any more; entries take no lock here.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/cpu.h>
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/sched/smt.h>
#include <linux/string.h>
#include <vitrine.h>
#include <asm/cpufeature.h>
#include <asm/hardirq.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/vmx.h>

#include "../mmu.h"
#include "../vcpu.h"
#include "mitigation.h"
#include "mitigation_plan.h"
#include "vmx.h"

static char *vmentry_l1d_flush = "auto";
module_param(vmentry_l1d_flush, charp, 0444);
MODULE_PARM_DESC(vmentry_l1d_flush, "Flush of the L1 data cache before an entry, against L1TF: auto (as l1tf= says), never, cond, always");

static bool allow_unmitigated;
module_param(allow_unmitigated, bool, 0444);
MODULE_PARM_DESC(allow_unmitigated, "Create VMs even if parameters leave this CPU open to a side channel");

DEFINE_STATIC_KEY_FALSE(vmx_l1d_flush_key);
DEFINE_STATIC_KEY_FALSE(vmx_l1d_flush_cond_key);
DEFINE_PER_CPU(bool, vmx_l1d_flush_due);

/* Twice the largest L1D, as replacement is not strictly by age. */
#define FILL_ORDER	4
#define FILL_BYTES	(PAGE_SIZE << FILL_ORDER)
#define FILL_LINE_BYTES	64

static u8 *fill_pages __ro_after_init;
static struct vmx_mitigation_plan plan __ro_after_init;

static const char *const names[VITRINE_NR_MITIGATIONS] = {
	"ITLB multihit", "L1TF", "MDS/TAA/MMIO stale data", "RSB", "BHI", "SPEC_CTRL", "IBPB",
	"VMSCAPE",
};

static const char *const l1d_flush_names[VMX_NR_L1D_FLUSH] = {
	[VMX_L1D_FLUSH_AUTO] = "auto",
	[VMX_L1D_FLUSH_NEVER] = "never",
	[VMX_L1D_FLUSH_COND] = "cond",
	[VMX_L1D_FLUSH_ALWAYS] = "always",
};

/*
 * Handlers of these look at the vCPU, at its VM's devices, clocks and tables, and at whom those
 * wake, but at nobody's data; where one goes further it sets vcpu->host_data_read. What an
 * interrupt handler read the kernel notes itself, and what the scheduler brought in the load.
 */
static const u64 safe_exits =
	BIT_ULL(EXIT_REASON_EXTERNAL_INTERRUPT) | BIT_ULL(EXIT_REASON_INTERRUPT_WINDOW) |
	BIT_ULL(EXIT_REASON_NMI_WINDOW) | BIT_ULL(EXIT_REASON_CPUID) | BIT_ULL(EXIT_REASON_HLT) |
	BIT_ULL(EXIT_REASON_INVD) | BIT_ULL(EXIT_REASON_WBINVD) | BIT_ULL(EXIT_REASON_VMCALL) |
	BIT_ULL(EXIT_REASON_CR_ACCESS) | BIT_ULL(EXIT_REASON_DR_ACCESS) |
	BIT_ULL(EXIT_REASON_XSETBV) | BIT_ULL(EXIT_REASON_IO_INSTRUCTION) |
	BIT_ULL(EXIT_REASON_MSR_READ) | BIT_ULL(EXIT_REASON_MSR_WRITE) |
	BIT_ULL(EXIT_REASON_RDTSC) | BIT_ULL(EXIT_REASON_RDTSCP) |
	BIT_ULL(EXIT_REASON_PAUSE_INSTRUCTION) | BIT_ULL(EXIT_REASON_PREEMPTION_TIMER) |
	BIT_ULL(EXIT_REASON_EPT_VIOLATION) | BIT_ULL(EXIT_REASON_PML_FULL);

void vmx_mitigate_handled_exit(struct vitrine_vcpu *vcpu, u32 reason)
{
	if (reason < BITS_PER_LONG_LONG && safe_exits & BIT_ULL(reason) && !vcpu->host_data_read)
		return;
	vcpu->host_data_read = false;
	this_cpu_write(vmx_l1d_flush_due, true);
}

/*
 * Without the MSR: fill the cache with lines that hold nothing. First the TLB, so that no walk
 * comes in between.
 */
static noinstr void fill_l1d(void)
{
	unsigned int eax = 0, ecx = 0, ebx, edx;
	unsigned long i;

	for (i = 0; i < FILL_BYTES; i += PAGE_SIZE)
		READ_ONCE(fill_pages[i]);
	asm volatile("cpuid" : "+a" (eax), "=b" (ebx), "+c" (ecx), "=d" (edx) : : "memory");
	/* Of a loop that is not unrolled, three instructions in four would be the loop's own. */
#pragma GCC unroll 32
	for (i = 0; i < FILL_BYTES; i += FILL_LINE_BYTES)
		READ_ONCE(fill_pages[i]);
	asm volatile("lfence" : : : "memory");
}

/* True if it was flushed. */
noinstr bool vmx_mitigate_l1d(void)
{
	if (static_branch_likely(&vmx_l1d_flush_cond_key)) {
		bool due = __this_cpu_read(vmx_l1d_flush_due) || kvm_get_cpu_l1tf_flush_l1d();

		if (!due)
			return false;
		__this_cpu_write(vmx_l1d_flush_due, false);
		kvm_clear_cpu_l1tf_flush_l1d();
	}
	if (static_cpu_has(X86_FEATURE_FLUSH_L1D))
		native_wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
	else
		fill_l1d();
	return true;
}

unsigned int vmx_mitigation_enter_flags(const struct vitrine_vcpu *vcpu)
{
	const struct vmx_vcpu *vmx = container_of(vcpu, const struct vmx_vcpu, vcpu);
	unsigned int flags = 0;

	if (!boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL))
		return 0;
	flags |= VMX_ENTER_SPEC_CTRL;
	/* The write bitmap for low MSRs is the third kilobyte of the page. */
	if (!test_bit(2 * 1024 * BITS_PER_BYTE + MSR_IA32_SPEC_CTRL, vmx->msr_bitmap))
		flags |= VMX_ENTER_SAVE_SPEC_CTRL;
	return flags;
}

static enum vmx_l1tf_choice kernel_l1tf(void)
{
	switch (l1tf_mitigation) {
	case L1TF_MITIGATION_OFF:
		return VMX_L1TF_OFF;
	case L1TF_MITIGATION_FULL:
		return VMX_L1TF_FULL;
	case L1TF_MITIGATION_FULL_FORCE:
		return VMX_L1TF_FULL_FORCE;
	default:
		return VMX_L1TF_FLUSH;
	}
}

static bool outer_hypervisor_flushes(void)
{
	u64 capabilities;

	if (!boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES) ||
	    rdmsrl_safe(MSR_IA32_ARCH_CAPABILITIES, &capabilities))
		return false;
	return capabilities & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH;
}

static void gather_input(struct vmx_mitigation_input *in, enum vmx_l1d_flush want)
{
	*in = (struct vmx_mitigation_input) {
		.bug_itlb_multihit = boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT),
		.bug_l1tf = boot_cpu_has_bug(X86_BUG_L1TF),
		.bug_buffers = boot_cpu_has_bug(X86_BUG_MDS) || boot_cpu_has_bug(X86_BUG_TAA) ||
			       boot_cpu_has_bug(X86_BUG_MMIO_STALE_DATA) ||
			       boot_cpu_has_bug(X86_BUG_RFDS),
		.bug_spectre_v2 = boot_cpu_has_bug(X86_BUG_SPECTRE_V2),
		.bug_bhi = boot_cpu_has_bug(X86_BUG_BHI),
		.bug_vmscape = vitrine_has_bug_vmscape(),
		.flush_l1d = boot_cpu_has(X86_FEATURE_FLUSH_L1D),
		.skip_l1d_flush = outer_hypervisor_flushes(),
		.spec_ctrl = boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL),
		.mitigations_off = cpu_mitigations_off(),
		.verw = boot_cpu_has(X86_FEATURE_CLEAR_CPU_BUF),
		.verw_mmio = static_key_enabled(&vitrine_cpu_buf_vm_clear),
		.rsb_fill = boot_cpu_has(X86_FEATURE_RSB_VMEXIT),
		.rsb_one = boot_cpu_has(X86_FEATURE_RSB_VMEXIT_LITE),
		.bhb_loop = boot_cpu_has(VITRINE_FEATURE_BHB_LOOP),
		.bhb_hardware = boot_cpu_has(X86_FEATURE_CLEAR_BHB_HW),
		.ibpb = boot_cpu_has(X86_FEATURE_USE_IBPB),
		.ibpb_to_user = vitrine_has_ibpb_to_user(),
		.can_tell_vmscape = VITRINE_CAN_TELL_VMSCAPE,
		.smt = sched_smt_active(),
		.nx_huge_pages = vitrine_mmu_nx_huge_pages,
		.l1tf = kernel_l1tf(),
		.want_l1d_flush = want,
	};
}

/* Names of the bits, with commas, into @text. */
static void name_bits(char *text, size_t size, u64 bits)
{
	unsigned int i;
	int used = 0;

	text[0] = '\0';
	for (i = 0; i < VITRINE_NR_MITIGATIONS; i++)
		if (bits & BIT_ULL(i))
			used += scnprintf(text + used, size - used, "%s%s", used ? ", " : "",
					  names[i]);
}

int vmx_mitigation_check(void)
{
	u64 missing = plan.needed & ~plan.active;
	char text[128];

	if (plan.warn_smt)
		pr_warn_once("L1TF: a guest can read what a sibling thread has in its cache; see hw-vuln/l1tf.rst\n");
	if (!missing)
		return 0;
	name_bits(text, sizeof(text), missing);
	if (allow_unmitigated) {
		pr_warn_once("this CPU is open to guests by %s, as allow_unmitigated=1 allows\n",
			     text);
		return 0;
	}
	pr_err_ratelimited("no VM is created: this CPU needs a defence that the module's parameters turned off or that this kernel keeps to KVM: %s; allow_unmitigated=1 overrides\n",
			   text);
	return -EOPNOTSUPP;
}

void vmx_mitigation_report(struct vitrine_mitigations *report)
{
	report->needed = plan.needed;
	report->active = plan.active;
}

int vmx_mitigation_init(void)
{
	int want = match_string(l1d_flush_names, VMX_NR_L1D_FLUSH, vmentry_l1d_flush);
	struct vmx_mitigation_input in;
	char text[128];
	unsigned int i;

	if (want < 0) {
		pr_err("parameter vmentry_l1d_flush is \"%s\", must be auto, never, cond or always\n",
		       vmentry_l1d_flush);
		return -EINVAL;
	}
	gather_input(&in, want);
	vmx_mitigation_plan(&in, &plan);

	if (plan.l1d_flush_by_reading) {
		fill_pages = (u8 *)__get_free_pages(GFP_KERNEL, FILL_ORDER);
		if (!fill_pages)
			return -ENOMEM;
		/*
		 * Pages that differ are not merged by an outer hypervisor, which would leave one to
		 * read.
		 */
		for (i = 0; i < BIT(FILL_ORDER); i++)
			memset(fill_pages + i * PAGE_SIZE, i + 1, PAGE_SIZE);
	}
	if (plan.l1d_flush != VMX_L1D_FLUSH_NEVER)
		static_branch_enable(&vmx_l1d_flush_key);
	if (plan.l1d_flush == VMX_L1D_FLUSH_COND)
		static_branch_enable(&vmx_l1d_flush_cond_key);
	if (plan.open) {
		name_bits(text, sizeof(text), plan.open);
		pr_info("this CPU is affected by what its kernel does not defend against: %s\n",
			text);
	}
	return 0;
}

void vmx_mitigation_exit(void)
{
	free_pages((unsigned long)fill_pages, FILL_ORDER);
}
