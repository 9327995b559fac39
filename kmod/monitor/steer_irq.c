// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts in an exit policy: asked about when their controller was acknowledged, before they are
 * injected. Until the answer they are with those whose delivery was interrupted, which is where a
 * VMM finds them that saves the vCPU meanwhile.
 */
#include <linux/errno.h>

#include "../backend.h"
#include "../irq/irq.h"
#include "../vcpu.h"
#include "../vm.h"
#include "policy.h"
#include "steer.h"

static int resume(struct vitrine_vcpu *vcpu, const struct vitrine_answer *answer)
{
	struct vitrine_events *events = &vcpu->events;

	/* NULL: another event had the room for one. */
	if (!answer)
		return EXIT_RESUME;
	vcpu->irq_from |= VITRINE_IRQ_ASKED;
	/* The VMM may have taken it away. */
	if (answer->verdict == VITRINE_DONE && events->interrupt.injected &&
	    !events->interrupt.soft && events->interrupt.nr == vcpu->ask->event.key) {
		events->interrupt.injected = false;
		vitrine_irq_end(vcpu, events->interrupt.nr);
	}
	return EXIT_RESUME;
}

bool vitrine_steer_interrupt(struct vitrine_vcpu *vcpu, u8 vector)
{
	struct vitrine_happening what = { .on = VITRINE_ON_INTERRUPT, .key = vector };

	if (vcpu->irq_from & VITRINE_IRQ_ASKED)
		return false;
	/* Without the memory for a question it is not asked. */
	if (vitrine_steer_ask(vcpu, &what, resume) == EXIT_RESUME) {
		vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
		return true;
	}
	vcpu->irq_from |= VITRINE_IRQ_ASKED;
	return false;
}
