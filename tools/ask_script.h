/* SPDX-License-Identifier: GPL-2.0 */
/* A program that answers events: one line of JSON to it for an event, one back for the answer. */
#ifndef VITRINE_ASK_SCRIPT_H
#define VITRINE_ASK_SCRIPT_H

#include <stdio.h>
#include <sys/types.h>

#include "ask.h"

#define ASK_SCRIPT_LINE_BYTES	4096

/**
 * struct ask_script - it runs
 * @to: its input
 * @from: its output
 * @pid: its process
 * @line: what it said and nobody has looked at
 * @have: bytes of it
 */
struct ask_script {
	FILE *to;
	int from;
	pid_t pid;
	char line[ASK_SCRIPT_LINE_BYTES];
	size_t have;
};

/* By "sh -c". 0 or -errno. */
int ask_script_start(struct ask_script *script, const char *command, struct vitrine_error *err);
/*
 * Waits for the answer to this event. 0, or -errno if none came or it is none; ESRCH if @vm_fd, a
 * monitor's, told meanwhile that the VM is gone.
 */
int ask_script_answer(struct ask_script *script, int vm_fd, const struct vitrine_exit_event *event,
		      struct ask_answer *answer, struct vitrine_error *err);
/* Its input is closed, and its end waited for; after a second it is killed. */
void ask_script_end(struct ask_script *script);
/* The event as a line of JSON, with what became of it, unless that is NULL. */
void ask_script_print(FILE *to, const struct vitrine_exit_event *event, const char *verdict);

#endif
