/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a run cost, as text and as JSON.
 */
#ifndef VITRINE_REPORT_H
#define VITRINE_REPORT_H

#include <stdio.h>

#include "machine.h"

/* What only run.c knows: when it began, what it ran, and where --json goes, NULL for nowhere. */
struct report_context {
	uint64_t start_ns;
	uint64_t start_ticks;
	const char *image_kind;
	FILE *json;
};

/* The exit table alone, of a machine whose vCPUs are out of the guest. */
void report_exits(struct machine *machine);

/* Every vCPU's registers, likewise. */
void report_registers(struct machine *machine);

/* Everything, on stderr. */
void report_text(struct machine *machine, const struct report_context *context);

/* Everything to context->json; 0 or -errno. */
int report_json(struct machine *machine, const struct report_context *context);

/* The host's time-stamp counter. */
uint64_t report_ticks(void);

#endif /* VITRINE_REPORT_H */
