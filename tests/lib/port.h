/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A device behind one port, played by the test: it records what is written and counts up what is
 * read.
 */
#ifndef TESTS_LIB_PORT_H
#define TESTS_LIB_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "vm.h"

#define TEST_PORT_NUMBER	0x510
#define TEST_PORT_MAX_ITEMS	8192

struct test_port {
	unsigned int written_bytes;
	unsigned int read_bytes;
	unsigned int exits;
	unsigned int item_bytes;	/* of the last exit */
	uint8_t written[4 * TEST_PORT_MAX_ITEMS];
};

/* What the guest reads as byte @i since the start. */
uint8_t test_port_byte(unsigned int i);
/* Serves the port until something else happens, which is left in vcpu->run. */
void test_port_run(struct test_vcpu *vcpu, struct test_port *device);
/* The same up to a write to @port, or an exception of long mode; anything else ends the test. */
void test_port_run_to(struct test_vcpu *vcpu, struct test_port *device, uint16_t port);
void test_port_run_to_exception(struct test_vcpu *vcpu, struct test_port *device,
				struct test_exception *exception);

#endif
