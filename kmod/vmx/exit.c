// SPDX-License-Identifier: GPL-2.0
/*
 * What each exit means. A handler reads the facts it needs beyond vcpu->exit and either does the
 * little there is to do or hands plain facts to the neutral completions; it advances RIP itself
 * where the instruction is done.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kernel.h>
#include <linux/kvm.h>
#include <linux/nospec.h>
#include <linux/srcu.h>
#include <linux/percpu.h>
#include <asm/cpu.h>
#include <asm/debugreg.h>
#include <asm/smp.h>
#include <asm/trapnr.h>
#include <asm/vmx.h>

#include "../cpuid.h"
#include "../exit.h"
#include "../fetch.h"
#include "../fpu.h"
#include "../mmu.h"
#include "../msr.h"
#include "../msr_filter.h"
#include "../netlink.h"
#include "../regs.h"
#include "../trace.h"
#include "../vm.h"
#include "mitigation.h"
#include "vmx.h"

static int inject_ud(struct vitrine_vcpu *vcpu)
{
	vitrine_vcpu_queue_exception(vcpu, X86_TRAP_UD, false, 0);
	return EXIT_RESUME;
}

static int inject_gp(struct vitrine_vcpu *vcpu)
{
	vitrine_vcpu_queue_exception(vcpu, X86_TRAP_GP, true, 0);
	return EXIT_RESUME;
}

static int skip(struct vitrine_vcpu *vcpu)
{
	vmx_skip_insn(vcpu);
	return EXIT_RESUME;
}

/*
 * "NMI unblocking due to IRET": the exit interrupted an IRET that had already lifted the blocking;
 * it is executed again, so the blocking must be back. The bit means nothing when an event was being
 * delivered.
 */
static void restore_nmi_blocking(struct vitrine_vcpu *vcpu)
{
	if (!(vcpu->exit.vectoring_info & VECTORING_INFO_VALID_MASK))
		vmx_set_nmi_masked(vcpu, true);
}

/* Once: whether an event was being delivered is not known for long. */
static void restore_nmi_blocking_of_exception(struct vitrine_vcpu *vcpu)
{
	u32 info = vcpu->exit.intr_info;

	if (!(info & INTR_INFO_UNBLOCK_NMI))
		return;
	vcpu->exit.intr_info &= ~INTR_INFO_UNBLOCK_NMI;
	if ((info & INTR_INFO_VECTOR_MASK) != X86_TRAP_DF)
		restore_nmi_blocking(vcpu);
}

static int handle_debug_exception(struct vitrine_vcpu *vcpu)
{
	u64 dr6_bits = vcpu->exit.qualification;
	u32 state;

	if (vcpu->db.guest_debug & (KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_SINGLESTEP)) {
		vcpu->db.exit_dr6 = dr6_bits;
		return vitrine_debug_exit(vcpu);
	}
	/* INT1 is a trap: its RIP is the next instruction's, as the others' is already. */
	if ((vcpu->exit.intr_info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_PRIV_SW_EXCEPTION) {
		vmx_skip_insn(vcpu);
	} else {
		/* An entry with TF and a shadow demands a pending single-step. */
		state = vmcs_read(GUEST_INTERRUPTIBILITY_INFO);
		if (state & (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS) &&
		    vitrine_rflags_read(vcpu) & X86_EFLAGS_TF)
			vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, DR_STEP);
	}
	vitrine_vcpu_queue_debug(vcpu, dr6_bits);
	return EXIT_RESUME;
}

/* It exited for the policy's sake only, which lets the guest have it. */
static int raise_again(struct vitrine_vcpu *vcpu, u8 vector, u32 info)
{
	bool has_error = info & INTR_INFO_DELIVER_CODE_MASK;
	u32 error_code = has_error ? vmcs_read(VM_EXIT_INTR_ERROR_CODE) : 0;

	if (vector == X86_TRAP_PF)
		vitrine_vcpu_queue_page_fault(vcpu, vcpu->exit.qualification, error_code);
	else
		vitrine_vcpu_queue_exception(vcpu, vector, has_error, error_code);
	/* INT3 and INTO are behind themselves when their handler returns. */
	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_SOFT_EXCEPTION)
		vcpu->events.insn_len = vmcs_read(VM_EXIT_INSTRUCTION_LEN);
	return EXIT_RESUME;
}

