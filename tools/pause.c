// SPDX-License-Identifier: GPL-2.0
/* vitrine pause, resume, nmi: a VM stands still, goes on, or is shaken awake. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include "command.h"
#include "lib/libvitrine_access.h"
#include "vms.h"

enum { OPTION_DEVICE = 256 };

static const char pause_usage[] =
	"usage: vitrine pause [OPTIONS] VM\n\n"
	"Stops a running VM, whatever program runs it: no vCPU runs the guest until\n"
	"'vitrine resume VM'. The program goes on, and can end it.\n\n"
	"      --device PATH      hypervisor device; $VITRINE_DEV or /dev/vitrine\n"
	"  -h, --help             this text\n\n"
	"VM is the number that 'vitrine list' shows. See vitrine-pause(1).\n";

static const char resume_usage[] =
	"usage: vitrine resume [OPTIONS] VM\n\n"
	"Lets a VM go on that 'vitrine pause' stopped, or that 'vitrine run --paused' created.\n\n"
	"      --device PATH      hypervisor device; $VITRINE_DEV or /dev/vitrine\n"
	"  -h, --help             this text\n\n"
	"VM is the number that 'vitrine list' shows. See vitrine-pause(1).\n";

static const char nmi_usage[] =
	"usage: vitrine nmi [OPTIONS] VM\n\n"
	"Sends an NMI to a VM's vCPUs, as a machine's button does: Linux tells where it is\n"
	"(with unknown_nmi_panic=1 it panics, and may dump).\n\n"
	"  -v, --vcpu INDEX       to this vCPU only\n"
	"      --device PATH      hypervisor device; $VITRINE_DEV or /dev/vitrine\n"
	"  -h, --help             this text\n\n"
	"VM is the number that 'vitrine list' shows. See vitrine-nmi(1).\n";

struct request {
	uint64_t vm_id;
	int64_t vcpu;		/* -1: all */
	const char *device;
};

/* 0, 1 to end with success, or -1. */
static int parse(int argc, char **argv, const char *usage, struct request *request)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, OPTION_DEVICE },
		{ "vcpu", required_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	uint64_t vcpu;
	int option;

	optind = 0;
	while ((option = getopt_long(argc, argv, usage == nmi_usage ? ":v:h" : ":h", options,
				     NULL)) != -1) {
		switch (option) {
		case 'v':
			if (usage != nmi_usage) {
				complain("%s: all of a VM or nothing", argv[0]);
				return -1;
			}
			if (!parse_index("--vcpu", optarg, UINT32_MAX - 1, &vcpu))
				return -1;
			request->vcpu = (int64_t)vcpu;
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

static int with_monitor(int argc, char **argv, const char *usage,
			int (*fn)(struct vitrine_monitor *monitor, const struct request *request,
				  struct vitrine_error *err))
{
	struct request request = { .vcpu = -1 };
	struct vitrine_monitor *monitor;
	struct vitrine_error err;
	int ret = parse(argc, argv, usage, &request);

	if (ret)
		return ret < 0 ? EXIT_USAGE : finish_output(EXIT_OK);
	monitor = vms_attach(request.device, request.vm_id, VITRINE_ATTACH_CONTROL);
	if (!monitor)
		return EXIT_HOST;
	ret = fn(monitor, &request, &err);
	if (ret < 0)
		complain("%s", err.text);
	vitrine_monitor_detach(monitor);
	return ret < 0 ? EXIT_HOST : EXIT_OK;
}

static int do_pause(struct vitrine_monitor *monitor, const struct request *request,
		    struct vitrine_error *err)
{
	(void)request;
	return vitrine_monitor_pause(monitor, true, err);
}

static int do_resume(struct vitrine_monitor *monitor, const struct request *request,
		     struct vitrine_error *err)
{
	int others = vitrine_monitor_resume(monitor, err);

	if (others > 0)
		complain("VM %" PRIu64 " is still paused by %d other monitor%s", request->vm_id,
			 others, others == 1 ? "" : "s");
	return others;
}

int command_pause(int argc, char **argv)
{
	return with_monitor(argc, argv, pause_usage, do_pause);
}

int command_resume(int argc, char **argv)
{
	return with_monitor(argc, argv, resume_usage, do_resume);
}

static int do_nmi(struct vitrine_monitor *monitor, const struct request *request,
		  struct vitrine_error *err)
{
	return vitrine_monitor_nmi(monitor, request->vcpu, err);
}

int command_nmi(int argc, char **argv)
{
	return with_monitor(argc, argv, nmi_usage, do_nmi);
}
