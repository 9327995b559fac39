/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * Exit policy: which exits of a VM a control tool hears of, and what it answers. Commands of a
 * steering monitor's fd, see vitrine.h for how one is had.
 *
 * All structures have fixed-width members and no implicit padding; reserved members must be zero.
 *
 * A rule names a class of what a guest does, a range of it, and an action. Rules are tried in the
 * order in which they were given, and the first that fits decides. What no rule fits goes its usual
 * way, and a class that no rule names is not intercepted on the policy's account.
 *
 *	class			key			sub		value
 *	VITRINE_ON_CPUID	leaf			subleaf		-
 *	VITRINE_ON_RDMSR	number			-		-
 *	VITRINE_ON_WRMSR	number			-		new value
 *	VITRINE_ON_IN		port			bytes: 1, 2, 4	-
 *	VITRINE_ON_OUT		port			bytes: 1, 2, 4	what is written
 *	VITRINE_ON_CR_READ	3 or 8			-		-
 *	VITRINE_ON_CR_WRITE	0, 3, 4 or 8		-		bits that change
 *	VITRINE_ON_EXCEPTION	vector, see below	-		error code, or 0
 *	VITRINE_ON_HYPERCALL	number in RAX		-		-
 *	VITRINE_ON_HLT		0			-		-
 *	VITRINE_ON_RDTSC	0: RDTSC, 1: RDTSCP	-		the guest's TSC, which
 *								no rule can ask for
 *	VITRINE_ON_XSETBV	register		-		new value
 *	VITRINE_ON_INVLPG	linear address		-		-
 *	VITRINE_ON_INVPCID	type			-		linear address of
 *								the descriptor
 *	VITRINE_ON_RDPMC	ECX			-		-
 *	VITRINE_ON_RDRAND	bytes: 2, 4, 8		-		-
 *	VITRINE_ON_RDSEED	bytes: 2, 4, 8		-		-
 *	VITRINE_ON_WBINVD	0: WBINVD, 1: INVD	-		-
 *	VITRINE_ON_PAUSE	0			-		-
 *	VITRINE_ON_MONITOR	0: MONITOR, 1: MWAIT	-		-
 *	VITRINE_ON_VMX		basic exit reason	-		-
 *	VITRINE_ON_DR_READ	register		-		-
 *	VITRINE_ON_DR_WRITE	register		-		what is written
 *	VITRINE_ON_MMIO_READ	guest-physical address	bytes: 1 to 8	-
 *	VITRINE_ON_MMIO_WRITE	guest-physical address	bytes: 1 to 8	what is written
 *	VITRINE_ON_TABLE_LOAD	0: GDTR, 1: IDTR,	-		-
 *				2: LDTR, 3: TR
 *	VITRINE_ON_TABLE_STORE	likewise		-		-
 *	VITRINE_ON_INTERRUPT	vector			-		-
 *	VITRINE_ON_STEP		RIP			-		-
 *
 * Exceptions are the faults 0, 5 to 7, 10 to 14, 16, 17 and 19 and, of traps, #DB (1; the value is
 * what it sets of DR6), #BP (3, INT3) and #OF (4, INTO). What the VMM asked for with
 * KVM_SET_GUEST_DEBUG is the VMM's and no event, nor is an #AC of the host's that tells of a split
 * lock. NMI, #DF and #MC are none. VITRINE_ON_VMX are the VMX instructions but VMCALL; they are
 * undefined for a guest. Strings (INS, OUTS) count as one IN or OUT and have no value. A CR write
 * fits if one of the bits of @mask changes (0: any write); for the others (value & mask) must be
 * equal to @match. CR8 is seen only where the guest's writes to it exit (module parameter
 * tpr_shadow=0), and what the processor does of the APIC (apicv=1) is not seen as MSRs.
 *
 * The MMIO classes are of accesses to addresses that are no memory, an event each, before a device
 * in the kernel or of the VMM's hears of them: an instruction may make several, and one of more
 * than eight bytes or over the end of a page comes in pieces. VITRINE_DONE with VITRINE_ADVANCE is
 * about the access: a write that reaches nobody, or a read of the answer's value, and the
 * instruction goes on; a read without a value ends the instruction, which has done nothing.
 *
 * VITRINE_ON_INTERRUPT is an external interrupt about to be injected, with its controller
 * acknowledged; RIP is where it interrupts. VITRINE_DONE ends it in the controller without the
 * guest's hearing of it; one of a level that stays asserted comes again, and one that the VMM's own
 * PIC sent is dropped. VITRINE_DO_TELL tells right before the entry that delivers it. It is no
 * exit: @reason is 0 and there is nothing to observe. While a rule names the class the processor
 * does not deliver by itself (apicv=1).
 *
 * VITRINE_ON_STEP is after each instruction that the processor executes, with RIP at the next one,
 * by the monitor trap flag: not after one that exits and is done by software.
 *
 * VITRINE_DO_OBSERVE is for what comes too often to be asked about: the exit is recorded in the
 * steering monitor's ring of that vCPU (VITRINE_RING_CREATE in vitrine.h) whether or not the ring's
 * own reasons have it, and nobody waits. A ring whose reasons are 0 has what the rules name and
 * nothing else.
 *
 * VITRINE_SET_POLICY
 *	In: struct vitrine_policy with @nr rules behind it. Takes the place of all rules there were;
 *	@nr 0 ends the policy. Returns when every vCPU goes by the new rules; an event that waits
 *	for its answer goes on waiting. E2BIG above VITRINE_MAX_RULES, EINVAL with a line in the
 *	kernel log at debug level that names the field, EOPNOTSUPP with one that names the class
 *	where this CPU cannot let it exit, EPERM on an observer's fd.
 *
 * VITRINE_NEXT_EVENT
 *	Out: struct vitrine_exit_event, the one that has waited longest and was not fetched yet.
 *	EAGAIN if there is none: poll() for POLLIN. An event's vCPU waits in its KVM_RUN; several
 *	may wait, one a vCPU.
 *
 * VITRINE_ANSWER
 *	In: struct vitrine_answer. ENOENT if that event does not wait any more: its time was over,
 *	or the VMM changed the vCPU's registers meanwhile, and the guest will do it anew. EINVAL for
 *	what the guest cannot take: a RIP that is no address, or with VITRINE_ADVANCE another than
 *	the event's; an error code with the wrong exception; a value where none can be.
 *
 *	VITRINE_SET_VALUE, on an event that has VITRINE_EVENT_VALUE: with VITRINE_DONE and
 *	VITRINE_ADVANCE @value is what RDMSR, IN, RDTSC, RDPMC, RDRAND, RDSEED, a read of a control
 *	or debug register or of a device's memory reads, in its own width, and the instruction is
 *	done. With VITRINE_GO_ON it is what WRMSR, OUT, XSETBV, a write of a debug register or to a
 *	device's memory writes; the guest's registers stay.
 *
 *	VITRINE_SET_REGS after VITRINE_DO_TELL: an exception that the instruction has raised, or the
 *	trap of a single step, comes as it would; with another RIP than the event's it does not.
 *
 * VITRINE_SET_TIMEOUT
 *	In: __u32 milliseconds, 1 to 3,600,000 (30,000 until set; EINVAL: out of that range). An
 *	event that is not answered by then goes its usual way.
 *
 * A signal, or immediate_exit, ends the VMM's KVM_RUN with EINTR while an event waits; the event
 * stays and is waited for by the next KVM_RUN, unless the VMM has changed registers meanwhile:
 * general, segment, table, control or debug registers. To write those that there were is no change.
 * If the monitor's fd is closed every vCPU goes on.
 */
