/* SPDX-License-Identifier: GPL-2.0 */
/* The instruction at RIP, decoded: for exits that have to execute it in software. */
#ifndef VITRINE_FETCH_H
#define VITRINE_FETCH_H

#include <linux/types.h>

#include "guest.h"
#include "insn.h"

struct vitrine_vcpu;

#define VITRINE_NR_FETCH_MEMOS	8	/* a power of two */

/**
 * struct vitrine_fetch_memo - an instruction that was fetched before, and all that this depended on
 * @rip: linear address; with @insn.len 0 there is nothing
 * @cr0: @cr3: @cr4: @efer: @user: the paging mode and its root, and CPL 3
 * @generation: of the memory slots
 * @nr_steps: paging-structure entries on the way
 * @steps: where the VMM has them, and what they were
 * @code: where the VMM has the instruction
 * @bytes: 15 of them, and a zero
 * @mode: enum vitrine_insn_mode
 * @insn: what they mean
 */
struct vitrine_fetch_memo {
	u64 rip;
	u64 cr0, cr3, cr4, efer;
	u64 generation;
	struct {
		const u64 __user *at;
		u64 entry;
	} steps[VITRINE_WALK_MAX_STEPS];
	u8 nr_steps;
	bool user;
	u8 mode;
	const u8 __user *code;
	u64 bytes[2];
	struct vitrine_insn insn;
};

/*
 * Fills s->mode and s->insn. Return: 0; what vitrine_insn_decode() says against the instruction; or
 * -EFAULT where it cannot be read. Loaded, vm->srcu held.
 */
int vitrine_fetch_insn(struct vitrine_vcpu *vcpu, struct vitrine_insn_state *s);
/* Its bytes, at most 15; fewer at the end of what can be read, or -EFAULT. */
int vitrine_fetch_bytes(struct vitrine_vcpu *vcpu, u8 *bytes);

#endif
