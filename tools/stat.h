/* SPDX-License-Identifier: GPL-2.0 */
/* Counters of VMs at two points in time, and what happened between them. */
#ifndef VITRINE_STAT_H
#define VITRINE_STAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "vms.h"

/* One VM or vCPU. */
struct stat_row {
	uint64_t vm_id;
	int64_t vcpu_id;	/* -1: the VM's vCPUs summed up */
	unsigned int nr_vcpus;
	struct vitrine_counters sum;
};

struct stat_sample {
	struct timespec at;	/* CLOCK_MONOTONIC */
	struct vms vms;
	struct stat_row *row;	/* in the order of ids */
	size_t nr_rows, max_rows;
	bool by_vcpu;
	bool no_memory;
};

/* Reads everything, or VM @vm_id, into a sample that begins as zeroes or was read before. */
int stat_read(struct stat_sample *sample, struct vitrine_watch *watch, uint64_t vm_id,
	      struct vitrine_error *err);
void stat_free(struct stat_sample *sample);
/* The row of the same VM or vCPU in another sample, or NULL. */
const struct stat_row *stat_find(const struct stat_sample *sample, const struct stat_row *row);
/* *row less what @before had; @before may be NULL. */
void stat_subtract(struct stat_row *row, const struct stat_row *before);
double stat_seconds(const struct stat_sample *before, const struct stat_sample *after);
/* The VM of a row. */
const struct vitrine_vm_info *stat_vm(const struct stat_sample *sample, uint64_t vm_id);
uint64_t stat_exits(const struct stat_row *row);

#endif
