/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rings of exit records: written by the thread that runs a vCPU, read by a control tool in another
 * process through its mapping. Who may have one is attach.c's business. Tags as in vm.h; [A] is the
 * lock of the VM's monitors.
 */
#ifndef VITRINE_MONITOR_RING_H
#define VITRINE_MONITOR_RING_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <vitrine.h>

struct mm_struct;
struct page;
struct vitrine_vcpu;

/**
 * struct vitrine_ring - one monitor's ring of one vCPU
 * @node: in vcpu->rings: for writers [A], for readers RCU
 * @vcpu: whose exits; NULL once it writes no more
 * @header: shared with the reader, who may write anything at any time: what counts is below
 * @records: likewise
 * @head: records written so far, by the thread that has the vCPU loaded
 * @lost: likewise, that found the ring full
 * @nr_records: a power of two
 * @flags: VITRINE_RING_*
 * @wakeup: so many unread records wake who polls
 * @steers: of the steering monitor: exits that a rule wants observed are recorded, too
 * @reasons: exits that are recorded; any context
 * @wait: the monitor's
 * @mm: whose locked memory it counts as, with a reference, or NULL
 */
struct vitrine_ring {
	struct hlist_node node;
	struct vitrine_vcpu *vcpu;		/* [A] */
	struct vitrine_ring_header *header;	/* [I] */
	struct vitrine_record *records;		/* [I] */
	u64 head;				/* [v] */
	u64 lost;				/* [v] */
	u32 nr_records;				/* [I] */
	u32 flags;				/* [I] */
	u32 wakeup;				/* [I] */
	bool steers;				/* [I] */
	u64 reasons[2];				/* [a] a word at a time */
	wait_queue_head_t *wait;		/* [I] */
	struct mm_struct *mm;			/* [I] once it is started */
};

/*
 * Bits of vcpu->watch: a ring wants exits to be recorded; one wants the instruction, too; the exit
 * policy asks about some class.
 */
enum { VITRINE_WATCH_RING, VITRINE_WATCH_INSN, VITRINE_WATCH_POLICY };

/* Bytes of the mapping, which is the header's page and the records. */
u32 vitrine_ring_bytes(u32 nr_records);
/* Records nothing until it is started. ERR_PTR. */
struct vitrine_ring *vitrine_ring_create(const struct vitrine_ring_config *config, bool steers,
					 wait_queue_head_t *wait);
/*
 * Its pages count as the caller's, who has charged them to current->mm, until it is freed: it can
 * outlive its VM, and its maker hand the fd on.
 */
void vitrine_ring_charge(struct vitrine_ring *ring);
/* Stopped, and every vCPU thread that may still write has been waited for (RCU). Sleeps. */
void vitrine_ring_free(struct vitrine_ring *ring);
/* All under [A]; the vCPU may be running. A ring that is filtered was not stopped. */
void vitrine_ring_start(struct vitrine_ring *ring, struct vitrine_vcpu *vcpu);
void vitrine_ring_stop(struct vitrine_ring *ring);
void vitrine_ring_filter(struct vitrine_ring *ring, const u64 *reasons);
/* Page @offset of the mapping, or NULL. */
struct page *vitrine_ring_page(const struct vitrine_ring *ring, unsigned long offset);
bool vitrine_ring_readable(const struct vitrine_ring *ring);

/*
 * In the place of backend->handle_exit() while vcpu->watch is not 0: the exit is handled and then
 * recorded, as it was before. Loaded.
 */
int vitrine_ring_handle_exit(struct vitrine_vcpu *vcpu);
/*
 * VITRINE_DO_OBSERVE: @handler is called and the exit recorded, as it was before, in the rings of
 * the steering monitor that would not have it by its reason. @vectoring_info is the exit's, which
 * is not in vcpu->exit any more where the event that it interrupted was settled. Loaded; what
 * @handler returns.
 */
int vitrine_ring_observe(struct vitrine_vcpu *vcpu, u32 vectoring_info,
			 int (*handler)(struct vitrine_vcpu *vcpu));

#endif
