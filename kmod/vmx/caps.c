// SPDX-License-Identifier: GPL-2.0
/*
 * Capabilities: which controls this CPU allows, which we cannot do without. Reads MSRs only; never
 * enters VMX.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/vmx.h>
#include <vitrine.h>

#include "caps.h"

struct vmx_caps vmx_caps __ro_after_init;

#define APICV_CTLS	(SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES | \
			 SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE | \
			 SECONDARY_EXEC_APIC_REGISTER_VIRT | SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)

/* Which control word a row of the table belongs to. */
enum control_word { PIN, CPU, CPU2, EXIT, ENTRY, NR_WORDS };

/**
 * struct control - one VM-execution, VM-exit or VM-entry control
 * @word: where it is
 * @bit: its mask there
 * @name: as the SDM's tables of controls spell it
 * @required: VM creation is impossible without it
 */
struct control {
	enum control_word word;
	u32 bit;
	bool required;
	const char *name;
};

static const struct control controls[] = {
	{ PIN, PIN_BASED_EXT_INTR_MASK, true, "External-interrupt exiting" },
	{ PIN, PIN_BASED_NMI_EXITING, true, "NMI exiting" },
	{ PIN, PIN_BASED_VIRTUAL_NMIS, true, "Virtual NMIs" },
	{ PIN, PIN_BASED_VMX_PREEMPTION_TIMER, false, "Activate VMX-preemption timer" },
	{ CPU, CPU_BASED_USE_TSC_OFFSETTING, true, "Use TSC offsetting" },
	{ CPU, CPU_BASED_HLT_EXITING, true, "HLT exiting" },
	{ CPU, CPU_BASED_MWAIT_EXITING, true, "MWAIT exiting" },
	{ CPU, CPU_BASED_MONITOR_EXITING, true, "MONITOR exiting" },
	{ CPU, CPU_BASED_RDPMC_EXITING, true, "RDPMC exiting" },
	{ CPU, CPU_BASED_CR8_LOAD_EXITING, true, "CR8-load exiting" },
	{ CPU, CPU_BASED_CR8_STORE_EXITING, true, "CR8-store exiting" },
	{ CPU, CPU_BASED_MOV_DR_EXITING, true, "MOV-DR exiting" },
	{ CPU, CPU_BASED_UNCOND_IO_EXITING, true, "Unconditional I/O exiting" },
	{ CPU, CPU_BASED_USE_MSR_BITMAPS, true, "Use MSR bitmaps" },
	{ CPU, CPU_BASED_ACTIVATE_SECONDARY_CONTROLS, true, "Activate secondary controls" },
	{ CPU2, SECONDARY_EXEC_ENABLE_EPT, true, "Enable EPT" },
	{ CPU2, SECONDARY_EXEC_UNRESTRICTED_GUEST, true, "Unrestricted guest" },
	{ CPU2, SECONDARY_EXEC_WBINVD_EXITING, true, "WBINVD exiting" },
	{ CPU2, SECONDARY_EXEC_ENABLE_VPID, false, "Enable VPID" },
	{ CPU2, SECONDARY_EXEC_ENABLE_RDTSCP, false, "Enable RDTSCP" },
	{ CPU2, SECONDARY_EXEC_ENABLE_INVPCID, false, "Enable INVPCID" },
	{ CPU, CPU_BASED_TPR_SHADOW, false, "Use TPR shadow" },
	{ CPU2, SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, false, "Virtualize APIC accesses" },
	{ CPU2, SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE, false, "Virtualize x2APIC mode" },
	{ CPU2, SECONDARY_EXEC_APIC_REGISTER_VIRT, false, "APIC-register virtualization" },
	{ CPU2, SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY, false, "Virtual-interrupt delivery" },
	{ CPU2, SECONDARY_EXEC_ENABLE_PML, false, "Enable PML" },
	{ CPU2, SECONDARY_EXEC_TSC_SCALING, false, "Use TSC scaling" },
	{ CPU2, SECONDARY_EXEC_ENCLS_EXITING, false, "Enable ENCLS exiting" },
	{ EXIT, VM_EXIT_SAVE_DEBUG_CONTROLS, true, "Save debug controls" },
	{ EXIT, VM_EXIT_HOST_ADDR_SPACE_SIZE, true, "Host address-space size" },
	{ EXIT, VM_EXIT_SAVE_IA32_PAT, true, "Save IA32_PAT" },
	{ EXIT, VM_EXIT_LOAD_IA32_PAT, true, "Load IA32_PAT (exit)" },
	{ EXIT, VM_EXIT_LOAD_IA32_EFER, true, "Load IA32_EFER (exit)" },
	{ ENTRY, VM_ENTRY_LOAD_DEBUG_CONTROLS, true, "Load debug controls" },
	{ ENTRY, VM_ENTRY_LOAD_IA32_PAT, true, "Load IA32_PAT (entry)" },
	{ ENTRY, VM_ENTRY_LOAD_IA32_EFER, true, "Load IA32_EFER (entry)" },
};

