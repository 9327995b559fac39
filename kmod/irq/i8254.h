/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The three counters of an 8254 as pure arithmetic over a clock in nanoseconds that the caller
 * reads.
 */
#ifndef VITRINE_IRQ_I8254_H
#define VITRINE_IRQ_I8254_H

#include <linux/kvm.h>
#include <linux/types.h>

#define VITRINE_I8254_HZ	1193182

/* What a write asks of the one who owns the timers. */
enum vitrine_i8254_effect {
	VITRINE_I8254_NOTHING,
	VITRINE_I8254_STOPPED,		/* a control word: the channel waits for a new count */
	VITRINE_I8254_LOADED,		/* counting began anew */
};

void vitrine_i8254_reset(struct kvm_pit_channel_state *channels, s64 now_ns);
/* A count's length in input clocks, 1 to 65536 (10000 in BCD). */
u32 vitrine_i8254_clocks(const struct kvm_pit_channel_state *channel);
u64 vitrine_i8254_clocks_to_ns(u32 clocks);
/* Does the mode start over by itself? */
bool vitrine_i8254_periodic(const struct kvm_pit_channel_state *channel);
bool vitrine_i8254_output(const struct kvm_pit_channel_state *channel, s64 now_ns);
/* @port: 0-2, the channel's data port. */
u8 vitrine_i8254_read(struct kvm_pit_channel_state *channels, unsigned int port, s64 now_ns);
/* @port: 0-3; @channel_id receives the channel that the effect is about. */
enum vitrine_i8254_effect vitrine_i8254_write(struct kvm_pit_channel_state *channels,
					      unsigned int port, u8 value, s64 now_ns,
					      unsigned int *channel_id);
/* The gate input; true if counting began anew. */
bool vitrine_i8254_set_gate(struct kvm_pit_channel_state *channel, bool gate, s64 now_ns);
/* Takes a VMM's word for the three channels, reduced to what they can be in. */
void vitrine_i8254_set_state(struct kvm_pit_channel_state *channels,
			     const struct kvm_pit_channel_state *state, s64 now_ns);

#endif
