// SPDX-License-Identifier: GPL-2.0
/*
 * The host's own state around guests: what is per CPU in the VMCS's host area, what is swapped
 * lazily between a load and a put, and the SYSCALL MSRs, which wait until the thread returns to
 * userspace.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/lockdep.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/user-return-notifier.h>
#include <asm/cpu_entry_area.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fpu/xcr.h>
#include <asm/fsgsbase.h>
#include <asm/mmu_context.h>
#include <asm/nospec-branch.h>
#include <asm/perf_event.h>

#include "../cpuid.h"
#include "../vm.h"
#include "ept.h"
#include "host.h"
#include "mitigation.h"
#include "vmx.h"

u64 vmx_host_xcr0 __ro_after_init;
bool vmx_perf_present __ro_after_init;

static const u32 shared_msr_index[VITRINE_NR_SHARED_MSRS] = {
	[VITRINE_MSR_STAR] = MSR_STAR,
	[VITRINE_MSR_LSTAR] = MSR_LSTAR,
	[VITRINE_MSR_CSTAR] = MSR_CSTAR,
	[VITRINE_MSR_FMASK] = MSR_SYSCALL_MASK,
	[VITRINE_MSR_TSC_AUX] = MSR_TSC_AUX,
};

/*
 * struct shared_msrs - what of the above this CPU holds now, and what its kernel needs back in
 * userspace. Whoever swapped something in puts it back at the end of RUN; where its thread is taken
 * off the CPU before, the kernel's notifier does so for the thread that returns to userspace first.
 */
struct shared_msrs {
	struct user_return_notifier notifier;
	bool registered;
	bool known;
	bool swapped;		/* one or more of them are a guest's */
	u64 host[VITRINE_NR_SHARED_MSRS];
	u64 current_value[VITRINE_NR_SHARED_MSRS];
};

static DEFINE_PER_CPU(struct shared_msrs, shared_msrs);

static __always_inline void put_back_shared_msr(struct shared_msrs *shared, unsigned int i, u32 msr)
{
	u64 value = shared->host[i];

	if (shared->current_value[i] == value)
		return;
	native_wrmsr(msr, (u32)value, value >> 32);
	shared->current_value[i] = value;
}

/* Twice does no harm: an IPI that makes this CPU leave VMX may come in between. */
static void put_back_shared_msrs(struct shared_msrs *shared)
{
	put_back_shared_msr(shared, VITRINE_MSR_STAR, MSR_STAR);
	put_back_shared_msr(shared, VITRINE_MSR_LSTAR, MSR_LSTAR);
	put_back_shared_msr(shared, VITRINE_MSR_FMASK, MSR_SYSCALL_MASK);
	put_back_shared_msr(shared, VITRINE_MSR_TSC_AUX, MSR_TSC_AUX);
	shared->swapped = false;
}

static void returns_to_user(struct user_return_notifier *notifier)
{
	struct shared_msrs *shared = container_of(notifier, struct shared_msrs, notifier);
	unsigned long flags;

	/*
	 * Also called by IPI when this CPU leaves VMX: only one of the two may take it off the
	 * list.
	 */
	local_irq_save(flags);
	if (shared->registered) {
		shared->registered = false;
		user_return_notifier_unregister(notifier);
	}
	local_irq_restore(flags);
	put_back_shared_msrs(shared);
}

static noinline void learn_shared_msrs(struct shared_msrs *shared)
{
	unsigned int i;

	for (i = 0; i < VITRINE_NR_SHARED_MSRS; i++) {
		/* Without RDTSCP there is no TSC_AUX, and no guest is told of it. */
		if (rdmsrl_safe(shared_msr_index[i], &shared->host[i]))
			shared->host[i] = 0;
		shared->current_value[i] = shared->host[i];
	}
	shared->known = true;
}

/* Constants for MSRs, and no call: three of them are swapped on the way of most entries. */
static __always_inline void load_shared_msr(struct shared_msrs *shared, unsigned int i, u32 msr,
					    u64 value)
{
	if (shared->current_value[i] == value)
		return;
	if (native_write_msr_safe(msr, (u32)value, value >> 32))
		return;
	shared->current_value[i] = value;
	shared->swapped = true;
}

