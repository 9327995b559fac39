/* SPDX-License-Identifier: GPL-2.0 */
/* struct vmx_vcpu: what a vCPU needs beyond the neutral part, and who in kmod/vmx offers what. */
#ifndef VMX_VMX_H
#define VMX_VMX_H

#include <linux/container_of.h>
#include <linux/list.h>
#include <linux/types.h>
#include <asm/trapnr.h>
#include <asm/vmx.h>

#include "../vcpu.h"
#include "caps.h"
#include "enter.h"
#include "insn.h"

struct vitrine_record;

#define VMX_NR_AUTOLOAD_MSRS	16

/*
 * struct vmx_autoload - MSRs that the processor itself switches: perf's, which count across the
 * border
 */
struct vmx_autoload {
	unsigned int nr;
	struct vmx_msr_entry guest[VMX_NR_AUTOLOAD_MSRS] __aligned(16);
	struct vmx_msr_entry host[VMX_NR_AUTOLOAD_MSRS] __aligned(16);
};

/* struct vmx_host_state - what this thread had in the CPU before the guest's took its place; [c] */
struct vmx_host_state {
	u16 fs_sel, gs_sel, ldt_sel;
	u16 ds_sel, es_sel;
	u64 fs_base;
	u64 vmcs_fs_base;	/* what HOST_FS_BASE holds */
	u64 kernel_gs_base;
};

struct vmx_vcpu {
	struct vitrine_vcpu vcpu;
	struct vmcs_region *vmcs;	/* [I] */
	u64 vmcs_hpa;			/* [I] */
	struct list_head loaded_node;	/* [c] on the loaded_cpu's list; interrupts off */
	int loaded_cpu;			/* [c] where the VMCS is active, or -1 */
	bool launched;			/* [c] since the last VMCLEAR */
	bool vmcs_lost;			/* [c] VMCLEAR failed: @vmcs is never freed */
	bool guest_loaded;		/* [c] guest's segment bases and MSRs are in the CPU */
	u16 vpid;			/* [I] 0 without VPID */
	u64 token;			/* [I] never reused: who ran on a CPU last */

	struct vmx_entry entry;		/* [c] */
	unsigned int enter_flags;	/* [v] but VMX_ENTER_RESUME, which follows @launched */
	u64 host_cr3;			/* [c] what HOST_CR3 holds */
	u64 host_cr4;			/* [c] what HOST_CR4 holds */
	u64 debugctl;			/* [v] what GUEST_IA32_DEBUGCTL holds */
	u64 eptp;			/* [v] */

	u32 cpu_ctls;			/* [v] what the VMCS holds */
	u32 cpu2_ctls;			/* [v] */
	u32 entry_ctls;			/* [v] */
	u32 exception_bitmap;		/* [v] */
	u64 cr0_guest_owned;		/* [v] */
	u64 cr4_guest_owned;		/* [v] */
	u64 msr_kernel_gs_base;		/* [v] the guest's, while @guest_loaded is false */
	unsigned long *msr_bitmap;	/* [I] one page */
	u64 *pml_log;			/* [I] one page, NULL if the VM does without */
	bool pml_on;			/* [v] */
	struct vmx_autoload autoload;	/* [v] */
	struct vmx_host_state host;	/* [c] */
	bool guest_tf;			/* [v] in a step of the VMM's: the guest has TF itself */
	bool shared_stale;		/* [c] a SYSCALL MSR changed since the guest was loaded */
	u8 tpr_threshold;		/* [v] in the VMCS */
	bool timer_on;			/* [v] the preemption timer, in the VMCS */
	u32 timer_value;		/* [v] likewise */
	u32 timer_bound;		/* [I] for a stay without a deadline */
	u64 timer_for_deadline;		/* [v] the deadline that both are for, or 0 */
	u32 base_cpu_ctls;		/* [I] what exits without a policy, in the VM's way */
	bool dumped;			/* [v] the VMCS was put into the log once */
};

static inline struct vmx_vcpu *to_vmx(struct vitrine_vcpu *vcpu)
{
	return container_of(vcpu, struct vmx_vcpu, vcpu);
}

/* Only what changes is written: a VMWRITE costs more than the compare. */
static inline void vmx_cpu_ctls_set(struct vmx_vcpu *vmx, u32 bits, bool on)
{
	u32 ctls = on ? vmx->cpu_ctls | bits : vmx->cpu_ctls & ~bits;

	if (ctls == vmx->cpu_ctls)
		return;
	vmx->cpu_ctls = ctls;
	vmcs_write(CPU_BASED_VM_EXEC_CONTROL, ctls);
}

