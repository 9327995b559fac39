/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * Vitrine's own ABI: what KVM has no word for. Everything else on /dev/vitrine is <linux/kvm.h>.
 *
 * All structures have fixed-width members and no implicit padding; reserved members must be zero.
 * Every command fails with -EFAULT for a bad pointer, with -ENOTTY where the running module does
 * not know it, and those of VM and vCPU fds with -EIO when called from another process's address
 * space than the creator's, or when the VM is dead.
 *
 * VITRINE_GET_CAPS (device fd)
 *	Out: struct vitrine_caps. What this CPU offers of VMX, as the module read it at load:
 *	the raw capability MSRs, and who holds VMX now. Needs no VM. Errors: none of its own.
 *
 * VITRINE_GET_MITIGATIONS (device fd)
 *	Out: struct vitrine_mitigations. What the entry path does against side channels on this
 *	CPU: a bit in @needed for each attack this CPU is open to, and one in @active for each
 *	that the module counters now.
 *
 * VITRINE_GET_STATS (vCPU fd)
 *	Out: struct vitrine_vcpu_stats. Counters of one vCPU since its creation. Waits while the
 *	vCPU is inside KVM_RUN in another thread. Ticks are of the host's TSC.
 *
 * VITRINE_GET_VM_ID (VM fd)
 *	Out: __u64, the number of this VM: never 0, never used again.
 *
 * VITRINE_FORBID_ATTACH (VM fd)
 *	From now on nobody attaches to this VM, and who did is cut off as if the VM were gone: when
 *	the command returns no monitor reads or changes anything any more, and no answer that came
 *	before is obeyed. It waits for a vCPU whose KVM_RUN waits for memory (userfaultfd), until a
 *	fatal signal: the thread that brings that memory must not call it. Cannot be taken back.
 *
 * VITRINE_ATTACH (device fd)
 *	In: struct vitrine_attach. Returns a monitor fd of a VM of any process: an observer's, who
 *	changes nothing; with VITRINE_ATTACH_CONTROL one that may, too; or with
 *	VITRINE_ATTACH_STEER the one that steers, and may as well. Allowed to who is the VM's
 *	creator to the kernel (file-system ids equal to the real, effective and saved ids that the
 *	creator had, all of its capabilities, the same user namespace, and to SELinux, AppArmor or
 *	Smack the same label) while the VMM is dumpable, and to CAP_SYS_ADMIN of the initial user
 *	namespace; the module's parameter "attach" (owner, root, off) narrows that. Each attempt is
 *	in the kernel log, of many in a few seconds the first: ten for each VM that let them in,
 *	ten of all that were refused. ESRCH: no VM of that number lives, or its creator is not in
 *	the caller's PID namespace (or below), and the caller has not that capability. EPERM: not
 *	allowed. EBUSY: it is steered already, or has VITRINE_MAX_MONITORS monitors. EINVAL: flags
 *	or reserved.
 *	What the one that steers can say is in vitrine_policy.h, what all can reach of the VM in
 *	vitrine_access.h.
 *	A monitor fd does not keep its VM alive: once that is gone, poll() says POLLHUP, commands
 *	that need it say ESRCH, and rings can still be read. It works in whatever process has it.
 *
 * VITRINE_MONITOR_INFO (monitor fd)
 *	Out: struct vitrine_monitor_info.
 *
 * VITRINE_RING_CREATE (monitor fd)
 *	In: struct vitrine_ring_config. From now on the exits of one vCPU are written to a ring of
 *	records that this fd can map, @map_bytes at @map_offset, shared; it lives as long as
 *	the fd does. ENOENT: no such vCPU. EEXIST: this monitor has a ring there. EINVAL: a number
 *	or a flag, named in the kernel log at debug level. ENOSPC: more than
 *	VITRINE_RINGS_MAX_BYTES for one fd. ENOMEM, also where a ring's bytes, which count as
 *	locked memory of the process that makes it, exceed RLIMIT_MEMLOCK (without CAP_IPC_LOCK).
 *
 * VITRINE_RING_FILTER (monitor fd)
 *	In: struct vitrine_ring_filter. Other exits are recorded. ENOENT: this monitor has no ring
 *	there.
 *
 * VITRINE_RING_STATE (monitor fd)
 *	In and out: struct vitrine_ring_state, the kernel's own numbers of a ring. ENOENT as above.
 *
 * Reading a ring
 *	A page with struct vitrine_ring_header, then @nr_records records, a power of two. Record
 *	number n (from 0) stands at index n modulo @nr_records; those below @head are written. Load
 *	@head with acquire semantics, read the records from your own position up to it, and store
 *	that position in @tail with release semantics.
 *	A ring that is full either waits (VITRINE_RING_STOP): what does not fit is counted in @lost.
 *	Or it goes on, and the oldest are gone: more than @nr_records are between your position and
 *	@head. Then a record can also be overwritten while you read it, so its @seq, which is n + 1,
 *	must be looked at before and after.
 *	poll() says POLLIN where a ring holds @wakeup records or more behind its @tail. A reader
 *	that polls with a time limit sees the rest, too.
 *	The kernel looks at @tail alone, and believes it nothing but how much is to be kept.
 */
