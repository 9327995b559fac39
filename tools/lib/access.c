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
			    errno == EINVAL ? "no processor takes that; " LOG_ADVICE :
					      advice(errno));
}

/* As much as one call takes, again and again. */
static int64_t access_memory(struct vitrine_monitor *monitor, unsigned long cmd, int64_t vcpu,
			     uint64_t address, const void *data, uint64_t bytes,
			     struct vitrine_error *err)
{
	struct vitrine_memory memory = {
		.flags = vcpu >= 0 ? VITRINE_MEMORY_VIRTUAL : 0,
		.vcpu = vcpu >= 0 ? (uint32_t)vcpu : 0,
	};
	uint64_t done = 0;
	int ret;

	/* The kernel sees a piece at a time, and none of those need wrap. */
	if (bytes && address + bytes - 1 < address)
		return vitrine_fail(err, EINVAL, "0x%llx and %llu bytes: beyond the last address",
				    (unsigned long long)address, (unsigned long long)bytes);
	while (done < bytes) {
		memory.address = address + done;
		memory.data = (uintptr_t)data + done;
		memory.bytes = bytes - done < VITRINE_MEMORY_MAX_BYTES ? (uint32_t)(bytes - done) :
									 VITRINE_MEMORY_MAX_BYTES;
		ret = ioctl(vitrine_monitor_fd(monitor), cmd, &memory);
		if (ret < 0 && !done)
			return vitrine_fail(err, errno, "%s 0x%llx: %s",
					    cmd == VITRINE_READ_MEMORY ? "reading" : "writing",
					    (unsigned long long)address, errno == EFAULT ?
					    "there is no such memory" : advice(errno));
		if (ret <= 0)
			break;
		done += (uint32_t)ret;
		if ((uint32_t)ret < memory.bytes)
			break;
	}
	return (int64_t)done;
}

int64_t vitrine_monitor_read_memory(struct vitrine_monitor *monitor, int64_t vcpu, uint64_t address,
				    void *data, uint64_t bytes, struct vitrine_error *err)
{
	return access_memory(monitor, VITRINE_READ_MEMORY, vcpu, address, data, bytes, err);
}

int64_t vitrine_monitor_write_memory(struct vitrine_monitor *monitor, int64_t vcpu,
				     uint64_t address, const void *data, uint64_t bytes,
				     struct vitrine_error *err)
{
	return access_memory(monitor, VITRINE_WRITE_MEMORY, vcpu, address, data, bytes, err);
}

int vitrine_monitor_pause(struct vitrine_monitor *monitor, bool stay, struct vitrine_error *err)
{
	__u32 flags = stay ? VITRINE_PAUSE_STAY : 0;

	if (!ioctl(vitrine_monitor_fd(monitor), VITRINE_PAUSE, &flags))
		return 0;
	return vitrine_fail(err, errno, "pausing: %s", advice(errno));
}

int vitrine_monitor_resume(struct vitrine_monitor *monitor, struct vitrine_error *err)
{
	int others = ioctl(vitrine_monitor_fd(monitor), VITRINE_UNPAUSE);

	return others < 0 ? vitrine_fail(err, errno, "resuming: %s", advice(errno)) : others;
}

int vitrine_monitor_nmi(struct vitrine_monitor *monitor, int64_t vcpu, struct vitrine_error *err)
{
	__u32 index = vcpu < 0 ? VITRINE_NMI_ALL : (uint32_t)vcpu;

	if (!ioctl(vitrine_monitor_fd(monitor), VITRINE_NMI, &index))
		return 0;
	return vitrine_fail(err, errno, "NMI: %s", advice(errno));
}

int vitrine_vm_start_paused(struct vitrine_vm *vm, uint64_t *vm_id, struct vitrine_error *err)
{
	__u64 id;

	if (ioctl(vm->fd, VITRINE_GET_VM_ID, &id) || ioctl(vm->fd, VITRINE_START_PAUSED))
		return vitrine_fail(err, errno, "%s: START_PAUSED: %s", vm->dev->path,
				    errno == ENOTTY ? "this device's VMs cannot begin paused" :
				    strerror(errno));
	*vm_id = id;
	return 0;
}