/* Feature bits of IA32_VMX_EPT_VPID_CAP without which no guest runs here. */
static const struct {
	u64 bit;
	const char *name;
} ept_required[] = {
	{ VMX_EPT_PAGE_WALK_4_BIT, "EPT page-walk length of 4" },
	{ VMX_EPTP_WB_BIT, "EPT paging-structure memory type WB" },
	{ VMX_EPT_INVEPT_BIT, "INVEPT" },
	{ VMX_EPT_EXTENT_GLOBAL_BIT, "all-context INVEPT" },
};

/*
 * The TRUE_ capability MSRs say which default1 bits may be 0; they replace the older ones where
 * they exist.
 */
static u64 read_control_msr(u64 basic, u32 plain, u32 true_msr)
{
	u64 value;

	rdmsrl(basic & VMX_BASIC_TRUE_CTLS ? true_msr : plain, value);
	return value;
}

static bool select_controls(u32 words[NR_WORDS], const u64 allowed[NR_WORDS], bool log_missing)
{
	bool complete = true;
	unsigned int i;

	for (i = 0; i < NR_WORDS; i++)
		words[i] = (u32)allowed[i];	/* bits that must be 1 */
	for (i = 0; i < ARRAY_SIZE(controls); i++) {
		const struct control *c = &controls[i];

		if ((allowed[c->word] >> 32) & c->bit) {
			words[c->word] |= c->bit;
			continue;
		}
		if (!c->required)
			continue;
		complete = false;
		if (log_missing)
			pr_err("this CPU lacks the VMX control \"%s\"\n", c->name);
	}
	return complete;
}

static bool check_ept(u64 ept_vpid, bool log_missing)
{
	bool complete = true;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ept_required); i++) {
		if (ept_vpid & ept_required[i].bit)
			continue;
		complete = false;
		if (log_missing)
			pr_err("this CPU lacks the EPT capability \"%s\"\n", ept_required[i].name);
	}
	return complete;
}

int vmx_caps_check_firmware(void)
{
	u64 control;

	if (!(cpuid_ecx(1) & BIT(5))) {
		pr_err("no VMX: CPUID.1:ECX.VMX is 0 (not an Intel CPU with VT-x, or hidden by an outer hypervisor)\n");
		return -ENODEV;
	}
	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &control) || !(control & FEAT_CTL_LOCKED)) {
		pr_err("VMX is not enabled: IA32_FEATURE_CONTROL is not locked; turn VT-x on in the firmware set-up\n");
		return -EPERM;
	}
	if (!(control & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX)) {
		pr_err("VMX is disabled and locked by the firmware (IA32_FEATURE_CONTROL = 0x%llx); turn VT-x on in the firmware set-up\n",
		       control);
		return -EPERM;
	}
	return 0;
}

/*
 * Intel's specification updates for these name an erratum by which the timer does not count down at
 * its rate: Nehalem, Westmere and an early Ivy Bridge. Their models are given up whole.
 */
static bool preemption_timer_is_broken(void)
{
	static const u8 models[] = { 0x1a, 0x1e, 0x1f, 0x25, 0x2c, 0x2e, 0x2f, 0x3a };
	unsigned int i;

	if (boot_cpu_data.x86_vendor != X86_VENDOR_INTEL || boot_cpu_data.x86 != 6)
		return false;
	for (i = 0; i < ARRAY_SIZE(models); i++)
		if (boot_cpu_data.x86_model == models[i])
			return true;
	return false;
}

