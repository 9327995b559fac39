/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Coalesced MMIO and PIO: writes to zones that the VMM registered are noted in a ring that it looks
 * at when it next comes by, instead of an exit for each. The ring is one page, the VM's, which
 * every vCPU's run area shows as its last.
 */
#ifndef VITRINE_COALESCED_H
#define VITRINE_COALESCED_H

#include <linux/list.h>
#include <linux/spinlock.h>

#include "ioctl.h"

struct page;
struct vitrine_vm;

/* struct vitrine_coalesced - embedded in struct vitrine_vm */
struct vitrine_coalesced {
	spinlock_t lock;	/* one writer at a time to the ring's end */
	struct page *page;	/* [I] the ring; the VMM may write to it at any time */
	struct list_head zones;	/* [s] */
};

int vitrine_coalesced_init(struct vitrine_vm *vm);
/* The bus is empty, and so are the zones. */
void vitrine_coalesced_destroy(struct vitrine_vm *vm);
/* With a reference of the caller's. */
struct page *vitrine_coalesced_get_page(struct vitrine_vm *vm);
extern const struct vitrine_ioctl vitrine_coalesced_ioctls[];

#endif
