/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The event loop of "vitrine run": keys, signals and time, while the vCPUs run in threads.
 */
#ifndef VITRINE_LOOP_H
#define VITRINE_LOOP_H

#include "machine.h"

/* Blocks the signals that the loop reads; before any thread is started. Returns a signalfd. */
int loop_signals(void);

/* Serves the machine until it has ended. */
void loop_run(struct machine *machine, int signal_fd, uint64_t deadline_ns);

/*
 * Afterwards: writes what is left of the output, for as long as a guest that ended by itself leaves
 * time for it and no signal comes.
 */
void loop_drain(struct machine *machine, int signal_fd, uint64_t deadline_ns);

/* CLOCK_MONOTONIC */
uint64_t loop_now_ns(void);

#endif /* VITRINE_LOOP_H */
