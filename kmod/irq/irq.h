/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Interrupt controllers of one VM as the rest of the module sees them. What is in the chips is
 * theirs.
 */
#ifndef VITRINE_IRQ_H
#define VITRINE_IRQ_H

#include <linux/atomic.h>
#include <linux/kvm.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include "ioctl.h"
#include "irqfd.h"

struct vitrine_ioapic;
struct vitrine_lapic;
struct vitrine_pic;
struct vitrine_pit;
struct vitrine_routing;
struct vitrine_vcpu;
struct vitrine_vm;

enum vitrine_irqchip_mode {
	VITRINE_IRQCHIP_NONE,		/* everything in userspace: KVM_INTERRUPT */
	VITRINE_IRQCHIP_SPLIT,		/* local APICs here, PIC and I/O APIC in userspace */
	VITRINE_IRQCHIP_KERNEL,		/* KVM_CREATE_IRQCHIP */
};

/* struct vitrine_irq - embedded in struct vitrine_vm */
struct vitrine_irq {
	struct mutex lock;			/* routing */
	enum vitrine_irqchip_mode mode;		/* [m] set once, before the first vCPU */
	struct vitrine_pic *pic;		/* [m] both 8259A, NULL unless KERNEL */
	struct vitrine_ioapic *ioapic;		/* [m] */
	struct vitrine_pit *pit;		/* [m] KVM_CREATE_PIT2 */
	struct vitrine_routing __rcu *routing;	/* [q] GSI to pins and messages */
	atomic_t nr_xapic;			/* [a] local APICs in xAPIC mode */
	u32 nr_split_pins;			/* [m] GSIs of pins of userspace's I/O APIC */
	bool x2apic_format;			/* [m] KVM_X2APIC_API_USE_32BIT_IDS */
	struct vitrine_irqfds irqfds;
	bool x2apic_no_broadcast_quirk;		/* [m] KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK */
};

/*
 * VM side. init/destroy pair with the VM; destroy finds every device gone from the buses, and all
 * vCPUs there.
 */
void vitrine_irq_init(struct vitrine_vm *vm);
void vitrine_irq_destroy(struct vitrine_vm *vm);
/* KVM_CAP_SPLIT_IRQCHIP with its argument; vm->lock is held. */
int vitrine_irq_enable_split(struct vitrine_vm *vm, u64 nr_pins);
/* KVM_CAP_X2APIC_API with its argument; vm->lock is held. */
int vitrine_irq_enable_x2apic_api(struct vitrine_vm *vm, u64 flags);
/*
 * A line by GSI through the routing table; @source tells apart who drives a shared line. < 0:
 * masked, or no such GSI; 0: coalesced with a request that still waits; > 0: delivered to that
 * many vCPUs. Process or interrupt context.
 */
int vitrine_irq_set_line(struct vitrine_vm *vm, u32 gsi, int level, unsigned int source);
enum { VITRINE_IRQ_SOURCE_USER, VITRINE_IRQ_SOURCE_PIT, VITRINE_IRQ_SOURCE_RESAMPLE };
/* CREATE_IRQCHIP, IRQ_LINE, SET_GSI_ROUTING, SIGNAL_MSI, PIT2, ... */
extern const struct vitrine_ioctl vitrine_irq_vm_ioctls[];

/* vCPU side. Every function is called with the vCPU's mutex held unless it says otherwise. */
int vitrine_lapic_create(struct vitrine_vcpu *vcpu);		/* only where irq.mode != NONE */
void vitrine_lapic_free(struct vitrine_vcpu *vcpu);
void vitrine_lapic_reset(struct vitrine_vcpu *vcpu, bool init);
/* A seventh LVT entry, for corrected machine checks, and its interrupt. The APIC is there. */
void vitrine_lapic_add_cmci(struct vitrine_vcpu *vcpu);
void vitrine_lapic_raise_cmci(struct vitrine_vcpu *vcpu);
/*
 * Is there an interrupt that the local APIC (above PPR) or the PIC (through LINT0) would deliver
 * now? Any context.
 */
bool vitrine_irq_pending(struct vitrine_vcpu *vcpu);
/* Would what KVM_INTERRUPT brings, for a PIC in userspace, get as far as the CPU now? */
bool vitrine_irq_takes_queued(struct vitrine_vcpu *vcpu);
/*
 * Acknowledge it and return its vector, or -1. Called right before injection, preemption may be
 * on.
 */
int vitrine_irq_ack(struct vitrine_vcpu *vcpu);
/* Values of vcpu->irq_from, and a bit in it: an exit policy was asked about that interrupt. */
enum {
	VITRINE_IRQ_FROM_STATE,		/* the VMM has set it with the vCPU's other state */
	VITRINE_IRQ_FROM_USER,		/* a PIC in userspace */
	VITRINE_IRQ_FROM_PIC,
	VITRINE_IRQ_FROM_LAPIC,
	VITRINE_IRQ_ASKED = 0x80,
};

/* What vitrine_irq_ack() acknowledged is over, without the guest having heard of it. Loaded. */
void vitrine_irq_end(struct vitrine_vcpu *vcpu, u8 vector);
/* Whether the processor delivers, vitrine_lapic_is_virtual(), may be another answer now. Loaded. */
void vitrine_irq_delivery_changed(struct vitrine_vcpu *vcpu);
/*
 * The same without what the processor takes by itself (vm->apicv): what is for vitrine_irq_ack().
 * The vCPU's mutex is held.
 */
