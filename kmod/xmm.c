// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the way to the guest's XMM registers. During RUN they are this thread's user registers (see
 * fpu.c): in the CPU, unless the kernel saved them when the thread was scheduled out.
 */
#include <linux/thread_info.h>
#include <asm/fpu/api.h>

#include "xmm.h"

/* Until the unlock the registers stay where they are: in the CPU. */
static void xmm_lock(void)
{
	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	fpregs_assert_state_consistent();
}

/* A register's number is part of the instruction. */
#define XMM_READ(nr)	case nr: asm volatile("movdqu %%xmm" #nr ", %0" : "=m" (*to)); break
#define XMM_WRITE(nr)	case nr: asm volatile("movdqu %0, %%xmm" #nr : : "m" (*from)); break
#define XMM_EACH(do)	do(0); do(1); do(2); do(3); do(4); do(5); do(6); do(7); \
			do(8); do(9); do(10); do(11); do(12); do(13); do(14); do(15)

void vitrine_xmm_read(unsigned int nr, u64 *value)
{
	u64 (*to)[2] = (void *)value;

	xmm_lock();
	switch (nr) {
	XMM_EACH(XMM_READ);
	}
	fpregs_unlock();
}

void vitrine_xmm_write(unsigned int nr, const u64 *value)
{
	const u64 (*from)[2] = (const void *)value;

	xmm_lock();
	switch (nr) {
	XMM_EACH(XMM_WRITE);
	}
	fpregs_unlock();
}
