/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * Vitrine's generic netlink family: which VMs and vCPUs there are, what they count, and what
 * happens to them. It only shows; nothing here changes a VM.
 *
 * Requests carry attributes of enum vitrine_nl_attr and nothing that the command does not name
 * (-EINVAL otherwise). Answers may grow new attributes: a reader skips those that it does not know.
 * Numbers are in the host's byte order.
 *
 * VITRINE_NL_CMD_GET_VM
 *	As a dump: a message for each VM, in the order of ids, which are never used again.
 *	Otherwise the VM that VM_ID names. Answer: VM_ID, VM_NAME, VM_STATE, OWNER_PID,
 *	OWNER_UID, AGE_NS, NR_VCPUS, MEMORY_BYTES, TABLE_BYTES.
 *
 * VITRINE_NL_CMD_GET_VCPU
 *	A dump: a message for each vCPU, of the VM that VM_ID names or of all. Answer: VM_ID,
 *	VCPU_ID, VCPU_STATE, CPU (while it is loaded on one); once it has run THREAD, EXIT_REASON
 *	and EXIT_QUALIFICATION of its last exit.
 *
 * VITRINE_NL_CMD_GET_STATS
 *	The same with what each vCPU has counted since its creation. Answer: VM_ID, VCPU_ID,
 *	COUNTERS, GUEST_TICKS, HOST_TICKS, REASONS. A vCPU counts on while it is read.
 *
 * VITRINE_NL_CMD_GET_CAPS
 *	Answer: COUNTER_NAMES, EVENTS, TSC_KHZ, NR_VMS (all of the host's).
 *
 * VITRINE_NL_CMD_EVENT
 *	Never a request: a message to the members of the multicast group VITRINE_NL_GROUP_LIFE.
 *	EVENT says what happened; VM_ID, VM_NAME, OWNER_PID, OWNER_UID; VCPU_ID where it is about
 *	one; EXIT_REASON and DETAIL where EVENT says so. Of what is not about a VM's or vCPU's
 *	coming or going, a hundred messages a second are sent for each VM; what is more is dropped,
 *	so GET_VM has the last word on whether one is paused.
 *
 * VITRINE_NL_CMD_SAMPLE
 *	As a request, with INTERVAL_MS (100 to 60000): from now on the members of the multicast
 *	group VITRINE_NL_GROUP_STATS get what GET_STATS answers, for every vCPU, at that interval;
 *	with TIME_NS. Who asks last decides for all. It ends when the group is empty, and who
 *	joins then asks again. It takes CAP_SYS_ADMIN, and goes to the first network namespace.
 *
 * Who sees what: a VM is there for a requester in whose PID namespace its creator is, who is the
 * creator's user (real, effective and saved id at the VM's creation) or has CAP_SYS_PTRACE in a
 * user namespace above the creator's. A dump goes by who asked for it, whoever reads it. What is
 * not there for the requester is -ENOENT, as what does not exist. Joining a group takes
 * CAP_SYS_ADMIN (-EPERM); events go to the network namespace of the VM's creator and to the first
 * one.
 *
 * A VM that comes or goes during a dump may or may not be in it; every other VM is, once.
 */
#ifndef _UAPI_VITRINE_NETLINK_H
#define _UAPI_VITRINE_NETLINK_H

#include <linux/types.h>

#define VITRINE_NL_FAMILY	"vitrine"
#define VITRINE_NL_VERSION	1
#define VITRINE_NL_GROUP_LIFE	"life"
#define VITRINE_NL_GROUP_STATS	"stats"

enum vitrine_nl_cmd {
	VITRINE_NL_CMD_UNSPEC,
	VITRINE_NL_CMD_GET_VM,
	VITRINE_NL_CMD_GET_VCPU,
	VITRINE_NL_CMD_GET_STATS,
	VITRINE_NL_CMD_GET_CAPS,
	VITRINE_NL_CMD_EVENT,
	VITRINE_NL_CMD_SAMPLE,
};

