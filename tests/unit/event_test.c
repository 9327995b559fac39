// SPDX-License-Identifier: GPL-2.0
/* build: kmod/event.c */
/*
 * The event rules, over every combination of what can be pending: the double-fault table, what an
 * entry may inject, that nothing is lost or delivered twice, and what an interrupted delivery does.
 */
#include <errno.h>
#include <string.h>

#include <linux/kernel.h>

#include <asm/kvm.h>
#include <asm/processor-flags.h>

#include "event.h"
#include "tap.h"

/* SDM, "Conditions for Generating a Double Fault": the table, typed in by hand. */
enum outcome { SERIAL, DOUBLE, SHUTDOWN };

static const char classes[32 + 1] = "cbbbbbbbdbccccpbbbbbpcbbbbbbbbbb";

static enum outcome expected_outcome(char first, char second)
{
	static const struct {
		char first, second;
		enum outcome outcome;
	} table[] = {
		{ 'c', 'c', DOUBLE }, { 'p', 'c', DOUBLE }, { 'p', 'p', DOUBLE },
		{ 'd', 'c', SHUTDOWN }, { 'd', 'p', SHUTDOWN }, { 'd', 'd', SHUTDOWN },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].first == first && table[i].second == second)
			return table[i].outcome;
	return SERIAL;
}

static bool anything(const struct vitrine_events *events)
{
	return vitrine_events_under_way(events) || events->nmi.pending;
}

static bool double_fault_pair(u8 first, u8 second, bool injected)
{
	struct vitrine_exception exception = {
		.nr = second, .has_error = true, .error_code = 0x42, .has_payload = true,
		.payload = 0x1234,
	};
	struct vitrine_events events = { .exception = { .nr = first } };
	enum outcome outcome = expected_outcome(classes[first], classes[second]);
	int ret;

	events.exception.injected = injected;
	events.exception.pending = !injected;
	ret = vitrine_events_queue_exception(&events, &exception);
	if (outcome == SHUTDOWN)
		return ret == -ESHUTDOWN && !anything(&events);
	if (ret || !events.exception.pending || events.exception.injected)
		return false;
	if (outcome == DOUBLE)
		return events.exception.nr == DF_VECTOR && events.exception.has_error &&
		       !events.exception.error_code && !events.exception.has_payload;
	return events.exception.nr == second && events.exception.error_code == 0x42 &&
	       events.exception.has_payload && events.exception.payload == 0x1234;
}

static bool double_faults(void)
{
	unsigned int number;
	bool ok = true;

	for (number = 0; number < 2 * 32 * 32; number++) {
		unsigned int rest = number;
		unsigned int injected = tap_digit(&rest, 2);
		unsigned int first = tap_digit(&rest, 32);
		unsigned int second = tap_digit(&rest, 32);

		if (!double_fault_pair(first, second, injected)) {
			tap_diag("%u then %u, injected %u", first, second, injected);
			ok = false;
		}
	}
	return ok;
}

struct situation {
	struct vitrine_events events;
	u64 rflags;
	bool irq_waits;
};

#define SITUATIONS	(3 * 3 * 2 * 3 * 3 * 4 * 2 * 2)

static bool situation(unsigned int number, struct situation *s)
{
	struct vitrine_events *events = &s->events;
	unsigned int nmi, interrupt;

	memset(s, 0, sizeof(*s));
	switch (tap_digit(&number, 3)) {
	case 1:
		events->exception.pending = true;
		events->exception.has_payload = true;
		events->exception.payload = 0xfeed0000;
		break;
	case 2:
		events->exception.injected = true;
		break;
	}
	if (events->exception.pending || events->exception.injected) {
		events->exception.type = VITRINE_EVENT_EXCEPTION;
		events->exception.nr = PF_VECTOR;
		events->exception.has_error = true;
		events->exception.error_code = 2;
	}
	switch (tap_digit(&number, 3)) {
	case 1:
		events->exception.type = VITRINE_EVENT_SOFT_EXCEPTION;
		events->exception.nr = BP_VECTOR;
		events->exception.has_error = false;
		events->exception.error_code = 0;
		break;
	case 2:
		events->exception.type = VITRINE_EVENT_PRIV_SOFT_EXCEPTION;
		events->exception.nr = DB_VECTOR;
		events->exception.has_error = false;
		events->exception.error_code = 0;
		break;
	}
	events->nmi.masked = tap_digit(&number, 2);
	nmi = tap_digit(&number, 3);
	events->nmi.injected = nmi == 2;
	events->nmi.pending = nmi != 0;
	interrupt = tap_digit(&number, 3);
	events->interrupt.injected = interrupt != 0;
	events->interrupt.soft = interrupt == 2;
	events->interrupt.nr = 0x80;
	events->shadow = tap_digit(&number, 4);
	s->rflags = X86_EFLAGS_FIXED | (tap_digit(&number, 2) ? X86_EFLAGS_IF : 0);
	s->irq_waits = tap_digit(&number, 2);

	/* The types of an exception make no difference without one. */
	return events->exception.pending || events->exception.injected ||
	       !events->exception.type;
}

