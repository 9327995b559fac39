// SPDX-License-Identifier: GPL-2.0
/*
 * Module entry and exit: an ordered chain and its mirror image, nothing else.
 */
#include <linux/module.h>

#include "compat.h"

static int __init vitrine_init(void)
{
	return 0;
}
module_init(vitrine_init);

static void __exit vitrine_exit(void)
{
}
module_exit(vitrine_exit);

MODULE_DESCRIPTION("A hypervisor you can see through");
MODULE_LICENSE("GPL");
