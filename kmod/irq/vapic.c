// SPDX-License-Identifier: GPL-2.0
/*
 * Owns what lets a VMM patch a guest that writes the task priority all the time: reports of such
 * accesses (KVM_TPR_ACCESS_REPORTING), and a word in guest memory that stands for the priority from
 * then on (KVM_SET_VAPIC_ADDR). No hot path is here: a vCPU without the word pays one branch where
 * events are prepared.
 *
 * The word's bytes, as KVM has them: TPR, which the guest writes; then, for the guest to read, the
 * class of the highest vector in service, nothing, and the highest vector that is requested. Who
 * lowers TPR below that must exit, and our look at the word is due.
 *
 * Where the processor virtualizes the APIC's page there are no accesses to report, as on KVM
 * (KVM_CAP_VAPIC is 0 then), until a vCPU has the word: it then does without the processor's help.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/srcu.h>

#include "backend.h"
#include "guest.h"
#include "ioctl.h"
#include "lapic.h"
#include "regs.h"
#include "vm.h"

void vitrine_vapic_load(struct vitrine_vcpu *vcpu)
{
	struct vitrine_lapic *lapic = vcpu->lapic;
	int srcu = srcu_read_lock(&vcpu->vm->srcu);
	u32 word;

	/* A slot may be gone by now: then the priority is what it was. */
	if (!vitrine_guest_read(vcpu->vm, vcpu->vapic_addr, &word, sizeof(word)))
		vitrine_lapic_put(lapic, APIC_TASKPRI, (u8)word);
	srcu_read_unlock(&vcpu->vm->srcu, srcu);
}

void vitrine_vapic_store(struct vitrine_vcpu *vcpu)
{
	struct vitrine_lapic *lapic = vcpu->lapic;
	int requested = vitrine_lapic_requested_vector(lapic);
	int in_service = vitrine_lapic_serviced_vector(lapic);
	int srcu = srcu_read_lock(&vcpu->vm->srcu);
	u32 word = (u8)vitrine_lapic_get(lapic, APIC_TASKPRI);

	if (in_service >= 0)
		word |= (in_service & 0xf0) << 8;
	if (requested >= 0)
		word |= requested << 24;
	/* As above. */
	vitrine_guest_write(vcpu->vm, vcpu->vapic_addr, &word, sizeof(word));
	srcu_read_unlock(&vcpu->vm->srcu, srcu);
}

void vitrine_vapic_report_tpr(struct vitrine_lapic *lapic, bool write)
{
	struct vitrine_vcpu *vcpu = lapic->vcpu;

	lapic->tpr_rip = vitrine_rip_read(vcpu);
	lapic->tpr_write = write;
	vitrine_vcpu_request(vcpu, VITRINE_REQ_TPR_ACCESS);
}

int vitrine_vapic_tpr_exit(struct vitrine_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_TPR_ACCESS;
	run->tpr_access.rip = vcpu->lapic->tpr_rip;
	run->tpr_access.is_write = vcpu->lapic->tpr_write;
	run->tpr_access.pad = 0;
	return EXIT_USER;
}

static long vapic_ioctl_set_addr(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_vapic_addr *vapic = arg->data;
	struct vitrine_vcpu *vcpu = obj;
	u32 word;
	int srcu, ret;

	if (!vcpu->lapic) {
		pr_debug_ratelimited("KVM_SET_VAPIC_ADDR: no local APIC in the kernel\n");
		return -EINVAL;
	}
	if (vapic->vapic_addr) {
		srcu = srcu_read_lock(&vcpu->vm->srcu);
		ret = vitrine_guest_read(vcpu->vm, vapic->vapic_addr, &word, sizeof(word));
		srcu_read_unlock(&vcpu->vm->srcu, srcu);
		if (ret) {
			pr_debug_ratelimited("KVM_SET_VAPIC_ADDR: no memory at vapic_addr %#llx\n",
					     vapic->vapic_addr);
			return -EINVAL;
		}
	}
	vcpu->vapic_addr = vapic->vapic_addr;
	vcpu->apic_words &= ~VITRINE_WORD_VAPIC;
	if (vapic->vapic_addr)
		vcpu->apic_words |= VITRINE_WORD_VAPIC;
	/* The processor would not look at the word. */
	if (vcpu->lapic->apicv)
		vitrine_backend->update_apicv(vcpu);
	/*
	 * Without the word nobody else looks again at a TPR that was read from it last, and an
	 * entry with a threshold above TPR fails.
	 */
	vitrine_lapic_refresh(vcpu->lapic);
	return 0;
}

static long vapic_ioctl_tpr_access_reporting(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_tpr_access_ctl *ctl = arg->data;
	struct vitrine_vcpu *vcpu = obj;

	if (ctl->flags) {
		pr_debug_ratelimited("KVM_TPR_ACCESS_REPORTING: flags is 0x%x, must be 0\n",
				     ctl->flags);
		return -EINVAL;
	}
	/* Without a local APIC in the kernel there is nothing to report. */
	if (vcpu->lapic)
		vcpu->lapic->reports_tpr = ctl->enabled;
	return 0;
}

const struct vitrine_ioctl vitrine_vapic_vcpu_ioctls[] = {
	{ KVM_SET_VAPIC_ADDR, VITRINE_IOCTL_LOCK, vapic_ioctl_set_addr },
	{ KVM_TPR_ACCESS_REPORTING, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_NO_LOAD,
	  vapic_ioctl_tpr_access_reporting },
	{}
};
