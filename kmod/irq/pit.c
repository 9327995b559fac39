// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the PIT's place in a VM: ports, channel 0's interrupt by a timer of the host, the backlog
 * of ticks that a guest was too slow to take. Counting is i8254.c's.
 *
 * The timer's callback runs in a hard interrupt: it reads period_ns, which changes only while the
 * timer is cancelled, and the atomic backlog.
 */
#include <linux/hrtimer.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "bus.h"
#include "compat.h"
#include "i8254.h"
#include "irq_glue.h"
#include "pit.h"

#define PIT_PORT		0x40
#define SPEAKER_PORT		0x61
#define SPEAKER_CHANNEL		2
/* Ticks owed to a guest that was stopped for long are not worth a storm. */
#define MAX_BACKLOG		10000

#define SPEAKER_GATE		0x01
#define SPEAKER_DATA		0x02
#define SPEAKER_REFRESH		0x10
#define SPEAKER_OUTPUT		0x20
#define REFRESH_SHIFT		14	/* toggles every 16 us */

struct vitrine_pit {
	struct mutex lock;			/* the members below that have no tag */
	struct vitrine_vm *vm;			/* [I] */
	struct vitrine_bus_dev dev;		/* [I] */
	struct vitrine_bus_dev speaker;		/* [I] */
	struct kvm_pit_channel_state channels[3];
	bool speaker_data;
	bool hpet_legacy;			/* channel 0's interrupt is the HPET's */
	struct hrtimer timer;
	u64 period_ns;				/* 0: one shot */
	bool reinject;				/* [a] */
	atomic_t backlog;			/* [a] */
};

static s64 now_ns(void)
{
	return ktime_to_ns(ktime_get());
}

/* One edge; remembered if the last one still waits. */
static void raise_tick(struct vitrine_pit *pit, u64 ticks)
{
	int ret = vitrine_irq_set_line(pit->vm, VITRINE_PIT_GSI, 1, VITRINE_IRQ_SOURCE_PIT);

	vitrine_irq_set_line(pit->vm, VITRINE_PIT_GSI, 0, VITRINE_IRQ_SOURCE_PIT);
	if (!READ_ONCE(pit->reinject))
		return;
	if (ret < 0) {
		atomic_set(&pit->backlog, 0);
		return;
	}
	if (ret > 0)
		ticks--;
	if (ticks && atomic_read(&pit->backlog) < MAX_BACKLOG)
		atomic_add(min_t(u64, ticks, MAX_BACKLOG), &pit->backlog);
}

static enum hrtimer_restart pit_expired(struct hrtimer *timer)
{
	struct vitrine_pit *pit = container_of(timer, struct vitrine_pit, timer);
	u64 ticks = 1;

	if (pit->period_ns)
		ticks = hrtimer_forward_now(timer, ns_to_ktime(pit->period_ns));
	raise_tick(pit, ticks);
	return pit->period_ns ? HRTIMER_RESTART : HRTIMER_NORESTART;
}

void vitrine_pit_ended(struct vitrine_pit *pit)
{
	if (atomic_dec_if_positive(&pit->backlog) >= 0)
		raise_tick(pit, 1);
}

void vitrine_pit_unmasked(struct vitrine_pit *pit)
{
	atomic_set(&pit->backlog, 0);
}

static void stop_channel0(struct vitrine_pit *pit)
{
	hrtimer_cancel(&pit->timer);
	atomic_set(&pit->backlog, 0);
}

/* Channel 0 began to count. */
static void start_channel0(struct vitrine_pit *pit)
{
	struct kvm_pit_channel_state *channel = &pit->channels[0];
	u64 length_ns = vitrine_i8254_clocks_to_ns(vitrine_i8254_clocks(channel));

	stop_channel0(pit);
	if (pit->hpet_legacy)
		return;
	/* Modes 1 and 5 wait for a rising gate, and this channel's is always high. */
	if (channel->mode == 1 || channel->mode == 5)
		return;
	pit->period_ns = 0;
	if (vitrine_i8254_periodic(channel)) {
		length_ns = max(length_ns, vitrine_min_timer_period_ns());
		pit->period_ns = length_ns;
	}
	hrtimer_start(&pit->timer, ktime_add_ns(ktime_get(), length_ns),
		      HRTIMER_MODE_ABS_PINNED_HARD);
}

static int pit_read(struct vitrine_vcpu *vcpu, struct vitrine_bus_dev *dev, gpa_t addr, void *data,
		    unsigned int len_bytes)
{
	struct vitrine_pit *pit = container_of(dev, struct vitrine_pit, dev);
	unsigned int port = addr - dev->base;

	memset(data, 0, len_bytes);
	/* The control word cannot be read. */
	if (port == 3)
		return 0;
	mutex_lock(&pit->lock);
	*(u8 *)data = vitrine_i8254_read(pit->channels, port, now_ns());
	mutex_unlock(&pit->lock);
	return 0;
}