static const char *wrong_choice(const struct situation *s, const struct vitrine_injection *inj)
{
	const struct vitrine_events *before = &s->events;
	bool exception = before->exception.pending || before->exception.injected;
	bool hardware = inj->event.type == VITRINE_EVENT_EXCEPTION;
	bool open = s->rflags & X86_EFLAGS_IF && !before->shadow;

	if (exception) {
		if (!inj->valid || inj->event.type != before->exception.type ||
		    inj->event.vector != before->exception.nr ||
		    inj->event.has_error != before->exception.has_error ||
		    inj->event.error_code != before->exception.error_code)
			return "exception goes first";
		if (inj->has_payload != before->exception.has_payload ||
		    inj->payload != before->exception.payload)
			return "payload";
		if (!inj->event.insn_len != hardware)
			return "length of the software exception";
	} else if (before->nmi.injected) {
		if (!inj->valid || inj->event.type != VITRINE_EVENT_NMI)
			return "interrupted NMI comes before the rest";
	} else if (before->interrupt.injected && before->interrupt.soft) {
		if (!inj->valid || inj->event.type != VITRINE_EVENT_SOFT_INTERRUPT ||
		    inj->event.vector != 0x80 || inj->event.insn_len != 2)
			return "interrupted INT n comes before the rest";
	} else if (before->interrupt.injected && open) {
		if (!inj->valid || inj->event.type != VITRINE_EVENT_INTERRUPT ||
		    inj->event.vector != 0x80)
			return "interrupted interrupt comes before a new NMI";
	} else if (before->nmi.pending && !before->nmi.masked && !before->shadow) {
		if (!inj->valid || inj->event.type != VITRINE_EVENT_NMI || inj->event.vector != 2)
			return "NMI comes before an interrupt";
	} else if (s->irq_waits && open && !before->interrupt.injected) {
		if (inj->valid || !inj->ack_interrupt)
			return "interrupt";
	} else if (inj->valid || inj->ack_interrupt) {
		return "nothing can be injected";
	}

	if (inj->valid && inj->ack_interrupt)
		return "two events";
	if (inj->valid && inj->event.type == VITRINE_EVENT_INTERRUPT && !open)
		return "interrupt into a closed vCPU";
	if (inj->valid && inj->event.type == VITRINE_EVENT_NMI && before->nmi.masked &&
	    !before->nmi.injected)
		return "masked NMI";
	return NULL;
}

static const char *wrong_rest(const struct situation *s, const struct vitrine_events *after,
			      const struct vitrine_injection *inj)
{
	const struct vitrine_events *before = &s->events;
	u8 type = inj->valid ? inj->event.type : 0xff;
	bool interrupt_left, after_sti;

	if (before->nmi.pending + before->nmi.injected != after->nmi.pending + after->nmi.injected)
		return "NMIs do not add up";
	/* VM entry checks it. */
	if (type == VITRINE_EVENT_NMI && after->nmi.masked)
		return "NMI blocking while an NMI is injected";
	/* A CPU may take the NMI window for open right after STI, and the NMI must still wait. */
	after_sti = !inj->valid && after->nmi.pending && !before->nmi.masked &&
		    before->shadow == KVM_X86_SHADOW_INT_STI && s->rflags & X86_EFLAGS_IF;
	if (inj->nmi_window != (after->nmi.pending && !after_sti))
		return "NMI window";
	if (before->interrupt.injected && !before->interrupt.soft && !after->interrupt.injected)
		return "acknowledged interrupt lost";
	if (before->interrupt.soft && before->exception.pending && after->interrupt.injected)
		return "INT n must be executed again";
	interrupt_left = after->interrupt.injected && type != VITRINE_EVENT_INTERRUPT &&
			 type != VITRINE_EVENT_SOFT_INTERRUPT;
	if (inj->interrupt_window !=
	    ((s->irq_waits && !inj->ack_interrupt) || interrupt_left || after_sti))
		return "interrupt window";
	if (after->exception.pending)
		return "exception still pending";
	return NULL;
}

