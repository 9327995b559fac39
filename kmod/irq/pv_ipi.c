// SPDX-License-Identifier: GPL-2.0
/*
 * Owns KVM_HC_SEND_IPI: one message to a set of vCPUs that a guest names in one exit.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/kvm_para.h>
#include <asm/apicdef.h>

#include "irq_glue.h"
#include "lapic.h"

static bool send(struct vitrine_vcpu *target, const struct vitrine_apic_msg *msg)
{
	bool fixed = msg->delivery_mode == APIC_DM_FIXED || msg->delivery_mode == APIC_DM_LOWEST;

	if (!target || (fixed && !READ_ONCE(target->lapic->enabled)))
		return false;
	/* As if it sent it to itself; that it has not yet taken the last one is no failure. */
	return vitrine_lapic_send(target->vm, target->lapic, msg) >= 0;
}

static int send_to_word(struct vitrine_vm *vm, const struct vitrine_apic_msg *msg, u64 first,
			u64 word)
{
	int sent = 0;

	while (word) {
		sent += send(vitrine_vm_find_vcpu(vm, first + __ffs64(word)), msg);
		word &= word - 1;
	}
	return sent;
}

/* @arg: two words of the set, the id of its first bit, and ICR's low half. */
long vitrine_lapic_send_to_set(struct vitrine_vcpu *vcpu, const u64 *arg, unsigned int word_bits)
{
	u32 icr = arg[3];
	u64 first = (u32)arg[2];
	struct vitrine_apic_msg msg = {
		.delivery_mode = icr & APIC_DM_FIXED_MASK,
		.vector = icr & APIC_VECTOR_MASK,
		.level_triggered = icr & APIC_INT_LEVELTRIG,
		.assert = icr & APIC_INT_ASSERT,
		.shorthand = APIC_DEST_SELF,
	};

	/* The set is the destination. */
	if (arg[3] & (APIC_DEST_ALLBUT | APIC_DEST_LOGICAL))
		return -KVM_EINVAL;
	if (!vcpu->lapic)
		return -KVM_EOPNOTSUPP;
	return send_to_word(vcpu->vm, &msg, first, arg[0]) +
	       send_to_word(vcpu->vm, &msg, first + word_bits, arg[1]);
}
