/* SPDX-License-Identifier: GPL-2.0 */
/* struct vitrine_vcpu: one virtual CPU, behind one vCPU fd. Tags as in vm.h. */
#ifndef VITRINE_VCPU_H
#define VITRINE_VCPU_H

#include <linux/kvm.h>
#include <linux/kvm_types.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rcuwait.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <asm/fpu/types.h>

#include "dirty_ring.h"
#include "event.h"
#include "fetch.h"
#include "insn.h"
#include "linear.h"
#include "mmu.h"
#include "msr.h"
#include "pv.h"
#include "stats.h"

struct file;
struct vitrine_ask;
struct vitrine_cpuid;
struct vitrine_lapic;
struct vitrine_vm;

/*
 * Index into vcpu->regs: the encoding of ModRM and of exit qualifications, then what hardware keeps
 * aside.
 */
enum vitrine_reg {
	VITRINE_REG_RAX, VITRINE_REG_RCX, VITRINE_REG_RDX, VITRINE_REG_RBX,
	VITRINE_REG_RSP, VITRINE_REG_RBP, VITRINE_REG_RSI, VITRINE_REG_RDI,
	VITRINE_REG_R8, VITRINE_REG_R9, VITRINE_REG_R10, VITRINE_REG_R11,
	VITRINE_REG_R12, VITRINE_REG_R13, VITRINE_REG_R14, VITRINE_REG_R15,
	VITRINE_REG_RIP, VITRINE_REG_RFLAGS,
	VITRINE_NR_REGS
};

/* Bit of vcpu->regs_avail and regs_dirty, and argument of backend->cache_reg, for vcpu->pdptrs. */
#define VITRINE_CACHE_PDPTRS	VITRINE_NR_REGS

/* Segment registers in the order of the Sreg encoding, then the system ones. */
enum vitrine_seg_reg {
	VITRINE_SEG_ES,
	VITRINE_SEG_CS,
	VITRINE_SEG_SS,
	VITRINE_SEG_DS,
	VITRINE_SEG_FS,
	VITRINE_SEG_GS,
	VITRINE_SEG_TR,
	VITRINE_SEG_LDTR,
	VITRINE_NR_SEGS
};

/* Requests: bits of vcpu->requests, served by run.c before the next entry. */
enum vitrine_request {
	VITRINE_REQ_TLB_FLUSH, /* second-level translations changed */
	VITRINE_REQ_EVENT, /* look again at interrupts, exceptions, NMI */
	VITRINE_REQ_NMI, /* vcpu->nmi_queued NMIs came from elsewhere */
	VITRINE_REQ_APIC_EVENT, /* INIT or SIPI arrived */
	VITRINE_REQ_TRIPLE_FAULT, /* end with KVM_EXIT_SHUTDOWN */
	VITRINE_REQ_EOI_EXIT, /* vcpu->eoi_vector was ended: KVM_EXIT_IOAPIC_EOI (split irqchip) */
	VITRINE_REQ_TPR_ACCESS, /* the guest touched TPR, and the VMM wants to know */
	VITRINE_REQ_EXCEPTIONS, /* other exceptions exit */
	VITRINE_REQ_MSR_FILTER, /* the VM's MSR filter is another one */
	VITRINE_REQ_DEBUG_EXIT, /* a step or breakpoint of the VMM's: KVM_EXIT_DEBUG */
	VITRINE_REQ_CLOCK, /* the kvmclock page is out of date */
	VITRINE_REQ_TSC, /* vcpu->tsc_offset is another one */
	VITRINE_REQ_STEAL, /* so is the page of MSR_KVM_STEAL_TIME */
	VITRINE_REQ_DIRTY_RING, /* the ring may be full: KVM_EXIT_DIRTY_RING_FULL */
	VITRINE_REQ_LOG_MODE, /* hardware begins or ends to log writes */
	VITRINE_REQ_ASK, /* vcpu->ask waits for a monitor's answer, or is to be told */
	VITRINE_REQ_POLICY, /* the VM's exit policy is another one */
	VITRINE_REQ_CALL, /* a monitor has something for this thread to do: vcpu->calls */
	VITRINE_REQ_PAUSE, /* the VM may be paused */
	VITRINE_REQ_KICK, /* nothing but: come out once */
	VITRINE_NR_REQUESTS
};

/* vcpu->mode: who must be kicked by an IPI. Only IN_GUEST needs one. */
enum { VITRINE_OUTSIDE_GUEST, VITRINE_IN_GUEST };

/**
 * struct vitrine_exit - facts of the last exit, in the vendor's own words
 * @reason: basic exit reason with its flag bits
 * @slot: index of its counters
 * @qualification: exit qualification
 * @intr_info: VM-exit interruption information, where the reason has one
 * @vectoring_info: IDT-vectoring information
 * @entry_tsc: host TSC right before the entry
 * @tsc: host TSC right after the exit
 */
