/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Linear addresses of a vCPU, for instructions that are executed in software: what the segment
 * registers say about them, and where they lead in guest-physical memory.
 */
#ifndef VITRINE_LINEAR_H
#define VITRINE_LINEAR_H

#include <linux/kvm_types.h>
#include <linux/types.h>

#include "insn.h"

struct vitrine_vcpu;

/**
 * struct vitrine_span - a range of linear addresses, at most a page long, translated
 * @gpa: where it begins
 * @gpa_next: where it goes on, if it crosses a page boundary
 * @first_bytes: how much of it is at @gpa
 */
struct vitrine_span {
	gpa_t gpa;
	gpa_t gpa_next;
	unsigned int first_bytes;
};

/*
 * Segment base and limits, canonical form: false where the CPU would raise #SS(0) or #GP(0), which
 * vitrine_linear_fault() queues; both want the same @seg. Loaded.
 */
bool vitrine_linear_address(struct vitrine_vcpu *vcpu, enum vitrine_insn_mode mode,
			    unsigned int seg, u64 offset, unsigned int len_bytes, bool write,
			    gva_t *gva);
void vitrine_linear_fault(struct vitrine_vcpu *vcpu, unsigned int seg);
/*
 * Of one page, with VITRINE_ACCESS_*: 0; EXIT_RESUME if a page fault was queued; or -errno. Loaded,
 * vm->srcu held.
 */
int vitrine_linear_page(struct vitrine_vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa);
/*
 * Of all that an access touches, in the same words. Neither page was touched unless both can
 * be.
 */
int vitrine_linear_translate(struct vitrine_vcpu *vcpu, enum vitrine_insn_mode mode, gva_t gva,
			     unsigned int len_bytes, bool write, struct vitrine_span *span);

/*
 * The guest-physical address of byte @at of a span; @len_bytes is cut to what is contiguous there.
 */
static inline gpa_t vitrine_span_at(const struct vitrine_span *span, unsigned int at,
				    unsigned int *len_bytes)
{
	if (at >= span->first_bytes)
		return span->gpa_next + (at - span->first_bytes);
	if (*len_bytes > span->first_bytes - at)
		*len_bytes = span->first_bytes - at;
	return span->gpa + at;
}

#endif
