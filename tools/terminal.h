/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The user's terminal in raw mode, and back, whatever happens.
 */
#ifndef VITRINE_TERMINAL_H
#define VITRINE_TERMINAL_H

#include <stdbool.h>

/*
 * Puts @fd into raw mode, again if need be, if it is a terminal and we are in its foreground.
 * Returns whether input may be read from @fd: false for a terminal in whose background we are.
 */
bool terminal_raw(int fd);

/* Puts back what terminal_raw() found; safe in a signal handler and when there was nothing. */
void terminal_restore(void);

/* Whether the terminal is in raw mode now, so that Ctrl-C belongs to the guest. */
bool terminal_is_raw(void);

#endif /* VITRINE_TERMINAL_H */
