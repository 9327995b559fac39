/* SPDX-License-Identifier: GPL-2.0 */
/* KVM_IRQFD: eventfds that raise a GSI, and those that tell of its end. */
#ifndef VITRINE_IRQ_IRQFD_H
#define VITRINE_IRQ_IRQFD_H

#include <linux/kvm.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct vitrine_vm;

/* struct vitrine_irqfds - of one VM; embedded in struct vitrine_irq */
struct vitrine_irqfds {
	struct mutex mutex;		/* serializes those who add and take away */
	spinlock_t lock;		/* the lists; taken by wake-ups, interrupts off */
	struct list_head list;		/* armed ones */
	struct list_head hung_up;	/* under @lock: those whose eventfd was closed, for @work */
	struct work_struct work;
	struct list_head resamplers;	/* under @mutex for writers and vm->srcu for readers */
};

void vitrine_irqfd_init(struct vitrine_vm *vm);
/* The VM fd is gone: nothing more is signalled when this returns. Sleeps. */
void vitrine_irqfd_release(struct vitrine_vm *vm);
/* KVM_IRQFD */
int vitrine_irqfd_set(struct vitrine_vm *vm, const struct kvm_irqfd *args);

/*
 * An interrupt of the pins in @pins of @chip was ended, or a level that waits there is about to be
 * sent: lines that nobody but an eventfd holds up go down, and whoever resamples them is told.
 * Process context, no lock of a chip or of an eventfd held.
 */
void vitrine_irqfd_resample(struct vitrine_vm *vm, u32 chip, u32 pins);

#endif
