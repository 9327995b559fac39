/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In-kernel devices by port or guest-physical address. A bus is an immutable sorted array,
 * replaced whole by writers under vm->slots_lock and read under vm->srcu: a lookup takes no lock.
 */
#ifndef VITRINE_BUS_H
#define VITRINE_BUS_H

#include <linux/kvm_types.h>
#include <linux/types.h>

struct vitrine_bus_dev;
struct vitrine_vcpu;
struct vitrine_vm;

/**
 * struct vitrine_bus_ops - a device's side
 * @read: fill @data; 0, or -EOPNOTSUPP for "not mine after all": the next one is asked
 * @write: take @data; same answers
 * @destroy: the device left the bus or the VM ends; readers are gone. May be NULL.
 *
 * Called with vm->srcu held, in process context, vCPU loaded; @vcpu is the one that accesses.
 */
struct vitrine_bus_ops {
	int (*read)(struct vitrine_vcpu *vcpu, struct vitrine_bus_dev *dev, gpa_t addr, void *data,
		    unsigned int len_bytes);
	int (*write)(struct vitrine_vcpu *vcpu, struct vitrine_bus_dev *dev, gpa_t addr,
		     const void *data,
		     unsigned int len_bytes);
	void (*destroy)(struct vitrine_bus_dev *dev);
};

/* Embedded in the device. */
struct vitrine_bus_dev {
	const struct vitrine_bus_ops *ops;
	gpa_t base;
	u64 len_bytes;
	bool eventfd;		/* counts towards another limit than devices */
};

int vitrine_bus_init(struct vitrine_vm *vm);
void vitrine_bus_destroy(struct vitrine_vm *vm);
/* Both with vm->slots_lock held. */
int vitrine_bus_add(struct vitrine_vm *vm, unsigned int bus, struct vitrine_bus_dev *dev);
int vitrine_bus_remove(struct vitrine_vm *vm, unsigned int bus, struct vitrine_bus_dev *dev);
/* 0 if a device took it, -EOPNOTSUPP if none did. */
int vitrine_bus_read(struct vitrine_vcpu *vcpu, unsigned int bus, gpa_t addr, void *data,
		     unsigned int len_bytes);
int vitrine_bus_write(struct vitrine_vcpu *vcpu, unsigned int bus, gpa_t addr, const void *data,
		      unsigned int len_bytes);

#endif
