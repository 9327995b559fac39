/* SPDX-License-Identifier: GPL-2.0 */
/* Signals that end a command which goes on until then: a flag, and what waits comes back. */
#ifndef VITRINE_STOP_H
#define VITRINE_STOP_H

#include <poll.h>

/*
 * From now on SIGINT, SIGTERM and SIGHUP set the flag, those apart that whoever started us has
 * ignored (nohup, a shell's background); and a closed pipe is EPIPE.
 */
void stop_on_signals(void);
/* The signal that came first, or 0. */
int stop_signal(void);
/* As poll(); EINTR also if the signal came before. */
int stop_poll(struct pollfd *fds, nfds_t nr, int timeout_ms);
/* As finish_output(); what a stop has kept from being written is no error. */
int stop_finish_output(int code);

#endif
