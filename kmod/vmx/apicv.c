// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the controls that let the processor do a local APIC's work: the TPR shadow, APIC-register
 * virtualization and virtual-interrupt delivery, for the MMIO page and for the MSRs, and the exits
 * that are left ("APIC Virtualization and Virtual Interrupts"). What a register means is irq/'s.
 *
 * The virtual-APIC page is the page in which irq/ keeps the registers. Room for posted interrupts
 * is in its format of requests; no CPU that was at hand has them.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/moduleparam.h>
#include <linux/srcu.h>
#include <asm/apicdef.h>
#include <asm/vmx.h>

#include "../backend.h"
#include "../exit.h"
#include "../irq/lapic.h"
#include "../irq/lapic_regs.h"
#include "../mmu.h"
#include "../vm.h"
#include "vmx.h"

/* For VMs to come: what a VM has it keeps. */
static bool tpr_shadow = true;
module_param(tpr_shadow, bool, 0644);
MODULE_PARM_DESC(tpr_shadow, "guests read and write CR8 without exits (for new VMs)");

/*
 * Off by default: right by the SDM, but run on nothing but an emulator, and Bochs 2.7 has two
 * faults there. A host's interrupt makes it deliver a virtual one that waits for RFLAGS.IF, and an
 * exit during such a delivery tells of the event before (it writes no IDT-vectoring information).
 */
static bool apicv;
module_param(apicv, bool, 0644);
MODULE_PARM_DESC(apicv,
		 "the CPU reads the APIC's registers and delivers and ends interrupts (for new VMs; needs tpr_shadow)");

#define DELIVERY_CTLS	(SECONDARY_EXEC_APIC_REGISTER_VIRT | SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)

/* Nobody reads or writes it, see VITRINE_CATCH_GFN. */
static struct page *apic_access_page;

int vmx_apicv_init(void)
{
	if (!vmx_caps.apicv)
		return 0;
	apic_access_page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	return apic_access_page ? 0 : -ENOMEM;
}

void vmx_apicv_exit(void)
{
	if (apic_access_page)
		__free_page(apic_access_page);
	apic_access_page = NULL;
}

bool vmx_apicv_tpr_shadow_wanted(void)
{
	return vmx_caps.tpr_shadow && READ_ONCE(tpr_shadow);
}

bool vmx_apicv_wanted(void)
{
	return vmx_apicv_tpr_shadow_wanted() && vmx_caps.apicv && READ_ONCE(apicv);
}

void vmx_vm_init(struct vitrine_vm *vm)
{
	vm->tpr_shadow = vmx_apicv_tpr_shadow_wanted();
	vm->apicv = vm->tpr_shadow && vmx_apicv_wanted();
}

void vmx_apicv_setup(struct vmx_vcpu *vmx)
{
	struct vitrine_vcpu *vcpu = &vmx->vcpu;
	static const unsigned long none[BITS_TO_LONGS(256)];

	if (!vcpu->vm->tpr_shadow || !vcpu->lapic)
		return;
	vmcs_write(VIRTUAL_APIC_PAGE_ADDR, virt_to_phys(vcpu->lapic->regs));
	vmcs_write(TPR_THRESHOLD, 0);
	vmx->tpr_threshold = 0;
	if (!vcpu->vm->apicv)
		return;
	vmcs_write(APIC_ACCESS_ADDR, page_to_phys(apic_access_page));
	vmcs_write(GUEST_INTR_STATUS, 0);
	vmx_set_eoi_exits(vcpu, none);
}

/*
 * Which x2APIC MSRs do without an exit: a count that runs, a register of 64 bits and one that not
 * every vCPU has do not.
 */
static void update_msrs(struct vitrine_vcpu *vcpu, bool direct)
{
	u32 offset;

	for (offset = 0; offset < 0x400; offset += 16) {
		bool readable = vitrine_lapic_reg_find(offset).access & VITRINE_LAPIC_READ_X2 &&
				offset != APIC_TMCCT && offset != APIC_ICR &&
				offset != APIC_LVTCMCI;
		bool written = offset == APIC_TASKPRI || offset == APIC_EOI ||
			       offset == APIC_SELF_IPI;

		vmx_update_msr_intercept(vcpu, APIC_BASE_MSR + (offset >> 4),
					 !(direct && readable), !(direct && written));
	}
}