struct vitrine_exit {
	u32 reason;
	u32 slot;
	u32 intr_info;
	u32 vectoring_info;
	u64 qualification;
	u64 entry_tsc;
	u64 tsc;
};

/* Debug registers [v]. */
struct vitrine_debug_regs {
	u64 dr[4];		/* what the guest sees in DR0-3 */
	u64 dr6;
	u64 dr7;
	u32 guest_debug;	/* KVM_GUESTDBG_* of the VMM */
	u64 guest_dr[4];	/* the VMM's breakpoints, while KVM_GUESTDBG_USE_HW_BP */
	u64 guest_dr7;
	u64 exit_dr6;		/* for VITRINE_REQ_DEBUG_EXIT: what happened, in DR6's bits */
	bool active;		/* a breakpoint is enabled: DR0-3 are loaded before each entry */
};

#define VITRINE_RUN_PAGES	3	/* kvm_run, PIO data, coalesced ring (the VM's) */

struct vitrine_vcpu {
	struct vitrine_vm *vm;			/* [I] */
	u32 id;					/* [I] the VMM's: the initial APIC id */
	u32 index;				/* [I] place in vm->vcpus */
	struct mutex mutex;
	struct page *run_pages[VITRINE_RUN_PAGES];	/* [I] the mmapped run area */
	struct kvm_run *run; /* [I] first of them; the VMM may write it at any time */
	void *pio_data;				/* [I] second */

	int cpu;				/* [c] where loaded, or -1 */
	int mode;				/* [a] VITRINE_IN_GUEST ... */
	unsigned long requests;			/* [a] */
	struct rcuwait wait;			/* [a] a halted vCPU sleeps here */
	struct preempt_notifier preempt_notifier;	/* [v] */
	bool in_run;				/* [v] the guest's FPU registers are in the CPU */
	unsigned long rcu_noted_jiffies; /* [v] when RCU last heard that this CPU ran a guest */

	u64 regs[VITRINE_NR_REGS];		/* [v] valid where regs_avail says so */
	u32 regs_avail;				/* [v] */
	u32 regs_dirty;				/* [v] to be written back before entry */
	u64 cr0; /* [v] as the guest sees them, but for guest-owned bits: backend->get_cr0() */
	u64 cr2;				/* [v] */
	u64 cr3; /* [v] last value set by software; the guest owns CR3: backend->get_cr3() */
	u64 cr4;				/* [v] */
	u64 pdptrs[4]; /* [v] PAE paging; valid where regs_avail has VITRINE_CACHE_PDPTRS */
	u64 cr8; /* [v] used while there is no in-kernel local APIC */
	u64 efer;				/* [v] */
	u64 apic_base;				/* [v] */
	u64 xcr0;				/* [v] */
	struct vitrine_debug_regs db;		/* [v] */
	struct vitrine_msrs msrs;		/* [v] */
	struct fpu_guest fpu;			/* [v] */

	u64 tsc_khz;				/* [v] virtual */
	u64 tsc_offset;				/* [v] guest TSC = host TSC scaled + offset */
	u64 tsc_multiplier; /* [v] 48-bit fixed point; 1 << 48 without scaling */

	struct vitrine_pv pv;
	u32 halt_poll_ns; /* [v] how long the next HLT polls */

	u64 deadline_tsc; /* [v] host TSC that ends a stay in the guest; 0: none */
	bool exits_at_deadline;			/* [I] the vendor's code does that */

	struct vitrine_events events;		/* [v] */
	atomic_t nmi_queued;			/* [a] for VITRINE_REQ_NMI */
	u32 mp_state; /* [v] KVM_MP_STATE_*; others ask vitrine_vcpu_is_halted() */
	struct vitrine_lapic *lapic;		/* [I] NULL without an in-kernel APIC */
	u8 eoi_vector;				/* [v] */
	gpa_t vapic_addr; /* [v] KVM_SET_VAPIC_ADDR: the word that stands for TPR; 0: none */
	u8 apic_words;				/* [v] VITRINE_WORD_* of irq/irq.h */
	bool irq_window_requested;		/* [v] run->request_interrupt_window of this RUN */
	u8 irq_from; /* [v] VITRINE_IRQ_FROM_*: where events.interrupt came from */
	bool injected;				/* [v] an event is written for the next entry */
	bool halt_if; /* [v] IF of a halted guest, for those who ask whether it would wake */
	bool halt_nmi_masked;			/* [v] likewise: it stands in an NMI's handler */

	struct vitrine_cpuid *cpuid;		/* [v] NULL until KVM_SET_CPUID2 */
	u8 maxphyaddr;				/* [v] from CPUID */