#ifndef _UAPI_VITRINE_POLICY_H
#define _UAPI_VITRINE_POLICY_H

#include <linux/ioctl.h>
#include <linux/types.h>

#include "vitrine.h"

#define VITRINE_MAX_RULES	4096

/* struct vitrine_rule.on */
#define VITRINE_ON_CPUID	1
#define VITRINE_ON_RDMSR	2
#define VITRINE_ON_WRMSR	3
#define VITRINE_ON_IN		4
#define VITRINE_ON_OUT		5
#define VITRINE_ON_CR_READ	6
#define VITRINE_ON_CR_WRITE	7
#define VITRINE_ON_EXCEPTION	8
#define VITRINE_ON_HYPERCALL	9
#define VITRINE_ON_HLT		10
#define VITRINE_ON_RDTSC	11
#define VITRINE_ON_XSETBV	12
#define VITRINE_ON_INVLPG	13
#define VITRINE_ON_INVPCID	14
#define VITRINE_ON_RDPMC	15
#define VITRINE_ON_RDRAND	16
#define VITRINE_ON_RDSEED	17
#define VITRINE_ON_WBINVD	18
#define VITRINE_ON_PAUSE	19
#define VITRINE_ON_MONITOR	20
#define VITRINE_ON_VMX		21
#define VITRINE_ON_DR_READ	22
#define VITRINE_ON_DR_WRITE	23
#define VITRINE_ON_MMIO_READ	24
#define VITRINE_ON_MMIO_WRITE	25
#define VITRINE_ON_TABLE_LOAD	26
#define VITRINE_ON_TABLE_STORE	27
#define VITRINE_ON_INTERRUPT	28
#define VITRINE_ON_STEP		29
#define VITRINE_NR_ON		30

/* struct vitrine_rule.action */
#define VITRINE_DO_NOTHING	0	/* its usual way: an exception to a later rule */
#define VITRINE_DO_ASK		1	/* an event before the usual handling */
#define VITRINE_DO_TELL		2	/* an event after it */
#define VITRINE_DO_OBSERVE	3	/* no event: a record in the monitor's rings */

#define VITRINE_ALL_VCPUS	0xffffffffU

/**
 * struct vitrine_rule - see the table above
 * @on: VITRINE_ON_*
 * @action: VITRINE_DO_*
 * @vcpu: id of one vCPU, or VITRINE_ALL_VCPUS
 * @reserved: zero
 * @first: @last: range of the key, both included
 * @sub_first: @sub_last: likewise of the second key; 0 and ~0 where there is none
 * @mask: @match: of the value
 */