/* Chosen and delivered: it is gone, everything else is as it was. */
static const char *wrong_delivery(struct vitrine_events events,
				  const struct vitrine_injection *inj)
{
	struct vitrine_events before = events;

	vitrine_events_exit(&events, NULL);
	if (!inj->valid)
		return memcmp(&events.exception, &before.exception, sizeof(events.exception)) ||
		       events.nmi.injected != before.nmi.injected ||
		       events.interrupt.injected != before.interrupt.injected ?
		       "changed without an entry" : NULL;
	switch (inj->event.type) {
	case VITRINE_EVENT_NMI:
		return events.nmi.injected || events.nmi.pending != before.nmi.pending ?
		       "NMI after delivery" : NULL;
	case VITRINE_EVENT_INTERRUPT:
	case VITRINE_EVENT_SOFT_INTERRUPT:
		return events.interrupt.injected ? "interrupt after delivery" : NULL;
	default:
		return events.exception.injected ||
		       events.interrupt.injected != before.interrupt.injected ?
		       "exception after delivery" : NULL;
	}
}

static bool same_event(const struct vitrine_event *a, const struct vitrine_event *b)
{
	return a->type == b->type && a->vector == b->vector && a->has_error == b->has_error &&
	       a->insn_len == b->insn_len && a->error_code == b->error_code;
}

/* Chosen and interrupted: the next choice is the same, without a payload to write again. */
static const char *wrong_requeue(struct vitrine_events events, const struct situation *s,
				 const struct vitrine_injection *inj)
{
	struct vitrine_injection again;

	if (!inj->valid)
		return NULL;
	events.nmi.masked = inj->event.type == VITRINE_EVENT_NMI;
	vitrine_events_exit(&events, &inj->event);
	if (inj->event.type == VITRINE_EVENT_NMI && events.nmi.masked)
		return "NMI blocking after an interrupted NMI";
	vitrine_events_choose(&events, s->rflags, s->irq_waits, &again);
	if (!again.valid || !same_event(&again.event, &inj->event))
		return "not injected again";
	return again.has_payload ? "payload twice" : NULL;
}

static bool choices(void)
{
	unsigned int number, checked = 0;
	bool ok = true;

	for (number = 0; number < SITUATIONS; number++) {
		struct vitrine_injection inj, again;
		struct vitrine_events after;
		struct situation s;
		const char *wrong;

		if (!situation(number, &s))
			continue;
		checked++;
		after = s.events;
		vitrine_events_choose(&after, s.rflags, s.irq_waits, &inj);
		wrong = wrong_choice(&s, &inj);
		if (!wrong)
			wrong = wrong_rest(&s, &after, &inj);
		if (!wrong)
			wrong = wrong_delivery(after, &inj);
		if (!wrong)
			wrong = wrong_requeue(after, &s, &inj);
		if (!wrong) {
			vitrine_events_choose(&after, s.rflags, s.irq_waits, &again);
			if (again.valid != inj.valid || !same_event(&again.event, &inj.event) ||
			    again.ack_interrupt != inj.ack_interrupt)
				wrong = "an entry that did not happen";
		}
		if (wrong) {
			tap_diag("situation %u: %s", number, wrong);
			ok = false;
		}
	}
	return ok && checked > 1000;
}

static bool requeue_types(void)
{
	static const struct vitrine_event events[] = {
		{ VITRINE_EVENT_INTERRUPT, 0x31, false, 0, 0 },
		{ VITRINE_EVENT_NMI, 2, false, 0, 0 },
		{ VITRINE_EVENT_EXCEPTION, GP_VECTOR, true, 0, 0x18 },
		{ VITRINE_EVENT_EXCEPTION, UD_VECTOR, false, 0, 0 },
		{ VITRINE_EVENT_SOFT_INTERRUPT, 0x80, false, 3, 0 },
		{ VITRINE_EVENT_PRIV_SOFT_EXCEPTION, DB_VECTOR, false, 1, 0 },
		{ VITRINE_EVENT_SOFT_EXCEPTION, BP_VECTOR, false, 1, 0 },
		{ VITRINE_EVENT_SOFT_EXCEPTION, OF_VECTOR, false, 2, 0 },
	};
	unsigned int i;
	bool ok = true;

	for (i = 0; i < ARRAY_SIZE(events); i++) {
		struct vitrine_events queue = {
			.nmi.masked = true, .shadow = KVM_X86_SHADOW_INT_STI,
		};
		bool nmi = events[i].type == VITRINE_EVENT_NMI;
		struct vitrine_injection inj;

		vitrine_events_exit(&queue, &events[i]);
		vitrine_events_choose(&queue, X86_EFLAGS_FIXED | X86_EFLAGS_IF, false, &inj);
		if (!inj.valid || !same_event(&inj.event, &events[i]) || queue.nmi.masked == nmi) {
			tap_diag("type %u vector %u", events[i].type, events[i].vector);
			ok = false;
		}
		vitrine_events_exit(&queue, NULL);
		ok &= !anything(&queue);
	}
	return ok;
}