void vmx_update_apicv(struct vitrine_vcpu *vcpu)
{
	const u32 all = DELIVERY_CTLS | SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES |
			SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE;
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct vitrine_lapic *lapic = vcpu->lapic;
	u32 ctls = 0, old = vmx->cpu2_ctls & all;

	if (!lapic)
		return;
	vmx_cpu_ctls_set(vmx, CPU_BASED_TPR_SHADOW, true);
	vmx_cpu_ctls_set(vmx, CPU_BASED_CR8_LOAD_EXITING | CPU_BASED_CR8_STORE_EXITING, false);
	if (!vcpu->vm->apicv)
		return;

	/*
	 * A VMM that holds interrupts back wants to see all that the guest does to its APIC, and
	 * who has TPR in memory delivers by software.
	 */
	if (!(vcpu->db.guest_debug & KVM_GUESTDBG_BLOCKIRQ) && vitrine_lapic_is_virtual(lapic)) {
		ctls = DELIVERY_CTLS;
		if (lapic->mode == VITRINE_LAPIC_X2APIC)
			ctls |= SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE;
		else if (lapic->mode == VITRINE_LAPIC_XAPIC &&
			 lapic->mmio_base == APIC_DEFAULT_PHYS_BASE)
			ctls |= SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES;
	}
	if (!(ctls & SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES))
		vitrine_mmu_remove_catch_page(vcpu->vm);
	if (ctls == old)
		return;
	if ((ctls ^ old) & SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE)
		update_msrs(vcpu, ctls & SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE);
	vmx->cpu2_ctls = (vmx->cpu2_ctls & ~all) | ctls;
	vmcs_write(SECONDARY_VM_EXEC_CONTROL, vmx->cpu2_ctls);
	vitrine_vcpu_request(vcpu, VITRINE_REQ_TLB_FLUSH);
}

void vmx_set_tpr_threshold(struct vitrine_vcpu *vcpu, u8 threshold)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (threshold == vmx->tpr_threshold)
		return;
	vmx->tpr_threshold = threshold;
	vmcs_write(TPR_THRESHOLD, threshold);
}

/* "Guest Interrupt Status": the processor changes it: what was written last says nothing. */
void vmx_set_virtual_interrupts(struct vitrine_vcpu *vcpu, u8 requested, u8 in_service)
{
	vmcs_write(GUEST_INTR_STATUS, in_service << 8 | requested);
}

void vmx_set_eoi_exits(struct vitrine_vcpu *vcpu, const unsigned long *vectors)
{
	vmcs_write(EOI_EXIT_BITMAP0, vectors[0]);
	vmcs_write(EOI_EXIT_BITMAP1, vectors[1]);
	vmcs_write(EOI_EXIT_BITMAP2, vectors[2]);
	vmcs_write(EOI_EXIT_BITMAP3, vectors[3]);
}

int vmx_exit_tpr_below_threshold(struct vitrine_vcpu *vcpu)
{
	vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
	return EXIT_RESUME;
}

/* An access that the processor does not do by itself: the current count, a size of no register. */
int vmx_exit_apic_access(struct vitrine_vcpu *vcpu)
{
	u64 qualification = vcpu->exit.qualification;
	u32 type = qualification & APIC_ACCESS_TYPE;
	struct mem_fault fault = {
		.gpa = APIC_DEFAULT_PHYS_BASE | (qualification & APIC_ACCESS_OFFSET),
		.write = type == TYPE_LINEAR_APIC_INST_WRITE,
		.exec = type == TYPE_LINEAR_APIC_INST_FETCH,
		.delivery = type == TYPE_LINEAR_APIC_EVENT || type == TYPE_PHYSICAL_APIC_EVENT,
	};
	int idx, ret;

	idx = srcu_read_lock(&vcpu->vm->srcu);
	ret = vitrine_exit_mmio(vcpu, &fault);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

/* Both trap-like: the instruction is done. */
int vmx_exit_apic_write(struct vitrine_vcpu *vcpu)
{
	vitrine_lapic_written(vcpu->lapic, vcpu->exit.qualification & 0xff0);
	return EXIT_RESUME;
}

int vmx_exit_eoi(struct vitrine_vcpu *vcpu)
{
	vitrine_lapic_ended(vcpu, vcpu->exit.qualification);
	return EXIT_RESUME;
}

/* A fault where no slot is: VITRINE_FAULT_MMIO unless the catching page belongs there. */
int vmx_apicv_fault(struct vitrine_vcpu *vcpu, const struct mem_fault *fault)
{
	if (fault->gpa >> PAGE_SHIFT != VITRINE_CATCH_GFN || fault->exec ||
	    !(to_vmx(vcpu)->cpu2_ctls & SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES))
		return VITRINE_FAULT_MMIO;
	return vitrine_mmu_map_catch_page(vcpu, apic_access_page);
}
