// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the rings of exit records: their memory, what is written to them, and when a reader is
 * woken.
 *
 * The reader maps a ring for reading and writing. Nothing that it writes is believed: the kernel's
 * indices live here, the mapped ones are copies for the reader, and of the reader's own position
 * only a difference is taken. A ring has one writer, the thread that has its vCPU loaded.
 */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/rculist.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <asm/msr.h>

#include "../backend.h"
#include "../compat.h"
#include "../fetch.h"
#include "../regs.h"
#include "../vm.h"
#include "ring.h"
#include "steer.h"

static_assert(sizeof(struct vitrine_record) == VITRINE_RECORD_BYTES);
static_assert(sizeof(struct vitrine_ring_header) <= PAGE_SIZE);
static_assert(VITRINE_INSN_16 == VITRINE_RECORD_16BIT && VITRINE_INSN_32 == VITRINE_RECORD_32BIT &&
	      VITRINE_INSN_64 == VITRINE_RECORD_64BIT);
static_assert(EXIT_USER == 0 && EXIT_RESUME == 1);

u32 vitrine_ring_bytes(u32 nr_records)
{
	return PAGE_SIZE + PAGE_ALIGN(nr_records * VITRINE_RECORD_BYTES);
}

struct vitrine_ring *vitrine_ring_create(const struct vitrine_ring_config *config, bool steers,
					 wait_queue_head_t *wait)
{
	struct vitrine_ring *ring = kzalloc(sizeof(*ring), GFP_KERNEL_ACCOUNT);
	struct vitrine_ring_header *header;

	if (!ring)
		return ERR_PTR(-ENOMEM);
	header = __vmalloc(vitrine_ring_bytes(config->nr_records),
			   GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!header) {
		kfree(ring);
		return ERR_PTR(-ENOMEM);
	}
	header->record_bytes = VITRINE_RECORD_BYTES;
	header->nr_records = config->nr_records;
	header->flags = config->flags;
	header->vcpu = config->vcpu;
	header->vcpu_id = config->vcpu_id;
	ring->header = header;
	ring->records = (void *)header + PAGE_SIZE;
	ring->nr_records = config->nr_records;
	ring->flags = config->flags;
	ring->wakeup = config->wakeup;
	ring->steers = steers;
	ring->wait = wait;
	memcpy(ring->reasons, config->reasons, sizeof(ring->reasons));
	return ring;
}

void vitrine_ring_charge(struct vitrine_ring *ring)
{
	ring->mm = current->mm;
	mmgrab(ring->mm);
}

void vitrine_ring_free(struct vitrine_ring *ring)
{
	WARN_ON_ONCE(ring->vcpu);
	if (ring->mm) {
		account_locked_vm(ring->mm, vitrine_ring_bytes(ring->nr_records) >> PAGE_SHIFT,
				  false);
		mmdrop(ring->mm);
	}
	vfree(ring->header);
	kfree(ring);
}

/* What the vCPU looks at, from its rings; they are changed under one lock. */
static void watch(struct vitrine_vcpu *vcpu)
{
	u64 reasons[2] = {};
	struct vitrine_ring *ring;
	bool insn = false;

	hlist_for_each_entry(ring, &vcpu->rings, node) {
		reasons[0] |= ring->reasons[0];
		reasons[1] |= ring->reasons[1];
		insn |= ring->flags & VITRINE_RING_INSN;
	}
	WRITE_ONCE(vcpu->watched_reasons[0], reasons[0]);
	WRITE_ONCE(vcpu->watched_reasons[1], reasons[1]);
	assign_bit(VITRINE_WATCH_INSN, &vcpu->watch, insn);
	assign_bit(VITRINE_WATCH_RING, &vcpu->watch, !hlist_empty(&vcpu->rings));
}

void vitrine_ring_start(struct vitrine_ring *ring, struct vitrine_vcpu *vcpu)
{
	ring->vcpu = vcpu;
	hlist_add_head_rcu(&ring->node, &vcpu->rings);
	watch(vcpu);
}

void vitrine_ring_stop(struct vitrine_ring *ring)
{
	struct vitrine_vcpu *vcpu = ring->vcpu;

	if (!vcpu)
		return;
	hlist_del_rcu(&ring->node);
	watch(vcpu);
	ring->vcpu = NULL;
}

void vitrine_ring_filter(struct vitrine_ring *ring, const u64 *reasons)
{
	WRITE_ONCE(ring->reasons[0], reasons[0]);
	WRITE_ONCE(ring->reasons[1], reasons[1]);
	watch(ring->vcpu);
}

struct page *vitrine_ring_page(const struct vitrine_ring *ring, unsigned long offset)
{
	if (offset >= vitrine_ring_bytes(ring->nr_records) >> PAGE_SHIFT)
		return NULL;
	return vmalloc_to_page((void *)ring->header + offset * PAGE_SIZE);
}

/* By the reader's word for how far it is: only who polls depends on it. */
bool vitrine_ring_readable(const struct vitrine_ring *ring)
{
	return ring->wakeup &&
	       READ_ONCE(ring->head) - READ_ONCE(ring->header->tail) >= ring->wakeup;
}

static bool wants(const u64 *reasons, u32 reason)
{
	return reason >= 128 || READ_ONCE(reasons[reason / 64]) & BIT_ULL(reason % 64);
}

