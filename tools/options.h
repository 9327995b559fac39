/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The command line of "vitrine run", checked. Parsing opens no file and touches no device.
 */
#ifndef VITRINE_OPTIONS_H
#define VITRINE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/libvitrine.h"

#define RUN_CMDLINE_BYTES 65536

/**
 * struct run_options - what the user asked for
 * @device: NULL: libvitrine's default
 * @kernel: @flat: exactly one of them is set
 * @cmdline: what the kernel is told; completed by run.c once the kind of image is known
 * @timeout_ms: 0 for none
 * @json: file name, "-" for stdout, NULL for none
 */
struct run_options {
	const char *device;
	const char *kernel;
	const char *initrd;
	const char *append;
	const char *cmdline;
	const char *flat;
	uint64_t flat_gpa;
	enum vitrine_mode mode;
	uint64_t memory_bytes;
	unsigned int cpus;
	bool irqchip;
	bool strict;
	bool stats;
	bool reboot;
	bool paused;
	const char *json;
	const char *until;
	uint64_t timeout_ms;
	bool help;
};

/*
 * Fills @options from the command line; @argv's strings are referred to and may be cut.
 * Returns 0, or -EINVAL with the reason in *err.
 */
int run_options_parse(int argc, char **argv, struct run_options *options,
		      struct vitrine_error *err);

void run_options_usage(FILE *to);

#endif /* VITRINE_OPTIONS_H */
