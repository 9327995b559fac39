/* SPDX-License-Identifier: GPL-2.0 */
/* A device in guest-physical memory, played by the test: it behaves like memory and counts. */
#ifndef TESTS_LIB_DEVICE_H
#define TESTS_LIB_DEVICE_H

#include <stdint.h>

#include "vm.h"

#define TEST_DEVICE_GPA		0xd0000000ull	/* in no slot; the guest's map reaches it */
#define TEST_DEVICE_BYTES	(2 * 4096u)	/* repeats over the whole range */

struct test_device {
	unsigned int reads, writes;
	uint64_t last_gpa;
	uint32_t last_len;
	uint8_t memory[TEST_DEVICE_BYTES];
};

/* Answers one KVM_EXIT_MMIO. */
void test_device_serve(struct test_vcpu *vcpu, struct test_device *device);
/* Until something else happens, which is left in vcpu->run. */
void test_device_run(struct test_vcpu *vcpu, struct test_device *device);
/* The same up to a write to @port, or an exception of long mode; anything else ends the test. */
void test_device_run_to(struct test_vcpu *vcpu, struct test_device *device, uint16_t port);
void test_device_run_to_exception(struct test_vcpu *vcpu, struct test_device *device,
				  struct test_exception *exception);

#endif
