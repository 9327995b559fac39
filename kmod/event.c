// SPDX-License-Identifier: GPL-2.0
/*
 * Which event a vCPU takes next, and what becomes of one whose delivery was interrupted.
 *
 * Owns the rules over struct vitrine_events. It must not read or write guest state, or talk to an
 * interrupt controller: its callers do, before and after.
 *
 * At most one event goes into an entry, but more may be under way: an exception met while an
 * interrupt was being delivered goes first, and the interrupt stays acknowledged until it can
 * follow.
 */
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/types.h>

#include <asm/kvm.h>
#include <asm/processor-flags.h>

#include "event.h"

/* Vectors that <asm/kvm.h> has no name for. */
#define VECTOR_NMI	2
#define VECTOR_CP	21

enum entering {
	ENTERING_NOTHING,
	ENTERING_EXCEPTION,
	ENTERING_NMI,
	ENTERING_INTERRUPT,
};

enum exception_class {
	BENIGN,
	CONTRIBUTORY,
	PAGE_FAULT,
	DOUBLE_FAULT,
};

/* SDM, "Interrupt 8 - Double Fault Exception (#DF)" */
static enum exception_class classify(u8 nr)
{
	switch (nr) {
	case DE_VECTOR:
	case TS_VECTOR:
	case NP_VECTOR:
	case SS_VECTOR:
	case GP_VECTOR:
	case VECTOR_CP:
		return CONTRIBUTORY;
	case PF_VECTOR:
	case VE_VECTOR:
		return PAGE_FAULT;
	case DF_VECTOR:
		return DOUBLE_FAULT;
	default:
		return BENIGN;
	}
}

enum vitrine_event_type vitrine_event_exception_type(u8 nr)
{
	return nr == BP_VECTOR || nr == OF_VECTOR ? VITRINE_EVENT_SOFT_EXCEPTION :
						    VITRINE_EVENT_EXCEPTION;
}

static bool becomes_double_fault(enum exception_class first, enum exception_class second)
{
	if (first == CONTRIBUTORY)
		return second == CONTRIBUTORY;
	return first == PAGE_FAULT && (second == CONTRIBUTORY || second == PAGE_FAULT);
}

int vitrine_events_queue_exception(struct vitrine_events *events,
				   const struct vitrine_exception *exception)
{
	struct vitrine_exception next = *exception;

	if (events->exception.pending || events->exception.injected) {
		enum exception_class first = classify(events->exception.nr);
		enum exception_class second = classify(next.nr);

		if (first == DOUBLE_FAULT && second != BENIGN) {
			memset(&events->exception, 0, sizeof(events->exception));
			return -ESHUTDOWN;
		}
		if (becomes_double_fault(first, second))
			next = (struct vitrine_exception){ .nr = DF_VECTOR, .has_error = true };
	}

	memset(&events->exception, 0, sizeof(events->exception));
	events->insn_len = 0;
	events->exception.pending = true;
	events->exception.nr = next.nr;
	events->exception.type = vitrine_event_exception_type(next.nr);
	events->exception.has_error = next.has_error;
	events->exception.error_code = next.error_code;
	events->exception.has_payload = next.has_payload;
	events->exception.payload = next.payload;
	return 0;
}

void vitrine_events_queue_nmi(struct vitrine_events *events)
{
	/* While one is being handled the processor latches one more, and no third. */
	u8 limit = events->nmi.masked || events->nmi.injected ? 1 : VITRINE_NMI_PENDING_MAX;

	if (events->nmi.pending < limit)
		events->nmi.pending++;
}

int vitrine_events_queue_interrupt(struct vitrine_events *events, u8 vector)
{
	if (events->interrupt.injected)
		return -EEXIST;
	events->interrupt.injected = true;
	events->interrupt.soft = false;
	events->interrupt.nr = vector;
	return 0;
}

static bool accepts_interrupt(const struct vitrine_events *events, u64 rflags)
{
	return rflags & X86_EFLAGS_IF && !events->shadow;
}

bool vitrine_events_can_interrupt(const struct vitrine_events *events, u64 rflags)
{
	return accepts_interrupt(events, rflags) && !events->interrupt.injected &&
	       !events->exception.pending && !events->exception.injected &&
	       !events->nmi.injected;
}

bool vitrine_events_under_way(const struct vitrine_events *events)
{
	return events->exception.pending || events->exception.injected ||
	       events->interrupt.injected || events->nmi.injected;
}

/* A software event set by hand, from outside, has no length: that of its usual encoding then. */
static u8 software_len(const struct vitrine_events *events, u8 type)
{
	return events->insn_len ?: (type == VITRINE_EVENT_SOFT_INTERRUPT ? 2 : 1);
}