static int handle_breakpoint(struct vitrine_vcpu *vcpu)
{
	struct kvm_debug_exit_arch *arch = &vcpu->run->debug.arch;

	if (!(vcpu->db.guest_debug & KVM_GUESTDBG_USE_SW_BP))
		return raise_again(vcpu, X86_TRAP_BP, vcpu->exit.intr_info);
	vcpu->db.exit_dr6 = 0;
	vitrine_debug_exit(vcpu);
	arch->exception = X86_TRAP_BP;
	return EXIT_USER;
}

/*
 * A misaligned access that the guest asked to hear of, or a split lock that the host detects: the
 * second is the host's business, as for any of its tasks.
 */
bool vmx_is_guest_alignment_check(struct vitrine_vcpu *vcpu)
{
	return !boot_cpu_has(X86_FEATURE_SPLIT_LOCK_DETECT) ||
	       (vmx_get_cpl(vcpu) == 3 && vmx_get_cr0(vcpu) & X86_CR0_AM &&
		vitrine_rflags_read(vcpu) & X86_EFLAGS_AC);
}

static int handle_alignment_check(struct vitrine_vcpu *vcpu)
{
	u32 error_code = vmcs_read(VM_EXIT_INTR_ERROR_CODE);

	if (vmx_is_guest_alignment_check(vcpu)) {
		vitrine_vcpu_queue_exception(vcpu, X86_TRAP_AC, true, error_code);
		return EXIT_RESUME;
	}
	if (handle_guest_split_lock(vitrine_rip_read(vcpu)))
		return EXIT_RESUME;
	/* Fatal by the host's policy: SIGBUS is on its way to this thread. */
	vcpu->run->exit_reason = KVM_EXIT_EXCEPTION;
	vcpu->run->ex.exception = X86_TRAP_AC;
	vcpu->run->ex.error_code = error_code;
	return EXIT_USER;
}

/*
 * NMIs and machine checks were handed to the host in vmx_vcpu_run(), before anything else could
 * run.
 */
static int handle_exception_nmi(struct vitrine_vcpu *vcpu)
{
	u32 info = vcpu->exit.intr_info;
	u8 vector = info & INTR_INFO_VECTOR_MASK;
	u64 facts[4];

	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR)
		return EXIT_RESUME;
	restore_nmi_blocking_of_exception(vcpu);
	switch (vector) {
	case X86_TRAP_DB:
		return handle_debug_exception(vcpu);
	case X86_TRAP_BP:
		return handle_breakpoint(vcpu);
	case X86_TRAP_UD:
		return vitrine_exit_undefined(vcpu);
	case X86_TRAP_MC:
		return EXIT_RESUME;
	case X86_TRAP_AC:
		return handle_alignment_check(vcpu);
	default:
		if (vmx_policy_exceptions(vcpu) & BIT(vector))
			return raise_again(vcpu, vector, info);
		facts[0] = info;
		facts[1] = vcpu->exit.vectoring_info;
		facts[2] = vcpu->exit.qualification;
		facts[3] = vitrine_rip_read(vcpu);
		return vitrine_exit_internal_error(vcpu, KVM_INTERNAL_ERROR_SIMUL_EX,
						   ARRAY_SIZE(facts), facts);
	}
}

/* It is still pending, and came in when run.c turned interrupts on. */
static int handle_external_interrupt(struct vitrine_vcpu *vcpu)
{
	return EXIT_RESUME;
}

static int handle_interrupt_window(struct vitrine_vcpu *vcpu)
{
	vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
	if (!vcpu->irq_window_requested)
		return EXIT_RESUME;
	vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
	return EXIT_USER;
}

static int handle_nmi_window(struct vitrine_vcpu *vcpu)
{
	vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
	return EXIT_RESUME;
}

/* Hardware task switches need an emulator of the whole TSS machinery: out with the facts. */
static int handle_task_switch(struct vitrine_vcpu *vcpu)
{
	pr_debug_ratelimited("the guest made a hardware task switch to selector 0x%llx, which is not emulated\n",
			     vcpu->exit.qualification & 0xffff);
	return vitrine_exit_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, 0, NULL);
}