/* Where a constant number is unrolled; memcpy() is a byte at a time on some processors. */
static __always_inline void copy_words(u64 *to, const u64 *from, unsigned int nr)
{
	unsigned int i;

#pragma GCC unroll 32
	for (i = 0; i < nr; i++)
		WRITE_ONCE(to[i], from[i]);
}

/* Like fill(), part of what each recorded exit pays for: no calls. */
static __always_inline void push(struct vitrine_ring *ring, const struct vitrine_record *record)
{
	struct vitrine_ring_header *header = ring->header;
	u64 head = ring->head, unread = head - READ_ONCE(header->tail);
	struct vitrine_record *to;

	if (ring->flags & VITRINE_RING_STOP && unread >= ring->nr_records) {
		WRITE_ONCE(ring->lost, ring->lost + 1);
		WRITE_ONCE(header->lost, ring->lost);
		return;
	}
	to = &ring->records[head & (ring->nr_records - 1)];
	WRITE_ONCE(to->seq, 0);
	/* A reader that sees anything of the new record sees that the old one is gone. */
	smp_wmb();
	copy_words((u64 *)to + 1, (const u64 *)record + 1, sizeof(*record) / sizeof(u64) - 1);
	/* Whole before it has its number. */
	smp_store_release(&to->seq, head + 1);
	WRITE_ONCE(ring->head, head + 1);
	/* That before it counts. */
	smp_store_release(&header->head, head + 1);
	/* Once, as it gets there: whoever goes to sleep later looks first. */
	if (likely(!ring->wakeup || unread + 1 != ring->wakeup))
		return;
	if (wq_has_sleeper(ring->wait))
		wake_up_interruptible_poll(ring->wait, EPOLLIN | EPOLLRDNORM);
}

static __always_inline void fill(struct vitrine_vcpu *vcpu, struct vitrine_record *record,
				 u32 vectoring_info)
{
	const struct vitrine_exit *exit = &vcpu->exit;

	/* RSP is not there, as the backend adds it. */
	copy_words(record->regs, vcpu->regs, ARRAY_SIZE(record->regs));
	vitrine_backend->record_exit(vcpu, record);
	record->reason = exit->reason;
	record->qualification = exit->qualification;
	record->vectoring_info = vectoring_info;
	record->entry_tsc = exit->entry_tsc;
	record->exit_tsc = exit->tsc;
	record->cpu = raw_smp_processor_id();
	memset(record->insn, 0, sizeof(record->insn));
	record->nr_insn = 0;
	memset(record->reserved, 0, sizeof(record->reserved));
}

static noinline void fill_insn(struct vitrine_vcpu *vcpu, struct vitrine_record *record)
{
	u8 bytes[VITRINE_INSN_MAX_LEN + 1];
	int idx, len;

	idx = srcu_read_lock(&vcpu->vm->srcu);
	len = vitrine_fetch_bytes(vcpu, bytes);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	if (len <= 0)
		return;
	record->nr_insn = len;
	memcpy(record->insn, bytes, len);
}

static __always_inline int handle(struct vitrine_vcpu *vcpu)
{
	if (unlikely(vcpu->policy_on))
		return vitrine_steer_handle(vcpu);
	return vitrine_backend->handle_exit(vcpu);
}

/*
 * Apart, so that exits which nobody records do not pay for its stack. @observed: because a rule
 * says so, for the rings that otherwise would not have it.
 */
static __always_inline int record_exit(struct vitrine_vcpu *vcpu, bool observed,
				       u32 vectoring_info,
				       int (*handler)(struct vitrine_vcpu *vcpu))
{
	u32 reason = (u16)vcpu->exit.reason;
	struct vitrine_record record vitrine_uninitialized;
	struct vitrine_ring *ring;
	u64 start;
	int ret;

	/* The reader's pages, and the VMM's. */
	vcpu->host_data_read = true;
	fill(vcpu, &record, vectoring_info);
	if (test_bit(VITRINE_WATCH_INSN, &vcpu->watch))
		fill_insn(vcpu, &record);
	start = rdtsc();
	ret = handler(vcpu);
	record.handler_ticks = rdtsc() - start;
	record.result = ret;

	/* Some kernels call a function for rcu_read_lock(). */
	rcu_read_lock_sched();
	hlist_for_each_entry_rcu(ring, &vcpu->rings, node, rcu_read_lock_sched_held())
		if (observed ? ring->steers && !wants(ring->reasons, reason) :
			       wants(ring->reasons, reason))
			push(ring, &record);
	rcu_read_unlock_sched();
	return ret;
}

static noinline int record_wanted(struct vitrine_vcpu *vcpu)
{
	return record_exit(vcpu, false, vcpu->exit.vectoring_info, handle);
}

noinline int vitrine_ring_observe(struct vitrine_vcpu *vcpu, u32 vectoring_info,
				  int (*handler)(struct vitrine_vcpu *vcpu))
{
	return record_exit(vcpu, true, vectoring_info, handler);
}

int vitrine_ring_handle_exit(struct vitrine_vcpu *vcpu)
{
	if (!wants(vcpu->watched_reasons, (u16)vcpu->exit.reason))
		return handle(vcpu);
	return record_wanted(vcpu);
}
