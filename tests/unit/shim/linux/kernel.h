/* SPDX-License-Identifier: GPL-2.0 */
/* ARRAY_SIZE() for the pure files of kmod/ that are built on the host, and for their tests. */
#ifndef VITRINE_SHIM_LINUX_KERNEL_H
#define VITRINE_SHIM_LINUX_KERNEL_H

#include_next <linux/kernel.h>

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#endif

#endif
