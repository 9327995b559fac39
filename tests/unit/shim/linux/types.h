/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's short integer types for pure files of kmod/ that are built on the host. Only names
 * live here, no behaviour.
 */
#ifndef VITRINE_SHIM_LINUX_TYPES_H
#define VITRINE_SHIM_LINUX_TYPES_H

#include_next <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;

/* For its place in structures only. */
struct rcu_head {
	void *words[2];
};

#endif
