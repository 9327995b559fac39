/* SPDX-License-Identifier: GPL-2.0 */
/* What the controllers in irq/ tell each other; nobody outside includes this. */
#ifndef VITRINE_IRQ_GLUE_H
#define VITRINE_IRQ_GLUE_H

#include <linux/types.h>

#include "irq.h"
#include "vcpu.h"
#include "vm.h"

/*
 * The mode is final before the first vCPU exists, and what it promises is there when it can be
 * seen.
 */
static inline enum vitrine_irqchip_mode vitrine_irq_mode(struct vitrine_vm *vm)
{
	/* Pairs with the creation in irq.c. */
	return smp_load_acquire(&vm->irq.mode);
}

/* KVM_CREATE_IRQCHIP and KVM_CREATE_PIT2; vm->lock is held. */
int vitrine_irq_create_chips(struct vitrine_vm *vm);
int vitrine_irq_create_pit(struct vitrine_vm *vm, u32 flags);

/* Shortest period that a guest may give a timer. */
u64 vitrine_min_timer_period_ns(void);

/* Queue an NMI for a vCPU; any context. */
void vitrine_irq_raise_nmi(struct vitrine_vcpu *vcpu);
/* A local APIC ended @vector. Its vCPU's mutex is held. */
void vitrine_irq_eoi(struct vitrine_vcpu *vcpu, u8 vector, bool level_triggered);
/*
 * Adds the vectors of edges whose end somebody waits for; a vCPU's mutex is held. The second
 * function is for who changes that, or a pin's vector, before the next interrupt. Any context.
 */
void vitrine_irq_ends_awaited(struct vitrine_vm *vm, unsigned long *vectors);
void vitrine_lapic_eoi_exits_changed(struct vitrine_vm *vm);
/* The PIC's output went up; any context. */
void vitrine_irq_pic_raised(struct vitrine_vm *vm);
/*
 * A chip ended the interrupts of, or took the masks from, the pins in @pins; any context, no chip
 * lock held.
 */
void vitrine_irq_pins_ended(struct vitrine_vm *vm, u32 chip, u32 pins);
void vitrine_irq_pins_unmasked(struct vitrine_vm *vm, u32 chip, u32 pins);

#endif
