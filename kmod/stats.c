// SPDX-License-Identifier: GPL-2.0
/*
 * Handing out a vCPU's counters.
 */
#include <linux/build_bug.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <vitrine.h>

#include "ioctl.h"
#include "stats.h"
#include "vcpu.h"

#define COUNT_ONE(name)	+ 1

static_assert(0 VITRINE_VCPU_COUNTERS(COUNT_ONE) <= VITRINE_STATS_NR_COUNTERS);
static_assert(VITRINE_NR_EXIT_REASONS == VITRINE_STATS_NR_REASONS);

static long vcpu_ioctl_get_stats(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct vitrine_vcpu *vcpu = obj;
	const struct vitrine_vcpu_counters *stats = &vcpu->stats;
	struct vitrine_vcpu_stats *out = arg->data;
	unsigned int i = 0;

	out->guest_ticks = stats->guest_ticks;
	out->host_ticks = stats->host_ticks;
	memcpy(out->exit_count, stats->exit_count, sizeof(out->exit_count));
	memcpy(out->exit_ticks, stats->exit_ticks, sizeof(out->exit_ticks));
#define COPY_OUT(name)	out->counter[i++] = stats->name;
	VITRINE_VCPU_COUNTERS(COPY_OUT)
#undef COPY_OUT
	return 0;
}

const struct vitrine_ioctl vitrine_stats_vcpu_ioctls[] = {
	{ VITRINE_GET_STATS, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_NO_LOAD, vcpu_ioctl_get_stats },
	{}
};