	struct vitrine_dirty_ring dirty_ring;
	struct vitrine_mmu_cache mmu_cache;	/* [v] table pages ready for the next fault */
	struct vitrine_exit exit;		/* [v] */
	u32 policy_on; /* [v] classes of the exit policy, a bit each; 0: no exit is asked about */
	struct vitrine_ask *ask; /* [v] set once; what it holds see monitor/steer.h */
	struct {
		spinlock_t lock;		/* a leaf */
		struct list_head list;		/* struct vitrine_call */
	} calls; /* what monitors want done in this vCPU: monitor/call.h */
	bool host_data_read; /* [v] a handler read what guests must not find in a cache: see L1TF */
	unsigned long watch; /* [a] VITRINE_WATCH_*: who wants to see exits first */
	u64 watched_reasons[2]; /* [a] a word at a time: what some ring records */
	struct hlist_head rings; /* struct vitrine_ring; writers: the VM's monitors' lock; RCU */
	int (*complete_user_exit)(struct vitrine_vcpu *vcpu);	/* [v] runs first in the next RUN */
	u64 user_exit_rip; /* [v] of the instruction whose answer comes from userspace */
	struct vitrine_insn_state insn;		/* [v] MMIO instruction on its way */
	struct vitrine_fetch_memo fetch_memos[VITRINE_NR_FETCH_MEMOS];	/* [v] */
	struct {
		struct vitrine_span span;	/* where the access under way leads */
		unsigned int done_bytes;	/* of it, in pieces of at most 8 */
		bool write;
		bool asked;			/* a monitor has answered for the next piece */
		bool device;			/* this iteration reached a device */
		bool hint;			/* below: what the fault has shown */
		bool hint_write;		/* a write was allowed there */
		bool hint_fresh;		/* no memory was there, and slots are the same */
		bool known_device;		/* the access under way needs not ask for slots */
		gva_t hint_gva;
		gpa_t hint_gpa;
		} mmio;					/* [v] */
	struct {
		u16 port;
		u8 size;			/* bytes of one item */
		bool in;
		bool string;
		bool rep;
		u8 addr_size;			/* bytes, string forms */
		u8 seg;				/* VITRINE_SEG_*, string forms */
		bool backward;			/* string forms: EFLAGS.DF */
		u32 count;			/* items of the access that is out in userspace */
		u32 span_items;			/* items that @span is for */
		struct vitrine_span span;	/* memory of a string form, lowest address first */
		u64 rip;			/* of the instruction */
		u32 value;			/* on its way between a register and a device */
	} pio;					/* [v] */

	sigset_t sigset;			/* [v] KVM_SET_SIGNAL_MASK */
	bool sigset_active;			/* [v] */
	struct vitrine_vcpu_counters stats;	/* [v] */
};

static inline void vitrine_vcpu_request(struct vitrine_vcpu *vcpu, unsigned int request)
{
	/*
	 * Pairs with the test in run.c after vcpu->mode was set: what the request is about is
	 * visible first.
	 */
	smp_mb__before_atomic();
	set_bit(request, &vcpu->requests);
}

/*
 * Sets a request and makes the vCPU look at it: wakes it from halt, or brings it out of the guest.
 * Any context.
 */
void vitrine_vcpu_kick(struct vitrine_vcpu *vcpu);
static inline void vitrine_vcpu_request_and_kick(struct vitrine_vcpu *vcpu, unsigned int request)
{
	vitrine_vcpu_request(vcpu, request);
	vitrine_vcpu_kick(vcpu);
}

int vitrine_vcpu_create(struct vitrine_vm *vm, u32 id);
void vitrine_vcpu_destroy(struct vitrine_vcpu *vcpu);
/* Architectural reset, or INIT. Loaded. */
void vitrine_vcpu_reset(struct vitrine_vcpu *vcpu, bool init);
void vitrine_vcpu_load(struct vitrine_vcpu *vcpu);
/* The thread is on its way to userspace: what the guest left in the CPU goes now. */
void vitrine_vcpu_put(struct vitrine_vcpu *vcpu);
/* The vCPU that this thread has loaded, or NULL. */
struct vitrine_vcpu *vitrine_vcpu_current(void);
/* #UD, #GP and so on for a vendor-neutral caller; a triple fault becomes a request. */
void vitrine_vcpu_queue_exception(struct vitrine_vcpu *vcpu, u8 nr, bool has_error, u32 error_code);
void vitrine_vcpu_queue_page_fault(struct vitrine_vcpu *vcpu, u64 cr2, u32 error_code);
/* #DB with new bits for DR6. */
void vitrine_vcpu_queue_debug(struct vitrine_vcpu *vcpu, u64 dr6_bits);
/*
 * An instruction was completed in software: what single-stepping and the guest's own trap flag are
 * due.
 */
void vitrine_vcpu_insn_done(struct vitrine_vcpu *vcpu);
u64 vitrine_vcpu_guest_tsc(struct vitrine_vcpu *vcpu, u64 host_tsc);
int vitrine_vcpu_module_init(void);
void vitrine_vcpu_module_exit(void);

#endif
