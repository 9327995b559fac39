/* SPDX-License-Identifier: GPL-2.0 */
/* Values in JSON, alike in all commands. */
#ifndef VITRINE_JSON_H
#define VITRINE_JSON_H

#include <stdint.h>

struct json_object;

/*
 * What may use all 64 bits, as text: "0x1f". Most programs that read JSON take numbers for doubles,
 * and lose the low bits of large ones.
 */
struct json_object *json_hex(uint64_t value);
void json_add_hex(struct json_object *object, const char *name, uint64_t value);

#endif
