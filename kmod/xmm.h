/* SPDX-License-Identifier: GPL-2.0 */
/* The guest's XMM registers, for SSE moves that are executed in software. */
#ifndef VITRINE_XMM_H
#define VITRINE_XMM_H

#include <linux/types.h>

/* Only during RUN, when the guest's registers are the thread's; @nr is 0 to 15, two words each. */
void vitrine_xmm_read(unsigned int nr, u64 *value);
void vitrine_xmm_write(unsigned int nr, const u64 *value);

#endif