static int handle_cpuid(struct vitrine_vcpu *vcpu)
{
	u64 *regs = vcpu->regs;
	u32 eax = regs[VITRINE_REG_RAX], ecx = regs[VITRINE_REG_RCX];
	u32 ebx, edx;

	if (unlikely(vcpu->msrs.misc_features) && vitrine_cpuid_faults(vcpu))
		return inject_gp(vcpu);
	vitrine_cpuid_emulate(vcpu, &eax, &ebx, &ecx, &edx);
	regs[VITRINE_REG_RAX] = eax;
	regs[VITRINE_REG_RBX] = ebx;
	regs[VITRINE_REG_RCX] = ecx;
	regs[VITRINE_REG_RDX] = edx;
	return skip(vcpu);
}

static int handle_hlt(struct vitrine_vcpu *vcpu)
{
	vmx_skip_insn(vcpu);
	return vitrine_exit_hlt(vcpu);
}

/* No performance counters are offered: RDPMC of any index faults. */
static int handle_rdpmc(struct vitrine_vcpu *vcpu)
{
	return inject_gp(vcpu);
}

static int handle_vmcall(struct vitrine_vcpu *vcpu)
{
	return vitrine_exit_hypercall(vcpu);
}

/* The guest is offered no VMX and no SGX: this does not exist for it. */
static int handle_undefined(struct vitrine_vcpu *vcpu)
{
	return inject_ud(vcpu);
}

/* VM-exit instruction information for the string forms */
static noinline int string_io(struct vitrine_vcpu *vcpu)
{
	u64 qualification = vcpu->exit.qualification;
	/* Address size in 9:7; segment in 17:15, for OUTS only: INS always writes to ES. */
	u32 info = vmcs_read(VMX_INSTRUCTION_INFO);
	struct io_exit io = {
		.port = qualification >> 16,
		.size = (qualification & 7) + 1,
		.in = qualification & BIT(3),
		.rep = qualification & BIT(5),
		.addr_size = 2 << ((info >> 7) & 7),
		.seg = qualification & BIT(3) ? VITRINE_SEG_ES : (info >> 15) & 7,
	};

	return vitrine_exit_string_io(vcpu, &io);
}

