/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reaching into a VM by a monitor's bare ioctls, and memory of the VM's that is not there yet: what
 * the tests of vitrine_access.h share.
 */
#ifndef TESTS_LIB_REACH_H
#define TESTS_LIB_REACH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <vitrine_access.h>

#include "vm.h"

/* 0 or -errno */
int test_read_regs(int fd, uint32_t vcpu, struct vitrine_regs *regs);
int test_write_regs(int fd, struct vitrine_regs *regs, uint32_t parts);
/* Bytes or -errno; guest-physical, or of vCPU 0's paging. */
int test_read_memory(int fd, uint64_t address, void *data, uint32_t bytes, uint32_t flags);
int test_write_memory(int fd, uint64_t address, const void *data, uint32_t bytes, uint32_t flags);

/* A thread that runs a vCPU: one KVM_RUN. */
struct test_runner {
	struct test_vcpu *vcpu;
	pthread_t thread;
	bool done;
	int error;
};

void test_runner_start(struct test_runner *runner, struct test_vcpu *vcpu);
/* SIGUSR1, which must have a handler that does nothing; what KVM_RUN said. */
int test_runner_interrupt(struct test_runner *runner);
/* Waits for it: 0 or an errno. */
int test_runner_join(struct test_runner *runner);
/* For SIGUSR1 and whatever else is to end a system call. */
void test_ignore_by_handler(int signal);

/* Memory that whoever touches it waits for; false: no userfaultfd in this kernel. */
struct test_pager {
	int fd;
	void *memory;
	uint64_t bytes;
};

bool test_pager_create(struct test_pager *pager, void *memory, uint64_t bytes);
/* Somebody waits now: true, or false after @ms. */
bool test_pager_wait(struct test_pager *pager, int ms);
/* It is there from now on, and zero. */
void test_pager_end(struct test_pager *pager);

/*
 * A child process calls @fn, which is to wait for good; it must be waiting after @ms, and gone soon
 * after SIGKILL.
 */
bool test_dies_waiting(int (*fn)(void *data), void *data, unsigned int ms);

#endif
