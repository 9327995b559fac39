/* SPDX-License-Identifier: GPL-2.0 */
/* The pair of 8259A interrupt controllers of a VM. */
#ifndef VITRINE_IRQ_PIC_H
#define VITRINE_IRQ_PIC_H

#include <linux/kvm.h>
#include <linux/types.h>

struct vitrine_pic;
struct vitrine_vm;

/* Creates it and puts it on the bus; vm->slots_lock is held. ERR_PTR. */
struct vitrine_pic *vitrine_pic_create(struct vitrine_vm *vm);
/* Takes it off the bus again; vm->slots_lock is held. */
void vitrine_pic_unplug(struct vitrine_vm *vm, struct vitrine_pic *pic);
void vitrine_pic_free(struct vitrine_pic *pic);
/* @pin: 0-15. Results as vitrine_irq_set_line(); any context. */
int vitrine_pic_set_line(struct vitrine_pic *pic, unsigned int pin, bool level,
			 unsigned int source);
/* Is INTR asserted? Any context. */
bool vitrine_pic_output(const struct vitrine_pic *pic);
/* The interrupt acknowledge cycle. */
u8 vitrine_pic_ack(struct vitrine_pic *pic);
/* The end of the interrupt that was acknowledged with @vector, as if the guest had told. */
void vitrine_pic_end(struct vitrine_pic *pic, u8 vector);
/* @index: 0 master, 1 slave. */
void vitrine_pic_get_state(struct vitrine_pic *pic, unsigned int index,
			   struct kvm_pic_state *state);
void vitrine_pic_set_state(struct vitrine_pic *pic, unsigned int index,
			   const struct kvm_pic_state *state);

#endif
