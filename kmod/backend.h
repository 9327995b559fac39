/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The border to the vendor's code. An operation exists only if neutral code calls it today; neutral
 * code never says VMCS, vendor code never touches another object's locks.
 *
 * Contexts: "loaded" means vcpu->mutex is held and vitrine_vcpu_load() was called; the function may
 * sleep unless it says otherwise.
 */
#ifndef VITRINE_BACKEND_H
#define VITRINE_BACKEND_H

#include <linux/kvm.h>
#include <linux/types.h>

#include "insn.h"

struct vitrine_caps;
struct vitrine_happening;
struct vitrine_injection;
struct vitrine_mitigations;
struct vitrine_record;
struct vitrine_vcpu;
struct vitrine_vm;

/* What a handler says to run.c; anything negative is an errno that ends KVM_RUN. */
enum vitrine_exit_result {
	EXIT_USER = 0,		/* vcpu->run is filled in: go out to the VMM */
	EXIT_RESUME = 1,	/* enter the guest again */
};

/**
 * struct vitrine_backend - what a vendor provides
 * @name: "vmx"
 * @hardware_setup: once at module load; checks capabilities. Sleeps.
 * @hardware_unsetup: mirror of @hardware_setup.
 * @has_feature: may a guest use this X86_FEATURE_*? Asked, once after @hardware_setup, only for
 * what needs the
 *	vendor's help in a guest: RDTSCP, RDPID, INVPCID. NULL: all of them.
 * @mitigation_init: @mitigation_exit: plans the entry path against side channels; after the
 * second-level tables' set-up.
 * @hardware_claim: before the first VM: take what the kernel has one of; -EBUSY names the holder in
 * the log.
 * @hardware_release: mirror of @hardware_claim, after the last VM.
 * @cpu_enable: enter root operation on this CPU; interrupts off, called by IPI or CPU hotplug.
 * @cpu_disable: leave it; interrupts off; harmless where not entered.
 * @report_caps: @report_mitigations: for struct vitrine_caps and struct vitrine_mitigations of our
 * own ABI.
 * @cpu_leaving: this CPU goes offline (or came back): vCPU threads that still pass must not leave
 * it entered.
 * @going_down: the machine restarts: from now on a fault in a vendor instruction is expected.
 * @vm_init: decides vm->tpr_shadow and vm->apicv.
 * @dirty_log_entries: how many pages hardware logs in a VM created now before it exits; 0: none, by
 * choice or for
 *	want of it. NULL: never any.
 * @vcpu_create: allocate the vendor's vCPU around struct vitrine_vcpu, in the state after reset;
 * ERR_PTR.
 * @vcpu_free: mirror of @vcpu_create. Not loaded.
 * @vcpu_load: make this vCPU's state current on this CPU; preemption off.
 * @vcpu_put: give the CPU back to the host; preemption off. With @to_user the thread enters no more
 * before it returns to userspace: what else would have to be put back on the way there is put back
 * now.
 * @vcpu_reset: architectural reset or INIT. Loaded.
 * @vcpu_run: enter the guest once and come back; interrupts off, never sleeps. 0 or -errno for
 * "could not enter".
 * @handle_exit: dispatch the exit that @vcpu_run brought. Loaded. EXIT_RESUME, EXIT_USER or -errno.
 * @record_exit: what a record says of the last exit and of the guest's registers, before
 * @handle_exit; the rest of the record is run.c's and the ring's. Loaded.
 * @describe_exit: what the last exit is about in the words of an exit policy; false if no rule's
 * class. Also puts the event that the exit interrupted back, so that @handle_exit may come later,
 * or not at all. Loaded.
 * @put_result: the instruction that exited reads @value: into its registers, RIP stands. Of a
 * class for which vitrine_class_reads(). Loaded.
 * @handle_exit_with: @handle_exit with @value in place of what the instruction writes; likewise,
 * vitrine_class_writes(). Loaded.
 * @policy_classes: a bit for each VITRINE_ON_* that this CPU can let exit. Any context.
 * @update_policy: vcpu->policy_on changed: what exits follows. Loaded.
 * @cache_reg: read RIP, RSP or RFLAGS into vcpu->regs, or the PDPTEs (VITRINE_CACHE_PDPTRS) into
 * vcpu->pdptrs; they
 *	stay in hardware until asked for. Loaded.
 * @invalid_state: the first of the checks of an entry that the guest's state would fail now, in
 * words, or NULL. Loaded.
 * @get_segment: VCPU_SREG_* to the KVM form. Loaded.
 * @set_segment: the reverse; values were checked for shape, not for consistency. Loaded.
 * @get_code_mode: the mode of the code that runs now, and the base of its segment. Loaded.
 * @get_cpl: current privilege level. Loaded.
 * @get_gdt: @get_idt: @set_gdt: @set_idt: descriptor-table registers. Loaded.
 * @set_cr0: @set_cr3: @set_cr4: @set_efer: write a checked value: updates vcpu->cr0 and so on, and
 * hardware;
 *	EFER.LMA follows CR0.PG. Loaded.
 * @get_cr0: @get_cr3: @get_cr4: value the guest sees (guest-owned bits read back). Loaded.
 * @get_dr7: @set_dr7: effective DR7 in hardware; DR0-3 and DR6 are in vcpu->db. Loaded.
 * @get_msr: @set_msr: MSRs that live in vendor state; -ENOENT for an MSR that does not. Loaded.
 * @inject: write one event for the next entry (interrupt, exception, NMI). Loaded.
 * @cancel_inject: take a written event back because the entry did not happen. Loaded.
 * @set_windows: exit, or not, as soon as an interrupt or an NMI can be taken. Loaded.
 * @interrupt_shadow: KVM_X86_SHADOW_INT_* now blocking. Loaded.
 * @set_interrupt_shadow: set or clear that. Loaded.
 * @nmi_masked: @set_nmi_masked: blocking by NMI. Loaded.
 * @skip_insn: advance RIP over the instruction that exited, with the trap flag's and shadow's due.
 * Loaded.
 * @update_exceptions: exception interception follows vcpu->guest_debug and the policy. Loaded.
 * @update_msr_intercept: make reads/writes of @msr exit or not. Loaded or before first load.
 * @update_apicv: the local APIC's mode, KVM_GUESTDBG_BLOCKIRQ or vitrine_lapic_is_virtual()
 *	changed; where vm->tpr_shadow. Loaded.
 * @set_tpr_threshold: exit when the guest's TPR class falls below this; vm->tpr_shadow without
 *	vm->apicv. Loaded.
 * @set_virtual_interrupts: highest vectors requested and in service, 0 for none; vm->apicv. Loaded.
 * @set_eoi_exits: vectors whose end must exit, 256 bits; vm->apicv. Loaded.
 * @tlb_flush: drop this vCPU's cached translations, second-level and linear; preemption off,
 * loaded.
 * @tlb_flush_guest: drop linear (guest's own) translations only; preemption off, loaded.
 * @update_dirty_log: hardware logs writes if vm->nr_logged is not 0, and not otherwise. Only where
 * @dirty_log_entries
 *	said more than 0. Loaded.
 * @set_tsc: offset and multiplier after vcpu->tsc_* changed. Loaded.
 * @mmu_root_changed: second-level root was (re)allocated. Loaded.
 */
