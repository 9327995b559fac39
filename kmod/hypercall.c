// SPDX-License-Identifier: GPL-2.0
/*
 * Hypercalls by KVM's convention that are answered here. Who may call, and the way of the answer
 * into the guest, are exit.c's.
 */
#include <linux/kvm_para.h>

#include "irq/irq.h"
#include "pv.h"
#include "vcpu.h"
#include "vm.h"

static void yield_to_id(struct vitrine_vcpu *vcpu, u64 id)
{
	struct vitrine_vcpu *target = vitrine_vm_find_vcpu(vcpu->vm, id);

	if (target)
		vitrine_pv_yield_to(vcpu, target);
}

static void unhalt(struct vitrine_vcpu *vcpu, u64 id)
{
	struct vitrine_vcpu *target = vitrine_vm_find_vcpu(vcpu->vm, id);

	if (!target || !target->lapic)
		return;
	WRITE_ONCE(target->pv.unhalted, true);
	vitrine_vcpu_kick(target);
}

long vitrine_hypercall(struct vitrine_vcpu *vcpu, const struct hypercall *call)
{
	const u64 *arg = call->arg;

	vcpu->stats.hypercalls++;
	switch (call->nr) {
	case KVM_HC_VAPIC_POLL_IRQ:
		/* The exit was all that was wanted. */
		return 0;
	case KVM_HC_KICK_CPU:
		if (!vitrine_pv_has(vcpu, KVM_FEATURE_PV_UNHALT))
			return -KVM_ENOSYS;
		unhalt(vcpu, arg[1]);
		yield_to_id(vcpu, arg[1]);
		return 0;
	case KVM_HC_CLOCK_PAIRING:
		return vitrine_kvmclock_pair(vcpu, arg[0], arg[1]);
	case KVM_HC_SEND_IPI:
		if (!vitrine_pv_has(vcpu, KVM_FEATURE_PV_SEND_IPI))
			return -KVM_ENOSYS;
		return vitrine_lapic_send_to_set(vcpu, call->arg, call->long_mode ? 64 : 32);
	case KVM_HC_SCHED_YIELD:
		if (!vitrine_pv_has(vcpu, KVM_FEATURE_PV_SCHED_YIELD))
			return -KVM_ENOSYS;
		yield_to_id(vcpu, arg[0]);
		return 0;
	default:
		return -KVM_ENOSYS;
	}
}