/**
 * enum vitrine_nl_attr - attributes, the same for all commands
 * @VITRINE_NL_A_UNSPEC: none
 * @VITRINE_NL_A_PAD: filler before 64-bit values
 * @VITRINE_NL_A_VM_ID: u64
 * @VITRINE_NL_A_VM_NAME: string: the creator's command name. Any byte may be in it.
 * @VITRINE_NL_A_VM_STATE: u32, enum vitrine_nl_vm_state
 * @VITRINE_NL_A_OWNER_PID: u32: the creator's process, as the requester's PID namespace knows it
 * @VITRINE_NL_A_OWNER_UID: u32: its real user, as the requester's user namespace knows it
 * @VITRINE_NL_A_AGE_NS: u64, time since creation, that in suspend included
 * @VITRINE_NL_A_NR_VCPUS: u32
 * @VITRINE_NL_A_MEMORY_BYTES: u64: what the memory slots span
 * @VITRINE_NL_A_TABLE_BYTES: u64: second-level page tables
 * @VITRINE_NL_A_VCPU_ID: u32: the VMM's number, the initial APIC id
 * @VITRINE_NL_A_VCPU_STATE: u32, enum vitrine_nl_vcpu_state
 * @VITRINE_NL_A_THREAD: u32: the thread that runs it, as the requester's PID namespace knows it
 * @VITRINE_NL_A_CPU: u32
 * @VITRINE_NL_A_EXIT_REASON: u32, with flag bits: the SDM's "Exit Reason"
 * @VITRINE_NL_A_EXIT_QUALIFICATION: u64
 * @VITRINE_NL_A_COUNTERS: array of u64, in the order of COUNTER_NAMES
 * @VITRINE_NL_A_GUEST_TICKS: u64, host TSC ticks inside the guest
 * @VITRINE_NL_A_HOST_TICKS: u64, host TSC ticks inside KVM_RUN but outside the guest
 * @VITRINE_NL_A_REASONS: array of struct vitrine_nl_reason: those that occurred
 * @VITRINE_NL_A_COUNTER_NAMES: string: names separated by commas
 * @VITRINE_NL_A_EVENTS: u64: bit (1 << n) for each event n that can come
 * @VITRINE_NL_A_TSC_KHZ: u32: of the host's TSC
 * @VITRINE_NL_A_NR_VMS: u32
 * @VITRINE_NL_A_EVENT: u32, enum vitrine_nl_event
 * @VITRINE_NL_A_DETAIL: u64
 * @VITRINE_NL_A_INTERVAL_MS: u32
 * @VITRINE_NL_A_TIME_NS: u64, CLOCK_MONOTONIC
 */
enum vitrine_nl_attr {
	VITRINE_NL_A_UNSPEC,
	VITRINE_NL_A_PAD,
	VITRINE_NL_A_VM_ID,
	VITRINE_NL_A_VM_NAME,
	VITRINE_NL_A_VM_STATE,
	VITRINE_NL_A_OWNER_PID,
	VITRINE_NL_A_OWNER_UID,
	VITRINE_NL_A_AGE_NS,
	VITRINE_NL_A_NR_VCPUS,
	VITRINE_NL_A_MEMORY_BYTES,
	VITRINE_NL_A_TABLE_BYTES,
	VITRINE_NL_A_VCPU_ID,
	VITRINE_NL_A_VCPU_STATE,
	VITRINE_NL_A_THREAD,
	VITRINE_NL_A_CPU,
	VITRINE_NL_A_EXIT_REASON,
	VITRINE_NL_A_EXIT_QUALIFICATION,
	VITRINE_NL_A_COUNTERS,
	VITRINE_NL_A_GUEST_TICKS,
	VITRINE_NL_A_HOST_TICKS,
	VITRINE_NL_A_REASONS,
	VITRINE_NL_A_COUNTER_NAMES,
	VITRINE_NL_A_EVENTS,
	VITRINE_NL_A_TSC_KHZ,
	VITRINE_NL_A_NR_VMS,
	VITRINE_NL_A_EVENT,
	VITRINE_NL_A_DETAIL,
	VITRINE_NL_A_INTERVAL_MS,
	VITRINE_NL_A_TIME_NS,
	VITRINE_NL_NR_ATTRS,	/* no attribute: one more than the last */
};

