/* SPDX-License-Identifier: GPL-2.0 */
/* Which chip's pin, or which message, a GSI stands for. */
#ifndef VITRINE_IRQ_ROUTING_H
#define VITRINE_IRQ_ROUTING_H

#include <linux/kvm.h>
#include <linux/types.h>

struct vitrine_apic_msg;
struct vitrine_vcpu;
struct vitrine_vm;

#define VITRINE_MAX_ROUTES	4096	/* KVM_CAP_IRQ_ROUTING; GSIs run below it too */

/* The table of CREATE_IRQCHIP, and the empty one of a split irqchip. vm->lock is held. */
int vitrine_routing_set_default(struct vitrine_vm *vm);
int vitrine_routing_set_empty(struct vitrine_vm *vm);
/* KVM_SET_GSI_ROUTING: replaces the whole table. */
int vitrine_routing_set(struct vitrine_vm *vm, const struct kvm_irq_routing_entry *entries, u32 nr);
void vitrine_routing_destroy(struct vitrine_vm *vm);

/* Does a pin of @chip among @pins belong to @gsi? Any context. */
bool vitrine_routing_pins_have_gsi(struct vitrine_vm *vm, u32 chip, u32 pins, u32 gsi);
/* Split irqchip: must userspace's I/O APIC hear of the end of @vector on this vCPU? */
bool vitrine_routing_wants_eoi(struct vitrine_vcpu *vcpu, u8 vector);

/* An MSI's address and data as a message; -EINVAL if the address is none. */
int vitrine_msi_decode(struct vitrine_vm *vm, u32 address_lo, u32 address_hi, u32 data,
		       struct vitrine_apic_msg *msg);

#endif
