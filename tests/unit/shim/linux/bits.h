/* SPDX-License-Identifier: GPL-2.0 */
/* BIT() and GENMASK() for pure files of kmod/ that are built on the host. */
#ifndef VITRINE_SHIM_LINUX_BITS_H
#define VITRINE_SHIM_LINUX_BITS_H

#define BIT(n)			(1ul << (n))
#define BIT_ULL(n)		(1ull << (n))
#define GENMASK(high, low)	((~0ul >> (63 - (high))) & (~0ul << (low)))
#define GENMASK_ULL(high, low)	((~0ull >> (63 - (high))) & (~0ull << (low)))

#endif