enum vitrine_nl_vm_state {
	VITRINE_NL_VM_IDLE,	/* no vCPU is inside KVM_RUN */
	VITRINE_NL_VM_RUNNING,
	VITRINE_NL_VM_DEAD,	/* a VMX instruction failed: every ioctl gives -EIO */
	VITRINE_NL_VM_PAUSED,	/* by a monitor; vCPUs may be inside KVM_RUN, none in the guest */
};

enum vitrine_nl_vcpu_state {
	VITRINE_NL_VCPU_OUT,		/* not inside KVM_RUN: its VMM is at work, or not */
	VITRINE_NL_VCPU_GUEST,		/* the guest runs */
	VITRINE_NL_VCPU_KERNEL,		/* an exit is handled */
	VITRINE_NL_VCPU_WAITING,	/* its thread has no CPU: preempted, or memory is awaited */
	VITRINE_NL_VCPU_HALTED,		/* the guest waits for an interrupt */
	VITRINE_NL_VCPU_NOT_STARTED,	/* another vCPU of the guest has yet to start it */
};

/**
 * enum vitrine_nl_event - what happened
 * @VITRINE_NL_EVENT_VM_CREATED: and can be found
 * @VITRINE_NL_EVENT_VM_GONE: the last message about it
 * @VITRINE_NL_EVENT_VCPU_CREATED: VCPU_ID says which
 * @VITRINE_NL_EVENT_VCPU_GONE: all go with their VM, before it
 * @VITRINE_NL_EVENT_SHUTDOWN: KVM_EXIT_SHUTDOWN: triple fault
 * @VITRINE_NL_EVENT_ENTRY_FAILURE: KVM_EXIT_FAIL_ENTRY: the processor refused the guest's state;
 *	EXIT_REASON is its reason
 * @VITRINE_NL_EVENT_INTERNAL_ERROR: KVM_EXIT_INTERNAL_ERROR: DETAIL is the suberror
 * @VITRINE_NL_EVENT_MONITOR_ATTACHED: a control tool watches or steers it; DETAIL is the flags of
 *	its VITRINE_ATTACH
 * @VITRINE_NL_EVENT_MONITOR_DETACHED: not any more, DETAIL likewise; not sent for those that the VM
 *	leaves behind
 * @VITRINE_NL_EVENT_PAUSED: by a control tool, or by its VMM before it began
 * @VITRINE_NL_EVENT_RESUMED: and nobody has it paused any more
 * @VITRINE_NL_NR_EVENTS: no event: one more than the last
 */
enum vitrine_nl_event {
	VITRINE_NL_EVENT_VM_CREATED,
	VITRINE_NL_EVENT_VM_GONE,
	VITRINE_NL_EVENT_VCPU_CREATED,
	VITRINE_NL_EVENT_VCPU_GONE,
	VITRINE_NL_EVENT_SHUTDOWN,
	VITRINE_NL_EVENT_ENTRY_FAILURE,
	VITRINE_NL_EVENT_INTERNAL_ERROR,
	VITRINE_NL_EVENT_MONITOR_ATTACHED,
	VITRINE_NL_EVENT_MONITOR_DETACHED,
	VITRINE_NL_EVENT_PAUSED,
	VITRINE_NL_EVENT_RESUMED,
	VITRINE_NL_NR_EVENTS,
};

/**
 * struct vitrine_nl_reason - exits of one reason
 * @reason: basic exit reason of the SDM
 * @reserved: zero
 * @count: how many
 * @ticks: host TSC ticks from such an exit to the next entry or to the return to the VMM
 */
struct vitrine_nl_reason {
	__u32 reason;
	__u32 reserved;
	__u64 count;
	__u64 ticks;
};

#endif
