// SPDX-License-Identifier: GPL-2.0
/*
 * Owns MSR_KVM_STEAL_TIME: a page for each vCPU in which the guest reads how long the vCPU waited
 * for a CPU of the host, and whether it waits right now. While it does, other vCPUs may ask for its
 * TLB to be flushed by a bit in the same byte, and need not interrupt it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kvm_para.h>
#include <linux/sched.h>
#include <linux/sched/stat.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>
#include <asm/barrier.h>

#include "backend.h"
#include "guest.h"
#include "pv.h"
#include "vcpu.h"
#include "vm.h"

static gpa_t page_gpa(const struct vitrine_vcpu *vcpu)
{
	return vcpu->pv.steal_time & KVM_STEAL_VALID_BITS;
}

static u64 run_delay_ns(void)
{
#ifdef CONFIG_SCHED_INFO
	return current->sched_info.run_delay;
#else
	return 0;
#endif
}

/* What this thread waited for a CPU since the last time. */
static u64 take_delay_ns(struct vitrine_vcpu *vcpu)
{
	u64 now_ns = run_delay_ns();
	u64 delay_ns = 0;

	if (vcpu->pv.waited_for == current && now_ns > vcpu->pv.run_delay_ns)
		delay_ns = now_ns - vcpu->pv.run_delay_ns;
	vcpu->pv.waited_for = current;
	vcpu->pv.run_delay_ns = now_ns;
	return delay_ns;
}

/*
 * From here on others interrupt the vCPU again; a flush that they asked for before is due. The word
 * has the byte and three that nobody uses.
 */
static int take_preempted(struct vitrine_vcpu *vcpu, gpa_t gpa)
{
	u64 word = 0;
	int ret;

	/* A guest that writes it all the time cannot keep us here. */
	if (vitrine_guest_read(vcpu->vm, gpa, &word, sizeof(u32)))
		return -EFAULT;
	ret = vitrine_guest_cmpxchg(vcpu->vm, gpa, &word, 0, sizeof(u32));
	if (ret > 0)
		ret = vitrine_guest_cmpxchg(vcpu->vm, gpa, &word, 0, sizeof(u32));
	if (ret < 0)
		return ret;
	if (ret || (word & KVM_VCPU_FLUSH_TLB && vitrine_pv_has(vcpu, KVM_FEATURE_PV_TLB_FLUSH))) {
		preempt_disable();
		vitrine_backend->tlb_flush_guest(vcpu);
		preempt_enable();
		vcpu->stats.tlb_flushes++;
	}
	return ret;
}

static void write_page(struct vitrine_vcpu *vcpu, gpa_t gpa)
{
	struct vitrine_vm *vm = vcpu->vm;
	gpa_t version_gpa = gpa + offsetof(struct kvm_steal_time, version);
	u32 version;
	u64 steal;
	int ret;

	ret = take_preempted(vcpu, gpa + offsetof(struct kvm_steal_time, preempted));
	if (ret < 0)
		return;
	/* Still set: once more before the next entry. */
	vcpu->pv.told_preempted = ret;
	if (ret)
		vitrine_vcpu_request(vcpu, VITRINE_REQ_STEAL);

	if (vitrine_guest_read(vm, version_gpa, &version, sizeof(version)) ||
	    vitrine_guest_read(vm, gpa, &steal, sizeof(steal)))
		return;
	/* Odd while the rest is being written; before the first time it may be anything. */
	version = (version | 1) + (version & 1 ? 2 : 0);
	if (vitrine_guest_write(vm, version_gpa, &version, sizeof(version)))
		return;
	smp_wmb();	/* the odd version before the rest */
	steal += take_delay_ns(vcpu);
	vitrine_guest_write(vm, gpa, &steal, sizeof(steal));
	version++;
	smp_wmb();	/* and the rest before the even one */
	vitrine_guest_write(vm, version_gpa, &version, sizeof(version));
}

void vitrine_steal_write_page(struct vitrine_vcpu *vcpu)
{
	int idx;

	/* The MSR's reserved bits see to it that it is within a page. */
	BUILD_BUG_ON((sizeof(struct kvm_steal_time) - 1) & KVM_STEAL_VALID_BITS);
	if (!(vcpu->pv.steal_time & KVM_MSR_ENABLED))
		return;
	idx = srcu_read_lock(&vcpu->vm->srcu);
	write_page(vcpu, page_gpa(vcpu));
	srcu_read_unlock(&vcpu->vm->srcu, idx);
}

void vitrine_steal_loaded(struct vitrine_vcpu *vcpu)
{
	if (vcpu->pv.told_preempted || vcpu->pv.waited_for != current ||
	    vcpu->pv.run_delay_ns != run_delay_ns())
		vitrine_vcpu_request(vcpu, VITRINE_REQ_STEAL);
}

/*
 * Called by the scheduler with interrupts off: a page that is not there now is not worth a fault.
 * Only between two instructions: in the middle of one that is done in software, translations are in
 * use that a flush which was put off would miss.
 */
void vitrine_steal_preempted(struct vitrine_vcpu *vcpu)
{
	static const u8 preempted = KVM_VCPU_PREEMPTED;
	gpa_t gpa = page_gpa(vcpu) + offsetof(struct kvm_steal_time, preempted);
	int idx;

	/* Who sleeps is not waiting for a CPU. */
	if (vcpu->pv.told_preempted || !current->on_rq)
		return;
	idx = srcu_read_lock(&vcpu->vm->srcu);
	pagefault_disable();
	if (!vitrine_guest_write(vcpu->vm, gpa, &preempted, sizeof(preempted)))
		vcpu->pv.told_preempted = true;
	pagefault_enable();
	srcu_read_unlock(&vcpu->vm->srcu, idx);
}

MSR_GET(vitrine_steal_get_msr)
{
	if (!vitrine_pv_has(vcpu, KVM_FEATURE_STEAL_TIME))
		return -ENOENT;
	*data = vcpu->pv.steal_time;
	return 0;
}

MSR_SET(vitrine_steal_set_msr)
{
	if (!vitrine_pv_has(vcpu, KVM_FEATURE_STEAL_TIME))
		return -ENOENT;
	if (!sched_info_on() || data & KVM_STEAL_RESERVED_MASK)
		return -EINVAL;
	vcpu->pv.steal_time = data;
	vcpu->pv.told_preempted = false;
	if (data & KVM_MSR_ENABLED)
		vitrine_vcpu_request(vcpu, VITRINE_REQ_STEAL);
	return 0;
}
