/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest that writes to a port or to an address where no memory is, one item at a time: what the
 * tests of eventfds and coalesced writes drive.
 */
#ifndef TESTS_LIB_DOORBELL_H
#define TESTS_LIB_DOORBELL_H

#include <stdbool.h>
#include <stdint.h>

#include "vm.h"

/* Starts the guest in long mode. */
void test_doorbell_start(struct test_vcpu *vcpu);
/*
 * A write of @size bytes; true if the kernel took it, false if it came out to userspace, which then
 * lets it be done. Anything else ends the test.
 */
bool test_doorbell_out(struct test_vcpu *vcpu, uint16_t port, unsigned int size, uint32_t data);
bool test_doorbell_store(struct test_vcpu *vcpu, uint64_t gpa, unsigned int size, uint64_t data);
/* The same of reads; @data is what userspace answers. */
bool test_doorbell_in(struct test_vcpu *vcpu, uint16_t port, uint8_t data);
bool test_doorbell_load(struct test_vcpu *vcpu, uint64_t gpa, uint32_t data);
/* LOCK XADD of 32 bits: userspace answers the read by 0; true if the kernel took the write. */
bool test_doorbell_xadd(struct test_vcpu *vcpu, uint64_t gpa, uint32_t data);

#endif
