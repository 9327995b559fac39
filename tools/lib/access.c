// SPDX-License-Identifier: GPL-2.0
/* Reaching into a VM by a monitor. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "internal.h"
#include "libvitrine_access.h"

static const char *advice(int code)
{
	switch (code) {
	case ESRCH:
		return "the VM is gone";
	case ENOENT:
		return "there is no such vCPU";
	case EPERM:
		return "this monitor only observes";
	case EIO:
		return "the VM is dead";
	default:
		return strerror(code);
	}
}

int vitrine_monitor_read_regs(struct vitrine_monitor *monitor, uint32_t vcpu,
			      struct vitrine_regs *regs, struct vitrine_error *err)
{
	memset(regs, 0, sizeof(*regs));
	regs->vcpu = vcpu;
	if (ioctl(vitrine_monitor_fd(monitor), VITRINE_READ_REGS, regs))
		return vitrine_fail(err, errno, "vCPU %u: reading registers: %s", vcpu,
				    advice(errno));
	return 0;
}

int vitrine_monitor_write_regs(struct vitrine_monitor *monitor, const struct vitrine_regs *regs,
			       struct vitrine_error *err)
{
	if (!ioctl(vitrine_monitor_fd(monitor), VITRINE_WRITE_REGS, regs))
		return 0;
	return vitrine_fail(err, errno, "vCPU %u: writing registers: %s", regs->vcpu,
			    errno == EINVAL ? "the processor would not take this state "
			    "(the kernel log at debug level names the field)" : advice(errno));
}