static inline void vmx_cpu2_ctls_set(struct vmx_vcpu *vmx, u32 bits, bool on)
{
	u32 ctls = on ? vmx->cpu2_ctls | bits : vmx->cpu2_ctls & ~bits;

	if (ctls == vmx->cpu2_ctls)
		return;
	vmx->cpu2_ctls = ctls;
	vmcs_write(SECONDARY_VM_EXEC_CONTROL, ctls);
}

static inline void vmx_entry_ctls_set(struct vmx_vcpu *vmx, u32 bits, bool on)
{
	u32 ctls = on ? vmx->entry_ctls | bits : vmx->entry_ctls & ~bits;

	if (ctls == vmx->entry_ctls)
		return;
	vmx->entry_ctls = ctls;
	vmcs_write(VM_ENTRY_CONTROLS, ctls);
}

/*
 * vitrine_rip_read() and vitrine_rflags_read() for the paths of each exit: no call where the cache
 * is empty.
 */
static inline u64 vmx_rip_read(struct vitrine_vcpu *vcpu)
{
	if (vcpu->regs_avail & BIT(VITRINE_REG_RIP))
		return vcpu->regs[VITRINE_REG_RIP];
	return vmcs_read(GUEST_RIP);
}

static inline u64 vmx_rflags_read(struct vitrine_vcpu *vcpu)
{
	if (vcpu->regs_avail & BIT(VITRINE_REG_RFLAGS))
		return vcpu->regs[VITRINE_REG_RFLAGS];
	return vmcs_read(GUEST_RFLAGS);
}

/* What is going to be read by neutral code, where that is certain. */
static inline void vmx_rip_cache(struct vitrine_vcpu *vcpu)
{
	if (vcpu->regs_avail & BIT(VITRINE_REG_RIP))
		return;
	vcpu->regs[VITRINE_REG_RIP] = vmcs_read(GUEST_RIP);
	vcpu->regs_avail |= BIT(VITRINE_REG_RIP);
}

/* While the VMM steps, TF is not the guest's, and the exit has cached what is. */
static inline void vmx_rflags_cache(struct vitrine_vcpu *vcpu)
{
	if (vcpu->regs_avail & BIT(VITRINE_REG_RFLAGS))
		return;
	vcpu->regs[VITRINE_REG_RFLAGS] = vmcs_read(GUEST_RFLAGS);
	vcpu->regs_avail |= BIT(VITRINE_REG_RFLAGS);
}

/* vmx.c: per-CPU root operation */
extern bool vmx_rebooting;
void vmx_vmcs_clear(struct vmx_vcpu *vmx);

/* apicv.c */
int vmx_apicv_init(void);
void vmx_apicv_exit(void);
bool vmx_apicv_tpr_shadow_wanted(void);
bool vmx_apicv_wanted(void);
void vmx_vm_init(struct vitrine_vm *vm);
void vmx_apicv_setup(struct vmx_vcpu *vmx);
void vmx_update_apicv(struct vitrine_vcpu *vcpu);
void vmx_set_tpr_threshold(struct vitrine_vcpu *vcpu, u8 threshold);
void vmx_set_virtual_interrupts(struct vitrine_vcpu *vcpu, u8 requested, u8 in_service);
void vmx_set_eoi_exits(struct vitrine_vcpu *vcpu, const unsigned long *vectors);
int vmx_apicv_fault(struct vitrine_vcpu *vcpu, const struct mem_fault *fault);
int vmx_exit_tpr_below_threshold(struct vitrine_vcpu *vcpu);
int vmx_exit_apic_access(struct vitrine_vcpu *vcpu);
int vmx_exit_apic_write(struct vitrine_vcpu *vcpu);
int vmx_exit_eoi(struct vitrine_vcpu *vcpu);

/* record.c */
void vmx_record_exit(struct vitrine_vcpu *vcpu, struct vitrine_record *record);

/* timer.c */
void vmx_timer_setup(struct vmx_vcpu *vmx);
/* Right before an entry while a deadline is set, and once after that. */
void vmx_timer_update(struct vmx_vcpu *vmx);

/* pml.c */
bool vmx_pml_in_use(void);
u32 vmx_pml_entries(void);
int vmx_pml_create(struct vmx_vcpu *vmx, const struct vitrine_vm *vm);
void vmx_pml_free(struct vmx_vcpu *vmx);
void vmx_pml_setup(struct vmx_vcpu *vmx);
void vmx_pml_update(struct vitrine_vcpu *vcpu);
/* Right after an exit, interrupts off: hands what was logged to the neutral code. */
void vmx_pml_flush(struct vmx_vcpu *vmx);

