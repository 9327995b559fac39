// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the way of a message to the local APICs that it names: destination matching, shorthands,
 * delivery modes. Sources are the ICR, the I/O APIC and MSIs. Callable in any context; it must
 * not sleep or take a lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/printk.h>
#include <linux/xarray.h>
#include <asm/apicdef.h>

#include "irq_glue.h"
#include "lapic.h"
#include "lapic_regs.h"
#include "trace.h"
#include "vm.h"

#define XAPIC_BROADCAST		0xffu
#define X2APIC_BROADCAST	0xffffffffu
#define LOWEST_VECTOR		16
#define DFR_MODEL(dfr)		((dfr) >> 28)
#define DFR_MODEL_FLAT		0xf

static bool matches_physical(const struct vitrine_lapic *lapic, u32 dest)
{
	/*
	 * The id is the vCPU's for ever. In full even in xAPIC mode, so that a CPU with a large
	 * id can be started before it has switched to x2APIC mode.
	 */
	return lapic->vcpu->id == dest;
}

static bool matches_logical(const struct vitrine_lapic *lapic, u32 dest)
{
	u32 ldr = vitrine_lapic_get(lapic, APIC_LDR);

	/* The register is xAPIC's as long as the mode is: it is written after the mode. */
	smp_rmb();
	if (READ_ONCE(lapic->mode) == VITRINE_LAPIC_X2APIC) {
		ldr = vitrine_lapic_x2apic_ldr(lapic->vcpu->id);
		return ldr >> 16 == dest >> 16 && ldr & dest & 0xffff;
	}
	if (dest > 0xff)
		return false;
	ldr = GET_APIC_LOGICAL_ID(ldr);
	if (DFR_MODEL(vitrine_lapic_get(lapic, APIC_DFR)) == DFR_MODEL_FLAT)
		return ldr & dest;
	return ldr >> 4 == dest >> 4 && ldr & dest & 0xf;
}

static bool is_broadcast(const struct vitrine_lapic *lapic, const struct vitrine_lapic *source,
			 u32 dest)
{
	if (READ_ONCE(lapic->mode) != VITRINE_LAPIC_X2APIC)
		return dest == XAPIC_BROADCAST || dest == X2APIC_BROADCAST;
	/* An I/O APIC or an MSI has eight bits to say "all". */
	if (dest == XAPIC_BROADCAST && !source && !lapic->vcpu->vm->irq.x2apic_no_broadcast_quirk)
		return true;
	return dest == X2APIC_BROADCAST;
}

bool vitrine_lapic_matches(const struct vitrine_lapic *lapic, const struct vitrine_lapic *source,
			   const struct vitrine_apic_msg *msg)
{
	switch (msg->shorthand) {
	case APIC_DEST_SELF:
		return lapic == source;
	case APIC_DEST_ALLINC:
		return true;
	case APIC_DEST_ALLBUT:
		return lapic != source;
	}
	if (is_broadcast(lapic, source, msg->dest))
		return true;
	if (msg->logical)
		return matches_logical(lapic, msg->dest);
	return matches_physical(lapic, msg->dest);
}

static int deliver(struct vitrine_lapic *lapic, const struct vitrine_apic_msg *msg)
{
	struct vitrine_vcpu *vcpu = lapic->vcpu;
	bool deassert = msg->level_triggered && !msg->assert;

	switch (msg->delivery_mode) {
	case APIC_DM_FIXED:
	case APIC_DM_LOWEST:
		if (deassert)
			return 0;
		return max(vitrine_lapic_accept(lapic, msg->vector, msg->level_triggered), 0);
	case APIC_DM_NMI:
		vitrine_irq_raise_nmi(vcpu);
		return 1;
	case APIC_DM_INIT:
		if (deassert)
			return 0;
		/* A SIPI from before this INIT is forgotten with everything else. */
		WRITE_ONCE(lapic->events, BIT(VITRINE_LAPIC_EVENT_INIT));
		vitrine_vcpu_request_and_kick(vcpu, VITRINE_REQ_APIC_EVENT);
		return 1;
	case APIC_DM_STARTUP:
		WRITE_ONCE(lapic->sipi_vector, msg->vector);
		/* Pairs with the atomic test in vitrine_lapic_accept_events(). */
		smp_mb__before_atomic();
		set_bit(VITRINE_LAPIC_EVENT_SIPI, &lapic->events);
		vitrine_vcpu_request_and_kick(vcpu, VITRINE_REQ_APIC_EVENT);
		return 1;
	default:
		/* ExtINT reaches a CPU through LINT0 only; there is no SMM here to take an SMI. */
		pr_debug_ratelimited("interrupt message: delivery mode %u is not delivered\n",
				     GET_APIC_DELIVERY_MODE(msg->delivery_mode));
		return 0;
	}
}

/*
 * The vCPUs that a message may mean: those of up to 16 ids, or all of them. In x2APIC mode a
 * logical destination names ids too, so that only xAPIC mode's and broadcasts cost a walk.
 */
