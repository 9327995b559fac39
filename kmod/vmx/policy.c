// SPDX-License-Identifier: GPL-2.0
/*
 * An exit policy in terms of the VMCS: which controls make a class exit that otherwise would not,
 * and which classes this CPU has such controls for.
 */
#include <linux/bits.h>
#include <linux/kernel.h>
#include <vitrine_policy.h>
#include <asm/vmx.h>

#include "../vm.h"
#include "vmx.h"

/* What a class needs, where it does not exit anyway or by other means. */
struct need {
	u32 cpu;
	u32 cpu2;
};

static const struct need needs[VITRINE_NR_ON] = {
	[VITRINE_ON_CR_READ] = { CPU_BASED_CR3_STORE_EXITING },
	[VITRINE_ON_CR_WRITE] = { CPU_BASED_CR3_LOAD_EXITING },
	[VITRINE_ON_HLT] = { CPU_BASED_HLT_EXITING },
	[VITRINE_ON_RDTSC] = { CPU_BASED_RDTSC_EXITING },
	[VITRINE_ON_INVLPG] = { CPU_BASED_INVLPG_EXITING },
	/* It exits by the same control, or is undefined without the other. */
	[VITRINE_ON_INVPCID] = { CPU_BASED_INVLPG_EXITING, SECONDARY_EXEC_ENABLE_INVPCID },
	[VITRINE_ON_RDRAND] = { 0, SECONDARY_EXEC_RDRAND_EXITING },
	[VITRINE_ON_RDSEED] = { 0, SECONDARY_EXEC_RDSEED_EXITING },
	[VITRINE_ON_PAUSE] = { CPU_BASED_PAUSE_EXITING },
	[VITRINE_ON_TABLE_LOAD] = { 0, SECONDARY_EXEC_DESC },
	[VITRINE_ON_TABLE_STORE] = { 0, SECONDARY_EXEC_DESC },
	[VITRINE_ON_STEP] = { CPU_BASED_MONITOR_TRAP_FLAG },
	[VITRINE_ON_MONITOR] = { CPU_BASED_MONITOR_EXITING | CPU_BASED_MWAIT_EXITING },
};

u32 vmx_policy_classes(void)
{
	u32 on, classes = 0;

	for (on = 1; on < VITRINE_NR_ON; on++)
		if (!(needs[on].cpu & ~vmx_caps.cpu_allowed) &&
		    !(needs[on].cpu2 & ~vmx_caps.cpu2_allowed))
			classes |= BIT(on);
	return classes;
}

u32 vmx_policy_exceptions(const struct vitrine_vcpu *vcpu)
{
	return vcpu->policy_on & BIT(VITRINE_ON_EXCEPTION) ? VMX_POLICY_EXCEPTIONS : 0;
}

static void update_controls(struct vmx_vcpu *vmx, u32 classes)
{
	u32 cpu = 0, cpu2 = 0, all_cpu = 0, all_cpu2 = 0, on;

	for (on = 1; on < VITRINE_NR_ON; on++) {
		all_cpu |= needs[on].cpu;
		all_cpu2 |= needs[on].cpu2;
		if (classes & BIT(on)) {
			cpu |= needs[on].cpu;
			cpu2 |= needs[on].cpu2;
		}
	}
	/* And what the vCPU has without rules. */
	cpu |= all_cpu & vmx->base_cpu_ctls;
	cpu2 |= all_cpu2 & vmx_caps.cpu2;
	vmx_cpu_ctls_set(vmx, all_cpu & ~cpu, false);
	vmx_cpu_ctls_set(vmx, cpu, true);
	vmx_cpu2_ctls_set(vmx, all_cpu2 & ~cpu2, false);
	vmx_cpu2_ctls_set(vmx, cpu2, true);
}

void vmx_update_policy(struct vitrine_vcpu *vcpu)
{
	u64 cr0 = vmx_get_cr0(vcpu), cr4 = vmx_get_cr4(vcpu);

	vmx_update_exceptions(vcpu);
	update_controls(to_vmx(vcpu), vcpu->policy_on);
	/* Which bits the guest owns follows from policy_on. */
	vmx_set_cr0(vcpu, cr0);
	vmx_set_cr4(vcpu, cr4);
}
