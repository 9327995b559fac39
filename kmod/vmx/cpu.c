// SPDX-License-Identifier: GPL-2.0
/*
 * VMX root operation of each CPU, and which VMCSs are active on it. A VMCS is active on at most one
 * CPU; it is cleared there, by that CPU, before it is used or freed elsewhere.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <asm/intel_pt.h>
#include <asm/nospec-branch.h>
#include <asm/tlbflush.h>

#include "../vm.h"
#include "cpu.h"
#include "host.h"
#include "mitigation.h"
#include "vmx.h"

/* struct vmx_cpu - [c], interrupts off */
struct vmx_cpu {
	void *vmxon_region;
	bool on;
	bool leaving; /* hot-unplug is under way: no VMCS stays active between loads */
	struct vmx_vcpu *current_vcpu;	/* whose VMCS VMPTRLD made current */
	u64 last_vcpu_token; /* who ran here last, for the predictor barrier; never dereferenced */
	struct list_head loaded;	/* every VMCS active here */
};

static DEFINE_PER_CPU(struct vmx_cpu, vmx_cpu);

/*
 * Set on the way down: from then on a VMX instruction that faults has lost VMX to the reboot or
 * crash path.
 */
bool vmx_rebooting;

int vmx_insn_failed(const char *insn, u64 operand, bool faulted)
{
	WARN_ONCE(!READ_ONCE(vmx_rebooting), KBUILD_MODNAME ": %s %s (operand 0x%llx)\n", insn,
		  faulted ? "faulted" : "failed", operand);
	return -EIO;
}

int vmx_vmcs_access_failed(const char *insn, u64 field, bool faulted)
{
	struct vmx_vcpu *vmx;

	vmx_insn_failed(insn, field, faulted);
	/* Where VMX was taken away the next entry fails by itself, and this may be an NMI. */
	if (READ_ONCE(vmx_rebooting))
		return -EIO;
	preempt_disable();
	vmx = this_cpu_read(vmx_cpu.current_vcpu);
	if (vmx)
		vitrine_vm_mark_dead(vmx->vcpu.vm, "its VMCS cannot be accessed");
	preempt_enable();
	return -EIO;
}

asmlinkage void vmx_vmread_tell(unsigned long field)
{
	vmx_vmcs_access_failed("VMREAD", field, false);
}

/* #GP here means a VMX that firmware or an outer hypervisor does not really let us have. */
static int vmxon_here(struct vmx_cpu *this)
{
	u64 hpa = virt_to_phys(this->vmxon_region);

	cr4_set_bits(X86_CR4_VMXE);
	intel_pt_handle_vmx(1);
	asm goto("1: vmxon %[hpa]\n\t"
		 "jbe %l[failed]\n\t"
		 _ASM_EXTABLE(1b, (%l[failed]))
		 : : [hpa] "m" (hpa) : "cc", "memory" : failed);
	return 0;
failed:
	intel_pt_handle_vmx(0);
	cr4_clear_bits(X86_CR4_VMXE);
	return -EIO;
}

int vmx_cpu_enable(void)
{
	struct vmx_cpu *this = this_cpu_ptr(&vmx_cpu);
	int ret;

	lockdep_assert_irqs_disabled();
	if (this->on)
		return 0;
	if (cr4_read_shadow() & X86_CR4_VMXE) {
		pr_err_ratelimited("CPU %d is in VMX operation already (CR4.VMXE is set): another hypervisor holds it; for KVM, modprobe -r kvm_intel, or boot with kvm.enable_virt_at_load=0\n",
				   raw_smp_processor_id());
		return -EBUSY;
	}
	ret = vmx_caps_compare();
	if (ret)
		return ret;
	this->current_vcpu = NULL;
	this->last_vcpu_token = 0;
	/* Before it is so: a crash's NMI that comes in between must find something to leave. */
	WRITE_ONCE(this->on, true);
	ret = vmxon_here(this);
	if (ret) {
		WRITE_ONCE(this->on, false);
		pr_err_ratelimited("VMXON failed on CPU %d\n", raw_smp_processor_id());
		return ret;
	}
	/* Translations of an earlier stay in VMX operation may still be cached. */
	vmx_invept(VMX_EPT_EXTENT_GLOBAL, 0);
	if (vmx_caps.vpid)
		vmx_invvpid(VMX_VPID_EXTENT_ALL_CONTEXT, 0, 0);
	return 0;
}

/* The CPU may go on to write to a VMCS that it was not made to let go. */
static void vmclear_vcpu(struct vmx_vcpu *vmx)
{
	if (likely(!vmx_vmclear(vmx->vmcs_hpa)))
		return;
	vmx->vmcs_lost = true;
	vitrine_vm_mark_dead(vmx->vcpu.vm, "its VMCS cannot be cleared");
}

static void clear_all_here(struct vmx_cpu *this)
{
	struct vmx_vcpu *vmx, *next;

	list_for_each_entry_safe(vmx, next, &this->loaded, loaded_node) {
		vmclear_vcpu(vmx);
		list_del(&vmx->loaded_node);
		vmx->launched = false;
		/*
		 * Pairs with the read in vmx_vmcs_clear(): the list was left before another CPU may
		 * enter its own.
		 */
		smp_store_release(&vmx->loaded_cpu, -1);
	}
	this->current_vcpu = NULL;
}

