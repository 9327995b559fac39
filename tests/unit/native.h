/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Runs one instruction on this machine's processor, in user mode, with every register chosen, and
 * tells what became of them. All of it lives below 2 GiB, so that 32-bit addressing reaches it.
 */
#ifndef VITRINE_TEST_NATIVE_H
#define VITRINE_TEST_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct native_state {
	uint64_t gpr[16];
	uint64_t rflags;
	uint64_t xmm[2];	/* of the one XMM register that takes part */
};

/* Data the instruction may touch, its address, and where the instruction itself is put. */
#define NATIVE_BUFFER_SIZE	2048
extern uint8_t *native_buffer;
extern uint64_t native_slot;

/* Base of GS, so that a segment base other than zero takes part. */
#define NATIVE_GS_BASE		0x12345ull

bool native_init(void);

/* Returns 0, or the exception's vector if the instruction faulted. */
int native_run(const uint8_t *bytes, size_t len, unsigned int xmm, struct native_state *state);

#endif