/* "Exit Qualification for I/O Instructions" */
static int handle_io(struct vitrine_vcpu *vcpu)
{
	u64 qualification = vcpu->exit.qualification;
	int idx, ret;

	vmx_rip_cache(vcpu);
	idx = srcu_read_lock(&vcpu->vm->srcu);
	if (unlikely(qualification & BIT(4)))
		ret = string_io(vcpu);
	else
		ret = vitrine_exit_io(vcpu, qualification >> 16, (qualification & 7) + 1,
				      qualification & BIT(3));
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

static int handle_rdmsr(struct vitrine_vcpu *vcpu)
{
	u32 msr = vcpu->regs[VITRINE_REG_RCX];
	u64 data;
	int ret;

	ret = vitrine_msr_filtered(vcpu->vm, msr, KVM_MSR_FILTER_READ) ?
	      -EPERM : vitrine_msr_read(vcpu, msr, &data, false);
	if (unlikely(ret)) {
		trace_vitrine_msr(vcpu, msr, false, 0, ret);
		return vitrine_exit_rdmsr_refused(vcpu, msr, ret);
	}
	trace_vitrine_msr(vcpu, msr, false, data, 0);
	vcpu->regs[VITRINE_REG_RAX] = (u32)data;
	vcpu->regs[VITRINE_REG_RDX] = data >> 32;
	return skip(vcpu);
}

static int handle_wrmsr(struct vitrine_vcpu *vcpu)
{
	u32 msr = vcpu->regs[VITRINE_REG_RCX];
	u64 data = (u32)vcpu->regs[VITRINE_REG_RAX] | vcpu->regs[VITRINE_REG_RDX] << 32;
	int ret;

	if (vitrine_msr_filtered(vcpu->vm, msr, KVM_MSR_FILTER_WRITE)) {
		trace_vitrine_msr(vcpu, msr, true, data, -EPERM);
		return vitrine_exit_wrmsr_refused(vcpu, msr, data, -EPERM);
	}
	/* What a guest writes most often: the next tick, the end of an interrupt, an IPI. */
	if (vcpu->lapic && vitrine_lapic_msr_write_fast(vcpu, msr, data)) {
		trace_vitrine_msr(vcpu, msr, true, data, 0);
		return skip(vcpu);
	}
	ret = vitrine_msr_write(vcpu, msr, data, false);
	trace_vitrine_msr(vcpu, msr, true, data, ret);
	if (unlikely(ret))
		return vitrine_exit_wrmsr_refused(vcpu, msr, data, ret);
	return skip(vcpu);
}

static int handle_invalid_state(struct vitrine_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	const char *check = vmx_invalid_guest_state(vmx);

	pr_info_ratelimited("VM %llu vCPU %u: entry refused, invalid guest state: %s\n",
			    vcpu->vm->id, vcpu->id,
			    check ?: "none of the checks known here failed");
	vmx_dump_vmcs(vmx);
	/* Such an exit leaves the event's valid bit set; what it was is still in vcpu->events. */
	vmx_cancel_inject(vcpu);
	vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
	vcpu->run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	vcpu->run->fail_entry.hardware_entry_failure_reason = vcpu->exit.reason;
	vcpu->run->fail_entry.cpu = raw_smp_processor_id();
	vitrine_netlink_event(vcpu->vm, vcpu, VITRINE_NL_EVENT_ENTRY_FAILURE, 0);
	return EXIT_USER;
}

/* MONITOR and MWAIT do nothing: to wait in vain is one of the things that they may do. */
static int handle_monitor_mwait(struct vitrine_vcpu *vcpu)
{
	if (!vitrine_vm_has_quirk(vcpu->vm, KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS) &&
	    !vitrine_cpuid_has(vcpu, X86_FEATURE_MWAIT))
		return inject_ud(vcpu);
	return skip(vcpu);
}

static int handle_ept_violation(struct vitrine_vcpu *vcpu)
{
	u64 qualification = vcpu->exit.qualification;
	struct mem_fault fault = {
		.gpa = vmcs_read(GUEST_PHYSICAL_ADDRESS),
		.read = qualification & EPT_VIOLATION_ACC_READ,
		.write = qualification & EPT_VIOLATION_ACC_WRITE,
		.exec = qualification & EPT_VIOLATION_ACC_INSTR,
		.present = qualification & EPT_VIOLATION_RWX_MASK,
	};
	int idx, ret;

	if (unlikely(qualification & INTR_INFO_UNBLOCK_NMI))
		restore_nmi_blocking(vcpu);
	idx = srcu_read_lock(&vcpu->vm->srcu);
	ret = vitrine_mmu_fault(vcpu, &fault);
	trace_vitrine_fault(vcpu, &fault, ret);
	if (ret == VITRINE_FAULT_MMIO)
		ret = vmx_apicv_fault(vcpu, &fault);
	if (ret == VITRINE_FAULT_MMIO) {
		fault.gva_valid = qualification & EPT_VIOLATION_GVA_IS_VALID &&
				  qualification & EPT_VIOLATION_GVA_TRANSLATED;
		fault.delivery = vcpu->exit.vectoring_info & VECTORING_INFO_VALID_MASK;
		if (fault.gva_valid)
			fault.gva = vmcs_read(GUEST_LINEAR_ADDRESS);
		vmx_rip_cache(vcpu);
		vmx_rflags_cache(vcpu);
		ret = vitrine_exit_mmio(vcpu, &fault);
	}
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

/* None of our entries is of a forbidden form, so one that is was not written by us. */
static int handle_ept_misconfig(struct vitrine_vcpu *vcpu)
{
	WARN_ONCE(1, KBUILD_MODNAME ": EPT misconfiguration at 0x%llx\n",
		  (u64)vmcs_read(GUEST_PHYSICAL_ADDRESS));
	vitrine_vm_mark_dead(vcpu->vm, "EPT misconfiguration");
	return -EIO;
}

/* A deadline, or the bound on one stay: interrupts came in when run.c turned them on. */
static int handle_preemption_timer(struct vitrine_vcpu *vcpu)
{
	if (vcpu->deadline_tsc)
		vitrine_lapic_deadline_exit(vcpu);
	return EXIT_RESUME;
}

/* "Page-Modification Logging": the log was full before the access, and is empty by now. */
static int handle_pml_full(struct vitrine_vcpu *vcpu)
{
	if (unlikely(vcpu->exit.qualification & INTR_INFO_UNBLOCK_NMI))
		restore_nmi_blocking(vcpu);
	return EXIT_RESUME;
}

/* Guests have no device that is not coherent, and INVD would lose the host's data. */
static int handle_invd_wbinvd(struct vitrine_vcpu *vcpu)
{
	return skip(vcpu);
}

static int handle_xsetbv(struct vitrine_vcpu *vcpu)
{
	u64 value = (u32)vcpu->regs[VITRINE_REG_RAX] | vcpu->regs[VITRINE_REG_RDX] << 32;

	if (vmx_get_cpl(vcpu) || vitrine_fpu_set_xcr(vcpu, vcpu->regs[VITRINE_REG_RCX], value))
		return inject_gp(vcpu);
	return skip(vcpu);
}

static int (*const handlers[])(struct vitrine_vcpu *vcpu) = {
	[EXIT_REASON_EXCEPTION_NMI] = handle_exception_nmi,
	[EXIT_REASON_EXTERNAL_INTERRUPT] = handle_external_interrupt,
	[EXIT_REASON_TRIPLE_FAULT] = vitrine_exit_shutdown,
	[EXIT_REASON_INTERRUPT_WINDOW] = handle_interrupt_window,
	[EXIT_REASON_NMI_WINDOW] = handle_nmi_window,
	[EXIT_REASON_TASK_SWITCH] = handle_task_switch,
	[EXIT_REASON_CPUID] = handle_cpuid,
	[EXIT_REASON_HLT] = handle_hlt,
	[EXIT_REASON_INVD] = handle_invd_wbinvd,
	[EXIT_REASON_INVLPG] = vmx_exit_invlpg,
	[EXIT_REASON_RDPMC] = handle_rdpmc,
	[EXIT_REASON_RDTSC] = vmx_exit_rdtsc,
	[EXIT_REASON_VMCALL] = handle_vmcall,
	[EXIT_REASON_ENCLS] = handle_undefined,
	[EXIT_REASON_VMCLEAR] = handle_undefined,
	[EXIT_REASON_VMLAUNCH] = handle_undefined,
	[EXIT_REASON_VMPTRLD] = handle_undefined,
	[EXIT_REASON_VMPTRST] = handle_undefined,
	[EXIT_REASON_VMREAD] = handle_undefined,
	[EXIT_REASON_VMRESUME] = handle_undefined,
	[EXIT_REASON_VMWRITE] = handle_undefined,
	[EXIT_REASON_VMOFF] = handle_undefined,
	[EXIT_REASON_VMON] = handle_undefined,
	[EXIT_REASON_CR_ACCESS] = vmx_exit_cr_access,
	[EXIT_REASON_DR_ACCESS] = vmx_exit_dr_access,
	[EXIT_REASON_IO_INSTRUCTION] = handle_io,
	[EXIT_REASON_MSR_READ] = handle_rdmsr,
	[EXIT_REASON_MSR_WRITE] = handle_wrmsr,
	[EXIT_REASON_INVALID_STATE] = handle_invalid_state,
	[EXIT_REASON_MWAIT_INSTRUCTION] = handle_monitor_mwait,
	[EXIT_REASON_MONITOR_TRAP_FLAG] = vmx_exit_monitor_trap,
	[EXIT_REASON_MONITOR_INSTRUCTION] = handle_monitor_mwait,
	[EXIT_REASON_PAUSE_INSTRUCTION] = vmx_exit_pause,
	[EXIT_REASON_TPR_BELOW_THRESHOLD] = vmx_exit_tpr_below_threshold,
	[EXIT_REASON_APIC_ACCESS] = vmx_exit_apic_access,
	[EXIT_REASON_EOI_INDUCED] = vmx_exit_eoi,
	[EXIT_REASON_GDTR_IDTR] = vmx_exit_table,
	[EXIT_REASON_LDTR_TR] = vmx_exit_table,
	[EXIT_REASON_EPT_VIOLATION] = handle_ept_violation,
	[EXIT_REASON_EPT_MISCONFIG] = handle_ept_misconfig,
	[EXIT_REASON_INVEPT] = handle_undefined,
	[EXIT_REASON_RDTSCP] = vmx_exit_rdtscp,
	[EXIT_REASON_PREEMPTION_TIMER] = handle_preemption_timer,
	[EXIT_REASON_INVVPID] = handle_undefined,
	[EXIT_REASON_WBINVD] = handle_invd_wbinvd,
	[EXIT_REASON_XSETBV] = handle_xsetbv,
	[EXIT_REASON_APIC_WRITE] = vmx_exit_apic_write,
	[EXIT_REASON_RDRAND] = vmx_exit_rdrand,
	[EXIT_REASON_INVPCID] = vmx_exit_invpcid,
	[EXIT_REASON_RDSEED] = vmx_exit_rdseed,
	[EXIT_REASON_PML_FULL] = handle_pml_full,
};

static noinline int unhandled(struct vitrine_vcpu *vcpu)
{
	u64 facts[4] = { vcpu->exit.reason, raw_smp_processor_id(), vcpu->exit.qualification };
	u8 insn[VITRINE_INSN_MAX_LEN + 1] = {};
	int idx;

	idx = srcu_read_lock(&vcpu->vm->srcu);
	if (vitrine_fetch_bytes(vcpu, insn) > 0)
		memcpy(&facts[3], insn, sizeof(facts[3]));
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	pr_debug_ratelimited("exit reason %u has no handler\n", (u16)vcpu->exit.reason);
	return vitrine_exit_internal_error(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON,
					   ARRAY_SIZE(facts), facts);
}

/* What the last entry injected is settled: delivered, or back to be injected again. */
static noinline void settle_events(struct vitrine_vcpu *vcpu)
{
	u32 info = vcpu->exit.vectoring_info;
	struct vitrine_event event = {};

	if (likely(!(info & VECTORING_INFO_VALID_MASK))) {
		vitrine_events_exit(&vcpu->events, NULL);
		return;
	}
	event.type = (info & VECTORING_INFO_TYPE_MASK) >> 8;
	event.vector = info & VECTORING_INFO_VECTOR_MASK;
	if (info & VECTORING_INFO_DELIVER_CODE_MASK) {
		event.has_error = true;
		event.error_code = vmcs_read(IDT_VECTORING_ERROR_CODE);
	}
	if (event.type >= VITRINE_EVENT_SOFT_INTERRUPT)
		event.insn_len = vmcs_read(VM_EXIT_INSTRUCTION_LEN);
	vitrine_events_exit(&vcpu->events, &event);
	if (event.type == VITRINE_EVENT_NMI)
		vmx_set_nmi_masked(vcpu, false);
	vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
}

void vmx_settle_exit(struct vitrine_vcpu *vcpu)
{
	if (vcpu->exit.reason == EXIT_REASON_EXCEPTION_NMI)
		restore_nmi_blocking_of_exception(vcpu);
	if (vcpu->events.entering || vcpu->exit.vectoring_info & VECTORING_INFO_VALID_MASK)
		settle_events(vcpu);
	vcpu->exit.vectoring_info = 0;
}

int vmx_handle_exit(struct vitrine_vcpu *vcpu)
{
	u32 reason = vcpu->exit.reason;
	int ret;

	if (unlikely(reason & VMX_EXIT_REASONS_FAILED_VMENTRY)) {
		ret = handle_invalid_state(vcpu);
	} else {
		if (unlikely(vcpu->events.entering ||
			     vcpu->exit.vectoring_info & VECTORING_INFO_VALID_MASK))
			settle_events(vcpu);
		reason &= 0xffff;
		if (unlikely(reason >= ARRAY_SIZE(handlers)))
			return unhandled(vcpu);
		reason = array_index_nospec(reason, ARRAY_SIZE(handlers));
		if (unlikely(!handlers[reason]))
			return unhandled(vcpu);
		ret = handlers[reason](vcpu);
	}
	/* run.c tells the VMM of IF, whatever it was. */
	if (ret == EXIT_USER)
		vmx_rflags_cache(vcpu);
	vmx_mitigate_exit_handled(vcpu, reason);
	return ret;
}
