/* SPDX-License-Identifier: GPL-2.0 */
/* The monitor fd: its commands, its mapping, and polling it. */
#ifndef VITRINE_MONITOR_MONITOR_H
#define VITRINE_MONITOR_MONITOR_H

struct vitrine_monitor;

/* The fd owns the monitor from then on, if it is not negative. */
int vitrine_monitor_open_fd(struct vitrine_monitor *monitor);
/* attach.c, for the fd's end */
void vitrine_monitor_free(struct vitrine_monitor *monitor);
int vitrine_monitor_init(void);

#endif
