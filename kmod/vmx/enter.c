// SPDX-License-Identifier: GPL-2.0
/*
 * One entry and one exit: bring what changed into the VMCS and the CPU, enter, put back what an
 * exit takes from the host, and note the facts. Interrupts are off throughout; nothing here takes a
 * lock, sleeps or decides.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/percpu.h>
#include <linux/stddef.h>
#include <asm/debugreg.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/mce.h>
#include <asm/mmu_context.h>
#include <asm/perf_event.h>
#include <asm/tlbflush.h>
#include <asm/traps.h>

#include "../compat.h"
#include "../context.h"
#include "../regs.h"
#include "../vm.h"
#include "host.h"
#include "mitigation.h"
#include "vmx.h"

static_assert(offsetof(struct vmx_entry, host_rsp) == VMX_ENTRY_HOST_RSP);
static_assert(offsetof(struct vmx_entry, guest_spec_ctrl) == VMX_ENTRY_GUEST_SPEC_CTRL);
static_assert(offsetof(struct vmx_entry, host_spec_ctrl) == VMX_ENTRY_HOST_SPEC_CTRL);
static_assert(HOST_RSP == VMX_FIELD_HOST_RSP);
static_assert(VMX_ENTER_RESUME == 1 << VMX_ENTER_RESUME_BIT);

static void write_pdptrs(const struct vitrine_vcpu *vcpu)
{
	vmcs_write(GUEST_PDPTR0, vcpu->pdptrs[0]);
	vmcs_write(GUEST_PDPTR1, vcpu->pdptrs[1]);
	vmcs_write(GUEST_PDPTR2, vcpu->pdptrs[2]);
	vmcs_write(GUEST_PDPTR3, vcpu->pdptrs[3]);
}

/*
 * "Checks on Guest Non-Register State": in the shadow of STI or MOV SS a single step is pending if
 * and only if TF is set. A VMM that restores a guest has no word for it.
 */
static noinline void fix_pending_step(u64 rflags)
{
	u64 pending = vmcs_read(GUEST_PENDING_DBG_EXCEPTIONS);

	vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, rflags & X86_EFLAGS_TF ?
		   pending | DR_STEP : pending & ~(u64)DR_STEP);
}

static void write_rflags(struct vitrine_vcpu *vcpu)
{
	u64 rflags = vcpu->regs[VITRINE_REG_RFLAGS];

	vmcs_write(GUEST_RFLAGS, rflags);
	/* "Checks on Guest Non-Register State": a halted guest has no single step before it. */
	if (unlikely(rflags & X86_EFLAGS_TF && vcpu->vm->disabled_exits))
		vmx_leave_hlt(vcpu);
	if (unlikely(vmcs_read(GUEST_INTERRUPTIBILITY_INFO) &
		     (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS)))
		fix_pending_step(rflags);
}

static __always_inline void write_dirty_regs(struct vitrine_vcpu *vcpu)
{
	if (vcpu->regs_dirty & BIT(VITRINE_REG_RIP))
		vmcs_write(GUEST_RIP, vcpu->regs[VITRINE_REG_RIP]);
	if (vcpu->regs_dirty & BIT(VITRINE_REG_RSP))
		vmcs_write(GUEST_RSP, vcpu->regs[VITRINE_REG_RSP]);
	if (vcpu->regs_dirty & BIT(VITRINE_REG_RFLAGS))
		write_rflags(vcpu);
	if (unlikely(vcpu->regs_dirty & BIT(VITRINE_CACHE_PDPTRS)))
		write_pdptrs(vcpu);
	vcpu->regs_dirty = 0;
}

void vmx_write_regs(struct vitrine_vcpu *vcpu)
{
	write_dirty_regs(vcpu);
}

/*
 * Both change with every switch of address space, and by the kernel's own hand in between. With a
 * stale one the exit would be the host's end: then there is no entry.
 */
static __always_inline int sync_host_crs(struct vmx_vcpu *vmx)
{
	unsigned long cr3 = __get_current_cr3_fast();
	unsigned long cr4 = cr4_read_shadow();

	if (unlikely(cr3 != vmx->host_cr3)) {
		if (vmcs_write(HOST_CR3, cr3))
			return -EIO;
		vmx->host_cr3 = cr3;
	}
	if (unlikely(cr4 != vmx->host_cr4)) {
		if (vmcs_write(HOST_CR4, cr4))
			return -EIO;
		vmx->host_cr4 = cr4;
	}
	return 0;
}

/*
 * perf's events that must not count (or write records) in the guest; the processor switches their
 * MSRs.
 */
