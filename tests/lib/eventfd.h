/* SPDX-License-Identifier: GPL-2.0 */
/* Eventfds and the interrupts they raise, for the tests of irqfd_test.c and its neighbours. */
#ifndef TESTS_LIB_EVENTFD_H
#define TESTS_LIB_EVENTFD_H

#include <stdbool.h>
#include <stdint.h>

#include "irq.h"

#define TEST_GSI	20u		/* of the I/O APIC only */
#define TEST_MSI_GSI	40u
#define TEST_MSI_VECTOR	0x61u
#define TEST_MSI_LEVEL	0x8000u
#define TEST_ENTRY_LEVEL	(1u << 15)
#define TEST_ENTRY_MASKED	(1u << 16)

/* A non-blocking one. */
int test_eventfd(void);
void test_eventfd_signal(int fd);
/* How often it was signalled since the last time. */
uint64_t test_eventfd_count(int fd);

/* KVM_IRQFD: 0 or -errno. */
int test_irqfd(int vm_fd, int fd, uint32_t gsi, uint32_t flags, int resamplefd);
/*
 * KVM_SET_GSI_ROUTING: TEST_GSI to its pin of the I/O APIC or, with @data, to a message;
 * TEST_MSI_GSI to the message of TEST_MSI_VECTOR. 0 or -errno.
 */
int test_irqfd_route(int vm_fd, uint32_t data);
/* The low half of a pin's redirection entry. */
void test_irqfd_set_entry(struct test_vcpu *vcpu, unsigned int pin, uint32_t low);
/* Is the pin of the I/O APIC asserted? */
bool test_irqfd_pin(struct test_vm *vm, unsigned int pin);
/* Does it become @up soon? KVM raises some from a work item. */
bool test_irqfd_pin_becomes(struct test_vm *vm, unsigned int pin, bool up);
/* The local APIC on, in x2APIC mode. */
void test_irqfd_enable_apic(struct test_vcpu *vcpu);
/*
 * Interrupts on until @want were taken since the last clear, but not for ever; with @want 0, for
 * as long as one would have come. How many there were.
 */
unsigned int test_irqfd_taken(struct test_vcpu *vcpu, unsigned int want);

#endif
