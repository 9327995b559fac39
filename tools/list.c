// SPDX-License-Identifier: GPL-2.0
/*
 * vitrine list: the VMs of this machine, whatever program runs them.
 */
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>

#include "colour.h"
#include "command.h"
#include "json.h"
#include "vms.h"

#define ROW	"%6llu  %-15s  %-10s %7u  %-7s  %5u  %8s  %8s  %8s\n"
#define HEAD	"%6s  %-15s  %-10s %7s  %-7s  %5s  %8s  %8s  %8s\n"

static void print_vcpu(const struct vitrine_vcpu_info *vcpu)
{
	char cpu[16] = "-", reason[24];

	if (vcpu->cpu >= 0)
		snprintf(cpu, sizeof(cpu), "%d", vcpu->cpu);
	printf("        vCPU %-4u %-11s  CPU %-4s", vcpu->id, vitrine_vcpu_state_name(vcpu->state),
	       cpu);
	if (vcpu->has_run)
		printf("  thread %-7u  last exit %s", vcpu->thread,
		       vms_reason(vcpu->exit_reason, reason, sizeof(reason)));
	putchar('\n');
}

static void print_text(const struct vms *vms)
{
	struct colours colours = colours_choose();
	char user[32], memory[24], tables[24], age[24];
	const struct vitrine_vm_info *vm;
	size_t i, at = 0;

	if (!vms->nr_vms) {
		/* For people; whoever counts lines counts none. */
		fputs("no VM that you may see\n", stderr);
		return;
	}
	fputs(colours.strong, stdout);
	printf(HEAD, "ID", "NAME", "USER", "PID", "STATE", "VCPUS", "MEMORY", "TABLES", "AGE");
	fputs(colours.end, stdout);
	for (i = 0; i < vms->nr_vms; i++) {
		vm = &vms->vm[i];
		printf(ROW, (unsigned long long)vm->id, vm->name,
		       vms_user(vm->owner_uid, user, sizeof(user)), vm->owner_pid,
		       vitrine_vm_state_name(vm->state), vm->nr_vcpus,
		       vms_bytes(vm->memory_bytes, memory, sizeof(memory)),
		       vms_bytes(vm->table_bytes, tables, sizeof(tables)),
		       vms_age(vm->age_ns, age, sizeof(age)));
		for (; at < vms->nr_vcpus && vms->vcpu[at].vm_id <= vm->id; at++)
			if (vms->vcpu[at].vm_id == vm->id)
				print_vcpu(&vms->vcpu[at]);
	}
}

static struct json_object *json_vcpu(const struct vitrine_vcpu_info *vcpu)
{
	struct json_object *object = json_object_new_object();
	char reason[24];

	json_object_object_add(object, "id", json_object_new_int64(vcpu->id));
	json_object_object_add(object, "state",
			       json_object_new_string(vitrine_vcpu_state_name(vcpu->state)));
	if (vcpu->cpu >= 0)
		json_object_object_add(object, "cpu", json_object_new_int(vcpu->cpu));
	if (!vcpu->has_run)
		return object;
	json_object_object_add(object, "thread", json_object_new_int64(vcpu->thread));
	json_object_object_add(object, "last_exit",
			       json_object_new_string(vms_reason(vcpu->exit_reason, reason,
								 sizeof(reason))));
	json_object_object_add(object, "exit_reason", json_object_new_int64(vcpu->exit_reason));
	json_add_hex(object, "exit_qualification", vcpu->exit_qualification);
	return object;
}

static struct json_object *json_vm(const struct vitrine_vm_info *vm)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "id", json_object_new_uint64(vm->id));
	json_object_object_add(object, "name", json_object_new_string(vm->name));
	json_object_object_add(object, "state",
			       json_object_new_string(vitrine_vm_state_name(vm->state)));
	json_object_object_add(object, "pid", json_object_new_int64(vm->owner_pid));
	json_object_object_add(object, "uid", json_object_new_int64(vm->owner_uid));
	json_object_object_add(object, "age_ns", json_object_new_uint64(vm->age_ns));
	json_object_object_add(object, "memory_bytes", json_object_new_uint64(vm->memory_bytes));
	json_object_object_add(object, "table_bytes", json_object_new_uint64(vm->table_bytes));
	return object;
}

static void print_json(const struct vms *vms)
{
	struct json_object *list = json_object_new_array(), *object, *vcpus;
	size_t i, at = 0;

	for (i = 0; i < vms->nr_vms; i++) {
		object = json_vm(&vms->vm[i]);
		vcpus = json_object_new_array();
		for (; at < vms->nr_vcpus && vms->vcpu[at].vm_id <= vms->vm[i].id; at++)
			if (vms->vcpu[at].vm_id == vms->vm[i].id)
				json_object_array_add(vcpus, json_vcpu(&vms->vcpu[at]));
		json_object_object_add(object, "vcpus", vcpus);
		json_object_array_add(list, object);
	}
	puts(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PRETTY |
					    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(list);
}

static void print_usage(FILE *to)
{
	fputs("usage: vitrine list [OPTIONS] [VM]\n\n"
	      "Shows the VMs that you may see (yours; all for root), whatever program runs them.\n\n"
	      "  -v, --vcpus        their vCPUs, too\n"
	      "  -j, --json         as JSON, with the vCPUs\n"
	      "  -h, --help         this text\n", to);
}

int command_list(int argc, char **argv)
{
	static const struct option options[] = {
		{ "vcpus", no_argument, NULL, 'v' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool json = false, vcpus = false;
	struct vitrine_watch *watch;
	struct vitrine_error err;
	struct vms vms = { 0 };
	uint64_t vm_id = 0;
	int value, ret;

	optind = 0;
	while ((value = getopt_long(argc, argv, ":vjh", options, NULL)) != -1) {
		switch (value) {
		case 'v':
			vcpus = true;
			break;
		case 'j':
			json = true;
			break;
		case 'h':
			print_usage(stdout);
			return finish_output(EXIT_OK);
		default:
			return complain_option(argv, value);
		}
	}
	if (optind < argc && !vms_parse_id(argv[optind++], &vm_id))
		return EXIT_USAGE;
	if (optind < argc) {
		complain("list: '%s' is one too many", argv[optind]);
		return EXIT_USAGE;
	}
	watch = vms_open();
	if (!watch)
		return EXIT_HOST;
	ret = vms_gather(&vms, watch, vm_id, vcpus || json, &err);
	if (ret)
		complain("%s", err.text);
	else if (json)
		print_json(&vms);
	else
		print_text(&vms);
	vms_free(&vms);
	vitrine_watch_close(watch);
	return finish_output(ret ? EXIT_HOST : EXIT_OK);
}