int vmx_caps_read(struct vmx_caps *caps, bool log_missing)
{
	u64 allowed[NR_WORDS] = {};
	u32 words[NR_WORDS];
	bool complete;

	memset(caps, 0, sizeof(*caps));
	rdmsrl(MSR_IA32_VMX_BASIC, caps->basic);
	rdmsrl(MSR_IA32_VMX_MISC, caps->misc);
	allowed[PIN] = read_control_msr(caps->basic, MSR_IA32_VMX_PINBASED_CTLS,
					MSR_IA32_VMX_TRUE_PINBASED_CTLS);
	allowed[CPU] = read_control_msr(caps->basic, MSR_IA32_VMX_PROCBASED_CTLS,
					MSR_IA32_VMX_TRUE_PROCBASED_CTLS);
	allowed[EXIT] =
		read_control_msr(caps->basic, MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS);
	allowed[ENTRY] = read_control_msr(caps->basic, MSR_IA32_VMX_ENTRY_CTLS,
					  MSR_IA32_VMX_TRUE_ENTRY_CTLS);
	if ((allowed[CPU] >> 32) & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
		rdmsrl(MSR_IA32_VMX_PROCBASED_CTLS2, allowed[CPU2]);
	if ((allowed[CPU2] >> 32) & (SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_ENABLE_VPID))
		rdmsrl(MSR_IA32_VMX_EPT_VPID_CAP, caps->ept_vpid);
	rdmsrl(MSR_IA32_VMX_CR0_FIXED0, caps->cr0_fixed0);
	rdmsrl(MSR_IA32_VMX_CR0_FIXED1, caps->cr0_fixed1);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED0, caps->cr4_fixed0);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED1, caps->cr4_fixed1);

	complete = select_controls(words, allowed, log_missing);
	complete &= check_ept(caps->ept_vpid, log_missing);

	/*
	 * The guest owns CR3 and INVLPG under EPT; where these exits are default1 there is no way
	 * to give them.
	 */
	if (words[CPU] &
	    (CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR3_STORE_EXITING | CPU_BASED_INVLPG_EXITING)) {
		complete = false;
		if (log_missing)
			pr_err("this CPU forces CR3 or INVLPG exits\n");
	}
	if (!complete)
		return -EOPNOTSUPP;

	caps->pin = words[PIN];
	caps->cpu = words[CPU];
	caps->cpu2 = words[CPU2];
	caps->cpu_allowed = allowed[CPU] >> 32;
	caps->cpu2_allowed = allowed[CPU2] >> 32;
	caps->exit = words[EXIT];
	caps->entry = words[ENTRY];
	caps->ept_ad = caps->ept_vpid & VMX_EPT_AD_BIT;
	caps->ept_2m = caps->ept_vpid & VMX_EPT_2MB_PAGE_BIT;
	caps->ept_1g = caps->ept_vpid & VMX_EPT_1GB_PAGE_BIT;
	caps->ept_exec_only = caps->ept_vpid & VMX_EPT_EXECUTE_ONLY_BIT;
	caps->invept_single = caps->ept_vpid & VMX_EPT_EXTENT_CONTEXT_BIT;
	caps->invvpid_single = caps->ept_vpid & VMX_VPID_EXTENT_SINGLE_CONTEXT_BIT;
	caps->vpid = (caps->cpu2 & SECONDARY_EXEC_ENABLE_VPID) &&
		     (caps->ept_vpid & VMX_VPID_INVVPID_BIT) &&
		     (caps->ept_vpid & VMX_VPID_EXTENT_GLOBAL_CONTEXT_BIT) && caps->invvpid_single;
	if (!caps->vpid)
		caps->cpu2 &= ~SECONDARY_EXEC_ENABLE_VPID;
	caps->preemption_timer = caps->pin & PIN_BASED_VMX_PREEMPTION_TIMER &&
				 !preemption_timer_is_broken();
	if (!caps->preemption_timer)
		caps->pin &= ~PIN_BASED_VMX_PREEMPTION_TIMER;
	caps->preemption_timer_shift = vmx_misc_preemption_timer_rate(caps->misc);
	caps->tpr_shadow = caps->cpu & CPU_BASED_TPR_SHADOW;
	caps->apicv = caps->tpr_shadow && (caps->cpu2 & APICV_CTLS) == APICV_CTLS;
	caps->cpu &= ~CPU_BASED_TPR_SHADOW;
	caps->cpu2 &= ~APICV_CTLS;
	/* It logs what sets an entry's dirty bit; it is on while there is something to log. */
	caps->pml = caps->cpu2 & SECONDARY_EXEC_ENABLE_PML && caps->ept_ad;
	caps->cpu2 &= ~SECONDARY_EXEC_ENABLE_PML;
	caps->tsc_scaling = caps->cpu2 & SECONDARY_EXEC_TSC_SCALING;
	caps->invpcid = caps->cpu2 & SECONDARY_EXEC_ENABLE_INVPCID;
	caps->rdtscp = caps->cpu2 & SECONDARY_EXEC_ENABLE_RDTSCP;
	return 0;
}

int vmx_caps_compare(void)
{
	struct vmx_caps here;

	if (vmx_caps_read(&here, false) || memcmp(&here, &vmx_caps, sizeof(here))) {
		pr_err_ratelimited("CPU %d offers other VMX controls than the boot CPU (controls 0x%x 0x%x 0x%x)\n",
				   raw_smp_processor_id(), here.pin, here.cpu, here.cpu2);
		return -EOPNOTSUPP;
	}
	return 0;
}

void vmx_caps_report(struct vitrine_caps *caps)
{
	unsigned int i;

	for (i = 0; i < VITRINE_NR_VMX_MSRS; i++)
		if (rdmsrl_safe(MSR_IA32_VMX_BASIC + i, &caps->vmx_msr[i]))
			caps->vmx_msr[i] = 0;
	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &caps->feature_control))
		caps->feature_control = 0;
	caps->ept_in_use = 1;
	caps->vpid_in_use = vmx_caps.vpid;
}
