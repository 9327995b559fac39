/* SPDX-License-Identifier: GPL-2.0 */
/*
 * libvitrine, reaching into a VM of another process by a monitor: see libvitrine.h for how one is
 * had and for the rules that hold for every function, and vitrine_access.h for the module's side.
 *
 *	monitor = vitrine_monitor_attach(dev, 7, VITRINE_ATTACH_CONTROL, &err);
 *	vitrine_monitor_pause(monitor, false, &err);
 *	vitrine_monitor_read_regs(monitor, 0, &regs, &err);
 *	regs.general.rax = 0;
 *	regs.parts = VITRINE_REGS_GENERAL;
 *	vitrine_monitor_write_regs(monitor, &regs, &err);
 *	vitrine_monitor_detach(monitor);
 *
 * What changes something takes VITRINE_ATTACH_CONTROL or VITRINE_ATTACH_STEER (EPERM without);
 * ESRCH says that the VM is gone. EINTR: a signal ended the wait for a vCPU that its VMM keeps
 * busy.
 */
#ifndef LIBVITRINE_ACCESS_H
#define LIBVITRINE_ACCESS_H

#include <vitrine_access.h>

#include "libvitrine.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * vitrine_monitor_read_regs() - all registers of a vCPU, as they are at one moment
 * @vcpu: its index, from 0 in the order of creation
 *
 * Fails with ENOENT (no such vCPU).
 */
int vitrine_monitor_read_regs(struct vitrine_monitor *monitor, uint32_t vcpu,
			      struct vitrine_regs *regs, struct vitrine_error *err);

/**
 * vitrine_monitor_write_regs() - change registers of a vCPU
 * @regs: as they were read, with some changed; @regs->parts says which parts are written
 *
 * A part is written with all that is in it: unless the VM is paused from before the read on, the
 * guest is thrown back to where it was then, but for its memory. All or nothing. Fails with EINVAL
 * for a state that the processor would not enter; the kernel log at debug level names the field.
 */
int vitrine_monitor_write_regs(struct vitrine_monitor *monitor, const struct vitrine_regs *regs,
			       struct vitrine_error *err);

/**
 * vitrine_monitor_read_memory() - memory of the guest
 * @vcpu: index of the vCPU whose page tables @address goes through; -1: it is guest-physical
 * @data: room for @bytes, any number of them
 *
 * Returns how many bytes were read, fewer than @bytes where the guest has no memory; or fails with
 * EFAULT if it has none at @address, EINVAL (@address + @bytes is above 2^64), ENOENT (no such
 * vCPU).
 */
int64_t vitrine_monitor_read_memory(struct vitrine_monitor *monitor, int64_t vcpu, uint64_t address,
				    void *data, uint64_t bytes, struct vitrine_error *err);

/** vitrine_monitor_write_memory() - the reverse; also fails where a slot is read-only */
int64_t vitrine_monitor_write_memory(struct vitrine_monitor *monitor, int64_t vcpu,
				     uint64_t address, const void *data, uint64_t bytes,
				     struct vitrine_error *err);

/**
 * vitrine_monitor_pause() - no vCPU runs the guest from now on
 * @stay: also after the detach, until somebody resumes it; else until the detach
 *
 * The VMM goes on, and can stop or end the guest. Several monitors may pause a VM, each by itself.
 */
int vitrine_monitor_pause(struct vitrine_monitor *monitor, bool stay, struct vitrine_error *err);

/**
 * vitrine_monitor_resume() - end this monitor's pause, and one that stays
 *
 * Returns how many other monitors still have the VM paused.
 */
int vitrine_monitor_resume(struct vitrine_monitor *monitor, struct vitrine_error *err);

/**
 * vitrine_monitor_nmi() - send an NMI
 * @vcpu: index of the vCPU; -1: all of them
 */
int vitrine_monitor_nmi(struct vitrine_monitor *monitor, int64_t vcpu, struct vitrine_error *err);

/**
 * vitrine_vm_start_paused() - have one's own VM wait for somebody who resumes it
 * @vm_id: its number, for those who are to attach
 *
 * To be called before its vCPUs run. Fails with ENOTTY where the device is KVM's.
 */
int vitrine_vm_start_paused(struct vitrine_vm *vm, uint64_t *vm_id, struct vitrine_error *err);

#ifdef __cplusplus
}
#endif

#endif /* LIBVITRINE_ACCESS_H */
