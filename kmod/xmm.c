// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the way to the guest's XMM registers. During RUN they are this thread's user registers (see
 * fpu.c): in the CPU, unless the kernel saved them when the thread was scheduled out. The legacy
 * image holds all of them and leaves the wider halves alone; it costs little where each half of an
 * access goes out to userspace.
 */
#include <linux/string.h>
#include <linux/thread_info.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>

#include "xmm.h"

#define XMM_BYTES	16

/* Until the unlock the registers stay where they are: in the CPU. */
static void xmm_lock(struct fxregs_state *image)
{
	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	fpregs_assert_state_consistent();
	asm volatile("fxsave64 %0" : "=m" (*image));
}

void vitrine_xmm_read(unsigned int nr, u64 *value)
{
	struct fxregs_state image __aligned(16);

	xmm_lock(&image);
	fpregs_unlock();
	memcpy(value, (u8 *)image.xmm_space + nr * XMM_BYTES, XMM_BYTES);
}

void vitrine_xmm_write(unsigned int nr, const u64 *value)
{
	struct fxregs_state image __aligned(16);

	xmm_lock(&image);
	memcpy((u8 *)image.xmm_space + nr * XMM_BYTES, value, XMM_BYTES);
	asm volatile("fxrstor64 %0" : : "m" (image));
	fpregs_unlock();
}