static __always_inline void load_shared_msrs(const struct vitrine_vcpu *vcpu)
{
	struct shared_msrs *shared = this_cpu_ptr(&shared_msrs);
	const u64 *msr = vcpu->msrs.shared;

	if (unlikely(!shared->known))
		learn_shared_msrs(shared);
	/* SYSCALL faults without EFER.SCE, so that guest cannot tell what these hold. */
	if (vcpu->efer & EFER_SCE) {
		load_shared_msr(shared, VITRINE_MSR_STAR, MSR_STAR, msr[VITRINE_MSR_STAR]);
		load_shared_msr(shared, VITRINE_MSR_LSTAR, MSR_LSTAR, msr[VITRINE_MSR_LSTAR]);
		load_shared_msr(shared, VITRINE_MSR_FMASK, MSR_SYSCALL_MASK,
				msr[VITRINE_MSR_FMASK]);
	}
	if (vmx_caps.rdtscp)
		load_shared_msr(shared, VITRINE_MSR_TSC_AUX, MSR_TSC_AUX, msr[VITRINE_MSR_TSC_AUX]);
}

void vmx_host_forget_cpu(void)
{
	struct shared_msrs *shared = this_cpu_ptr(&shared_msrs);

	if (shared->registered)
		returns_to_user(&shared->notifier);
	else if (shared->swapped)
		put_back_shared_msrs(shared);
	shared->known = false;
}

/* The thread goes off the CPU: whoever returns to userspace here puts back. */
static noinline void leave_shared_msrs(struct shared_msrs *shared)
{
	unsigned long flags;

	/* Against the IPI that makes this CPU leave VMX. */
	local_irq_save(flags);
	if (shared->swapped && !shared->registered) {
		shared->notifier.on_user_return = returns_to_user;
		user_return_notifier_register(&shared->notifier);
		shared->registered = true;
	}
	local_irq_restore(flags);
}

/* Selectors that a 64-bit thread does not have, as a rule: apart, with what reloads them. */
static noinline void save_ldt(struct vmx_host_state *host)
{
	store_ldt(host->ldt_sel);
}

static noinline void restore_selectors(const struct vmx_host_state *host)
{
	if (host->ldt_sel)
		asm volatile("lldt %0" : : "m" (host->ldt_sel));
	if (host->gs_sel)
		load_gs_index(host->gs_sel);
	if (host->fs_sel) {
		loadsegment(fs, host->fs_sel);
		wrmsrl(MSR_FS_BASE, host->fs_base);
	}
	loadsegment(ds, host->ds_sel);
	loadsegment(es, host->es_sel);
}

static void save_selectors(struct vmx_host_state *host)
{
	savesegment(fs, host->fs_sel);
	savesegment(gs, host->gs_sel);
	savesegment(ds, host->ds_sel);
	savesegment(es, host->es_sel);
	host->ldt_sel = 0;
#ifdef CONFIG_MODIFY_LDT_SYSCALL
	if (unlikely(current->mm && READ_ONCE(current->mm->context.ldt)))
		save_ldt(host);
#endif
}

/* Of a 32-bit thread the kernel keeps no bases: they are its descriptors'. */
static noinline void save_compat_bases(struct vmx_host_state *host)
{
	rdmsrl(MSR_FS_BASE, host->fs_base);
	rdmsrl(MSR_KERNEL_GS_BASE, host->kernel_gs_base);
}

/*
 * Swaps in what the guest and the thread share. Called with interrupts off right before the first
 * entry after a load, and again when only a SYSCALL MSR changed; undone by vmx_host_restore() at
 * the put, whether by the end of RUN or by the scheduler. @debugctl: of the host.
 */
int vmx_host_prepare(struct vmx_vcpu *vmx, u64 debugctl)
{
	struct vmx_host_state *host = &vmx->host;

	lockdep_assert_irqs_disabled();
	load_shared_msrs(&vmx->vcpu);
	vmx->shared_stale = false;
	if (vmx->guest_loaded)
		return 0;
	if (unlikely((debugctl & DEBUGCTLMSR_FREEZE_IN_SMM) != vmx->debugctl)) {
		vmx->debugctl = debugctl & DEBUGCTLMSR_FREEZE_IN_SMM;
		vmcs_write(GUEST_IA32_DEBUGCTL, vmx->debugctl);
	}
	save_selectors(host);
	current_save_fsgs();
	host->fs_base = current->thread.fsbase;
	host->kernel_gs_base = current->thread.gsbase;
	if (unlikely(!is_64bit_mm(current->mm)))
		save_compat_bases(host);
	if (unlikely(host->vmcs_fs_base != host->fs_base)) {
		if (vmcs_write(HOST_FS_BASE, host->fs_base))
			return -EIO;
		host->vmcs_fs_base = host->fs_base;
	}
	native_wrmsr(MSR_KERNEL_GS_BASE, (u32)vmx->msr_kernel_gs_base,
		     vmx->msr_kernel_gs_base >> 32);
	vmx->guest_loaded = true;
	return 0;
}