struct search {
	struct vitrine_vm *vm;
	const struct vitrine_lapic *source;
	const struct vitrine_apic_msg *msg;
	bool all;
	unsigned int next;	/* @all: index of the next vCPU */
	u32 base;		/* else: id of the first of these */
	unsigned long bits;
};

static void search_begin(struct search *search, struct vitrine_vm *vm,
			 const struct vitrine_lapic *source, const struct vitrine_apic_msg *msg)
{
	u32 dest = msg->dest;

	*search = (struct search){ .vm = vm, .source = source, .msg = msg };
	/* Eight bits mean something else to APICs in xAPIC mode and to who has no more. */
	if (msg->shorthand || dest == X2APIC_BROADCAST ||
	    (dest == XAPIC_BROADCAST && !source) ||
	    ((msg->logical || dest == XAPIC_BROADCAST) && dest <= 0xff &&
	     atomic_read(&vm->irq.nr_xapic))) {
		search->all = true;
	} else if (msg->logical) {
		search->base = dest >> 16 << 4;
		search->bits = dest & 0xffff;
	} else {
		search->base = dest;
		search->bits = 1;
	}
	/* Who is not counted is seen in its new mode: pairs with lapic_update_mode(). */
	smp_rmb();
}

static struct vitrine_lapic *search_next(struct search *search)
{
	struct vitrine_vm *vm = search->vm;
	struct vitrine_vcpu *vcpu;

	for (;;) {
		if (search->all) {
			if (search->next >= (unsigned int)atomic_read(&vm->online_vcpus))
				return NULL;
			vcpu = xa_load(&vm->vcpus, search->next++);
		} else {
			if (!search->bits)
				return NULL;
			vcpu = xa_load(&vm->vcpu_by_id, search->base + __ffs(search->bits));
			search->bits &= search->bits - 1;
		}
		if (vcpu && READ_ONCE(vcpu->lapic->mode) != VITRINE_LAPIC_DISABLED &&
		    vitrine_lapic_matches(vcpu->lapic, search->source, search->msg))
			return vcpu->lapic;
	}
}

/*
 * Whoever the vector picks among those addressed, so that one interrupt always goes to the same
 * vCPU.
 */
static int deliver_lowest(struct search *search)
{
	const struct vitrine_apic_msg *msg = search->msg;
	struct search again = *search;
	unsigned int matches = 0, chosen;
	struct vitrine_lapic *lapic;

	while ((lapic = search_next(search)))
		matches += READ_ONCE(lapic->enabled);
	if (!matches)
		return -1;

	chosen = msg->vector % matches;
	while ((lapic = search_next(&again)))
		if (READ_ONCE(lapic->enabled) && !chosen--)
			return deliver(lapic, msg);
	/* One of them was turned off in between. */
	return -1;
}

int vitrine_lapic_send(struct vitrine_vm *vm, struct vitrine_lapic *source,
		       const struct vitrine_apic_msg *msg)
{
	struct vitrine_lapic *lapic;
	struct search search;
	int ret = -1;

	trace_vitrine_ipi(vm, source, msg);
	if (msg->shorthand == APIC_DEST_SELF)
		return READ_ONCE(source->mode) == VITRINE_LAPIC_DISABLED ? -1 :
									   deliver(source, msg);
	search_begin(&search, vm, source, msg);
	if (msg->delivery_mode == APIC_DM_LOWEST || msg->lowest)
		return deliver_lowest(&search);
	while ((lapic = search_next(&search)))
		ret = max(ret, 0) + deliver(lapic, msg);
	return ret;
}

void vitrine_lapic_send_ipi(struct vitrine_lapic *lapic, u32 low, u32 high)
{
	struct vitrine_apic_msg msg = {
		.dest = lapic->mode == VITRINE_LAPIC_X2APIC ? high : GET_XAPIC_DEST_FIELD(high),
		.delivery_mode = low & APIC_DM_FIXED_MASK,
		.vector = low & APIC_VECTOR_MASK,
		.logical = low & APIC_DEST_LOGICAL,
		.level_triggered = low & APIC_INT_LEVELTRIG,
		.assert = low & APIC_INT_ASSERT,
		.shorthand = low & APIC_DEST_ALLBUT,
	};

	if ((msg.delivery_mode == APIC_DM_FIXED || msg.delivery_mode == APIC_DM_LOWEST) &&
	    msg.vector < LOWEST_VECTOR) {
		vitrine_lapic_log_error(lapic, APIC_ESR_SENDILL);
		return;
	}
	vitrine_lapic_send(lapic->vcpu->vm, lapic, &msg);
}

void vitrine_lapic_write_icr(struct vitrine_lapic *lapic, u32 low, u32 high)
{
	vitrine_lapic_put(lapic, APIC_ICR, low);
	vitrine_lapic_put(lapic, APIC_ICR2, high);
	vitrine_lapic_send_ipi(lapic, low, high);
}
