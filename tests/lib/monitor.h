/* SPDX-License-Identifier: GPL-2.0 */
/* Monitor fds and rings by bare ioctls, for the tests of monitor_test.c and ring_test.c. */
#ifndef TESTS_LIB_MONITOR_H
#define TESTS_LIB_MONITOR_H

#include <stdint.h>
#include <vitrine.h>

#include "vm.h"

#define TEST_REASON_CPUID	10
#define TEST_REASON_HLT		12
#define TEST_REASON_IO		30
#define TEST_REASON_WRMSR	32

struct test_ring {
	struct vitrine_ring_config config;
	struct vitrine_ring_header *header;
	struct vitrine_record *records;
};

uint64_t test_vm_id(struct test_vm *vm);
/* VITRINE_ATTACH: an fd or -errno. */
int test_attach(int dev_fd, uint64_t vm_id, uint32_t flags);
/* 0 or -errno. */
int test_monitor_info(int fd, struct vitrine_monitor_info *info);
int test_ring_create(int fd, struct vitrine_ring_config *config);
int test_ring_filter(int fd, uint32_t vcpu, uint64_t low, uint64_t high);
/* Must succeed. */
void test_ring_state(int fd, uint32_t vcpu, struct vitrine_ring_state *state);
/* All exits of vCPU @vcpu in @nr_records records; must succeed. */
void test_ring_open(struct test_ring *ring, int fd, uint32_t vcpu, uint32_t nr_records,
		    uint32_t flags);
void test_ring_close(struct test_ring *ring);
static inline const struct vitrine_record *test_ring_record(const struct test_ring *ring,
							    uint64_t number)
{
	return &ring->records[number & (ring->config.nr_records - 1)];
}

#endif
