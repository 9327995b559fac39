/* SPDX-License-Identifier: GPL-2.0 */
/* Registers of a vCPU by their names. */
#ifndef VITRINE_REGISTERS_H
#define VITRINE_REGISTERS_H

#include <stdio.h>

#include "lib/libvitrine_access.h"

struct json_object;

/* NAME=VALUE into @regs, with its part among regs->parts; 0, or -EINVAL with the line in *err. */
int registers_set(struct vitrine_regs *regs, const char *text, struct vitrine_error *err);
void registers_print(FILE *to, const struct vitrine_regs *regs);
struct json_object *registers_json(const struct vitrine_regs *regs);

#endif
