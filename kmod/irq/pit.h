/* SPDX-License-Identifier: GPL-2.0 */
/* The 8254 interval timer of a VM and the speaker port. */
#ifndef VITRINE_IRQ_PIT_H
#define VITRINE_IRQ_PIT_H

#include <linux/kvm.h>
#include <linux/types.h>

struct vitrine_pit;
struct vitrine_vm;

#define VITRINE_PIT_GSI		0

/* Creates it and puts it on the bus; vm->slots_lock is held. ERR_PTR. */
struct vitrine_pit *vitrine_pit_create(struct vitrine_vm *vm, u32 flags);
void vitrine_pit_free(struct vitrine_pit *pit);
/* The guest ended a tick's interrupt, or unmasked its pin; any context. */
void vitrine_pit_ended(struct vitrine_pit *pit);
void vitrine_pit_unmasked(struct vitrine_pit *pit);
void vitrine_pit_get_state(struct vitrine_pit *pit, struct kvm_pit_state2 *state);
void vitrine_pit_set_state(struct vitrine_pit *pit, const struct kvm_pit_state2 *state);
/* Are ticks that the guest could not take in time delivered later? */
void vitrine_pit_set_reinject(struct vitrine_pit *pit, bool reinject);

#endif