#ifndef _UAPI_VITRINE_H
#define _UAPI_VITRINE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VITRINE_IOC_MAGIC	0xb7

#define VITRINE_RECORD_BYTES	256

#define VITRINE_NR_VMX_MSRS	18	/* IA32_VMX_BASIC (0x480) to IA32_VMX_VMFUNC (0x491) */

/* struct vitrine_caps.owner */
#define VITRINE_VMX_FREE	0	/* nobody is in VMX operation */
#define VITRINE_VMX_OURS	1	/* at least one VM of this module lives */
#define VITRINE_VMX_FOREIGN	2	/* CR4.VMXE is set and not by this module */

/**
 * struct vitrine_caps - what VMX offers here
 * @vmx_msr: raw values of MSRs 0x480 to 0x491 by number; 0 where the CPU has no such MSR
 * @feature_control: IA32_FEATURE_CONTROL, MSR 0x3a
 * @owner: VITRINE_VMX_*
 * @vms: living virtual machines
 * @ept_in_use: @vpid_in_use: feature used by this module (0 or 1)
 * @tpr_shadow_in_use: @apicv_in_use: likewise
 * @pml_in_use: likewise: VMs created now have writes logged by the CPU (page-modification log)
 * @reserved8: @reserved: zero
 */
struct vitrine_caps {
	__u64 vmx_msr[VITRINE_NR_VMX_MSRS];
	__u64 feature_control;
	__u32 owner;
	__u32 vms;
	__u8 ept_in_use;
	__u8 vpid_in_use;
	__u8 tpr_shadow_in_use;
	__u8 apicv_in_use;
	__u8 pml_in_use;
	__u8 reserved8[3];
	__u32 reserved[2];
};

#define VITRINE_GET_CAPS	_IOR(VITRINE_IOC_MAGIC, 0x00, struct vitrine_caps)

/* Bits of struct vitrine_mitigations. */
#define VITRINE_MIT_ITLB_MULTIHIT	(1ULL << 0)	/* huge pages not executable */
#define VITRINE_MIT_L1TF		(1ULL << 1)	/* L1D flushed before entry */
#define VITRINE_MIT_MDS			(1ULL << 2)	/* VERW last before entry */
#define VITRINE_MIT_RSB			(1ULL << 3)	/* return stack filled after exit */
#define VITRINE_MIT_BHI			(1ULL << 4)	/* branch history cleared after exit */
#define VITRINE_MIT_SPEC_CTRL		(1ULL << 5)	/* IA32_SPEC_CTRL switched */
#define VITRINE_MIT_IBPB		(1ULL << 6)	/* predictor barrier between vCPUs */
#define VITRINE_MIT_VMSCAPE		(1ULL << 7)	/* predictor barrier before the VMM */
#define VITRINE_NR_MITIGATIONS		8

/**
 * struct vitrine_mitigations - side channels: VITRINE_MIT_* bits
 * @needed: this CPU is open to the attack, and the kernel's command line did not turn the defence
 * off
 * @active: the module does what is needed; VM creation is refused while a needed bit is missing
 * here
 */
struct vitrine_mitigations {
	__u64 needed;
	__u64 active;
};

#define VITRINE_GET_MITIGATIONS	_IOR(VITRINE_IOC_MAGIC, 0x01, struct vitrine_mitigations)

#define VITRINE_STATS_NR_REASONS	80
#define VITRINE_STATS_NR_COUNTERS	32

