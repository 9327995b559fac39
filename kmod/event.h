/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pending exceptions, interrupts and NMIs of one vCPU: what goes into the next VM entry, and what
 * comes back when an exit interrupted its delivery.
 *
 * Pure: no VMCS, no interrupt controller, no locking. The round of one entry is
 *
 *	vitrine_events_choose(&events, rflags, irq_waits, &inj)
 *	if (inj.ack_interrupt) vitrine_events_take_interrupt(&events, vector, &inj)
 *	vendor code writes inj.event, opens or closes the two windows, enters
 *	vendor code refreshes events.nmi.masked and events.shadow from the guest state area
 *	vitrine_events_exit(&events, delivery was interrupted ? &event : NULL)
 *
 * An entry that did not come to pass needs nothing: the next choose finds the same event again.
 */
#ifndef VITRINE_EVENT_H
#define VITRINE_EVENT_H

#include <linux/types.h>

/* The architectural encoding, so that vendor code shifts and masks but never translates. */
enum vitrine_event_type {
	VITRINE_EVENT_INTERRUPT = 0,
	VITRINE_EVENT_NMI = 2,
	VITRINE_EVENT_EXCEPTION = 3,
	VITRINE_EVENT_SOFT_INTERRUPT = 4,	/* INT n */
	VITRINE_EVENT_PRIV_SOFT_EXCEPTION = 5,	/* INT1 */
	VITRINE_EVENT_SOFT_EXCEPTION = 6,	/* INT3, INTO */
};

/* struct vitrine_event - an event to inject, or one whose delivery an exit interrupted. */
struct vitrine_event {
	u8 type;		/* enum vitrine_event_type */
	u8 vector;
	bool has_error;
	u8 insn_len;		/* of the software event's instruction; 0 for all others */
	u32 error_code;
};

struct vitrine_exception {
	u8 nr;
	bool has_error;
	bool has_payload;	/* CR2 of #PF, new DR6 bits of #DB: written when it is injected */
	u32 error_code;
	u64 payload;
};

#define VITRINE_NMI_PENDING_MAX	2	/* one being blocked, one latched */

/* struct vitrine_events - as KVM_GET_VCPU_EVENTS sees them; all zero after reset. */
struct vitrine_events {
	struct {
		bool pending;		/* raised, not yet part of an entry */
		bool injected;		/* part of an entry, not known to be delivered */
		u8 type;		/* enum vitrine_event_type */
		bool has_error;
		bool has_payload;
		u8 nr;
		u32 error_code;
		u64 payload;
	} exception;
	struct {
		bool injected;		/* acknowledged, not known to be delivered */
		bool soft;
		u8 nr;
	} interrupt;
	struct {
		u8 pending;		/* 0..VITRINE_NMI_PENDING_MAX */
		bool injected;
		bool masked;		/* blocking by NMI, until IRET */
	} nmi;
	u8 shadow;			/* KVM_X86_SHADOW_INT_*: blocking by STI or MOV SS */
	u8 insn_len;			/* of the re-queued software event */
	u8 entering;			/* private: what the last choose handed out */
};

/* struct vitrine_injection - what the vendor code does at the next entry. */
struct vitrine_injection {
	bool valid;			/* inject @event */
	bool ack_interrupt;		/* acknowledge the controller, then take_interrupt() */
	bool nmi_window;		/* exit as soon as an NMI could be delivered */
	bool interrupt_window;		/* exit as soon as an interrupt could be delivered */
	bool has_payload;		/* write CR2 (#PF) or DR6 (#DB) at once */
	u64 payload;
	struct vitrine_event event;
};

/* #BP and #OF come from instructions only; every other vector is a hardware exception's. */
enum vitrine_event_type vitrine_event_exception_type(u8 nr);

/**
 * vitrine_events_queue_exception() - raise an exception on top of what is already under way
 *
 * Becomes #DF, or takes the place of the earlier exception (which comes back when its instruction
 * is executed again), by the table "Conditions for Generating a Double Fault".
 *
 * Return: 0, or -ESHUTDOWN for a triple fault, after which no exception is left.
 */
int vitrine_events_queue_exception(struct vitrine_events *events,
				   const struct vitrine_exception *exception);

/* Latches an NMI; those beyond what hardware can hold merge. */
void vitrine_events_queue_nmi(struct vitrine_events *events);

/*
 * Queues an already acknowledged interrupt (KVM_INTERRUPT). It is injected when the guest can take
 * it. Return: 0, or -EEXIST if one is already queued.
 */
int vitrine_events_queue_interrupt(struct vitrine_events *events, u8 vector);

/* Could a new external interrupt be injected right now? */
bool vitrine_events_can_interrupt(const struct vitrine_events *events, u64 rflags);

/* Is anything here that the next entry brings, other than an NMI that may have to wait? */
bool vitrine_events_under_way(const struct vitrine_events *events);

/**
 * vitrine_events_choose() - what the next entry injects
 * @events:	marks the chosen event as injected
 * @rflags:	of the guest
 * @irq_waits:	the interrupt controllers have an interrupt for this vCPU
 * @inj:	result
 */
void vitrine_events_choose(struct vitrine_events *events, u64 rflags, bool irq_waits,
			   struct vitrine_injection *inj);

/*
 * Completes a choice that said ack_interrupt with the vector the controller gave; without one, the
 * entry injects nothing. A caller whose controller has yet another one waiting sets
 * inj->interrupt_window itself.
 */
void vitrine_events_take_interrupt(struct vitrine_events *events, u8 vector,
				   struct vitrine_injection *inj);

/**
 * vitrine_events_exit() - settle the last entry's event
 * @events:	events; nmi.masked and shadow may change and then have to reach the guest state
 * @vectoring:	the event whose delivery the exit interrupted, or NULL if it was delivered
 */
void vitrine_events_exit(struct vitrine_events *events, const struct vitrine_event *vectoring);

#endif