static bool fault_in_delivery(void)
{
	static const struct vitrine_event interrupt = {
		.type = VITRINE_EVENT_INTERRUPT, .vector = 0x31,
	};
	static const struct vitrine_event df = {
		.type = VITRINE_EVENT_EXCEPTION, .vector = DF_VECTOR, .has_error = true,
	};
	struct vitrine_exception fault = { .nr = PF_VECTOR, .has_error = true };
	struct vitrine_events events = { 0 };
	struct vitrine_injection inj;
	bool ok;

	/* #PF while an interrupt was delivered: the fault first, then, with IF again, the other. */
	vitrine_events_exit(&events, &interrupt);
	ok = !vitrine_events_queue_exception(&events, &fault);
	vitrine_events_choose(&events, X86_EFLAGS_IF, false, &inj);
	ok &= inj.valid && inj.event.vector == PF_VECTOR && inj.interrupt_window;
	vitrine_events_exit(&events, NULL);
	vitrine_events_choose(&events, 0, false, &inj);
	ok &= !inj.valid && inj.interrupt_window;
	vitrine_events_choose(&events, X86_EFLAGS_IF, false, &inj);
	ok &= inj.valid && inj.event.vector == 0x31 && !inj.interrupt_window;
	vitrine_events_exit(&events, NULL);
	ok &= !anything(&events);

	/* The chain to the triple fault, each from the delivery of the one before. */
	ok &= !vitrine_events_queue_exception(&events, &fault);
	vitrine_events_choose(&events, 0, false, &inj);
	vitrine_events_exit(&events, &inj.event);
	ok &= !vitrine_events_queue_exception(&events, &fault) &&
	      events.exception.nr == DF_VECTOR;
	vitrine_events_choose(&events, 0, false, &inj);
	ok &= same_event(&inj.event, &df);
	vitrine_events_exit(&events, &inj.event);
	ok &= vitrine_events_queue_exception(&events, &fault) == -ESHUTDOWN;

	/* Delivered in between, the same two faults are no double fault. */
	ok &= !vitrine_events_queue_exception(&events, &fault);
	vitrine_events_choose(&events, 0, false, &inj);
	vitrine_events_exit(&events, NULL);
	ok &= !vitrine_events_queue_exception(&events, &fault) &&
	      events.exception.nr == PF_VECTOR;
	return ok;
}

static bool nmi_limits(void)
{
	struct vitrine_events events = { 0 };
	unsigned int i;
	bool ok;

	for (i = 0; i < 5; i++)
		vitrine_events_queue_nmi(&events);
	ok = events.nmi.pending == VITRINE_NMI_PENDING_MAX;

	memset(&events, 0, sizeof(events));
	events.nmi.masked = true;
	for (i = 0; i < 5; i++)
		vitrine_events_queue_nmi(&events);
	return ok && events.nmi.pending == 1;
}

static bool interrupts(void)
{
	struct vitrine_events events = { 0 };
	struct vitrine_injection inj;
	bool ok;

	ok = vitrine_events_can_interrupt(&events, X86_EFLAGS_IF) &&
	     !vitrine_events_can_interrupt(&events, 0);
	vitrine_events_choose(&events, X86_EFLAGS_IF, true, &inj);
	ok &= inj.ack_interrupt && !inj.valid && !anything(&events);
	vitrine_events_take_interrupt(&events, 0x55, &inj);
	ok &= inj.valid && !inj.ack_interrupt && inj.event.vector == 0x55 &&
	      inj.event.type == VITRINE_EVENT_INTERRUPT;
	ok &= !vitrine_events_can_interrupt(&events, X86_EFLAGS_IF);
	ok &= vitrine_events_queue_interrupt(&events, 0x56) == -EEXIST;
	vitrine_events_exit(&events, NULL);
	ok &= !vitrine_events_queue_interrupt(&events, 0x56);
	vitrine_events_choose(&events, 0, false, &inj);
	ok &= !inj.valid && inj.interrupt_window;
	events.shadow = KVM_X86_SHADOW_INT_MOV_SS;
	vitrine_events_choose(&events, X86_EFLAGS_IF, false, &inj);
	ok &= !inj.valid && inj.interrupt_window;
	events.shadow = 0;
	vitrine_events_choose(&events, X86_EFLAGS_IF, false, &inj);
	return ok && inj.valid && inj.event.vector == 0x56;
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "double and triple faults by the table", double_faults },
		{ "what an entry injects, every combination", choices },
		{ "each type of interrupted delivery", requeue_types },
		{ "faults while something is delivered", fault_in_delivery },
		{ "NMIs beyond the latch merge", nmi_limits },
		{ "interrupts from outside", interrupts },
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
