/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * What a monitor can reach of a VM: registers, memory, and whether it runs. Commands of a monitor's
 * fd, see vitrine.h for how one is had. Who observes only reads; to write takes
 * VITRINE_ATTACH_CONTROL or VITRINE_ATTACH_STEER (EPERM without).
 *
 * All structures have fixed-width members and no implicit padding; reserved members must be zero.
 *
 * A vCPU need not stand still for it: it comes out of the guest, or out of its wait, for as long as
 * it takes. While its VMM does something else with it that takes long, the command waits; a signal
 * ends that with EINTR, and then a write may have been done or not. ESRCH: the VM is gone. EIO: it
 * is dead. ENOENT: there is no such vCPU.
 *
 * VITRINE_READ_REGS
 *	In: @vcpu, the rest zero. Out: struct vitrine_regs, all parts.
 *
 * VITRINE_WRITE_REGS
 *	In: struct vitrine_regs, of which the @parts named are written: all or nothing. The rules
 *	are those of KVM_SET_REGS, KVM_SET_SREGS2 and KVM_SET_DEBUGREGS, and beyond them EINVAL for
 *	a state that the processor would not enter, with a line in the kernel log at debug level
 *	that names the field. @system.apic_base must stay; with PAE paging the pointers in
 *	@system.pdptrs are taken as they are, whatever CR3 is.
 *	A part is written with all that is in it. Who changes some of what VITRINE_READ_REGS gave
 *	does that under VITRINE_PAUSE, or the rest of the part goes back to where it was, though the
 *	guest has gone on meanwhile.
 *	An event that waits for its answer is over by it: what the guest was about to do it does
 *	anew, if it still comes there. A VMM that keeps registers of its own, as QEMU does with a
 *	guest that it stopped, overwrites it.
 *
 * VITRINE_READ_MEMORY, VITRINE_WRITE_MEMORY
 *	In: struct vitrine_memory. Returns how many bytes were copied, up to the first that could
 *	not be; if that is the very first it fails: EFAULT where there is no memory of the guest's
 *	(a hole, a device, for a write a read-only slot) or none of the caller's; EINTR. The address
 *	is guest-physical, or with VITRINE_MEMORY_VIRTUAL goes through the page tables that the vCPU
 *	@vcpu uses at that moment, as a debugger does: rights in them do not count, and their
 *	accessed and dirty bits stay. EINVAL: more than VITRINE_MEMORY_MAX_BYTES, an address that
 *	wraps, flags or reserved.
 *	Memory of the VMM's that is not there yet is waited for until a fatal signal, and by nobody
 *	else. What is written is logged as the guest's own writes are; in the ring of @vcpu where
 *	there are rings, and then a full one is waited for. Pieces in different pages are not
 *	written at one moment, unless the VM is paused.
 *
 * VITRINE_PAUSE
 *	In: __u32, 0 or VITRINE_PAUSE_STAY. No vCPU enters the guest any more; when the command
 *	returns none is in it, though the last exit of one may still be under way. A vCPU sleeps in
 *	its KVM_RUN, once its exit was handled and events were answered: a signal, or
 *	immediate_exit, ends that with EINTR, and the next KVM_RUN sleeps again. What the VMM does
 *	of its own goes on, and so do clocks. The pause lasts until this fd is closed or
 *	VITRINE_UNPAUSE; with VITRINE_PAUSE_STAY it outlives the fd. Several monitors can have a VM
 *	paused, each by itself. EINVAL: another flag.
 *
 * VITRINE_UNPAUSE
 *	Ends this monitor's pause, and one that stays, whoever began it. Returns the number of other
 *	monitors that have the VM paused still.
 *
 * VITRINE_NMI
 *	In: __u32, index of a vCPU, or VITRINE_NMI_ALL. It gets an NMI, as by KVM_NMI; those that
 *	come before it has taken one are merged as on a real machine.
 *
 * VITRINE_START_PAUSED (VM fd)
 *	The VM is paused from now on as by VITRINE_PAUSE_STAY: for a VMM that lets monitors come
 *	before its guest's first instruction. EPERM after VITRINE_FORBID_ATTACH, which also ends
 *	every pause.
 */
#ifndef _UAPI_VITRINE_ACCESS_H
#define _UAPI_VITRINE_ACCESS_H

#include <linux/ioctl.h>
#include <linux/kvm.h>
#include <linux/types.h>

#include "vitrine.h"

/* struct vitrine_regs.parts */
#define VITRINE_REGS_GENERAL	(1U << 0)
#define VITRINE_REGS_SYSTEM	(1U << 1)
#define VITRINE_REGS_DEBUG	(1U << 2)
#define VITRINE_REGS_ALL	7U

/**
 * struct vitrine_regs - registers of one vCPU
 * @vcpu: in: its index
 * @parts: VITRINE_REGS_*
 * @vcpu_id: out: the id that its VMM gave it; not looked at by a write
 * @mp_state: out: KVM_MP_STATE_*; likewise
 * @general: RAX to R15, RIP, RFLAGS
 * @system: segments, descriptor tables, control registers, EFER; KVM_SREGS2_FLAGS_PDPTRS_VALID if
 * and only if the guest uses PAE paging
 * @debug: DR0 to DR3, DR6, DR7
 */
struct vitrine_regs {
	__u32 vcpu;
	__u32 parts;
	__u32 vcpu_id;
	__u32 mp_state;
	struct kvm_regs general;
	struct kvm_sregs2 system;
	struct kvm_debugregs debug;
};

#define VITRINE_READ_REGS	_IOWR(VITRINE_IOC_MAGIC, 0x70, struct vitrine_regs)
#define VITRINE_WRITE_REGS	_IOW(VITRINE_IOC_MAGIC, 0x71, struct vitrine_regs)

/* struct vitrine_memory.flags */
#define VITRINE_MEMORY_VIRTUAL		(1U << 0)

#define VITRINE_MEMORY_MAX_BYTES	(1U << 20)

/**
 * struct vitrine_memory - what is copied
 * @address: of the guest's
 * @data: of the caller's: a pointer
 * @bytes: how many
 * @flags: VITRINE_MEMORY_*
 * @vcpu: index of the vCPU
 * @reserved: zero
 */
struct vitrine_memory {
	__u64 address;
	__u64 data;
	__u32 bytes;
	__u32 flags;
	__u32 vcpu;
	__u32 reserved;
};

#define VITRINE_READ_MEMORY	_IOW(VITRINE_IOC_MAGIC, 0x72, struct vitrine_memory)
#define VITRINE_WRITE_MEMORY	_IOW(VITRINE_IOC_MAGIC, 0x73, struct vitrine_memory)

/* for VITRINE_PAUSE */
#define VITRINE_PAUSE_STAY	(1U << 0)

#define VITRINE_PAUSE		_IOW(VITRINE_IOC_MAGIC, 0x74, __u32)
#define VITRINE_UNPAUSE		_IO(VITRINE_IOC_MAGIC, 0x75)
#define VITRINE_NMI_ALL		0xffffffffU

#define VITRINE_NMI		_IOW(VITRINE_IOC_MAGIC, 0x76, __u32)

#define VITRINE_START_PAUSED	_IO(VITRINE_IOC_MAGIC, 0x12)

#endif
