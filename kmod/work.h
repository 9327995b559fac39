/* SPDX-License-Identifier: GPL-2.0 */
/* Work that the kernel wants done before a thread goes (back) into a guest. */
#ifndef VITRINE_WORK_H
#define VITRINE_WORK_H

/*
 * Reschedules, runs task work, restartable sequences, live patching. 0, or -EINTR for a signal. May
 * sleep.
 */
int vitrine_guest_work(void);

#endif
