/* SPDX-License-Identifier: GPL-2.0 */
/* vitrine trace: what its parts share. */
#ifndef VITRINE_TRACE_H
#define VITRINE_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <vitrine_policy.h>

#include "lib/libvitrine.h"
#include "lib/libvitrine_watch.h"

struct json_object;

#define TRACE_REASONS	128
#define TRACE_MAX_RULES	64

/* struct trace_options - what the user asked for */
struct trace_options {
	const char *device;
	uint64_t vm_id;
	bool next;		/* the next one that is created */
	int64_t vcpu;		/* -1: all of them */
	bool has_reasons;
	uint64_t reasons[2];
	uint32_t nr_rules;	/* if there are any the trace steers the VM */
	struct vitrine_rule rules[TRACE_MAX_RULES];
	bool has_rip;
	uint64_t rip_first, rip_last;
	bool has_cr3;
	uint64_t cr3;
	uint64_t count;		/* of records; 0: no end */
	double seconds;		/* 0: no end */
	uint32_t nr_records;	/* 0: as many as there is room for */
	bool stop;
	bool insn;
	bool json;
	bool summary;
	const char *output;
	bool help;
};

/* trace_options.c: 0, or -EINVAL with the reason in *err */
int trace_options_parse(int argc, char **argv, struct trace_options *options,
			struct vitrine_error *err);
void trace_options_usage(FILE *to);
/* Of the room that VITRINE_RINGS_MAX_BYTES are, as the module counts it. */
uint32_t trace_ring_bytes(uint32_t nr_records);
/* How many records each of so many rings can have, but no more than is of use. */
uint32_t trace_fit_records(uint64_t room_bytes, uint32_t nr_rings);

/* record.c: a record as text; all of them end with a zero byte */
const char *record_reason(const struct vitrine_record *record, char *buffer, size_t size);
/* The instruction, or an empty text. */
void record_insn(const struct vitrine_record *record, char *buffer, size_t size);
/* What the exit was about: the port, the MSR, the address. */
void record_detail(const struct vitrine_record *record, char *buffer, size_t size);

/**
 * struct trace_totals - for the summary
 * @by: exits by basic reason, the last one all above
 */
struct trace_totals {
	uint64_t exits;
	uint64_t lost;
	uint64_t guest_ticks;
	struct {
		uint64_t count;
		uint64_t to_user;
		uint64_t ticks;
		uint64_t most;
	} by[TRACE_REASONS];
};

/* trace_output.c: one record each; @ticks since the first */
void trace_print_text(FILE *to, const struct vitrine_record *record, uint32_t vcpu, double us);
void trace_print_json(FILE *to, const struct vitrine_record *record, uint32_t vcpu, double us);
/* The facts of a record as a new JSON object. */
struct json_object *trace_record_json(const struct vitrine_record *record);
void trace_count(struct trace_totals *totals, const struct vitrine_record *record);
void trace_print_summary(FILE *to, const struct trace_totals *totals, double seconds,
			 uint32_t tsc_khz);

/**
 * struct trace_chrome - a file for a browser
 * @whole: no exit is left out on purpose, so that one lasts until the entry of the next record
 */
struct trace_chrome {
	FILE *to;
	uint64_t vm_id;
	double ticks_per_us;
	bool whole;
};

/**
 * struct trace_pending - the newest exit of a vCPU, whose end the next record tells
 * @us: when it was
 * @lost: how many records of the vCPU were lost until then
 */
struct trace_pending {
	bool has;
	struct vitrine_record record;
	double us;
	uint64_t lost;
};

/* trace_chrome.c */
void trace_chrome_begin(const struct trace_chrome *chrome);
void trace_chrome_vcpu(const struct trace_chrome *chrome, uint32_t vcpu);
/* The exit that is pending, and the stay in the guest that ends with the record's. */
void trace_chrome_record(const struct trace_chrome *chrome, struct trace_pending *pending,
			 const struct vitrine_record *record, uint32_t vcpu, double us,
			 uint64_t lost);
void trace_chrome_last(const struct trace_chrome *chrome, const struct trace_pending *pending,
		       uint32_t vcpu);
void trace_chrome_end(const struct trace_chrome *chrome);

#endif /* VITRINE_TRACE_H */