/**
 * struct vitrine_vcpu_stats - counters of one vCPU
 * @guest_ticks: host TSC ticks spent inside the guest
 * @host_ticks: host TSC ticks inside KVM_RUN but outside the guest
 * @exit_count: exits by basic exit reason of the SDM
 * @exit_ticks: host TSC ticks from such an exit to the next entry or to the return to the VMM
 * @counter: named counters; their order and names are VITRINE_COUNTER_NAMES
 */
struct vitrine_vcpu_stats {
	__u64 guest_ticks;
	__u64 host_ticks;
	__u64 exit_count[VITRINE_STATS_NR_REASONS];
	__u64 exit_ticks[VITRINE_STATS_NR_REASONS];
	__u64 counter[VITRINE_STATS_NR_COUNTERS];
};

#define VITRINE_GET_STATS	_IOR(VITRINE_IOC_MAGIC, 0x20, struct vitrine_vcpu_stats)

#define VITRINE_GET_VM_ID	_IOR(VITRINE_IOC_MAGIC, 0x10, __u64)
#define VITRINE_FORBID_ATTACH	_IO(VITRINE_IOC_MAGIC, 0x11)

#define VITRINE_MAX_MONITORS	16
/* struct vitrine_attach.flags, struct vitrine_monitor_info.flags */
#define VITRINE_ATTACH_STEER	(1U << 0)
#define VITRINE_ATTACH_CONTROL	(1U << 1)

/**
 * struct vitrine_attach - which VM, and what for
 * @vm_id: as VITRINE_GET_VM_ID says it
 * @flags: VITRINE_ATTACH_*
 * @reserved: zero
 */
struct vitrine_attach {
	__u64 vm_id;
	__u32 flags;
	__u32 reserved;
};

#define VITRINE_ATTACH		_IOW(VITRINE_IOC_MAGIC, 0x02, struct vitrine_attach)

/**
 * struct vitrine_monitor_info - what a monitor fd is of
 * @vm_id: its VM
 * @flags: VITRINE_ATTACH_*
 * @nr_vcpus: vCPUs so far, which have the indices from 0 on
 * @nr_monitors: of the VM, this one included
 * @tsc_khz: ticks of the host's TSC in a millisecond
 * @tsc: that TSC now
 * @realtime_ns: and CLOCK_REALTIME
 */
struct vitrine_monitor_info {
	__u64 vm_id;
	__u32 flags;
	__u32 nr_vcpus;
	__u32 nr_monitors;
	__u32 tsc_khz;
	__u64 tsc;
	__u64 realtime_ns;
};

#define VITRINE_MONITOR_INFO	_IOR(VITRINE_IOC_MAGIC, 0x40, struct vitrine_monitor_info)

/* struct vitrine_ring_config.flags */
#define VITRINE_RING_STOP	(1U << 0)	/* when full, keep the old and lose the new */
#define VITRINE_RING_INSN	(1U << 1)	/* with the bytes at RIP, which costs a page walk */

#define VITRINE_RING_MAX_RECORDS	65536
#define VITRINE_RINGS_MAX_BYTES		(64U << 20)

/**
 * struct vitrine_ring_config - a ring to be made
 * @vcpu: index of the vCPU
 * @flags: VITRINE_RING_*
 * @nr_records: a power of two, 16 to VITRINE_RING_MAX_RECORDS
 * @wakeup: so many unread records make the fd readable; 0: none ever do
 * @reasons: exits that are recorded, a bit for each basic exit reason of the SDM; those above 127
 * always are
 * @vcpu_id: out: the id that the VMM gave this vCPU
 * @map_bytes: @map_offset: out: for mmap()
 * @reserved: zero
 */
struct vitrine_ring_config {
	__u32 vcpu;
	__u32 flags;
	__u32 nr_records;
	__u32 wakeup;
	__u64 reasons[2];
	__u32 vcpu_id;
	__u32 map_bytes;
	__u64 map_offset;
	__u64 reserved[2];
};

#define VITRINE_RING_CREATE	_IOWR(VITRINE_IOC_MAGIC, 0x41, struct vitrine_ring_config)

/**
 * struct vitrine_ring_filter - what a ring records from now on
 * @vcpu: index of the vCPU
 * @reserved: zero
 * @reasons: as in struct vitrine_ring_config
 */
