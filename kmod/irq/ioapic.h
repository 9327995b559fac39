/* SPDX-License-Identifier: GPL-2.0 */
/* The I/O APIC: 24 pins to messages. */
#ifndef VITRINE_IRQ_IOAPIC_H
#define VITRINE_IRQ_IOAPIC_H

#include <linux/kvm.h>
#include <linux/types.h>

struct vitrine_ioapic;
struct vitrine_vm;

#define VITRINE_IOAPIC_PINS	24

/* Creates it and puts it on the bus; vm->slots_lock is held. ERR_PTR. */
struct vitrine_ioapic *vitrine_ioapic_create(struct vitrine_vm *vm);
/* Takes it off the bus again; vm->slots_lock is held. */
void vitrine_ioapic_unplug(struct vitrine_vm *vm, struct vitrine_ioapic *ioapic);
void vitrine_ioapic_free(struct vitrine_ioapic *ioapic);
/* Results as vitrine_irq_set_line(); any context. */
int vitrine_ioapic_set_line(struct vitrine_ioapic *ioapic, unsigned int pin, bool level,
			    unsigned int source);
/* A local APIC broadcast the end of @vector; any context. */
void vitrine_ioapic_eoi(struct vitrine_ioapic *ioapic, u8 vector);
/* The vector that @pin's entry holds, masked or not; any context. */
u8 vitrine_ioapic_vector(struct vitrine_ioapic *ioapic, unsigned int pin);
void vitrine_ioapic_get_state(struct vitrine_ioapic *ioapic, struct kvm_ioapic_state *state);
void vitrine_ioapic_set_state(struct vitrine_ioapic *ioapic, const struct kvm_ioapic_state *state);

#endif
