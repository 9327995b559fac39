// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the way from RIP to a decoded instruction. It must not know why it is wanted.
 *
 * A driver has few instructions that touch its device and executes them over and over. Walking the
 * guest's page tables and decoding cost several times what the exit does, so the outcome is kept
 * together with everything that it was made from: each paging-structure entry and the bytes
 * themselves are read again and compared. What is found this way is what a walk would find; there
 * is nothing to invalidate.
 */
#include <linux/errno.h>
#include <linux/hash.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "backend.h"
#include "fetch.h"
#include "guest.h"
#include "memslot.h"
#include "regs.h"
#include "vm.h"

/**
 * struct fetch - one fetch on its way
 * @rip: linear address
 * @cr3: the guest's
 * @mode: enum vitrine_insn_mode
 * @user: at CPL 3
 */
struct fetch {
	u64 rip;
	u64 cr3;
	enum vitrine_insn_mode mode;
	bool user;
};

static void fetch_begin(struct vitrine_vcpu *vcpu, struct fetch *fetch)
{
	u64 base;

	fetch->mode = vitrine_backend->get_code_mode(vcpu, &base);
	fetch->rip = vitrine_rip_read(vcpu) + base;
	if (fetch->mode != VITRINE_INSN_64)
		fetch->rip = (u32)fetch->rip;
	fetch->user = vitrine_backend->get_cpl(vcpu) == 3;
	fetch->cr3 = vitrine_backend->get_cr3(vcpu);
}

static const void __user *user_address(struct vitrine_memslots *slots, gpa_t gpa)
{
	const struct vitrine_memslot *slot = vitrine_memslot_find(slots, gpa >> PAGE_SHIFT);

	if (!slot)
		return NULL;
	return (void __user *)(vitrine_memslot_hva(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa));
}

static struct vitrine_memslots *slots_of(struct vitrine_vcpu *vcpu)
{
	return srcu_dereference(vcpu->vm->slots, &vcpu->vm->srcu);
}

/* The addresses are a slot's, which was checked to be the VMM's when it was made. */
static bool memo_is_current(struct vitrine_vcpu *vcpu, const struct vitrine_fetch_memo *memo,
			    const struct fetch *fetch)
{
	const u8 __user *last = memo->code + VITRINE_INSN_MAX_LEN - sizeof(u64);
	u64 changed = 0, entry, bytes[2];
	unsigned int i;

	if (memo->rip != fetch->rip || memo->cr3 != fetch->cr3 || memo->mode != fetch->mode ||
	    memo->user != fetch->user || memo->cr0 != vcpu->cr0 || memo->cr4 != vcpu->cr4 ||
	    memo->efer != vcpu->efer || memo->generation != slots_of(vcpu)->generation ||
	    !memo->insn.len)
		return false;
	if (!user_read_access_begin(memo->code, VITRINE_INSN_MAX_LEN))
		return false;
	for (i = 0; i < memo->nr_steps; i++) {
		unsafe_get_user(entry, memo->steps[i].at, fault);
		changed |= entry ^ memo->steps[i].entry;
	}
	unsafe_get_user(bytes[0], (const u64 __user *)memo->code, fault);
	unsafe_get_user(bytes[1], (const u64 __user *)last, fault);
	user_read_access_end();
	return !changed && bytes[0] == memo->bytes[0] &&
	       bytes[1] == (memo->bytes[1] << 8 | memo->bytes[0] >> 56);
fault:
	user_read_access_end();
	return false;
}

/* Not for paging modes whose entries are not all in memory, or not all of eight bytes. */
static void memo_fill(struct vitrine_vcpu *vcpu, struct vitrine_fetch_memo *memo,
		      const struct fetch *fetch, const struct vitrine_walk *walk, const u64 *bytes,
		      const struct vitrine_insn *insn)
{
	struct vitrine_memslots *slots = slots_of(vcpu);
	unsigned int i;

	memo->insn.len = 0;
	if (vcpu->cr0 & X86_CR0_PG && !vitrine_is_long_mode(vcpu))
		return;
	for (i = 0; i < walk->nr_steps; i++) {
		memo->steps[i].at = user_address(slots, walk->steps[i].gpa);
		memo->steps[i].entry = walk->steps[i].entry;
		if (!memo->steps[i].at)
			return;
	}
	memo->nr_steps = walk->nr_steps;
	memo->code = user_address(slots, walk->gpa);
	if (!memo->code)
		return;
	memo->rip = fetch->rip;
	memo->cr0 = vcpu->cr0;
	memo->cr3 = fetch->cr3;
	memo->cr4 = vcpu->cr4;
	memo->efer = vcpu->efer;
	memo->user = fetch->user;
	memo->mode = fetch->mode;
	memo->generation = slots->generation;
	memcpy(memo->bytes, bytes, sizeof(memo->bytes));
	memo->insn = *insn;
}

/* @walk is the last page's. */
static int fetch_bytes(struct vitrine_vcpu *vcpu, const struct fetch *fetch, u8 *bytes,
		       struct vitrine_walk *walk)
{
	u32 access = VITRINE_ACCESS_FETCH | (fetch->user ? VITRINE_ACCESS_USER : 0);
	unsigned int len = 0;

	while (len < VITRINE_INSN_MAX_LEN) {
		u64 gva = fetch->rip + len;
		unsigned int part = min_t(unsigned int, VITRINE_INSN_MAX_LEN - len,
					  PAGE_SIZE - offset_in_page(gva));

		if (fetch->mode != VITRINE_INSN_64)
			gva = (u32)gva;
		if (vitrine_guest_walk(vcpu, gva, access, walk) || walk->fault ||
		    vitrine_guest_read(vcpu->vm, walk->gpa, bytes + len, part))
			break;
		len += part;
	}
	return len ?: -EFAULT;
}

int vitrine_fetch_bytes(struct vitrine_vcpu *vcpu, u8 *bytes)
{
	struct vitrine_walk walk;
	struct fetch fetch;

	fetch_begin(vcpu, &fetch);
	return fetch_bytes(vcpu, &fetch, bytes, &walk);
}

int vitrine_fetch_insn(struct vitrine_vcpu *vcpu, struct vitrine_insn_state *s)
{
	struct vitrine_fetch_memo *memo;
	struct vitrine_walk walk;
	struct fetch fetch;
	u64 bytes[2] = {};
	int len, ret;

	fetch_begin(vcpu, &fetch);
	s->mode = fetch.mode;
	memo = &vcpu->fetch_memos[hash_64(fetch.rip, ilog2(VITRINE_NR_FETCH_MEMOS))];
	if (likely(memo_is_current(vcpu, memo, &fetch))) {
		s->insn = memo->insn;
		return 0;
	}
	len = fetch_bytes(vcpu, &fetch, (u8 *)bytes, &walk);
	if (len < 0)
		return len;
	ret = vitrine_insn_decode((const u8 *)bytes, len, fetch.mode, &s->insn);
	if (!ret && offset_in_page(fetch.rip) + VITRINE_INSN_MAX_LEN <= PAGE_SIZE)
		memo_fill(vcpu, memo, &fetch, &walk, bytes, &s->insn);
	return ret;
}
