/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guests that count, each in a VM and a thread of its own, bound to a CPU: what a machine has to do
 * while something else is tested.
 */
#ifndef TESTS_LIB_CROWD_H
#define TESTS_LIB_CROWD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "vm.h"

/* For GUEST_CODE(): they count at TEST_DATA_GPA, where the test reads while they run. */
#define TEST_COUNT		"mov $0x10000, %ebx\n1:\nincq (%rbx)\n"
/* With interrupts off, as a guest starts, KVM in the lab would never get it out. */
#define TEST_COUNT_SPIN		"sti\n" TEST_COUNT "jmp 1b\n"
/* Only the bound on a stay in the guest brings it out in the lab. */
#define TEST_COUNT_SPIN_CLI	"cli\n" TEST_COUNT "jmp 1b\n"
#define TEST_COUNT_CPUID						\
	"mov $0x10000, %esi\n1:\nincq (%rsi)\nxor %eax, %eax\ncpuid\njmp 1b\n"

struct test_guest {
	pthread_t thread;
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	int cpu;
	uint32_t exit_reason;	/* the one that may come */
	atomic_int tid;		/* 0 until it runs */
	atomic_bool stop;
	int error;
	uint64_t before;
};

/*
 * Starts @guest, zeroed or used up, in long mode. KVM_EXIT_UNKNOWN: it is to have no exits. SIGUSR1
 * is what ends its stay.
 */
void test_guest_start(struct test_guest *guest, int cpu, uint32_t exit_reason, const char *code,
		      size_t bytes);
/*
 * Ends it and frees its VM: 0, an errno of KVM_RUN, or 1000 and the exit reason that it was not to
 * have.
 */
int test_guest_stop(struct test_guest *guest);
uint64_t test_guest_count(const struct test_guest *guest);
/* Waits until each has counted on: the index of one that has not within @limit_ms, or -1. */
int test_guests_standing(struct test_guest *guests, int nr, int limit_ms);

#endif
