/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A VM that its own process steers: the tool's side of vitrine_policy.h, and a thread that is the
 * VMM.
 */
#ifndef TESTS_LIB_STEER_H
#define TESTS_LIB_STEER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <vitrine_policy.h>

#include "vm.h"

#define TEST_LONG_MS	20000	/* of a machine that may be slow */

struct test_steer {
	struct test_vm *vm;
	struct test_vcpu *vcpu;
	uint64_t vm_id;
	int fd;				/* the steering monitor's, or -1 */
	pthread_t runner;
	int error;			/* of the runner's KVM_RUN */
	struct test_exception exception;	/* which it ran to */
};

/* A VM of one vCPU, and a monitor that steers it. */
void test_steer_create(struct test_steer *steer);
void test_steer_free(struct test_steer *steer);
/* A fixture that is one of these, for tests that need nothing else: self->t. */
#define TEST_STEER_FIXTURE(name)				\
	FIXTURE(name) {						\
		struct test_steer t;				\
	};							\
	FIXTURE_SETUP(name)					\
	{							\
		test_steer_create(&self->t);			\
	}							\
	FIXTURE_TEARDOWN(name)					\
	{							\
		test_steer_free(&self->t);			\
	}
/* Loads code and runs it to its first sync point. */
void test_steer_load(struct test_steer *steer, const char *code, size_t bytes);
/* RSI, RDI and RBX of the guest */
void test_steer_set_guest(struct test_steer *steer, uint64_t rsi, uint64_t rdi, uint64_t rbx);
/* Of an exit reason of the SDM. */
uint64_t test_steer_exits(struct test_steer *steer, unsigned int reason);

/* Every vCPU, every subkey, every value. */
struct vitrine_rule test_rule(uint32_t on, uint32_t action, uint64_t first, uint64_t last);
/* 0 or -errno */
int test_set_rules(int fd, const struct vitrine_rule *rules, uint32_t nr);
/* 0, -ETIMEDOUT if none comes, or -errno */
int test_next_event(int fd, struct vitrine_exit_event *event, int ms);
int test_answer(int fd, uint64_t seq, uint32_t verdict);
/* The event's registers, with the instruction done. */
struct vitrine_answer test_done(const struct vitrine_exit_event *event);

/* The VMM's thread: one KVM_RUN, or as many as it takes to an exception in the guest. */
void test_steer_start(struct test_steer *steer);
void test_steer_start_to_exception(struct test_steer *steer);
/* A signal to it, and waits for its end; steer->error says what KVM_RUN said. */
void test_steer_interrupt(struct test_steer *steer);
/* Waits for it: the guest is at its sync point again. */
bool test_steer_ended_well(struct test_steer *steer);

#endif
