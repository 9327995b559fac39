/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A VM's whole state, taken out and put into another one by the ioctls that QEMU uses, in its
 * order. Memory is copied; the boot CPU is the only one.
 */
#ifndef TESTS_LIB_MOVE_H
#define TESTS_LIB_MOVE_H

#include <stdbool.h>

#include "vm.h"

/**
 * struct test_machine - a VM that can move, and what has to be made again around it
 * @irqchip: interrupt controllers and PIT are in the kernel
 * @payloads: KVM_CAP_EXCEPTION_PAYLOAD is on
 * @cpuid: from malloc(); the same before and after
 * @moves: so far
 */
struct test_machine {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	struct kvm_cpuid2 *cpuid;
	bool irqchip;
	bool payloads;
	unsigned int moves;
};

void test_machine_create(struct test_machine *machine, bool irqchip, bool payloads);
void test_machine_free(struct test_machine *machine);
/* machine->vm and machine->vcpu are other ones after this; the old are gone. */
void test_machine_move(struct test_machine *machine);

#endif
