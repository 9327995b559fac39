// SPDX-License-Identifier: GPL-2.0
/* build: tools/info_vmx.c tools/info_owner.c -ljson-c */
/*
 * The capability table of "vitrine info": right bits from made-up MSRs, and the same list of
 * what is required as the module's own, read from kmod/vmx/caps.c. And who holds VMX, as owner.c
 * sees it.
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

/* The last fact of each name, in place of the tree. */
static struct fact {
	enum info_state state;
	char advice[64];
	char value[128];
} held_by, kvm_intel;

void info_add(struct json_object *root, const char *section, const char *name,
	      enum info_state state, const char *advice, const char *format, ...)
{
	struct fact *fact = strcmp(name, "held by") ? &kvm_intel : &held_by;
	va_list args;

	(void)root;
	(void)section;
	fact->state = state;
	snprintf(fact->advice, sizeof(fact->advice), "%s", advice ? advice : "");
	va_start(args, format);
	vsnprintf(fact->value, sizeof(fact->value), format, args);
	va_end(args);
}

bool info_read_line(const char *path, char *line, size_t size)
{
	(void)path;
	(void)line;
	(void)size;
	return false;
}

static bool is(const struct fact *fact, enum info_state state, const char *advice,
	       const char *value)
{
	if (fact->state == state && !strcmp(fact->advice, advice) && strstr(fact->value, value))
		return true;
	tap_diag("state %d, \"%s\", advice \"%s\"", fact->state, fact->value, fact->advice);
	return false;
}

static bool test_kvm_module(void)
{
	struct info_owner owner = {
		.kvm = INFO_KVM_MODULE,
		.references = "1",
		.known = true,
		.holder = VITRINE_VMX_FOREIGN,
	};
	bool ok;

	info_owner_add(NULL, &owner);
	ok = is(&held_by, INFO_BAD, "sudo modprobe -r kvm_intel", "kvm_intel") &&
	     is(&kvm_intel, INFO_BAD, "sudo modprobe -r kvm_intel", "1 reference");
	/* It is in the way whatever this says, so no boot parameter helps. */
	owner.kvm_at_load = true;
	strcpy(owner.references, "12");
	info_owner_add(NULL, &owner);
	ok &= is(&held_by, INFO_BAD, "sudo modprobe -r kvm_intel", "kvm_intel") &&
	      is(&kvm_intel, INFO_BAD, "sudo modprobe -r kvm_intel", "12 references, holds");
	owner.known = false;
	info_owner_add(NULL, &owner);
	return ok && is(&kvm_intel, INFO_BAD, "sudo modprobe -r kvm_intel", "12 references, holds");
}

static bool test_kvm_builtin(void)
{
	struct info_owner owner = {
		.kvm = INFO_KVM_BUILTIN,
		.kvm_at_load = true,
		.references = "?",
		.known = true,
		.holder = VITRINE_VMX_FOREIGN,
	};
	bool ok;

	info_owner_add(NULL, &owner);
	ok = is(&held_by, INFO_BAD, "boot with kvm.enable_virt_at_load=0", "kvm_intel") &&
	     is(&kvm_intel, INFO_BAD, "boot with kvm.enable_virt_at_load=0", "from its start on");
	owner.known = false;
	info_owner_add(NULL, &owner);
	ok &= is(&kvm_intel, INFO_BAD, "boot with kvm.enable_virt_at_load=0", "from its start on");
	/* Booted so, it has VMX while it has VMs, and nothing can be unloaded. */
	owner.kvm_at_load = false;
	info_owner_add(NULL, &owner);
	ok &= is(&kvm_intel, INFO_NOTE, "", "built into the kernel");
	owner.known = true;
	info_owner_add(NULL, &owner);
	ok &= is(&held_by, INFO_BAD, "end its virtual machines", "kvm_intel") &&
	      is(&kvm_intel, INFO_BAD, "end its virtual machines", "built into the kernel");
	owner.holder = VITRINE_VMX_FREE;
	info_owner_add(NULL, &owner);
	ok &= is(&held_by, INFO_OK, "", "nobody") &&
	      is(&kvm_intel, INFO_NOTE, "", "built into the kernel");
	owner.holder = VITRINE_VMX_OURS;
	owner.vms = 2;
	info_owner_add(NULL, &owner);
	return ok && is(&held_by, INFO_OK, "", "vitrine, 2 VMs") &&
	       is(&kvm_intel, INFO_NOTE, "", "built into the kernel");
}

static bool test_no_kvm(void)
{
	struct info_owner owner = { .known = true, .holder = VITRINE_VMX_FOREIGN };

	info_owner_add(NULL, &owner);
	return is(&held_by, INFO_BAD, "unload the other hypervisor's module", "another") &&
	       is(&kvm_intel, INFO_OK, "", "not loaded");
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "a CPU without VMX lacks what is required", test_nothing },
		{ "a CPU with everything lacks nothing", test_everything },
		{ "each capability is looked up in its MSR", test_bits },
		{ "the module requires and uses the same", test_module_agrees },
		{ "kvm_intel as a module is in the way until it is unloaded", test_kvm_module },
		{ "built in, only while it holds VMX", test_kvm_builtin },
		{ "without kvm_intel somebody else holds VMX", test_no_kvm },
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
