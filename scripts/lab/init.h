/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the lab's PID 1 share: init.c (the story), mount.c, wire.c, session.c. */
#ifndef VITRINE_LAB_INIT_H
#define VITRINE_LAB_INIT_H

#include <stdbool.h>
#include <stddef.h>

#include "frame.h"

/* wire.c: the channel to the supervisor; PID 1 is its only writer. */
void wire_open(void);
void wire_drop(void);
void wire_send(enum frame_type type, const void *data, size_t bytes);
void wire_send_u64(enum frame_type type, unsigned long long value);
_Noreturn void wire_poweroff(void);
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* mount.c: the file systems and the rest of a machine's furniture; small files. */
void mount_all(void);
char *file_read(const char *path, size_t *bytes);

/* session.c: runs the command and relays everything until it ends; returns its exit code. */
void session_log(void);
int session_run(char **argv, const char *window);

#endif
