/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest that reads and writes memory on request, one access at a time: what the tests of slots
 * and of second-level translation drive. Addresses are guest-virtual, which is guest-physical below
 * 4 GiB unless test_access_map() says otherwise.
 */
#ifndef TESTS_LIB_ACCESS_H
#define TESTS_LIB_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "vm.h"

/* Starts the guest in long mode; the functions below want it before anything else. */
void test_access_start(struct test_vcpu *vcpu);
/* The 2 MiB of guest-virtual memory at @gva lead to @gpa from now on. */
void test_access_map(struct test_vcpu *vcpu, uint64_t gva, uint64_t gpa);

/* Eight bytes; anything but success ends the test. */
uint64_t test_access_read(struct test_vcpu *vcpu, uint64_t gva);
void test_access_write(struct test_vcpu *vcpu, uint64_t gva, uint64_t value);

/*
 * One KVM_RUN for the access, whatever comes of it: 0 with run->exit_reason set, or -errno. The
 * guest stays where it is; test_access_resume() lets it go on, and is true if the access then
 * succeeded.
 */
int test_access_try_read(struct test_vcpu *vcpu, uint64_t gva);
int test_access_try_write(struct test_vcpu *vcpu, uint64_t gva, uint64_t value);
bool test_access_resume(struct test_vcpu *vcpu);
/* What the last read brought. */
uint64_t test_access_value(struct test_vcpu *vcpu);
/* Did the last RUN end in an MMIO exit of that kind, at that address? */
bool test_access_is_mmio(struct test_vcpu *vcpu, uint64_t gpa, bool write);

/* What fills @pages pages: different in each, never zero. */
#define TEST_ACCESS_MARK(page)	(0xc0de000000000001ull + ((uint64_t)(page) << 16))

#endif