struct vitrine_backend {
	const char *name;
	int (*hardware_setup)(void);
	void (*hardware_unsetup)(void);
	bool (*has_feature)(unsigned int x86_feature);
	int (*mitigation_init)(void);
	void (*mitigation_exit)(void);
	int (*hardware_claim)(void);
	void (*hardware_release)(void);
	int (*cpu_enable)(void);
	void (*cpu_disable)(void);
	void (*report_caps)(struct vitrine_caps *caps);
	void (*report_mitigations)(struct vitrine_mitigations *mitigations);
	void (*cpu_leaving)(bool leaving);
	void (*going_down)(void);

	void (*vm_init)(struct vitrine_vm *vm);
	u32 (*dirty_log_entries)(void);
	struct vitrine_vcpu *(*vcpu_create)(struct vitrine_vm *vm);
	void (*vcpu_free)(struct vitrine_vcpu *vcpu);
	void (*vcpu_load)(struct vitrine_vcpu *vcpu, int cpu);
	void (*vcpu_put)(struct vitrine_vcpu *vcpu, bool to_user);
	void (*vcpu_reset)(struct vitrine_vcpu *vcpu, bool init);
	int (*vcpu_run)(struct vitrine_vcpu *vcpu);
	int (*handle_exit)(struct vitrine_vcpu *vcpu);
	bool (*describe_exit)(struct vitrine_vcpu *vcpu, struct vitrine_happening *what);
	void (*put_result)(struct vitrine_vcpu *vcpu, u64 value);
	int (*handle_exit_with)(struct vitrine_vcpu *vcpu, u64 value);
	u32 (*policy_classes)(void);
	void (*update_policy)(struct vitrine_vcpu *vcpu);
	void (*record_exit)(struct vitrine_vcpu *vcpu, struct vitrine_record *record);

