/* SPDX-License-Identifier: GPL-2.0 */
/* What a monitor can reach of a VM: the commands of vitrine_access.h, a file each. */
#ifndef VITRINE_MONITOR_ACCESS_H
#define VITRINE_MONITOR_ACCESS_H

#include "../ioctl.h"

extern const struct vitrine_ioctl vitrine_registers_ioctls[];	/* READ_REGS, WRITE_REGS */
extern const struct vitrine_ioctl vitrine_memory_ioctls[];	/* READ_MEMORY, WRITE_MEMORY */
extern const struct vitrine_ioctl vitrine_nmi_ioctls[];		/* NMI */

#endif
