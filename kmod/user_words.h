/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Short images of fixed size to and from userspace, word by word: starting a string instruction
 * costs as much as moving all of a vCPU's registers.
 */
#ifndef VITRINE_USER_WORDS_H
#define VITRINE_USER_WORDS_H

#include <linux/errno.h>
#include <linux/types.h>
#include <linux/uaccess.h>

/* @words is a constant, so that the loop is unrolled. All of @from must have been written. */
static __always_inline int vitrine_put_words(void __user *user, const void *from,
					     unsigned int words)
{
	u64 __user *to = user;
	const u64 *word = from;
	unsigned int i;

	if (!user_write_access_begin(to, words * sizeof(*to)))
		return -EFAULT;
	for (i = 0; i < words; i++)
		unsafe_put_user(word[i], to + i, fault);
	user_write_access_end();
	return 0;
fault:
	user_write_access_end();
	return -EFAULT;
}

static __always_inline int vitrine_get_words(void *to, const void __user *user,
					     unsigned int words)
{
	const u64 __user *from = user;
	u64 *word = to;
	unsigned int i;

	if (!user_read_access_begin(from, words * sizeof(*from)))
		return -EFAULT;
	for (i = 0; i < words; i++)
		unsafe_get_user(word[i], from + i, fault);
	user_read_access_end();
	return 0;
fault:
	user_read_access_end();
	return -EFAULT;
}

#endif