/* vmcs.c */
struct vitrine_vcpu *vmx_vcpu_create(struct vitrine_vm *vm);
void vmx_vcpu_free(struct vitrine_vcpu *vcpu);
void vmx_vcpu_reset(struct vitrine_vcpu *vcpu, bool init);
int vmx_vmcs_init(void);
void vmx_vmcs_exit(void);

/* host.c */
void vmx_vcpu_load(struct vitrine_vcpu *vcpu, int cpu);
void vmx_vcpu_put(struct vitrine_vcpu *vcpu, bool to_user);
void vmx_host_restore(struct vmx_vcpu *vmx);
int vmx_host_init(void);
void vmx_host_exit(void);

/* state.c, segment.c */
void vmx_cache_reg(struct vitrine_vcpu *vcpu, unsigned int reg);
void vmx_get_segment(struct vitrine_vcpu *vcpu, unsigned int seg, struct kvm_segment *var);
void vmx_set_segment(struct vitrine_vcpu *vcpu, unsigned int seg, const struct kvm_segment *var);
enum vitrine_insn_mode vmx_get_code_mode(struct vitrine_vcpu *vcpu, u64 *base);
int vmx_get_cpl(struct vitrine_vcpu *vcpu);
void vmx_get_gdt(struct vitrine_vcpu *vcpu, struct kvm_dtable *dt);
void vmx_set_gdt(struct vitrine_vcpu *vcpu, const struct kvm_dtable *dt);
void vmx_get_idt(struct vitrine_vcpu *vcpu, struct kvm_dtable *dt);
void vmx_set_idt(struct vitrine_vcpu *vcpu, const struct kvm_dtable *dt);
u64 vmx_get_cr0(struct vitrine_vcpu *vcpu);
u64 vmx_get_cr3(struct vitrine_vcpu *vcpu);
u64 vmx_get_cr4(struct vitrine_vcpu *vcpu);
void vmx_set_cr0(struct vitrine_vcpu *vcpu, u64 cr0);
void vmx_set_cr3(struct vitrine_vcpu *vcpu, u64 cr3);
void vmx_set_cr4(struct vitrine_vcpu *vcpu, u64 cr4);
void vmx_set_efer(struct vitrine_vcpu *vcpu, u64 efer);
u64 vmx_get_dr7(struct vitrine_vcpu *vcpu);
void vmx_set_dr7(struct vitrine_vcpu *vcpu, u64 dr7);
int vmx_get_msr(struct vitrine_vcpu *vcpu, u32 msr, u64 *data);
int vmx_set_msr(struct vitrine_vcpu *vcpu, u32 msr, u64 data);
void vmx_update_msr_intercept(struct vitrine_vcpu *vcpu, u32 msr, bool read, bool write);
void vmx_update_exceptions(struct vitrine_vcpu *vcpu);
void vmx_set_tsc(struct vitrine_vcpu *vcpu);
void vmx_mmu_root_changed(struct vitrine_vcpu *vcpu);
void vmx_tlb_flush(struct vitrine_vcpu *vcpu);
void vmx_tlb_flush_guest(struct vitrine_vcpu *vcpu);

/* inject.c */
void vmx_inject(struct vitrine_vcpu *vcpu, const struct vitrine_injection *event);
void vmx_cancel_inject(struct vitrine_vcpu *vcpu);
void vmx_set_windows(struct vitrine_vcpu *vcpu, bool interrupt, bool nmi);
u32 vmx_interrupt_shadow(struct vitrine_vcpu *vcpu);
void vmx_set_interrupt_shadow(struct vitrine_vcpu *vcpu, u32 shadow);
bool vmx_nmi_masked(struct vitrine_vcpu *vcpu);
void vmx_set_nmi_masked(struct vitrine_vcpu *vcpu, bool masked);
void vmx_skip_insn(struct vitrine_vcpu *vcpu);
/* A guest whose HLT does not exit: most events cannot be injected into that state, all end it. */
void vmx_leave_hlt(struct vitrine_vcpu *vcpu);

/* describe.c */
struct vitrine_happening;
bool vmx_describe_exit(struct vitrine_vcpu *vcpu, struct vitrine_happening *what);
void vmx_put_result(struct vitrine_vcpu *vcpu, u64 value);
int vmx_handle_exit_with(struct vitrine_vcpu *vcpu, u64 value);

