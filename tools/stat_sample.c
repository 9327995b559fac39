// SPDX-License-Identifier: GPL-2.0
/*
 * Counters of VMs at two points in time, and what happened between them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stat.h"

static void add_up(uint64_t *to, const uint64_t *from, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		to[i] += from[i];
}

static void take_off(uint64_t *from, const uint64_t *less, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		from[i] -= less[i];
}

static struct stat_row *new_row(struct stat_sample *sample)
{
	size_t more = sample->max_rows ? 2 * sample->max_rows : 16;
	struct stat_row *bigger;

	if (sample->nr_rows == sample->max_rows) {
		bigger = reallocarray(sample->row, more, sizeof(*bigger));
		if (!bigger) {
			sample->no_memory = true;
			return NULL;
		}
		sample->row = bigger;
		sample->max_rows = more;
	}
	return &sample->row[sample->nr_rows++];
}

static void add_counters(const struct vitrine_counters *counters, void *data)
{
	struct stat_sample *sample = data;
	struct stat_row *row = NULL;

	if (sample->nr_rows)
		row = &sample->row[sample->nr_rows - 1];
	if (!row || row->vm_id != counters->vm_id || sample->by_vcpu) {
		row = new_row(sample);
		if (!row)
			return;
		*row = (struct stat_row){ .vm_id = counters->vm_id, .vcpu_id = -1 };
		if (sample->by_vcpu)
			row->vcpu_id = counters->vcpu_id;
	}
	row->nr_vcpus++;
	row->sum.guest_ticks += counters->guest_ticks;
	row->sum.host_ticks += counters->host_ticks;
	add_up(row->sum.value, counters->value, VITRINE_WATCH_COUNTERS);
	add_up(row->sum.exits, counters->exits, VITRINE_WATCH_REASONS);
	add_up(row->sum.exit_ticks, counters->exit_ticks, VITRINE_WATCH_REASONS);
}

int stat_read(struct stat_sample *sample, struct vitrine_watch *watch, uint64_t vm_id,
	      struct vitrine_error *err)
{
	int ret;

	sample->nr_rows = 0;
	sample->no_memory = false;
	ret = vms_gather(&sample->vms, watch, vm_id, sample->by_vcpu, err);
	if (ret)
		return ret;
	clock_gettime(CLOCK_MONOTONIC, &sample->at);
	ret = vitrine_watch_counters(watch, vm_id, add_counters, sample, err);
	if (!ret && sample->no_memory) {
		if (err)
			*err = (struct vitrine_error) { ENOMEM, "no memory" };
		ret = -ENOMEM;
	}
	return ret;
}

void stat_free(struct stat_sample *sample)
{
	vms_free(&sample->vms);
	free(sample->row);
}

const struct stat_row *stat_find(const struct stat_sample *sample, const struct stat_row *row)
{
	size_t i;

	for (i = 0; i < sample->nr_rows; i++)
		if (sample->row[i].vm_id == row->vm_id && sample->row[i].vcpu_id == row->vcpu_id)
			return &sample->row[i];
	return NULL;
}

void stat_subtract(struct stat_row *row, const struct stat_row *before)
{
	if (!before)
		return;
	row->sum.guest_ticks -= before->sum.guest_ticks;
	row->sum.host_ticks -= before->sum.host_ticks;
	take_off(row->sum.value, before->sum.value, VITRINE_WATCH_COUNTERS);
	take_off(row->sum.exits, before->sum.exits, VITRINE_WATCH_REASONS);
	take_off(row->sum.exit_ticks, before->sum.exit_ticks, VITRINE_WATCH_REASONS);
}

double stat_seconds(const struct stat_sample *before, const struct stat_sample *after)
{
	return (double)(after->at.tv_sec - before->at.tv_sec) +
	       (double)(after->at.tv_nsec - before->at.tv_nsec) / 1e9;
}

const struct vitrine_vm_info *stat_vm(const struct stat_sample *sample, uint64_t vm_id)
{
	size_t i;

	for (i = 0; i < sample->vms.nr_vms; i++)
		if (sample->vms.vm[i].id == vm_id)
			return &sample->vms.vm[i];
	return NULL;
}

uint64_t stat_exits(const struct stat_row *row)
{
	uint64_t exits = 0;
	unsigned int i;

	for (i = 0; i < VITRINE_WATCH_REASONS; i++)
		exits += row->sum.exits[i];
	return exits;
}