	void (*cache_reg)(struct vitrine_vcpu *vcpu, unsigned int reg);
	const char *(*invalid_state)(struct vitrine_vcpu *vcpu);
	void (*get_segment)(struct vitrine_vcpu *vcpu, unsigned int seg, struct kvm_segment *var);
	void (*set_segment)(struct vitrine_vcpu *vcpu, unsigned int seg,
			    const struct kvm_segment *var);
	enum vitrine_insn_mode (*get_code_mode)(struct vitrine_vcpu *vcpu, u64 *base);
	int (*get_cpl)(struct vitrine_vcpu *vcpu);
	void (*get_gdt)(struct vitrine_vcpu *vcpu, struct kvm_dtable *dt);
	void (*set_gdt)(struct vitrine_vcpu *vcpu, const struct kvm_dtable *dt);
	void (*get_idt)(struct vitrine_vcpu *vcpu, struct kvm_dtable *dt);
	void (*set_idt)(struct vitrine_vcpu *vcpu, const struct kvm_dtable *dt);
	u64 (*get_cr0)(struct vitrine_vcpu *vcpu);
	u64 (*get_cr3)(struct vitrine_vcpu *vcpu);
	u64 (*get_cr4)(struct vitrine_vcpu *vcpu);
	void (*set_cr0)(struct vitrine_vcpu *vcpu, u64 cr0);
	void (*set_cr3)(struct vitrine_vcpu *vcpu, u64 cr3);
	void (*set_cr4)(struct vitrine_vcpu *vcpu, u64 cr4);
	void (*set_efer)(struct vitrine_vcpu *vcpu, u64 efer);
	u64 (*get_dr7)(struct vitrine_vcpu *vcpu);
	void (*set_dr7)(struct vitrine_vcpu *vcpu, u64 dr7);
	int (*get_msr)(struct vitrine_vcpu *vcpu, u32 msr, u64 *data);
	int (*set_msr)(struct vitrine_vcpu *vcpu, u32 msr, u64 data);

	void (*inject)(struct vitrine_vcpu *vcpu, const struct vitrine_injection *event);
	void (*cancel_inject)(struct vitrine_vcpu *vcpu);
	void (*set_windows)(struct vitrine_vcpu *vcpu, bool interrupt, bool nmi);
	u32 (*interrupt_shadow)(struct vitrine_vcpu *vcpu);
	void (*set_interrupt_shadow)(struct vitrine_vcpu *vcpu, u32 shadow);
	bool (*nmi_masked)(struct vitrine_vcpu *vcpu);
	void (*set_nmi_masked)(struct vitrine_vcpu *vcpu, bool masked);
	void (*skip_insn)(struct vitrine_vcpu *vcpu);

	void (*update_exceptions)(struct vitrine_vcpu *vcpu);
	void (*update_msr_intercept)(struct vitrine_vcpu *vcpu, u32 msr, bool read, bool write);
	void (*update_apicv)(struct vitrine_vcpu *vcpu);
	void (*set_tpr_threshold)(struct vitrine_vcpu *vcpu, u8 threshold);
	void (*set_virtual_interrupts)(struct vitrine_vcpu *vcpu, u8 requested, u8 in_service);
	void (*set_eoi_exits)(struct vitrine_vcpu *vcpu, const unsigned long *vectors);
	void (*tlb_flush)(struct vitrine_vcpu *vcpu);
	void (*tlb_flush_guest)(struct vitrine_vcpu *vcpu);
	void (*update_dirty_log)(struct vitrine_vcpu *vcpu);
	void (*set_tsc)(struct vitrine_vcpu *vcpu);
	void (*mmu_root_changed)(struct vitrine_vcpu *vcpu);
};

extern const struct vitrine_backend vmx_backend;

/* One vendor a build today. */
static const struct vitrine_backend *const vitrine_backend __maybe_unused = &vmx_backend;

#endif
