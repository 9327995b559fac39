// SPDX-License-Identifier: GPL-2.0
/*
 * The Intel VMX backend: set-up in order, and the table of what it offers the neutral code.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <asm/cpufeature.h>
#include <vitrine.h>

#include "../backend.h"
#include "../tsc.h"
#include "cpu.h"
#include "host.h"
#include "mitigation.h"
#include "owner.h"
#include "vmx.h"

static int hardware_setup(void)
{
	int ret = vmx_caps_check_firmware();

	if (ret)
		return ret;
#ifdef X86_FEATURE_FRED
	if (boot_cpu_has(X86_FEATURE_FRED)) {
		pr_err("event delivery by FRED is on, which this module does not do yet: boot with fred=off\n");
		return -EOPNOTSUPP;
	}
#endif
	ret = vmx_caps_read(&vmx_caps, true);
	if (ret)
		return ret;
	vitrine_tsc_scaling_supported = vmx_caps.tsc_scaling;
	ret = vmx_host_init();
	if (ret)
		return ret;
	ret = vmx_cpu_init();
	if (ret)
		return ret;
	ret = vmx_apicv_init();
	if (ret)
		goto err_cpu;
	ret = vmx_vmcs_init();
	if (ret)
		goto err_apicv;
	ret = vmx_owner_init();
	if (ret)
		goto err_vmcs;
	return 0;

err_vmcs:
	vmx_vmcs_exit();
err_apicv:
	vmx_apicv_exit();
err_cpu:
	vmx_cpu_exit();
	return ret;
}

static void hardware_unsetup(void)
{
	vmx_owner_exit();
	vmx_vmcs_exit();
	vmx_apicv_exit();
	vmx_cpu_exit();
}

/* Without its control an instruction is undefined in a guest, whatever CPUID says. */
static bool has_feature(unsigned int x86_feature)
{
	switch (x86_feature) {
	case X86_FEATURE_RDTSCP:
	case X86_FEATURE_RDPID:
		return vmx_caps.rdtscp;
	case X86_FEATURE_INVPCID:
		return vmx_caps.invpcid;
	default:
		return true;
	}
}

static int hardware_claim(void)
{
	int ret = vmx_mitigation_check();

	return ret ? ret : vmx_owner_claim();
}

static void going_down(void)
{
	WRITE_ONCE(vmx_rebooting, true);
}

static void report_caps(struct vitrine_caps *caps)
{
	vmx_caps_report(caps);
	caps->tpr_shadow_in_use = vmx_apicv_tpr_shadow_wanted();
	caps->apicv_in_use = vmx_apicv_wanted();
	caps->owner = vmx_owner_report();
	caps->pml_in_use = vmx_pml_in_use();
}

const struct vitrine_backend vmx_backend = {
	.name = "vmx",
	.hardware_setup = hardware_setup,
	.hardware_unsetup = hardware_unsetup,
	.has_feature = has_feature,
	.mitigation_init = vmx_mitigation_init,
	.mitigation_exit = vmx_mitigation_exit,
	.hardware_claim = hardware_claim,
	.hardware_release = vmx_owner_release,
	.cpu_enable = vmx_cpu_enable,
	.cpu_disable = vmx_cpu_disable,
	.report_caps = report_caps,
	.report_mitigations = vmx_mitigation_report,
	.cpu_leaving = vmx_cpu_set_leaving,
	.going_down = going_down,

	.vm_init = vmx_vm_init,
	.dirty_log_entries = vmx_pml_entries,
	.vcpu_create = vmx_vcpu_create,
	.vcpu_free = vmx_vcpu_free,
	.vcpu_load = vmx_vcpu_load,
	.vcpu_put = vmx_vcpu_put,
	.vcpu_reset = vmx_vcpu_reset,
	.vcpu_run = vmx_vcpu_run,
	.handle_exit = vmx_handle_exit,
	.describe_exit = vmx_describe_exit,
	.put_result = vmx_put_result,
	.handle_exit_with = vmx_handle_exit_with,
	.policy_classes = vmx_policy_classes,
	.update_policy = vmx_update_policy,
	.record_exit = vmx_record_exit,

	.cache_reg = vmx_cache_reg,
	.invalid_state = vmx_invalid_state,
	.get_segment = vmx_get_segment,
	.set_segment = vmx_set_segment,
	.get_code_mode = vmx_get_code_mode,
	.get_cpl = vmx_get_cpl,
	.get_gdt = vmx_get_gdt,
	.set_gdt = vmx_set_gdt,
	.get_idt = vmx_get_idt,
	.set_idt = vmx_set_idt,
	.get_cr0 = vmx_get_cr0,
	.get_cr3 = vmx_get_cr3,
	.get_cr4 = vmx_get_cr4,
	.set_cr0 = vmx_set_cr0,
	.set_cr3 = vmx_set_cr3,
	.set_cr4 = vmx_set_cr4,
	.set_efer = vmx_set_efer,
	.get_dr7 = vmx_get_dr7,
	.set_dr7 = vmx_set_dr7,
	.get_msr = vmx_get_msr,
	.set_msr = vmx_set_msr,

	.inject = vmx_inject,
	.cancel_inject = vmx_cancel_inject,
	.set_windows = vmx_set_windows,
	.interrupt_shadow = vmx_interrupt_shadow,
	.set_interrupt_shadow = vmx_set_interrupt_shadow,
	.nmi_masked = vmx_nmi_masked,
	.set_nmi_masked = vmx_set_nmi_masked,
	.skip_insn = vmx_skip_insn,

	.update_exceptions = vmx_update_exceptions,
	.update_msr_intercept = vmx_update_msr_intercept,
	.update_apicv = vmx_update_apicv,
	.set_tpr_threshold = vmx_set_tpr_threshold,
	.set_virtual_interrupts = vmx_set_virtual_interrupts,
	.set_eoi_exits = vmx_set_eoi_exits,
	.tlb_flush = vmx_tlb_flush,
	.tlb_flush_guest = vmx_tlb_flush_guest,
	.update_dirty_log = vmx_pml_update,
	.set_tsc = vmx_set_tsc,
	.mmu_root_changed = vmx_mmu_root_changed,
};