static noinline void sync_perf_msrs(struct vmx_vcpu *vmx)
{
	struct perf_guest_switch_msr *msrs;
	struct vmx_autoload *list = &vmx->autoload;
	unsigned int i, n = 0;
	int nr = 0;

	msrs = perf_guest_get_msrs(&nr, NULL);
	for (i = 0; msrs && i < nr && n < VMX_NR_AUTOLOAD_MSRS; i++) {
		if (msrs[i].host == msrs[i].guest)
			continue;
		list->guest[n] =
			(struct vmx_msr_entry){ .index = msrs[i].msr, .value = msrs[i].guest };
		list->host[n] =
			(struct vmx_msr_entry){ .index = msrs[i].msr, .value = msrs[i].host };
		n++;
		/*
		 * After that it takes a while until the last record is written, which the entry
		 * would not wait for; and what is written then goes through the guest's tables.
		 */
		if (msrs[i].msr == MSR_IA32_PEBS_ENABLE)
			wrmsrl(MSR_IA32_PEBS_ENABLE, 0);
	}
	if (n == list->nr)
		return;
	list->nr = n;
	vmcs_write(VM_ENTRY_MSR_LOAD_COUNT, n);
	vmcs_write(VM_EXIT_MSR_LOAD_COUNT, n);
}

/* There was no exit that would have done it. */
static noinline void restore_perf_msrs(const struct vmx_autoload *list)
{
	unsigned int i;

	for (i = 0; i < list->nr; i++)
		wrmsrl(list->host[i].index, list->host[i].value);
}

/*
 * The VMM's single step is the trap flag, for this entry only: a CPU need not have the monitor trap
 * flag. The guest sees it in the image that PUSHF makes, as under KVM. A step ends what STI and MOV
 * SS hold back, or the entry would demand a pending #DB.
 */
static void step_prepare(struct vmx_vcpu *vmx)
{
	u64 rflags = vitrine_rflags_read(&vmx->vcpu);

	vmx->guest_tf = rflags & X86_EFLAGS_TF;
	vmcs_write(GUEST_RFLAGS, rflags | X86_EFLAGS_TF);
	vmx_set_interrupt_shadow(&vmx->vcpu, 0);
	if (unlikely(vmx->vcpu.vm->disabled_exits))
		vmx_leave_hlt(&vmx->vcpu);
}

/* "Trap-Like VM Exits": the instruction is over, and its single-step trap was still to come. */
static bool is_trap_like(u32 reason)
{
	switch ((u16)reason) {
	case EXIT_REASON_TPR_BELOW_THRESHOLD:
	case EXIT_REASON_EOI_INDUCED:
	case EXIT_REASON_APIC_WRITE:
	case EXIT_REASON_MONITOR_TRAP_FLAG:
		return true;
	default:
		return false;
	}
}

/*
 * A trap that is pending because of our TF must not outlive the exit: the VMM may stop stepping,
 * and the guest would get it. Breakpoints that are pending are the guest's, and so is its own step.
 */
static void step_settle(struct vmx_vcpu *vmx)
{
	struct vitrine_vcpu *vcpu = &vmx->vcpu;
	u64 pending = vmcs_read(GUEST_PENDING_DBG_EXCEPTIONS);

	if (pending & DR_STEP && !vmx->guest_tf) {
		vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, pending & ~(u64)DR_STEP);
		if (is_trap_like(vcpu->exit.reason)) {
			vcpu->db.exit_dr6 = DR_STEP;
			vitrine_vcpu_request(vcpu, VITRINE_REQ_DEBUG_EXIT);
		}
	}
	vitrine_reg_write(vcpu, VITRINE_REG_RFLAGS, vitrine_rflags_read(vcpu));
}

static void load_guest_debug_regs(const struct vitrine_vcpu *vcpu)
{
	const u64 *dr = vcpu->db.guest_debug & KVM_GUESTDBG_USE_HW_BP ? vcpu->db.guest_dr :
									vcpu->db.dr;

	set_debugreg(dr[0], 0);
	set_debugreg(dr[1], 1);
	set_debugreg(dr[2], 2);
	set_debugreg(dr[3], 3);
}

static __always_inline void switch_xcr0(const struct vitrine_vcpu *vcpu, bool to_guest)
{
	if (vcpu->cr4 & X86_CR4_OSXSAVE && vcpu->xcr0 != vmx_host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, to_guest ? vcpu->xcr0 : vmx_host_xcr0);
}

/* The part that no tracer may look into: RCU takes this CPU for being in userspace. */
static noinstr int enter_guest(struct vmx_vcpu *vmx, unsigned int flags)
{
	struct vitrine_vcpu *vcpu = &vmx->vcpu;
	int ret;

	vitrine_guest_context_enter(&vcpu->rcu_noted_jiffies);
	vmx_mitigate_before_entry();
	if (unlikely(vcpu->cr2 != native_read_cr2()))
		native_write_cr2(vcpu->cr2);
	ret = vmx_enter(vcpu->regs, &vmx->entry, flags);
	vcpu->cr2 = native_read_cr2();
	if (likely(ret == VMX_ENTER_DONE)) {
		vcpu->exit.reason = vmcs_read(VM_EXIT_REASON);
		if ((u16)vcpu->exit.reason == EXIT_REASON_EXCEPTION_NMI) {
			vcpu->exit.intr_info = vmcs_read(VM_EXIT_INTR_INFO);
			/*
			 * The kernel's NMI entry keeps its own books: it may come before context
			 * tracking.
			 */
			if ((vcpu->exit.intr_info &
			     (INTR_INFO_INTR_TYPE_MASK | INTR_INFO_VALID_MASK)) ==
			    (INTR_TYPE_NMI_INTR | INTR_INFO_VALID_MASK))
				vmx_call_nmi_entry();
		}
	}
	vitrine_guest_context_exit();
	return ret;
}

