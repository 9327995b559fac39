// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the logic of the 8254 counters, after the 8254 data sheet: control words, latches, read
 * back, what the count and the output are at a given time. Pure, it also builds on the host; it
 * must not read a clock or start a timer.
 *
 * Nothing counts down here: a channel remembers when it was loaded, and the rest is a function of
 * the time since.
 */
#include <linux/string.h>
#include <linux/types.h>

#include "i8254.h"

#define NS_PER_SECOND	1000000000ull

/* Access modes of a control word, and the states of a two-byte transfer. */
enum { LATCH, LOW_BYTE, HIGH_BYTE, BOTH_BYTES, SECOND_BYTE };

#define STATUS_OUTPUT		0x80
#define READ_BACK		3
#define READ_BACK_NO_COUNT	0x20
#define READ_BACK_NO_STATUS	0x10

/*
 * Whole seconds apart so that 64 bits are enough for any time; a clock that went back (a VMM's
 * state can say so) counts as no time.
 */
static u64 elapsed_clocks(const struct kvm_pit_channel_state *channel, s64 now_ns)
{
	u64 ns = now_ns > channel->count_load_time ? now_ns - channel->count_load_time : 0;

	return ns / NS_PER_SECOND * VITRINE_I8254_HZ +
	       ns % NS_PER_SECOND * VITRINE_I8254_HZ / NS_PER_SECOND;
}

static u32 from_bcd(u32 value)
{
	return (value & 0xf) + (value >> 4 & 0xf) * 10 + (value >> 8 & 0xf) * 100 +
	       (value >> 12 & 0xf) * 1000;
}

static u16 to_bcd(u32 value)
{
	return value % 10 | value / 10 % 10 << 4 | value / 100 % 10 << 8 | value / 1000 % 10 << 12;
}

/* channel->count is what was written; zero stands for the longest count. */
u32 vitrine_i8254_clocks(const struct kvm_pit_channel_state *channel)
{
	u32 written = channel->count & 0xffff;
	u32 clocks = channel->bcd ? from_bcd(written) : written;

	if (clocks)
		return clocks;
	return channel->bcd ? 10000 : 0x10000;
}

u64 vitrine_i8254_clocks_to_ns(u32 clocks)
{
	return clocks * NS_PER_SECOND / VITRINE_I8254_HZ;
}

bool vitrine_i8254_periodic(const struct kvm_pit_channel_state *channel)
{
	return channel->mode == 2 || channel->mode == 3;
}

static u16 current_count(const struct kvm_pit_channel_state *channel, s64 now_ns)
{
	u64 elapsed = elapsed_clocks(channel, now_ns);
	u32 clocks = vitrine_i8254_clocks(channel);
	u32 wrap = channel->bcd ? 10000 : 0x10000;
	u32 count;

	switch (channel->mode) {
	case 2:
		count = clocks - elapsed % clocks;
		break;
	case 3:
		/* Counts by two, once through for each half of the square wave. */
		count = clocks - elapsed * 2 % clocks;
		break;
	default:
		/* Goes on below zero after the terminal count. */
		count = clocks + wrap - elapsed % wrap;
		break;
	}
	count %= wrap;
	return channel->bcd ? to_bcd(count) : count;
}

bool vitrine_i8254_output(const struct kvm_pit_channel_state *channel, s64 now_ns)
{
	u64 elapsed = elapsed_clocks(channel, now_ns);
	u32 clocks = vitrine_i8254_clocks(channel);

	switch (channel->mode) {
	case 0:
	case 1:
		return elapsed >= clocks;
	case 2:
		return elapsed % clocks != clocks - 1;
	case 3:
		return elapsed % clocks < (clocks + 1) / 2;
	default:
		return elapsed != clocks;
	}
}

static void load(struct kvm_pit_channel_state *channel, u16 value, s64 now_ns)
{
	channel->count = value ? value : 0x10000;
	channel->count_load_time = now_ns;
}

void vitrine_i8254_reset(struct kvm_pit_channel_state *channels, s64 now_ns)
{
	unsigned int i;

	memset(channels, 0, 3 * sizeof(*channels));
	for (i = 0; i < 3; i++) {
		channels[i].mode = 3;
		channels[i].rw_mode = BOTH_BYTES;
		channels[i].read_state = BOTH_BYTES;
		channels[i].write_state = BOTH_BYTES;
		channels[i].gate = i != 2;
		load(&channels[i], 0, now_ns);
	}
}

static void latch_count(struct kvm_pit_channel_state *channel, s64 now_ns)
{
	if (channel->count_latched)
		return;
	channel->latched_count = current_count(channel, now_ns);
	channel->count_latched = channel->rw_mode;
}

