// SPDX-License-Identifier: GPL-2.0
/* build: tools/info_vmx.c -ljson-c */
/*
 * The capability table of "vitrine info": right bits from made-up MSRs, and the same list of
 * what is required as the module's own, read from kmod/vmx/caps.c.
 */
#include <string.h>

#include "../../tools/info.h"
#include "tap.h"

#define TRUE_CONTROLS (1ULL << 55)

static bool has(struct json_object *root, const char *name, bool *present, const char **need)
{
	struct json_object *list, *row, *value;
	size_t i;

	json_object_object_get_ex(root, "vmx_capabilities", &list);
	for (i = 0; i < json_object_array_length(list); i++) {
		row = json_object_array_get_idx(list, i);
		json_object_object_get_ex(row, "name", &value);
		if (strcasecmp(json_object_get_string(value), name))
			continue;
		json_object_object_get_ex(row, "present", &value);
		*present = json_object_get_boolean(value);
		json_object_object_get_ex(row, "need", &value);
		*need = json_object_get_string(value);
		return true;
	}
	return false;
}

static bool test_nothing(void)
{
	struct json_object *root = json_object_new_object();
	struct info_vmx vmx = { 0 };
	bool present = true, ok;
	const char *need = "";

	ok = info_vmx_table(root, &vmx) > 20 && has(root, "Enable EPT", &present, &need) &&
	     !present && !strcmp(need, "required");
	json_object_put(root);
	return ok;
}

static bool test_everything(void)
{
	struct json_object *root = json_object_new_object();
	struct info_vmx vmx;
	bool ok;

	memset(&vmx, 0xff, sizeof(vmx));
	ok = !info_vmx_table(root, &vmx);
	json_object_put(root);
	return ok;
}

/* Each control is looked up in the upper half of the right MSR, the TRUE one if it exists. */
static bool test_bits(void)
{
	struct info_vmx vmx = { 0 };

	vmx.msr[0x2] = 1ULL << (32 + 7);
	if (!info_vmx_allows(&vmx, "HLT exiting") || info_vmx_allows(&vmx, "NMI exiting"))
		return false;
	vmx.msr[0] = TRUE_CONTROLS;
	if (info_vmx_allows(&vmx, "HLT exiting"))
		return false;
	vmx.msr[0xe] = 1ULL << (32 + 7);
	vmx.msr[0xb] = 1ULL << (32 + 1) | 1ULL << 5;
	vmx.msr[0xc] = 1ULL << 20;
	return info_vmx_allows(&vmx, "HLT exiting") && info_vmx_allows(&vmx, "Enable EPT") &&
	       !info_vmx_allows(&vmx, "Enable VPID") && info_vmx_allows(&vmx, "INVEPT") &&
	       !info_vmx_allows(&vmx, "no such capability");
}

/* One row of the module's tables: { WORD, BIT, true|false, "Name" } or { BIT, "Name" }. */
static bool parse_row(char *line, char **name, bool *required)
{
	char *start = strchr(line, '"'), *end = start ? strrchr(line, '"') : NULL;

	if (strncmp(line, "\t{ ", 3) || !start || end == start || !strchr(end, '}'))
		return false;
	*end = 0;
	*name = start + 1;
	*required = !strstr(line, ", false,");
	return true;
}

static bool test_module_agrees(void)
{
	struct json_object *root = json_object_new_object();
	FILE *file = fopen("kmod/vmx/caps.c", "r");
	bool present, wanted, ok = true;
	struct info_vmx vmx = { 0 };
	unsigned int missing, rows = 0;
	const char *need, *want;
	char line[256], *name;

	if (!file) {
		tap_diag("kmod/vmx/caps.c cannot be read from here");
		json_object_put(root);
		return false;
	}
	missing = info_vmx_table(root, &vmx);
	while (fgets(line, sizeof(line), file)) {
		if (!parse_row(line, &name, &wanted))
			continue;
		rows++;
		missing -= wanted;
		want = wanted ? "required" : "optional";
		if (has(root, name, &present, &need) && !strcmp(need, want))
			continue;
		tap_diag("\"%s\" is %s for the module, not for the tool", name, want);
		ok = false;
	}
	fclose(file);
	json_object_put(root);
	if (missing)
		tap_diag("the tool requires %d more than the module", (int)missing);
	return ok && !missing && rows > 20;
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "a CPU without VMX lacks what is required", test_nothing },
		{ "a CPU with everything lacks nothing", test_everything },
		{ "each capability is looked up in its MSR", test_bits },
		{ "the module requires and uses the same", test_module_agrees },
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
