/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One table walker for every ioctl of every object. A row names the command and the function; the
 * walker finds it, copies the argument in, takes the lock, calls, and copies out only what
 * succeeded.
 */
#ifndef VITRINE_IOCTL_H
#define VITRINE_IOCTL_H

#include <linux/ioctl.h>
#include <linux/types.h>

struct mutex;

/**
 * struct vitrine_ioctl_arg - the argument of one ioctl call
 * @value: the third argument as it came (a number for _IO commands, an address otherwise)
 * @user: the same as a user pointer, for commands with a variable-sized tail
 * @data: kernel copy of the fixed part, zeroed where nothing was copied in; NULL for _IO and RAW
 * rows
 */
struct vitrine_ioctl_arg {
	unsigned long value;
	void __user *user;
	void *data;
};

/* Row flags. */
#define VITRINE_IOCTL_LOCK	0x1	/* hold vm->lock, or vcpu->mutex with the vCPU loaded */
#define VITRINE_IOCTL_RAW	0x2	/* no copying: the handler uses arg->user itself */
#define VITRINE_IOCTL_NO_LOAD	0x4	/* vCPU rows: take the mutex, do not load the vCPU */

/**
 * struct vitrine_ioctl - one row
 * @cmd:   the full command, matched exactly
 * @flags: VITRINE_IOCTL_*
 * @fn:    the handler; gets the object (NULL, vm or vcpu) and returns >= 0 or -errno
 */
struct vitrine_ioctl {
	unsigned int cmd;
	unsigned int flags;
	long (*fn)(void *obj, struct vitrine_ioctl_arg *arg);
};

#define VITRINE_IOCTL_TYPES	2	/* KVM's magic and our own */

/**
 * struct vitrine_ioctl_set - all rows of one kind of object, indexed by direction (some numbers are
 * used twice) and command number
 * @tables: NULL-terminated list of tables, each ended by an empty row
 * @by_nr:  filled by vitrine_ioctl_set_build()
 */
struct vitrine_ioctl_set {
	const struct vitrine_ioctl *const *tables;
	const struct vitrine_ioctl *by_nr[VITRINE_IOCTL_TYPES][4][256];
};

int vitrine_ioctl_set_build(struct vitrine_ioctl_set *set);
const struct vitrine_ioctl *vitrine_ioctl_find(const struct vitrine_ioctl_set *set,
					       unsigned int cmd);
long vitrine_ioctl_call(const struct vitrine_ioctl *row, void *obj, unsigned long value);

#endif