struct vitrine_rule {
	__u32 on;
	__u32 action;
	__u32 vcpu;
	__u32 reserved;
	__u64 first;
	__u64 last;
	__u64 sub_first;
	__u64 sub_last;
	__u64 mask;
	__u64 match;
};

/**
 * struct vitrine_policy - for VITRINE_SET_POLICY
 * @nr: rules that follow
 * @reserved: zero
 * @rules: in the order in which they are tried
 */
struct vitrine_policy {
	__u32 nr;
	__u32 reserved;
	struct vitrine_rule rules[];
};

/**
 * struct vitrine_guest_regs - registers of the guest in an event and an answer
 */
struct vitrine_guest_regs {
	__u64 rax, rcx, rdx, rbx; /* in the order of their encoding */
	__u64 rsp, rbp, rsi, rdi;
	__u64 r8, r9, r10, r11;
	__u64 r12, r13, r14, r15;
	__u64 rip, rflags;
};

/* struct vitrine_exit_event.flags */
#define VITRINE_EVENT_AFTER	(1U << 0)	/* VITRINE_DO_TELL: it is done */
#define VITRINE_EVENT_VALUE	(1U << 1)	/* the answer may have VITRINE_SET_VALUE */

/**
 * struct vitrine_exit_event - something a rule asked to hear of
 * @seq: names it in the answer; never reused within a VM
 * @vcpu: id of the vCPU
 * @on: VITRINE_ON_*
 * @flags: VITRINE_EVENT_*
 * @rule: index of the rule that wanted it, among those of VITRINE_SET_POLICY
 * @insn_len: bytes of the instruction; 0 for an exception, but for INT1, INT3 and INTO
 * @reserved: zero
 * @key: @sub: @value: as in the table above
 * @reason: @qualification: the raw exit
 * @tsc: host TSC right after the exit; where that starts anew in the host's sleep, as if it always
 *	had been so, maybe below zero
 * @cr0: @cr3: @cr4: @efer: control registers as the guest sees them
 * @regs: general registers, RIP at the instruction (behind it after VITRINE_DO_TELL)
 */
struct vitrine_exit_event {
	__u64 seq;
	__u32 vcpu;
	__u32 on;
	__u32 flags;
	__u32 insn_len;
	__u32 rule;
	__u32 reserved;
	__u64 key;
	__u64 sub;
	__u64 value;
	__u64 reason;
	__u64 qualification;
	__u64 tsc;
	__u64 cr0;
	__u64 cr3;
	__u64 cr4;
	__u64 efer;
	struct vitrine_guest_regs regs;
};

/* struct vitrine_answer.verdict */
#define VITRINE_GO_ON		0	/* the usual handling */
#define VITRINE_DONE		1	/* nothing more; VITRINE_ADVANCE: the next instruction */
#define VITRINE_INJECT		2	/* an exception in place of it */

/* struct vitrine_answer.flags */
#define VITRINE_SET_REGS	(1U << 0)	/* @regs is written first */
#define VITRINE_ADVANCE		(1U << 1)	/* with VITRINE_DONE */
#define VITRINE_HAS_ERROR	(1U << 2)	/* with VITRINE_INJECT: @error_code */
#define VITRINE_SET_VALUE	(1U << 3)	/* @value is what is read, or written */

/**
 * struct vitrine_answer - for VITRINE_ANSWER
 * @seq: of the event
 * @verdict: VITRINE_GO_ON, _DONE, _INJECT; after VITRINE_DO_TELL the first only
 * @flags: VITRINE_SET_REGS, _ADVANCE, _HAS_ERROR, _SET_VALUE
 * @vector: with VITRINE_INJECT: of the exception, 0 to 31 but not 2 (NMI)
 * @error_code: with VITRINE_HAS_ERROR, 15 bits; for the vectors that have one: 8, 10 to 14, 17
 * @cr2: with VITRINE_INJECT of vector 14
 * @value: with VITRINE_SET_VALUE, otherwise 0
 * @regs: with VITRINE_SET_REGS; of RFLAGS only what POPF at CPL 0 could change
 */
struct vitrine_answer {
	__u64 seq;
	__u32 verdict;
	__u32 flags;
	__u32 vector;
	__u32 error_code;
	__u64 cr2;
	__u64 value;
	struct vitrine_guest_regs regs;
};

/* What an answer may change of RFLAGS: all that POPF can at CPL 0, and RF. */
#define VITRINE_ANSWER_RFLAGS	0x257fd5ULL

#define VITRINE_SET_POLICY	_IOW(VITRINE_IOC_MAGIC, 0x60, struct vitrine_policy)
#define VITRINE_NEXT_EVENT	_IOR(VITRINE_IOC_MAGIC, 0x61, struct vitrine_exit_event)
#define VITRINE_ANSWER		_IOW(VITRINE_IOC_MAGIC, 0x62, struct vitrine_answer)
#define VITRINE_SET_TIMEOUT	_IOW(VITRINE_IOC_MAGIC, 0x63, __u32)

#endif
