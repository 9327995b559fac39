// SPDX-License-Identifier: GPL-2.0
/* vitrine regs: registers of a running VM, shown or set. */
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "registers.h"
#include "vms.h"

#define MAX_SETS	64	/* of a command line */
#define CR0_PG		0x80000000ull
#define CR4_PAE		0x20ull
#define EFER_LMA	0x400ull

enum { OPTION_DEVICE = 256 };

static const struct option long_options[] = {
	{ "vcpu", required_argument, NULL, 'v' },
	{ "all", no_argument, NULL, 'a' },
	{ "set", required_argument, NULL, 's' },
	{ "json", no_argument, NULL, 'j' },
	{ "device", required_argument, NULL, OPTION_DEVICE },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

static const char usage[] =
	"usage: vitrine regs [OPTIONS] VM\n\n"
	"Shows the registers of a running VM, whatever program runs it, or sets some. It goes on\n"
	"meanwhile; while some are set it is paused for a moment.\n\n"
	"  -v, --vcpu INDEX       of this vCPU; 0 unless given\n"
	"  -a, --all              of all its vCPUs\n"
	"  -s, --set NAME=VALUE   set a register, by the names that are shown, and cs.base,\n"
	"                         gdtr.limit and so on; several are set at once\n"
	"  -j, --json             as JSON\n"
	"      --device PATH      hypervisor device; $VITRINE_DEV or /dev/vitrine\n"
	"  -h, --help             this text\n\n"
	"VM is the number that 'vitrine list' shows. See vitrine-regs(1).\n";

struct request {
	uint64_t vm_id;
	uint64_t vcpu;
	const char *sets[MAX_SETS];
	unsigned int nr_sets;
	const char *device;
	bool has_vcpu;
	bool all;
	bool json;
};

/* 0, 1 to end with success, or -1. */
static int parse(int argc, char **argv, struct request *request)
{
	struct vitrine_regs regs = { 0 };
	struct vitrine_error err;
	int option;

	optind = 0;
	while ((option = getopt_long(argc, argv, ":v:as:jh", long_options, NULL)) != -1) {
		switch (option) {
		case 'v':
			if (!parse_index("--vcpu", optarg, UINT32_MAX - 1, &request->vcpu))
				return -1;
			request->has_vcpu = true;
			break;
		case 'a':
			request->all = true;
			break;
		case 's':
			if (registers_set(&regs, optarg, &err)) {
				complain("--set %s", err.text);
				return -1;
			}
			if (request->nr_sets == MAX_SETS) {
				complain("more than %d registers to set", MAX_SETS);
				return -1;
			}
			request->sets[request->nr_sets++] = optarg;
			break;
		case 'j':
			request->json = true;
			break;
		case OPTION_DEVICE:
			request->device = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 1;
		default:
			complain_option(argv, option);
			return -1;
		}
	}
	return vms_take_id(argc, argv, &request->vm_id) ? 0 : -1;
}

static int show(struct vitrine_monitor *monitor, const struct request *request,
		struct vitrine_error *err)
{
	struct json_object *list = request->json && request->all ? json_object_new_array() : NULL;
	uint32_t first = (uint32_t)request->vcpu, end = first + 1, i;
	struct vitrine_monitor_info info;
	struct vitrine_regs regs;
	int ret = 0;

	if (request->all) {
		ret = vitrine_monitor_info(monitor, &info, err);
		if (ret)
			return ret;
		if (!info.nr_vcpus)
			complain("it has no vCPU yet");
		first = 0;
		end = info.nr_vcpus;
	}
	for (i = first; i < end; i++) {
		ret = vitrine_monitor_read_regs(monitor, i, &regs, err);
		if (ret)
			break;
		if (list) {
			json_object_array_add(list, registers_json(&regs));
		} else if (request->json) {
			list = registers_json(&regs);
		} else {
			if (i != first)
				putchar('\n');
			registers_print(stdout, &regs);
		}
	}
	if (list && !ret)
		puts(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PRETTY));
	json_object_put(list);
	return ret;
}

/* A processor that loads CR3 for PAE paging reads the four pointers there. */
static int follow_cr3(struct vitrine_monitor *monitor, const struct request *request,
		      struct vitrine_regs *regs, struct vitrine_error *err)
{
	struct kvm_sregs2 *system = &regs->system;
	bool pae = system->cr0 & CR0_PG && system->cr4 & CR4_PAE && !(system->efer & EFER_LMA);
	bool had = system->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID, cr3 = false, given = false;
	int64_t got;

	for (unsigned int i = 0; i < request->nr_sets; i++) {
		cr3 = cr3 || !strncmp(request->sets[i], "cr3=", 4);
		given = given || !strncmp(request->sets[i], "pdptr", 5);
	}
	system->flags = pae ? KVM_SREGS2_FLAGS_PDPTRS_VALID : 0;
	if (!pae || given || (had && !cr3))
		return 0;
	got = vitrine_monitor_read_memory(monitor, -1, system->cr3 & 0xffffffe0, system->pdptrs,
					  sizeof(system->pdptrs), err);
	return got < 0 ? (int)got : 0;
}

static int change(struct vitrine_monitor *monitor, const struct request *request,
		  struct vitrine_error *err)
{
	struct vitrine_regs regs;
	unsigned int i;
	int ret;

	/*
	 * A part is written whole: what the guest did since it was read would be undone in its
	 * registers, and not in its memory. The pause ends with the detach.
	 */
	ret = vitrine_monitor_pause(monitor, false, err);
	if (!ret)
		ret = vitrine_monitor_read_regs(monitor, (uint32_t)request->vcpu, &regs, err);
	if (ret)
		return ret;
	regs.parts = 0;
	for (i = 0; i < request->nr_sets && !ret; i++)
		ret = registers_set(&regs, request->sets[i], err);
	if (!ret)
		ret = follow_cr3(monitor, request, &regs, err);
	return ret ? ret : vitrine_monitor_write_regs(monitor, &regs, err);
}

int command_regs(int argc, char **argv)
{
	struct request request = { 0 };
	struct vitrine_monitor *monitor;
	struct vitrine_error err;
	int ret = parse(argc, argv, &request);

	if (ret)
		return ret < 0 ? EXIT_USAGE : finish_output(EXIT_OK);
	if (request.all && (request.nr_sets || request.has_vcpu)) {
		complain(request.nr_sets ? "--set wants one vCPU" :
					   "--vcpu and --all exclude each other");
		return EXIT_USAGE;
	}
	monitor = vms_attach(request.device, request.vm_id,
			     request.nr_sets ? VITRINE_ATTACH_CONTROL : 0);
	if (!monitor)
		return EXIT_HOST;
	ret = request.nr_sets ? change(monitor, &request, &err) : show(monitor, &request, &err);
	if (ret)
		complain("%s", err.text);
	vitrine_monitor_detach(monitor);
	return finish_output(ret ? EXIT_HOST : EXIT_OK);
}
