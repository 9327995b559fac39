/* SPDX-License-Identifier: GPL-2.0 */
/* memcpy() and its like for pure files of kmod/ that are built on the host. */
#ifndef VITRINE_SHIM_LINUX_STRING_H
#define VITRINE_SHIM_LINUX_STRING_H

#include <string.h>

#endif
