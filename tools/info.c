// SPDX-License-Identifier: GPL-2.0
/*
 * vitrine info: what this machine offers, what stands in the way and what to do about it.
 * Works without the module and without privileges, and then says what it could not see.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "colour.h"
#include "command.h"
#include "info.h"
#include "lib/libvitrine.h"

static const char *const state_names[] = {
	[INFO_PLAIN] = "plain",
	[INFO_OK] = "ok",
	[INFO_NOTE] = "note",
	[INFO_BAD] = "bad",
};

void info_add(struct json_object *root, const char *section, const char *name,
	      enum info_state state, const char *advice, const char *format, ...)
{
	struct json_object *facts, *fact = json_object_new_object();
	char value[512];
	va_list args;

	va_start(args, format);
	vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	json_object_object_add(fact, "value", json_object_new_string(value));
	json_object_object_add(fact, "state", json_object_new_string(state_names[state]));
	if (advice)
		json_object_object_add(fact, "advice", json_object_new_string(advice));
	if (!json_object_object_get_ex(root, section, &facts)) {
		facts = json_object_new_object();
		json_object_object_add(root, section, facts);
	}
	json_object_object_add(facts, name, fact);
}

bool info_read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");
	bool got;

	if (!file)
		return false;
	got = fgets(line, (int)size, file);
	fclose(file);
	if (got)
		line[strcspn(line, "\n")] = 0;
	return got;
}

static const char *text_of(struct json_object *object, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(object, name, &value) ? json_object_get_string(value) : "";
}

static const char *colour_of(const struct colours *colours, const char *state)
{
	if (!strcmp(state, "ok"))
		return colours->ok;
	if (!strcmp(state, "note"))
		return colours->note;
	return strcmp(state, "bad") ? "" : colours->bad;
}

static void print_section(const struct colours *colours, const char *section,
			  struct json_object *facts)
{
	const char *state;

	printf("%s%s%s\n", colours->strong, section, colours->end);
	json_object_object_foreach(facts, name, fact) {
		state = colour_of(colours, text_of(fact, "state"));
		printf("  %-32s %s%s%s\n", name, state, text_of(fact, "value"),
		       *state ? colours->end : "");
	}
}

static void print_capabilities(const struct colours *colours, struct json_object *list)
{
	size_t i, count = json_object_array_length(list);
	const char *group = "", *need, *colour;
	struct json_object *row, *present;
	bool has;

	printf("%sVMX capabilities%s\n", colours->strong, colours->end);
	for (i = 0; i < count; i++) {
		row = json_object_array_get_idx(list, i);
		if (strcmp(group, text_of(row, "group"))) {
			group = text_of(row, "group");
			printf("  %s\n", group);
		}
		need = text_of(row, "need");
		has = json_object_object_get_ex(row, "present", &present) &&
		      json_object_get_boolean(present);
		colour = has ? colours->ok : strcmp(need, "required") ? "" : colours->bad;
		printf("    %-40s %-9s %s%s%s\n", text_of(row, "name"), need, colour,
		       has ? "present" : "absent", *colour ? colours->end : "");
	}
}

/* What to do, in the order in which the facts were found. */
static void print_advice(const struct colours *colours, struct json_object *root)
{
	struct json_object *ready;
	const char *advice;
	bool any = false;

	json_object_object_foreach(root, section, facts) {
		(void)section;
		if (!json_object_is_type(facts, json_type_object))
			continue;
		json_object_object_foreach(facts, name, fact) {
			advice = text_of(fact, "advice");
			if (!*advice)
				continue;
			if (!any)
				printf("%swhat to do%s\n", colours->strong, colours->end);
			any = true;
			printf("  %s: %s\n", name, advice);
		}
	}
	json_object_object_get_ex(root, "ready", &ready);
	if (json_object_get_boolean(ready))
		printf("%sready%s: try 'vitrine run --kernel FILE --initrd FILE'\n", colours->ok,
		       colours->end);
}

static void print_text(struct json_object *root)
{
	struct colours colours = colours_choose();

	json_object_object_foreach(root, section, value) {
		if (json_object_is_type(value, json_type_object))
			print_section(&colours, section, value);
		else if (json_object_is_type(value, json_type_array))
			print_capabilities(&colours, value);
	}
	print_advice(&colours, root);
}

/* Whether something stands in the way. */
static bool is_blocked(struct json_object *root)
{
	json_object_object_foreach(root, section, facts) {
		(void)section;
		if (!json_object_is_type(facts, json_type_object))
			continue;
		json_object_object_foreach(facts, name, fact) {
			(void)name;
			if (!strcmp(text_of(fact, "state"), "bad"))
				return true;
		}
	}
	return false;
}

static void add_capabilities(struct json_object *root, const struct info_vmx *vmx)
{
	unsigned int missing;

	if (!vmx->source) {
		info_add(root, "VMX", "capabilities", INFO_PLAIN,
			 "load the module, or as root: modprobe msr", "not readable");
		return;
	}
	info_add(root, "VMX", "capabilities read from", INFO_PLAIN, NULL, "%s", vmx->source);
	missing = info_vmx_table(root, vmx);
	info_add(root, "VMX", "required capabilities", missing ? INFO_BAD : INFO_OK, NULL,
		 missing ? "%u missing" : "all there", missing);
}

static struct json_object *gather(const char *path)
{
	struct json_object *root = json_object_new_object();
	struct info_vmx vmx;
	int fd = -1;

	json_object_object_add(root, "version", json_object_new_string(VITRINE_VERSION));
	info_hardware(root);
	info_module(root);
	fd = info_device(root, path);
	info_vmx_read(&vmx, fd);
	info_firmware(root, &vmx);
	info_security(root);
	info_owner(root, fd);
	add_capabilities(root, &vmx);
	info_mitigations(root, fd);
	json_object_object_add(root, "ready",
			       json_object_new_boolean(fd >= 0 && !is_blocked(root)));
	if (fd >= 0)
		close(fd);
	return root;
}

static void print_usage(FILE *to)
{
	fputs("usage: vitrine info [--json] [--device PATH]\n\n"
	      "Tells what this machine offers a hypervisor, what stands in the way, and what to do.\n\n"
	      "  -j, --json         as JSON\n"
	      "      --device PATH  hypervisor device; $VITRINE_DEV or /dev/vitrine\n"
	      "  -h, --help         this text\n", to);
}

int command_info(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "device", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *path = getenv(VITRINE_DEVICE_ENV);
	struct json_object *root;
	bool json = false;
	int value;

	optind = 0;
	while ((value = getopt_long(argc, argv, ":jh", options, NULL)) != -1) {
		switch (value) {
		case 'j':
			json = true;
			break;
		case 'd':
			path = optarg;
			break;
		case 'h':
			print_usage(stdout);
			return finish_output(EXIT_OK);
		default:
			return complain_option(argv, value);
		}
	}
	if (optind < argc) {
		complain("info: '%s' is not an option", argv[optind]);
		return EXIT_USAGE;
	}
	root = gather(path && *path ? path : VITRINE_DEFAULT_DEVICE);
	if (json)
		puts(json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		print_text(root);
	json_object_put(root);
	return finish_output(EXIT_OK);
}
