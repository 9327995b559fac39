// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU's VMCS: its pages, its VPID, and what it holds from creation and reset on.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/kvm_types.h>
#include <linux/idr.h>
#include <linux/slab.h>
#include <asm/desc.h>
#include <asm/msr.h>

#include "../vm.h"
#include "ept.h"
#include "host.h"
#include "mitigation.h"
#include "vmx.h"

static struct kmem_cache *vcpu_cache;
static DEFINE_IDA(vpids);
static atomic64_t next_token = ATOMIC64_INIT(0);

/* The processor's own format; the revision is all that software may write. */
struct vmcs_region {
	u32 revision;
	u32 abort;
	u8 data[];
};

static void write_controls(struct vmx_vcpu *vmx)
{
	vmx->cpu_ctls = vmx_caps.cpu;
	vmx->cpu2_ctls = vmx_caps.cpu2;
	if (!vmx->vpid)
		vmx->cpu2_ctls &= ~SECONDARY_EXEC_ENABLE_VPID;
	vmx->entry_ctls = vmx_caps.entry;
	if (vmx->vcpu.vm->disabled_exits & KVM_X86_DISABLE_EXITS_HLT)
		vmx->cpu_ctls &= ~CPU_BASED_HLT_EXITING;
	if (vmx->vcpu.vm->disabled_exits & KVM_X86_DISABLE_EXITS_MWAIT)
		vmx->cpu_ctls &= ~(CPU_BASED_MWAIT_EXITING | CPU_BASED_MONITOR_EXITING);
	/* PAUSE does not exit but for an exit policy. */
	vmx->base_cpu_ctls = vmx->cpu_ctls;

	vmx_timer_setup(vmx);
	vmx_pml_setup(vmx);
	vmcs_write(CPU_BASED_VM_EXEC_CONTROL, vmx->cpu_ctls);
	vmcs_write(SECONDARY_VM_EXEC_CONTROL, vmx->cpu2_ctls);
	vmcs_write(VM_EXIT_CONTROLS, vmx_caps.exit);
	vmcs_write(VM_ENTRY_CONTROLS, vmx->entry_ctls);
	if (vmx->vpid)
		vmcs_write(VIRTUAL_PROCESSOR_ID, vmx->vpid);
	if (vmx_caps.tsc_scaling)
		vmcs_write(TSC_MULTIPLIER, vmx->vcpu.tsc_multiplier);

	vmx_apicv_setup(vmx);
	vmcs_write(MSR_BITMAP, virt_to_phys(vmx->msr_bitmap));
	vmcs_write(VM_ENTRY_MSR_LOAD_ADDR, virt_to_phys(vmx->autoload.guest));
	vmcs_write(VM_EXIT_MSR_LOAD_ADDR, virt_to_phys(vmx->autoload.host));
	vmcs_write(VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmcs_write(VM_EXIT_MSR_LOAD_COUNT, 0);
	vmcs_write(VM_EXIT_MSR_STORE_COUNT, 0);
	vmcs_write(CR3_TARGET_COUNT, 0);
	/* Page faults do not exit: with both 0, bit 14 of the exception bitmap alone decides. */
	vmcs_write(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmcs_write(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmcs_write(VMCS_LINK_POINTER, ~0ULL);
	/* There is no SGX here, whatever the host does with it. */
	if (vmx_caps.cpu2 & SECONDARY_EXEC_ENCLS_EXITING)
		vmcs_write(ENCLS_EXITING_BITMAP, ~0ULL);
}

/* What is the same on every CPU and in every thread; the rest is host.c's. */
static void write_host_constants(void)
{
	u64 value;

	vmcs_write(HOST_CR0, read_cr0());
	vmcs_write(HOST_CS_SELECTOR, __KERNEL_CS);
	vmcs_write(HOST_SS_SELECTOR, __KERNEL_DS);
	vmcs_write(HOST_DS_SELECTOR, 0);
	vmcs_write(HOST_ES_SELECTOR, 0);
	/*
	 * Selectors of userspace's are not allowed here; what the thread had is reloaded at the
	 * put.
	 */
	vmcs_write(HOST_FS_SELECTOR, 0);
	vmcs_write(HOST_GS_SELECTOR, 0);
	vmcs_write(HOST_FS_BASE, 0);
	vmcs_write(HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	vmcs_write(HOST_RIP, (unsigned long)vmx_exit_point);
	rdmsrl(MSR_IA32_SYSENTER_CS, value);
	vmcs_write(HOST_IA32_SYSENTER_CS, value);
	rdmsrl(MSR_IA32_SYSENTER_EIP, value);
	vmcs_write(HOST_IA32_SYSENTER_EIP, value);
	rdmsrl(MSR_IA32_CR_PAT, value);
	vmcs_write(HOST_IA32_PAT, value);
	rdmsrl(MSR_EFER, value);
	vmcs_write(HOST_IA32_EFER, value);
}

static void reset_segments(struct vitrine_vcpu *vcpu)
{
	struct kvm_segment data = { .limit = 0xffff, .type = 3, .present = 1, .s = 1 };
	struct kvm_segment code = { .base = 0xffff0000, .selector = 0xf000, .limit = 0xffff,
				    .type = 11, .present = 1, .s = 1 };
	struct kvm_segment tr = { .limit = 0xffff, .type = 11, .present = 1 };
	struct kvm_segment ldt = { .limit = 0xffff, .type = 2, .present = 1 };
	struct kvm_dtable table = { .limit = 0xffff };
	unsigned int seg;

	for (seg = VITRINE_SEG_ES; seg <= VITRINE_SEG_GS; seg++)
		vmx_set_segment(vcpu, seg, seg == VITRINE_SEG_CS ? &code : &data);
	vmx_set_segment(vcpu, VITRINE_SEG_TR, &tr);
	vmx_set_segment(vcpu, VITRINE_SEG_LDTR, &ldt);
	vmx_set_gdt(vcpu, &table);
	vmx_set_idt(vcpu, &table);
}

/* Everything but what the neutral reset sets through the other operations. */
void vmx_vcpu_reset(struct vitrine_vcpu *vcpu, bool init)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!init) {
		write_controls(vmx);
		write_host_constants();
		vmcs_write(GUEST_IA32_PAT, vcpu->msrs.pat);
		vmcs_write(GUEST_SYSENTER_CS, 0);
		vmcs_write(GUEST_SYSENTER_ESP, 0);
		vmcs_write(GUEST_SYSENTER_EIP, 0);
		vmx->msr_kernel_gs_base = 0;
		if (vmx->guest_loaded)
			wrmsrl(MSR_KERNEL_GS_BASE, 0);
		vmx_mmu_root_changed(vcpu);
		vmx_set_tsc(vcpu);
	}
	reset_segments(vcpu);
	vmcs_write(GUEST_DR7, 0x400);
	vmcs_write(GUEST_IA32_DEBUGCTL, vmx->debugctl);
	vmcs_write(GUEST_INTERRUPTIBILITY_INFO, 0);
	vmcs_write(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vmcs_write(VM_ENTRY_INTR_INFO_FIELD, 0);
	vmx_update_exceptions(vcpu);
	vmx->enter_flags = vmx_mitigation_enter_flags(vcpu);
	if (vmx->vpid)
		vmx_tlb_flush_guest(vcpu);
}

static int alloc_vpid(struct vmx_vcpu *vmx)
{
	int vpid;

	if (!vmx_caps.vpid)
		return 0;
	vpid = ida_alloc_range(&vpids, 1, U16_MAX, GFP_KERNEL_ACCOUNT);
	if (vpid == -ENOSPC)
		return 0;	/* runs without: each entry then flushes by itself */
	if (vpid < 0)
		return vpid;
	vmx->vpid = vpid;
	return 0;
}

struct vitrine_vcpu *vmx_vcpu_create(struct vitrine_vm *vm)
{
	struct vmx_vcpu *vmx;
	int ret = -ENOMEM;

	vmx = kmem_cache_zalloc(vcpu_cache, GFP_KERNEL_ACCOUNT);
	if (!vmx)
		return ERR_PTR(-ENOMEM);
	vmx->loaded_cpu = -1;
	vmx->token = atomic64_inc_return(&next_token);
	INIT_LIST_HEAD(&vmx->loaded_node);
	vmx->vmcs = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vmx->vmcs)
		goto err_free_vcpu;
	vmx->vmcs->revision = vmx_basic_vmcs_revision_id(vmx_caps.basic);
	vmx->vmcs_hpa = virt_to_phys(vmx->vmcs);
	vmx->msr_bitmap = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!vmx->msr_bitmap)
		goto err_free_vmcs;
	memset(vmx->msr_bitmap, 0xff, PAGE_SIZE);
	ret = vmx_pml_create(vmx, vm);
	if (ret)
		goto err_free_bitmap;
	ret = alloc_vpid(vmx);
	if (ret)
		goto err_free_pml;
	return &vmx->vcpu;

err_free_pml:
	vmx_pml_free(vmx);
err_free_bitmap:
	free_page((unsigned long)vmx->msr_bitmap);
err_free_vmcs:
	free_page((unsigned long)vmx->vmcs);
err_free_vcpu:
	kmem_cache_free(vcpu_cache, vmx);
	return ERR_PTR(ret);
}

void vmx_vcpu_free(struct vitrine_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_vmcs_clear(vmx);
	if (vmx->vpid)
		ida_free(&vpids, vmx->vpid);
	vmx_pml_free(vmx);
	free_page((unsigned long)vmx->msr_bitmap);
	if (likely(!vmx->vmcs_lost))
		free_page((unsigned long)vmx->vmcs);
	kmem_cache_free(vcpu_cache, vmx);
}

int vmx_vmcs_init(void)
{
	vcpu_cache = kmem_cache_create("vitrine_vcpu", sizeof(struct vmx_vcpu),
				       __alignof__(struct vmx_vcpu), SLAB_ACCOUNT, NULL);
	return vcpu_cache ? 0 : -ENOMEM;
}

void vmx_vmcs_exit(void)
{
	kmem_cache_destroy(vcpu_cache);
	ida_destroy(&vpids);
}