static void inject_exception(struct vitrine_events *events, struct vitrine_injection *inj)
{
	bool is_new = events->exception.pending;

	if (is_new) {
		/* The payload belongs to the first delivery: later ones find it in place. */
		inj->has_payload = events->exception.has_payload;
		inj->payload = events->exception.payload;
		events->exception.pending = false;
		events->exception.injected = true;

		/*
		 * It interrupted the delivery of whatever else is injected: INT n is executed
		 * again after the handler, an NMI goes back, an interrupt waits for its turn.
		 */
		if (events->interrupt.soft)
			events->interrupt.injected = false;
		events->interrupt.soft = false;
		if (events->nmi.injected) {
			events->nmi.injected = false;
			events->nmi.masked = false;
			vitrine_events_queue_nmi(events);
		}
	}

	inj->valid = true;
	inj->event.type = events->exception.type;
	inj->event.vector = events->exception.nr;
	inj->event.has_error = events->exception.has_error;
	inj->event.error_code = events->exception.error_code;
	if (inj->event.type != VITRINE_EVENT_EXCEPTION)
		inj->event.insn_len = software_len(events, inj->event.type);
	events->entering = ENTERING_EXCEPTION;
}

static void inject_nmi(struct vitrine_events *events, struct vitrine_injection *inj)
{
	events->nmi.injected = true;
	/* The entry sets the blocking, and fails where it is set already. */
	events->nmi.masked = false;
	inj->valid = true;
	inj->event.type = VITRINE_EVENT_NMI;
	inj->event.vector = VECTOR_NMI;
	events->entering = ENTERING_NMI;
}

static void inject_interrupt(struct vitrine_events *events, struct vitrine_injection *inj)
{
	inj->valid = true;
	inj->event.type = VITRINE_EVENT_INTERRUPT;
	inj->event.vector = events->interrupt.nr;
	if (events->interrupt.soft) {
		inj->event.type = VITRINE_EVENT_SOFT_INTERRUPT;
		inj->event.insn_len = software_len(events, VITRINE_EVENT_SOFT_INTERRUPT);
	}
	events->entering = ENTERING_INTERRUPT;
}

void vitrine_events_choose(struct vitrine_events *events, u64 rflags, bool irq_waits,
			   struct vitrine_injection *inj)
{
	bool interruptible = accepts_interrupt(events, rflags), nmi_after_sti;

	memset(inj, 0, sizeof(*inj));
	events->entering = ENTERING_NOTHING;

	/* A new exception arose while delivering what is injected, so it comes first. */
	if (events->exception.pending || events->exception.injected) {
		inject_exception(events, inj);
	} else if (events->nmi.injected) {
		inject_nmi(events, inj);
	} else if (events->interrupt.injected && (events->interrupt.soft || interruptible)) {
		inject_interrupt(events, inj);
	} else if (events->nmi.pending && !events->nmi.masked && !events->shadow) {
		events->nmi.pending--;
		inject_nmi(events, inj);
	} else if (!events->interrupt.injected && irq_waits && interruptible) {
		inj->ack_interrupt = true;
	}

	/*
	 * "Other Causes of VM Exits": whether STI keeps the NMI window shut is up to the CPU, and
	 * where it does not, the exit would come before the instruction that ends the shadow.
	 */
	nmi_after_sti = events->nmi.pending && !events->nmi.masked &&
			events->shadow == KVM_X86_SHADOW_INT_STI && rflags & X86_EFLAGS_IF &&
			events->entering == ENTERING_NOTHING;
	inj->nmi_window = events->nmi.pending && !nmi_after_sti;
	inj->interrupt_window = !inj->ack_interrupt &&
				(irq_waits || nmi_after_sti ||
				 (events->interrupt.injected &&
				  events->entering != ENTERING_INTERRUPT));
}

void vitrine_events_take_interrupt(struct vitrine_events *events, u8 vector,
				   struct vitrine_injection *inj)
{
	events->interrupt.injected = true;
	events->interrupt.soft = false;
	events->interrupt.nr = vector;
	inj->ack_interrupt = false;
	inject_interrupt(events, inj);
}

/* What was entered with is delivered, unless it comes back as the interrupted delivery. */
static void settle(struct vitrine_events *events)
{
	switch (events->entering) {
	case ENTERING_EXCEPTION:
		memset(&events->exception, 0, sizeof(events->exception));
		break;
	case ENTERING_NMI:
		events->nmi.injected = false;
		break;
	case ENTERING_INTERRUPT:
		events->interrupt.injected = false;
		events->interrupt.soft = false;
		break;
	}
	events->entering = ENTERING_NOTHING;
	events->insn_len = 0;
}

/* SDM, "Information for VM Exits That Occur During Event Delivery" */
static void requeue(struct vitrine_events *events, const struct vitrine_event *event)
{
	switch (event->type) {
	case VITRINE_EVENT_NMI:
		events->nmi.injected = true;
		/* Its delivery set the blocking, which would keep it from being injected again. */
		events->nmi.masked = false;
		events->shadow = 0;
		break;
	case VITRINE_EVENT_INTERRUPT:
	case VITRINE_EVENT_SOFT_INTERRUPT:
		events->interrupt.injected = true;
		events->interrupt.soft = event->type == VITRINE_EVENT_SOFT_INTERRUPT;
		events->interrupt.nr = event->vector;
		/* Taken, so the instruction that cast the shadow is over. */
		events->shadow = 0;
		break;
	default:
		events->exception.injected = true;
		events->exception.type = event->type;
		events->exception.nr = event->vector;
		events->exception.has_error = event->has_error;
		events->exception.error_code = event->error_code;
		break;
	}
	events->insn_len = event->insn_len;
}

void vitrine_events_exit(struct vitrine_events *events, const struct vitrine_event *vectoring)
{
	settle(events);
	if (vectoring)
		requeue(events, vectoring);
}