/* policy.c */
u32 vmx_policy_classes(void);
void vmx_update_policy(struct vitrine_vcpu *vcpu);
/* Those that a policy can have exit: what was raised can be raised again. */
#define VMX_POLICY_EXCEPTIONS						\
	(BIT(X86_TRAP_DE) | BIT(X86_TRAP_DB) | BIT(X86_TRAP_BP) |	\
	 BIT(X86_TRAP_OF) | BIT(X86_TRAP_BR) | BIT(X86_TRAP_UD) |	\
	 BIT(X86_TRAP_NM) | BIT(X86_TRAP_TS) | BIT(X86_TRAP_NP) |	\
	 BIT(X86_TRAP_SS) | BIT(X86_TRAP_GP) | BIT(X86_TRAP_PF) |	\
	 BIT(X86_TRAP_MF) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_XF))
/* A bit for each exception that the policy makes exit. */
u32 vmx_policy_exceptions(const struct vitrine_vcpu *vcpu);

/* exit_policy.c: exits that there are only for a policy's sake */
int vmx_exit_rdtsc(struct vitrine_vcpu *vcpu);
int vmx_exit_rdtscp(struct vitrine_vcpu *vcpu);
int vmx_exit_invlpg(struct vitrine_vcpu *vcpu);
int vmx_exit_invpcid(struct vitrine_vcpu *vcpu);
int vmx_exit_rdrand(struct vitrine_vcpu *vcpu);
int vmx_exit_rdseed(struct vitrine_vcpu *vcpu);
int vmx_exit_pause(struct vitrine_vcpu *vcpu);
int vmx_exit_monitor_trap(struct vitrine_vcpu *vcpu);
/* What RDRAND or RDSEED gave, into the operand and the flags. */
void vmx_put_random(struct vitrine_vcpu *vcpu, bool ok, u64 value);
/* exit_table.c: likewise; and what the instruction is, or false if nobody knows any more. */
int vmx_exit_table(struct vitrine_vcpu *vcpu);
bool vmx_describe_table(struct vitrine_vcpu *vcpu, bool *load, u64 *table);
/* Bytes of the operand of the RDRAND or RDSEED that exited. */
unsigned int vmx_random_bytes(struct vitrine_vcpu *vcpu);

/**
 * struct vmx_operand - a memory operand of an instruction that exited, as hardware decoded it
 * @info: the whole VM-exit instruction-information field
 * @mode: of the code
 * @seg: VITRINE_SEG_*
 * @offset: before the segment base
 */
struct vmx_operand {
	u32 info;
	enum vitrine_insn_mode mode;
	u8 seg;
	u64 offset;
};

/* operand.c: for those exits that have such a field; the operand must be one in memory. */
void vmx_operand_decode(struct vitrine_vcpu *vcpu, struct vmx_operand *operand);
/* The linear address, checked for nothing. */
u64 vmx_operand_linear(struct vitrine_vcpu *vcpu, const struct vmx_operand *operand);
/*
 * 0; EXIT_RESUME where a fault was queued; or -errno, -EOPNOTSUPP where it is no memory. What a
 * handler returns goes through vmx_operand_result(), as 0 is EXIT_USER there.
 */
int vmx_operand_read(struct vitrine_vcpu *vcpu, const struct vmx_operand *operand, void *data,
		     unsigned int len_bytes);
int vmx_operand_write(struct vitrine_vcpu *vcpu, const struct vmx_operand *operand,
		      const void *data, unsigned int len_bytes);
int vmx_operand_result(struct vitrine_vcpu *vcpu, int ret);

/* Into a general register as an instruction of that operand size does it: 1, 2, 4 or 8. */
void vmx_reg_store(struct vitrine_vcpu *vcpu, unsigned int reg, unsigned int len_bytes, u64 value);

/* exit.c, exit_cr.c */
/* An #AC that the guest asked for, and not the host's detection of split locks. */
bool vmx_is_guest_alignment_check(struct vitrine_vcpu *vcpu);
int vmx_handle_exit(struct vitrine_vcpu *vcpu);
/* The event that the exit interrupted goes back among those to inject. */
void vmx_settle_exit(struct vitrine_vcpu *vcpu);
/* A general register as an operand of the mode's width: the low half outside 64-bit mode. */
u64 vmx_reg_operand(struct vitrine_vcpu *vcpu, unsigned int reg);
int vmx_exit_cr_access(struct vitrine_vcpu *vcpu);
int vmx_exit_dr_access(struct vitrine_vcpu *vcpu);

/*
 * dump.c: one dump a vCPU; the first failed check of "Checks on Guest State" by its SDM name, or
 * NULL
 */
void vmx_dump_vmcs(struct vmx_vcpu *vmx);
const char *vmx_invalid_guest_state(struct vmx_vcpu *vmx);
/* The same of a state that no entry was tried with. */
const char *vmx_invalid_state(struct vitrine_vcpu *vcpu);

#endif