static noinline void reload_tss(void)
{
	invalidate_tss_limit();
}

void vmx_host_restore(struct vmx_vcpu *vmx)
{
	struct vmx_host_state *host = &vmx->host;

	if (!vmx->guest_loaded)
		return;
	vmx->guest_loaded = false;
	vmx->msr_kernel_gs_base = __rdmsr(MSR_KERNEL_GS_BASE);
	/* An exit loads LDTR with 0, FS and GS with HOST_ selectors, DS and ES with null. */
	if (unlikely(host->ldt_sel | host->gs_sel | host->fs_sel | host->ds_sel | host->es_sel))
		restore_selectors(host);
	/*
	 * It also sets the limits of TR (too short for the I/O bitmap), GDTR and IDTR to fixed
	 * values.
	 */
	if (unlikely(test_thread_flag(TIF_IO_BITMAP)))
		reload_tss();
	else
		this_cpu_write(__tss_limit_invalid, true);
	native_wrmsr(MSR_KERNEL_GS_BASE, (u32)host->kernel_gs_base, host->kernel_gs_base >> 32);
	load_fixmap_gdt(raw_smp_processor_id());
	load_idt(this_cpu_ptr(&vmx_host_idt));
}

DEFINE_PER_CPU(struct desc_ptr, vmx_host_idt);

/* Host fields that are the CPU's and not the thread's. */
static void write_cpu_host_state(int cpu)
{
	unsigned long value;

	store_idt(this_cpu_ptr(&vmx_host_idt));
	vmcs_write(HOST_TR_BASE, (unsigned long)&get_cpu_entry_area(cpu)->tss.x86_tss);
	vmcs_write(HOST_GDTR_BASE, (unsigned long)get_current_gdt_ro());
	vmcs_write(HOST_IDTR_BASE, this_cpu_ptr(&vmx_host_idt)->address);
	rdmsrl(MSR_GS_BASE, value);
	vmcs_write(HOST_GS_BASE, value);
	rdmsrl(MSR_IA32_SYSENTER_ESP, value);
	vmcs_write(HOST_IA32_SYSENTER_ESP, value);
}

void vmx_vcpu_load(struct vitrine_vcpu *vcpu, int cpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	bool moved = vmx->loaded_cpu != cpu;

	if (moved)
		vmx_vmcs_clear(vmx);
	vmx_mitigate_host_data_read();
	if (unlikely(!vmx_vmcs_make_current(vmx, cpu))) {
		/* What is current now is another's, or nobody's: no entry may follow. */
		vitrine_vm_mark_dead(vcpu->vm, "its VMCS cannot be loaded");
		return;
	}
	if (moved) {
		write_cpu_host_state(cpu);
		/* What this CPU cached for us when we were here last has seen no flush since. */
		vmx_tlb_flush(vcpu);
	}
}

void vmx_vcpu_put(struct vitrine_vcpu *vcpu, bool to_user)
{
	struct shared_msrs *shared = this_cpu_ptr(&shared_msrs);
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_host_restore(vmx);
	if (shared->swapped) {
		if (likely(to_user))
			put_back_shared_msrs(shared);
		else
			leave_shared_msrs(shared);
	}
	vmx_vmcs_put(vmx);
}

int vmx_host_init(void)
{
	int nr;

	if (boot_cpu_has(X86_FEATURE_OSXSAVE))
		vmx_host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	/* Asked so, as perf does not describe the PMUs of a CPU that has several kinds of them. */
	preempt_disable();
	vmx_perf_present = perf_guest_get_msrs(&nr, NULL);
	preempt_enable();
	return 0;
}
