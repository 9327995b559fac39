/* SPDX-License-Identifier: GPL-2.0 */
/* A stay in KVM_RUN that does not last for ever, and what the vCPU counted in it. */
#ifndef TESTS_LIB_STAY_H
#define TESTS_LIB_STAY_H

#include <stdint.h>

#include "vm.h"

#define TEST_REASON_INTERRUPT_WINDOW	7
#define TEST_REASON_NMI_WINDOW		8

/* One KVM_RUN that SIGALRM ends after @us, below a second, at the latest: 0 or -errno. */
int test_run_for_us(struct test_vcpu *vcpu, unsigned int us);
/*
 * Item @i of a counter of the VM or vCPU behind @fd, by its name in KVM_GET_STATS_FD; most of KVM's
 * have other names.
 */
uint64_t test_counter_of(int fd, const char *name, unsigned int i);
static inline uint64_t test_counter(struct test_vcpu *vcpu, const char *name, unsigned int i)
{
	return test_counter_of(vcpu->fd, name, i);
}

/* By a basic exit reason of the SDM. */
static inline uint64_t test_exits_by(struct test_vcpu *vcpu, unsigned int reason)
{
	return test_counter(vcpu, "exit_count", reason);
}

#endif