/* Apart, as the frame that it needs would cost each entry. */
static noinline void hand_over_machine_check(const struct vitrine_vcpu *vcpu)
{
#ifdef HAVE_DO_MACHINE_CHECK
	/*
	 * As if userspace had been interrupted: a fatal error then ends this process and not the
	 * host.
	 */
	struct pt_regs regs = { .cs = 3, .flags = X86_EFLAGS_IF };
	u32 info = vcpu->exit.intr_info;

	if ((u16)vcpu->exit.reason == EXIT_REASON_MCE_DURING_VMENTRY ||
	    ((u16)vcpu->exit.reason == EXIT_REASON_EXCEPTION_NMI &&
	     (info & (INTR_INFO_INTR_TYPE_MASK | INTR_INFO_VECTOR_MASK | INTR_INFO_VALID_MASK)) ==
	     (INTR_TYPE_HARD_EXCEPTION | X86_TRAP_MC | INTR_INFO_VALID_MASK)))
		do_machine_check(&regs);
#endif
}

int vmx_vcpu_run(struct vitrine_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	unsigned int flags = vmx->enter_flags | (vmx->launched ? VMX_ENTER_RESUME : 0);
	u64 debugctl = __rdmsr(MSR_IA32_DEBUGCTLMSR);
	int ret;

	/*
	 * Whoever ran in between, or an interrupt, may have taken the FPU: the guest's registers
	 * come back now.
	 */
	if (unlikely(test_thread_flag(TIF_NEED_FPU_LOAD)))
		switch_fpu_return();
	if (unlikely(!vmx->guest_loaded || vmx->shared_stale) && vmx_host_prepare(vmx, debugctl))
		return -EIO;
	if (vcpu->regs_dirty)
		write_dirty_regs(vcpu);
	if (unlikely(vcpu->db.guest_debug & KVM_GUESTDBG_SINGLESTEP))
		step_prepare(vmx);
	if (sync_host_crs(vmx))
		return -EIO;
	if (vcpu->deadline_tsc | vmx->timer_for_deadline)
		vmx_timer_update(vmx);
	if (vmx_perf_present)
		sync_perf_msrs(vmx);
	/*
	 * The host's breakpoints must not hit on the way in, least of all at the guest's addresses.
	 */
	if (unlikely(hw_breakpoint_active()))
		set_debugreg(0, 7);
	if (unlikely(vcpu->db.active))
		load_guest_debug_regs(vcpu);
	if (flags & VMX_ENTER_SPEC_CTRL) {
		vmx->entry.guest_spec_ctrl = vcpu->msrs.spec_ctrl;
		vmx->entry.host_spec_ctrl = this_cpu_read(x86_spec_ctrl_current);
	}
	switch_xcr0(vcpu, true);
	vitrine_guest_time_enter();

	ret = enter_guest(vmx, flags);

	vmx_mitigate_before_user();
	vitrine_guest_time_exit();
	if (unlikely(vmx->pml_on))
		vmx_pml_flush(vmx);
	switch_xcr0(vcpu, false);
	/* An exit leaves DR7 and DEBUGCTL cleared. */
	if (unlikely(debugctl))
		update_debugctlmsr(debugctl);
	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();
	if (flags & VMX_ENTER_SAVE_SPEC_CTRL)
		vcpu->msrs.spec_ctrl = vmx->entry.guest_spec_ctrl;
	vcpu->regs_avail = GENMASK(VITRINE_REG_R15, 0) & ~BIT(VITRINE_REG_RSP);
	if (unlikely(vcpu->db.guest_debug & KVM_GUESTDBG_SINGLESTEP))
		step_settle(vmx);

	if (unlikely(ret != VMX_ENTER_DONE)) {
		u64 error = ret == VMX_ENTER_FAILED ? vmcs_read(VM_INSTRUCTION_ERROR) : 0;

		vmx_insn_failed(vmx->launched ? "VMRESUME" : "VMLAUNCH", error,
				ret == VMX_ENTER_FAULTED);
		if (ret == VMX_ENTER_FAILED)
			vmx_dump_vmcs(vmx);
		restore_perf_msrs(&vmx->autoload);
		vitrine_vm_mark_dead(vcpu->vm, "entry failed");
		return -EIO;
	}
	if (unlikely(vcpu->exit.reason & VMX_EXIT_REASONS_FAILED_VMENTRY)) {
		hand_over_machine_check(vcpu);
		vcpu->exit.vectoring_info = 0;
		vcpu->exit.qualification = vmcs_read(EXIT_QUALIFICATION);
		return 0;
	}
	vmx->launched = true;
	vcpu->exit.qualification = vmcs_read(EXIT_QUALIFICATION);
	vcpu->exit.vectoring_info = vmcs_read(IDT_VECTORING_INFO_FIELD);
	if (unlikely((u16)vcpu->exit.reason == EXIT_REASON_EXCEPTION_NMI))
		hand_over_machine_check(vcpu);
	return 0;
}