static void leave_here(struct vmx_cpu *this)
{
	lockdep_assert_irqs_disabled();
	if (!this->on)
		return;
	clear_all_here(this);
	vmx_vmxoff();
	this->on = false;
	cr4_clear_bits(X86_CR4_VMXE);
	intel_pt_handle_vmx(0);
}

void vmx_cpu_disable(void)
{
	vmx_host_forget_cpu();
	leave_here(this_cpu_ptr(&vmx_cpu));
}

void vmx_cpu_set_leaving(bool leaving)
{
	this_cpu_write(vmx_cpu.leaving, leaving);
}

/*
 * A crash or an emergency restart: this CPU may be inside a guest's exit handler, or anywhere.
 * VMCSs are flushed to memory so that a dump shows them, nothing else is touched; vCPU threads end
 * by the fixups.
 */
void vmx_cpu_emergency(void)
{
	struct vmx_cpu *this = this_cpu_ptr(&vmx_cpu);
	struct vmx_vcpu *vmx;

	WRITE_ONCE(vmx_rebooting, true);
	if (!this->on)
		return;
	this->on = false;
	list_for_each_entry(vmx, &this->loaded, loaded_node)
		vmx_vmclear(vmx->vmcs_hpa);
	vmx_vmxoff();
	cr4_clear_bits(X86_CR4_VMXE);
}

static void clear_on_its_cpu(void *arg)
{
	struct vmx_vcpu *vmx = arg;
	struct vmx_cpu *this = this_cpu_ptr(&vmx_cpu);

	/* The CPU may have left VMX, and cleared it, before this arrived. */
	if (vmx->loaded_cpu != raw_smp_processor_id())
		return;
	vmclear_vcpu(vmx);
	if (this->current_vcpu == vmx)
		this->current_vcpu = NULL;
	list_del(&vmx->loaded_node);
	vmx->launched = false;
	/* Pairs with vmx_vmcs_clear(), as in clear_all_here(). */
	smp_store_release(&vmx->loaded_cpu, -1);
}

void vmx_vmcs_clear(struct vmx_vcpu *vmx)
{
	/* Pairs with the two places that set it to -1. */
	int cpu = smp_load_acquire(&vmx->loaded_cpu);

	if (cpu >= 0)
		smp_call_function_single(cpu, clear_on_its_cpu, vmx, 1);
}

static noinline bool make_current(struct vmx_vcpu *vmx, int cpu)
{
	struct vmx_cpu *this = this_cpu_ptr(&vmx_cpu);
	unsigned long flags;
	bool ok = true;

	local_irq_save(flags);
	if (unlikely(!this->on)) {
		/*
		 * Threads are pushed off a CPU that goes down only after its VMX was left: they
		 * take it along.
		 */
		if (!this->leaving || vmx_rebooting || vmx_cpu_enable()) {
			ok = false;
			goto out;
		}
	}
	if (this->current_vcpu != vmx) {
		ok = !vmx_vmptrld(vmx->vmcs_hpa);
		if (!ok)
			goto out;
		this->current_vcpu = vmx;
		if (vmx->loaded_cpu != cpu) {
			list_add(&vmx->loaded_node, &this->loaded);
			vmx->loaded_cpu = cpu;
		}
		if (this->last_vcpu_token != vmx->token) {
			vmx_mitigate_vcpu_switch();
			this->last_vcpu_token = vmx->token;
		}
	}
out:
	local_irq_restore(flags);
	return ok;
}

/*
 * Preemption off. False: this CPU has no VMX (a reboot took it away), and nothing may be entered.
 */
bool vmx_vmcs_make_current(struct vmx_vcpu *vmx, int cpu)
{
	const struct vmx_cpu *this = this_cpu_ptr(&vmx_cpu);

	lockdep_assert_preemption_disabled();
	/* Nothing but this thread, or the loss of VMX, takes it away from here. */
	if (likely(this->current_vcpu == vmx && this->on))
		return true;
	return make_current(vmx, cpu);
}

void vmx_vmcs_put(struct vmx_vcpu *vmx)
{
	struct vmx_cpu *this = this_cpu_ptr(&vmx_cpu);
	unsigned long flags;

	if (likely(!this->leaving))
		return;
	/*
	 * With the SYSCALL MSRs: nobody returns to userspace here any more who would put them back.
	 */
	local_irq_save(flags);
	vmx_cpu_disable();
	local_irq_restore(flags);
}

int vmx_cpu_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vmx_cpu *c = per_cpu_ptr(&vmx_cpu, cpu);

		INIT_LIST_HEAD(&c->loaded);
		c->vmxon_region = (void *)get_zeroed_page(GFP_KERNEL);
		if (!c->vmxon_region) {
			vmx_cpu_exit();
			return -ENOMEM;
		}
		*(u32 *)c->vmxon_region = vmx_basic_vmcs_revision_id(vmx_caps.basic);
	}
	return 0;
}

void vmx_cpu_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vmx_cpu *c = per_cpu_ptr(&vmx_cpu, cpu);

		free_page((unsigned long)c->vmxon_region);
		c->vmxon_region = NULL;
	}
}