bool vitrine_irq_to_inject(struct vitrine_vcpu *vcpu);
/* Where vm->tpr_shadow: tells the vendor what is requested and in service. Loaded. */
void vitrine_lapic_prepare_entry(struct vitrine_vcpu *vcpu);
/* The processor ended @vector, and that had to exit. */
void vitrine_lapic_ended(struct vitrine_vcpu *vcpu, u8 vector);
/* CR8 in both directions (TPR >> 4). */
u64 vitrine_lapic_get_cr8(struct vitrine_vcpu *vcpu);
void vitrine_lapic_set_cr8(struct vitrine_vcpu *vcpu, u64 cr8);
/*
 * IA32_APIC_BASE with its transition rules: 0 or -EINVAL (#GP). @host: from KVM_SET_MSRS or
 * KVM_SET_SREGS.
 */
int vitrine_lapic_set_base(struct vitrine_vcpu *vcpu, u64 data, bool host);
u64 vitrine_lapic_get_base(struct vitrine_vcpu *vcpu);
/* x2APIC MSRs 0x800-0x8ff and IA32_TSC_DEADLINE: 0, or -EINVAL for #GP. */
int vitrine_lapic_msr_read(struct vitrine_vcpu *vcpu, u32 msr, u64 *data);
int vitrine_lapic_msr_write(struct vitrine_vcpu *vcpu, u32 msr, u64 data);
/* Those of them that matter for speed: true if it was one, was allowed, and is done. */
bool vitrine_lapic_msr_write_fast(struct vitrine_vcpu *vcpu, u32 msr, u64 data);
u64 vitrine_lapic_get_tsc_deadline(struct vitrine_vcpu *vcpu);
void vitrine_lapic_set_tsc_deadline(struct vitrine_vcpu *vcpu, u64 deadline);
/* The exit that vcpu->deadline_tsc asked for. Loaded. */
void vitrine_lapic_deadline_exit(struct vitrine_vcpu *vcpu);
/* Around the sleep of a halted vCPU, which no exit can wake. */
void vitrine_lapic_sleep(struct vitrine_vcpu *vcpu);
void vitrine_lapic_wake(struct vitrine_vcpu *vcpu);
/* INIT and SIPI that arrived: called from run.c on request APIC_EVENT; may change mp_state. */
void vitrine_lapic_accept_events(struct vitrine_vcpu *vcpu);
bool vitrine_lapic_has_events(struct vitrine_vcpu *vcpu);	/* any context */
/* KVM_MP_STATE_SIPI_RECEIVED: the vCPU is in INIT_RECEIVED, and a SIPI waits. */
void vitrine_lapic_set_sipi(struct vitrine_vcpu *vcpu);
/* Where that SIPI, or one that has yet to be restored, starts the vCPU: page number below 1 MiB. */
void vitrine_lapic_set_sipi_vector(struct vitrine_vcpu *vcpu, u8 vector);
/* TSC of the guest changed its offset: armed deadline timers are re-armed. */
void vitrine_lapic_tsc_changed(struct vitrine_vcpu *vcpu);
/* The host's fell back by @ticks, the guest's did not. Interrupts off, nobody else runs. */
void vitrine_lapic_tsc_fell_back(struct vitrine_vcpu *vcpu, u64 ticks);
/*
 * pv_ipi.c, KVM_HC_SEND_IPI: @arg is two words of a set, @word_bits in each, the id of its first
 * bit, and what goes into the lower half of ICR. How many took it, or -KVM_E*.
 */
long vitrine_lapic_send_to_set(struct vitrine_vcpu *vcpu, const u64 *arg, unsigned int word_bits);
/* GET/SET_LAPIC, INTERRUPT, NMI */
extern const struct vitrine_ioctl vitrine_irq_vcpu_ioctls[];
/*
 * Bits of vcpu->apic_words: what of the APIC is in guest memory, and so is read (load) once the
 * guest ran, before anybody looks at what is pending or in service, and written (store) before it
 * runs.
 */
enum {
	VITRINE_WORD_VAPIC = 0x1,	/* vcpu->vapic_addr: TPR, and what else is to be read */
	VITRINE_WORD_EOI = 0x2,		/* MSR_KVM_PV_EOI_EN: interrupts may be ended by it */
	VITRINE_WORD_EOI_OFFERED = 0x4,	/* this one may */
	VITRINE_WORDS_LOAD = VITRINE_WORD_VAPIC | VITRINE_WORD_EOI_OFFERED,
	VITRINE_WORDS_STORE = VITRINE_WORD_VAPIC | VITRINE_WORD_EOI,
};

/* Where any of the bits above is set. May sleep. */
void vitrine_irq_load_words(struct vitrine_vcpu *vcpu);
void vitrine_irq_store_words(struct vitrine_vcpu *vcpu);
/* vapic.c */
void vitrine_vapic_load(struct vitrine_vcpu *vcpu);
void vitrine_vapic_store(struct vitrine_vcpu *vcpu);
/* Serves VITRINE_REQ_TPR_ACCESS. */
int vitrine_vapic_tpr_exit(struct vitrine_vcpu *vcpu);
/* SET_VAPIC_ADDR, TPR_ACCESS_REPORTING */
extern const struct vitrine_ioctl vitrine_vapic_vcpu_ioctls[];

#endif
