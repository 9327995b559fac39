/* SPDX-License-Identifier: GPL-2.0 */
/* Every VM by its id. */
#ifndef VITRINE_REGISTRY_H
#define VITRINE_REGISTRY_H

#include <linux/types.h>

struct vitrine_vm;

/* Gives the VM its id, and lets it be found; 0 or -ENOMEM. */
int vitrine_registry_add(struct vitrine_vm *vm);
/* Nobody has a reference any more, and nobody gets one. */
void vitrine_registry_remove(struct vitrine_vm *vm);

/**
 * vitrine_vm_get_by_id() - the VM of that id, with a reference
 * @id: as vitrine_registry_add() gave it
 *
 * NULL if there is none or if it is on its way out. The reference keeps the VM and its vCPUs, not
 * its VMM: the creator's memory may be gone, and every ioctl with it. Who gives the last reference
 * back destroys the VM, so no lock may be held then. Sleeps not; process context.
 */
struct vitrine_vm *vitrine_vm_get_by_id(u64 id);
/* The first whose id is at least *@id, which becomes its id; NULL if there is none. Likewise. */
struct vitrine_vm *vitrine_vm_get_next(u64 *id);

/* VMs that exist now. */
unsigned int vitrine_vm_count(void);
/* Calls @fn for every VM with the registry locked: none comes or goes meanwhile. Sleeps. */
void vitrine_vm_for_each(void (*fn)(struct vitrine_vm *vm));
/*
 * The same where nothing else can run: one CPU, interrupts off. There the lock may be held by who
 * cannot give it back.
 */
void vitrine_registry_walk_alone(void (*fn)(struct vitrine_vm *vm, void *data), void *data);
void vitrine_registry_exit(void);

#endif
