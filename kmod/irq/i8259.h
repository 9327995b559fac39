/* SPDX-License-Identifier: GPL-2.0 */
/* The cascaded pair of 8259A interrupt controllers as a pure state machine: no locks, no vCPUs. */
#ifndef VITRINE_IRQ_I8259_H
#define VITRINE_IRQ_I8259_H

#include <linux/kvm.h>
#include <linux/types.h>

#define VITRINE_I8259_PINS	16	/* 0-7 master, 8-15 slave; 2 is the cascade */

/**
 * struct vitrine_i8259 - both chips
 * @chip: master, slave, in the form that KVM_GET_IRQCHIP shows
 * @ended: pins whose interrupt was ended since the user of the pair last cleared this
 * @unmasked: pins whose mask was taken away since then
 */
struct vitrine_i8259 {
	struct kvm_pic_state chip[2];
	u16 ended;
	u16 unmasked;
};

void vitrine_i8259_reset(struct vitrine_i8259 *pair);
/* -1 masked, 0 the pin was already requesting, 1 a new request (or the line went down). */
int vitrine_i8259_set_line(struct vitrine_i8259 *pair, unsigned int pin, bool level);
/* Is INTR asserted? */
bool vitrine_i8259_output(const struct vitrine_i8259 *pair);
/* An interrupt acknowledge cycle: the vector; that of IR7 if the request went away (spurious). */
u8 vitrine_i8259_ack(struct vitrine_i8259 *pair);
/* Specific EOI for the pin of @vector, to the slave and then the master where it is a slave's. */
void vitrine_i8259_end(struct vitrine_i8259 *pair, u8 vector);
/* @offset: 0 or 1. */
u8 vitrine_i8259_read(struct vitrine_i8259 *pair, unsigned int index, unsigned int offset);
void vitrine_i8259_write(struct vitrine_i8259 *pair, unsigned int index, unsigned int offset,
			 u8 value);
void vitrine_i8259_set_elcr(struct vitrine_i8259 *pair, unsigned int index, u8 value);
/* Takes a VMM's word for one chip, reduced to what the chip can be in. */
void vitrine_i8259_set_state(struct vitrine_i8259 *pair, unsigned int index,
			     const struct kvm_pic_state *state);

#endif