static void latch_status(struct kvm_pit_channel_state *channel, s64 now_ns)
{
	if (channel->status_latched)
		return;
	channel->status = (vitrine_i8254_output(channel, now_ns) ? STATUS_OUTPUT : 0) |
			  channel->rw_mode << 4 | channel->mode << 1 | channel->bcd;
	channel->status_latched = 1;
}

static enum vitrine_i8254_effect write_control(struct kvm_pit_channel_state *channels, u8 value,
					       s64 now_ns, unsigned int *channel_id)
{
	unsigned int select = value >> 6, access = value >> 4 & 3, i;
	struct kvm_pit_channel_state *channel;

	if (select == READ_BACK) {
		for (i = 0; i < 3; i++) {
			if (!(value & 2u << i))
				continue;
			if (!(value & READ_BACK_NO_COUNT))
				latch_count(&channels[i], now_ns);
			if (!(value & READ_BACK_NO_STATUS))
				latch_status(&channels[i], now_ns);
		}
		return VITRINE_I8254_NOTHING;
	}

	channel = &channels[select];
	*channel_id = select;
	if (access == LATCH) {
		latch_count(channel, now_ns);
		return VITRINE_I8254_NOTHING;
	}
	channel->rw_mode = access;
	channel->read_state = access;
	channel->write_state = access;
	channel->mode = value >> 1 & 7;
	if (channel->mode > 5)
		channel->mode -= 4;
	channel->bcd = value & 1;
	channel->count_latched = 0;
	channel->status_latched = 0;
	return VITRINE_I8254_STOPPED;
}

enum vitrine_i8254_effect vitrine_i8254_write(struct kvm_pit_channel_state *channels,
					      unsigned int port, u8 value, s64 now_ns,
					      unsigned int *channel_id)
{
	struct kvm_pit_channel_state *channel;

	if (port == 3)
		return write_control(channels, value, now_ns, channel_id);

	channel = &channels[port];
	*channel_id = port;
	switch (channel->write_state) {
	case LOW_BYTE:
		load(channel, value, now_ns);
		return VITRINE_I8254_LOADED;
	case HIGH_BYTE:
		load(channel, value << 8, now_ns);
		return VITRINE_I8254_LOADED;
	case BOTH_BYTES:
		channel->write_latch = value;
		channel->write_state = SECOND_BYTE;
		return VITRINE_I8254_NOTHING;
	default:
		channel->write_state = BOTH_BYTES;
		load(channel, channel->write_latch | value << 8, now_ns);
		return VITRINE_I8254_LOADED;
	}
}

u8 vitrine_i8254_read(struct kvm_pit_channel_state *channels, unsigned int port, s64 now_ns)
{
	struct kvm_pit_channel_state *channel = &channels[port];
	u16 count;

	if (channel->status_latched) {
		channel->status_latched = 0;
		return channel->status;
	}
	if (channel->count_latched) {
		u8 state = channel->count_latched;

		if (state == BOTH_BYTES) {
			channel->count_latched = HIGH_BYTE;
			return channel->latched_count;
		}
		channel->count_latched = 0;
		return state == LOW_BYTE ? channel->latched_count : channel->latched_count >> 8;
	}

	count = current_count(channel, now_ns);
	switch (channel->read_state) {
	case LOW_BYTE:
		return count;
	case HIGH_BYTE:
		return count >> 8;
	case BOTH_BYTES:
		channel->read_state = SECOND_BYTE;
		return count;
	default:
		channel->read_state = BOTH_BYTES;
		return count >> 8;
	}
}

bool vitrine_i8254_set_gate(struct kvm_pit_channel_state *channel, bool gate, s64 now_ns)
{
	bool rising = gate && !channel->gate;

	channel->gate = gate;
	/*
	 * Modes 0 and 4 only pause while the gate is low: no known guest stops a count half-way
	 * to read it.
	 */
	if (!rising || channel->mode == 0 || channel->mode == 4)
		return false;
	channel->count_load_time = now_ns;
	return true;
}

void vitrine_i8254_set_state(struct kvm_pit_channel_state *channels,
			     const struct kvm_pit_channel_state *state, s64 now_ns)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		struct kvm_pit_channel_state *channel = &channels[i];

		*channel = state[i];
		channel->mode &= 7;
		if (channel->mode > 5)
			channel->mode -= 4;
		channel->bcd &= 1;
		channel->gate = !!channel->gate;
		channel->rw_mode &= 3;
		if (!channel->rw_mode)
			channel->rw_mode = BOTH_BYTES;
		if (!channel->read_state || channel->read_state > SECOND_BYTE)
			channel->read_state = channel->rw_mode;
		if (!channel->write_state || channel->write_state > SECOND_BYTE)
			channel->write_state = channel->rw_mode;
		channel->count_latched &= 3;
		channel->status_latched = !!channel->status_latched;
		load(channel, channel->count, now_ns);
	}
}
