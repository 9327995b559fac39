// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the page-modification log ("Page-Modification Logging"): a page of the vCPU's into which the
 * CPU writes the guest-physical address of each write that sets an entry's dirty bit. It is on
 * while the VM has a slot to log, and emptied after every exit, so that whoever kicked a vCPU out
 * of the guest finds all marked that it wrote.
 */
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/moduleparam.h>

#include "../memslot.h"
#include "../vm.h"
#include "vmx.h"

#define PML_ENTRIES	512
#define PML_LAST	(PML_ENTRIES - 1)	/* the first that the CPU fills; then downwards */
#define PML_EMPTY	(~0ULL)			/* no address: a log without entries */

static bool pml = true;
module_param(pml, bool, 0644);
MODULE_PARM_DESC(pml, "let the CPU log what a guest writes, in VMs created from now on");

bool vmx_pml_in_use(void)
{
	return vmx_caps.pml && READ_ONCE(pml);
}

u32 vmx_pml_entries(void)
{
	return vmx_pml_in_use() ? PML_ENTRIES : 0;
}

int vmx_pml_create(struct vmx_vcpu *vmx, const struct vitrine_vm *vm)
{
	if (!vm->hw_log_entries)
		return 0;
	vmx->pml_log = (u64 *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!vmx->pml_log)
		return -ENOMEM;
	vmx->pml_log[PML_LAST] = PML_EMPTY;
	return 0;
}

void vmx_pml_free(struct vmx_vcpu *vmx)
{
	free_page((unsigned long)vmx->pml_log);
}

void vmx_pml_setup(struct vmx_vcpu *vmx)
{
	if (!vmx->pml_log)
		return;
	vmcs_write(PML_ADDRESS, virt_to_phys(vmx->pml_log));
	vmcs_write(GUEST_PML_INDEX, PML_LAST);
	/* Slots may have been there before the vCPU. */
	vitrine_vcpu_request(&vmx->vcpu, VITRINE_REQ_LOG_MODE);
}

void vmx_pml_update(struct vitrine_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	bool on = READ_ONCE(vcpu->vm->nr_logged);

	if (!vmx->pml_log || on == vmx->pml_on)
		return;
	vmx->pml_on = on;
	if (on)
		vmx->cpu2_ctls |= SECONDARY_EXEC_ENABLE_PML;
	else
		vmx->cpu2_ctls &= ~SECONDARY_EXEC_ENABLE_PML;
	vmcs_write(SECONDARY_VM_EXEC_CONTROL, vmx->cpu2_ctls);
}

void vmx_pml_flush(struct vmx_vcpu *vmx)
{
	u64 *log = vmx->pml_log;
	u16 index;

	/* Most exits have written nothing new; memory is asked sooner than the VMCS. */
	if (READ_ONCE(log[PML_LAST]) == PML_EMPTY)
		return;
	/* The next to be written; below 0 where the log is full. */
	index = vmcs_read(GUEST_PML_INDEX) + 1;
	if (index > PML_LAST)
		index = 0;
	vitrine_dirty_mark_logged(&vmx->vcpu, &log[index], PML_ENTRIES - index);
	log[PML_LAST] = PML_EMPTY;
	vmcs_write(GUEST_PML_INDEX, PML_LAST);
}
