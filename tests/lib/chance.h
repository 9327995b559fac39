/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a guest of lib/irq.c does next, by chance: everything that reaches the host of it, with
 * values that make sense and values that nothing should ever hold.
 */
#ifndef TESTS_LIB_CHANCE_H
#define TESTS_LIB_CHANCE_H

#include <linux/kvm.h>
#include <stdint.h>

#include "vm.h"

#define CHANCE_VCPUS		3u
#define CHANCE_SLOT_GPA		0x10000000u	/* memory that may come and go */
#define CHANCE_SLOT_PAGES	1024u
#define CHANCE_SLOT_BYTES	(CHANCE_SLOT_PAGES * 4096)
#define CHANCE_BELL_GPA		0xd0000000u	/* where eventfds may listen: four of 16 bytes */
#define CHANCE_BELL_PORT	0x600u
#define CHANCE_BELLS		4u

/* Puts what the guests run into their memory, and asks which MSRs there are. */
void chance_prepare(struct test_vm *vm);
/* Sets the registers of a guest that waits for a command. */
void chance_choose(uint64_t *seed, struct kvm_regs *regs);

#endif