struct vitrine_ring_filter {
	__u32 vcpu;
	__u32 reserved;
	__u64 reasons[2];
};

#define VITRINE_RING_FILTER	_IOW(VITRINE_IOC_MAGIC, 0x42, struct vitrine_ring_filter)

/**
 * struct vitrine_ring_state - the kernel's numbers of a ring
 * @vcpu: in: index of the vCPU
 * @reserved: zero
 * @head: records written so far
 * @lost: records that found the ring full
 */
struct vitrine_ring_state {
	__u32 vcpu;
	__u32 reserved;
	__u64 head;
	__u64 lost;
};

#define VITRINE_RING_STATE	_IOWR(VITRINE_IOC_MAGIC, 0x43, struct vitrine_ring_state)

/**
 * struct vitrine_ring_header - the first page of a mapped ring
 * @record_bytes: VITRINE_RECORD_BYTES
 * @nr_records: a power of two
 * @flags: VITRINE_RING_*
 * @vcpu: @vcpu_id: index and id of the vCPU
 * @head: records written so far
 * @lost: records that found the ring full
 * @tail: the reader's: records read so far
 * @reserved0: @reserved1: @reserved2: nothing; @head and @tail have a cache line each
 */
struct vitrine_ring_header {
	__u32 record_bytes;
	__u32 nr_records;
	__u32 flags;
	__u32 vcpu;
	__u32 vcpu_id;
	__u32 reserved0[11];
	__u64 head;
	__u64 lost;
	__u64 reserved1[6];
	__u64 tail;
	__u64 reserved2[7];
};

/* struct vitrine_record.mode */
#define VITRINE_RECORD_16BIT	0
#define VITRINE_RECORD_32BIT	1
#define VITRINE_RECORD_64BIT	2

/**
 * struct vitrine_record - one exit, as the guest was before it was handled
 * @seq: number of the record, from 1; 0 while it is being written
 * @reason: exit reason, with its flag bits
 * @intr_info: VM-exit interruption information of exceptions and NMIs, else 0
 * @qualification: exit qualification
 * @gpa: guest-physical address of an EPT violation or misconfiguration, else 0
 * @rip: @rflags: @cr3: the guest's
 * @entry_tsc: the host's TSC before the guest was entered, and
 * @exit_tsc: when it was left again; on most machines a sleep (S3) of the host's starts it anew
 * @handler_ticks: what handling it took in the kernel, without recording it
 * @regs: by their number in instructions: RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15
 * @insn: bytes at RIP, with VITRINE_RING_INSN
 * @nr_insn: how many of them could be read
 * @cpu: host CPU
 * @vectoring_info: IDT-vectoring information
 * @result: 1: back to the guest; 0: to the VMM; else a negative errno of KVM_RUN
 * @error_code: of an exception that has one, else 0
 * @code_base: base of CS, to be added to @rip; 0 in 64-bit mode
 * @mode: VITRINE_RECORD_*BIT: of the code
 * @cpl: current privilege level
 * @insn_len: length of the instruction, where the processor told it with the exit
 * @reserved: zero
 */
struct vitrine_record {
	__u64 seq;
	__u32 reason;
	__u32 intr_info;
	__u64 qualification;
	__u64 gpa;
	__u64 rip;
	__u64 rflags;
	__u64 cr3;
	__u64 entry_tsc;
	__u64 exit_tsc;
	__u64 handler_ticks;
	__u64 regs[16];
	__u8 insn[15];
	__u8 nr_insn;
	__u32 cpu;
	__u32 vectoring_info;
	__s32 result;
	__u32 error_code;
	__u64 code_base;
	__u8 mode;
	__u8 cpl;
	__u8 insn_len;
	__u8 reserved[5];
};

/* Names of vitrine_vcpu_stats.counter[], in order, separated by commas; the rest are zero. */
#define VITRINE_COUNTER_NAMES	\
	"runs,user_exits,signal_exits,halts,halt_ticks,irq_injected,nmi_injected," \
	"exceptions_injected,mem_faults,mem_fault_retries,insn_decoded,tlb_flushes,preemptions," \
	"hypercalls,halt_attempted_poll,halt_successful_poll,halt_poll_success_ns," \
	"halt_poll_fail_ns,dirty_ring_dropped"

#endif
