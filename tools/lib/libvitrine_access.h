/* SPDX-License-Identifier: GPL-2.0 */
/*
 * libvitrine, reaching into a VM of another process by a monitor: see libvitrine.h for how one is
 * had and for the rules that hold for every function, and vitrine_access.h for the module's side.
 *
 *	monitor = vitrine_monitor_attach(dev, 7, VITRINE_ATTACH_CONTROL, &err);
 *	vitrine_monitor_read_regs(monitor, 0, &regs, &err);
 *	regs.general.rax = 0;
 *	regs.parts = VITRINE_REGS_GENERAL;
 *	vitrine_monitor_write_regs(monitor, &regs, &err);
 *	vitrine_monitor_detach(monitor);
 *
 * What changes something takes VITRINE_ATTACH_CONTROL or VITRINE_ATTACH_STEER (EPERM without); ESRCH
 * says that the VM is gone. EINTR: a signal ended the wait for a vCPU that its VMM keeps busy.
 */
#ifndef LIBVITRINE_ACCESS_H
#define LIBVITRINE_ACCESS_H

#include <vitrine_access.h>

#include "libvitrine.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * vitrine_monitor_read_regs() - all registers of a vCPU, which need not stand still for it
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
 * All or nothing. Fails with EINVAL for a state that the processor would not enter; the kernel log
 * at debug level names the field.
 */
int vitrine_monitor_write_regs(struct vitrine_monitor *monitor, const struct vitrine_regs *regs,
			       struct vitrine_error *err);

#ifdef __cplusplus
}
#endif

#endif /* LIBVITRINE_ACCESS_H */