static int pit_write(struct vitrine_vcpu *vcpu, struct vitrine_bus_dev *dev, gpa_t addr,
		     const void *data, unsigned int len_bytes)
{
	struct vitrine_pit *pit = container_of(dev, struct vitrine_pit, dev);
	enum vitrine_i8254_effect effect;
	unsigned int channel = 0;

	mutex_lock(&pit->lock);
	effect = vitrine_i8254_write(pit->channels, addr - dev->base, *(const u8 *)data, now_ns(),
				     &channel);
	if (channel == 0 && effect == VITRINE_I8254_LOADED)
		start_channel0(pit);
	else if (channel == 0 && effect == VITRINE_I8254_STOPPED)
		stop_channel0(pit);
	mutex_unlock(&pit->lock);
	return 0;
}

static const struct vitrine_bus_ops pit_ops = {
	.read = pit_read,
	.write = pit_write,
};

static int speaker_read(struct vitrine_vcpu *vcpu, struct vitrine_bus_dev *dev, gpa_t addr,
			void *data, unsigned int len_bytes)
{
	struct vitrine_pit *pit = container_of(dev, struct vitrine_pit, speaker);
	const struct kvm_pit_channel_state *channel = &pit->channels[SPEAKER_CHANNEL];
	s64 now = now_ns();
	u8 value = 0;

	mutex_lock(&pit->lock);
	if (channel->gate)
		value |= SPEAKER_GATE;
	if (pit->speaker_data)
		value |= SPEAKER_DATA;
	if (now >> REFRESH_SHIFT & 1)
		value |= SPEAKER_REFRESH;
	if (vitrine_i8254_output(channel, now))
		value |= SPEAKER_OUTPUT;
	mutex_unlock(&pit->lock);
	memset(data, 0, len_bytes);
	*(u8 *)data = value;
	return 0;
}

static int speaker_write(struct vitrine_vcpu *vcpu, struct vitrine_bus_dev *dev, gpa_t addr,
			 const void *data, unsigned int len_bytes)
{
	struct vitrine_pit *pit = container_of(dev, struct vitrine_pit, speaker);
	u8 value = *(const u8 *)data;

	mutex_lock(&pit->lock);
	pit->speaker_data = value & SPEAKER_DATA;
	vitrine_i8254_set_gate(&pit->channels[SPEAKER_CHANNEL], value & SPEAKER_GATE, now_ns());
	mutex_unlock(&pit->lock);
	return 0;
}

static const struct vitrine_bus_ops speaker_ops = {
	.read = speaker_read,
	.write = speaker_write,
};

void vitrine_pit_get_state(struct vitrine_pit *pit, struct kvm_pit_state2 *state)
{
	memset(state, 0, sizeof(*state));
	mutex_lock(&pit->lock);
	memcpy(state->channels, pit->channels, sizeof(state->channels));
	if (pit->hpet_legacy)
		state->flags |= KVM_PIT_FLAGS_HPET_LEGACY;
	if (pit->speaker_data)
		state->flags |= KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	mutex_unlock(&pit->lock);
}

void vitrine_pit_set_state(struct vitrine_pit *pit, const struct kvm_pit_state2 *state)
{
	mutex_lock(&pit->lock);
	pit->hpet_legacy = state->flags & KVM_PIT_FLAGS_HPET_LEGACY;
	pit->speaker_data = state->flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	vitrine_i8254_set_state(pit->channels, state->channels, now_ns());
	start_channel0(pit);
	mutex_unlock(&pit->lock);
}

void vitrine_pit_set_reinject(struct vitrine_pit *pit, bool reinject)
{
	WRITE_ONCE(pit->reinject, reinject);
	if (!reinject)
		atomic_set(&pit->backlog, 0);
}

struct vitrine_pit *vitrine_pit_create(struct vitrine_vm *vm, u32 flags)
{
	struct vitrine_pit *pit = kzalloc(sizeof(*pit), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!pit)
		return ERR_PTR(-ENOMEM);
	mutex_init(&pit->lock);
	pit->vm = vm;
	pit->reinject = true;
	vitrine_hrtimer_setup(&pit->timer, pit_expired, CLOCK_MONOTONIC,
			      HRTIMER_MODE_ABS_PINNED_HARD);
	vitrine_i8254_reset(pit->channels, now_ns());
	pit->dev = (struct vitrine_bus_dev){ &pit_ops, PIT_PORT, 4 };
	pit->speaker = (struct vitrine_bus_dev){ &speaker_ops, SPEAKER_PORT, 1 };

	ret = vitrine_bus_add(vm, VITRINE_BUS_PIO, &pit->dev);
	if (ret)
		goto err_free;
	if (flags & KVM_PIT_SPEAKER_DUMMY) {
		ret = vitrine_bus_add(vm, VITRINE_BUS_PIO, &pit->speaker);
		if (ret)
			goto err_remove;
	}
	return pit;

err_remove:
	vitrine_bus_remove(vm, VITRINE_BUS_PIO, &pit->dev);
err_free:
	kfree(pit);
	return ERR_PTR(ret);
}

/* The timer has fired for the last time when this returns. */
void vitrine_pit_free(struct vitrine_pit *pit)
{
	hrtimer_cancel(&pit->timer);
	kfree(pit);
}
