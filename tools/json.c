// SPDX-License-Identifier: GPL-2.0
/* Values in JSON, alike in all commands. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>

#include "json.h"

struct json_object *json_hex(uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	return json_object_new_string(text);
}

void json_add_hex(struct json_object *object, const char *name, uint64_t value)
{
	json_object_object_add(object, name, json_hex(value));
}
