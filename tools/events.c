// SPDX-License-Identifier: GPL-2.0
/*
 * vitrine events: what happens to VMs, a line each as it happens.
 */
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "colour.h"
#include "command.h"
#include "vitrine.h"
#include "vitrine_netlink.h"
#include "vms.h"

struct stream {
	struct colours colours;
	uint64_t vm_id;		/* only of this one, or 0 */
	uint64_t left;		/* events to go, or 0: no end */
	bool json;
	bool ended;
	int code;		/* exit code */
};

static bool is_of_monitor(uint32_t event)
{
	return event == VITRINE_NL_EVENT_MONITOR_ATTACHED ||
	       event == VITRINE_NL_EVENT_MONITOR_DETACHED;
}

/* What it may do. */
static const char *access_of(uint64_t flags)
{
	return flags & VITRINE_ATTACH_STEER ? "steering" :
	       flags & VITRINE_ATTACH_CONTROL ? "controlling" : "observing";
}

static void print_json(const struct vitrine_life_event *event, const char *name,
		       const struct timespec *now)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "time_ns",
			       json_object_new_uint64((uint64_t)now->tv_sec * 1000000000 +
						      (uint64_t)now->tv_nsec));
	json_object_object_add(object, "event",
			       json_object_new_string(vitrine_event_name(event->event)));
	json_object_object_add(object, "vm", json_object_new_uint64(event->vm_id));
	json_object_object_add(object, "name", json_object_new_string(name));
	json_object_object_add(object, "pid", json_object_new_int64(event->owner_pid));
	json_object_object_add(object, "uid", json_object_new_int64(event->owner_uid));
	if (event->vcpu_id >= 0)
		json_object_object_add(object, "vcpu", json_object_new_int64(event->vcpu_id));
	if (event->event == VITRINE_NL_EVENT_ENTRY_FAILURE)
		json_object_object_add(object, "exit_reason",
				       json_object_new_int64(event->exit_reason));
	if (event->event == VITRINE_NL_EVENT_INTERNAL_ERROR)
		json_object_object_add(object, "suberror", json_object_new_uint64(event->detail));
	if (is_of_monitor(event->event))
		json_object_object_add(object, "access",
				       json_object_new_string(access_of(event->detail)));
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
}

static bool is_failure(uint32_t event)
{
	return event == VITRINE_NL_EVENT_SHUTDOWN || event == VITRINE_NL_EVENT_ENTRY_FAILURE ||
	       event == VITRINE_NL_EVENT_INTERNAL_ERROR;
}

static void print_text(const struct stream *stream, const struct vitrine_life_event *event,
		       const char *name, const struct timespec *now)
{
	const char *colour = is_failure(event->event) ? stream->colours.bad : "";
	char clock[16], reason[24];
	struct tm local;

	localtime_r(&now->tv_sec, &local);
	strftime(clock, sizeof(clock), "%H:%M:%S", &local);
	printf("%s.%06ld  VM %-5llu %-15s pid %-7u %s%s%s", clock, now->tv_nsec / 1000,
	       (unsigned long long)event->vm_id, name, event->owner_pid, colour,
	       vitrine_event_name(event->event), *colour ? stream->colours.end : "");
	if (event->vcpu_id >= 0)
		printf(" vcpu %lld", (long long)event->vcpu_id);
	if (event->event == VITRINE_NL_EVENT_ENTRY_FAILURE)
		printf(" %s", vms_reason(event->exit_reason, reason, sizeof(reason)));
	if (event->event == VITRINE_NL_EVENT_INTERNAL_ERROR)
		printf(" suberror %llu", (unsigned long long)event->detail);
	if (is_of_monitor(event->event))
		printf(" %s", access_of(event->detail));
	putchar('\n');
}

static void on_event(const struct vitrine_life_event *event, void *data)
{
	struct stream *stream = data;
	struct timespec now;
	char name[VITRINE_WATCH_NAME_BYTES];

	if (stream->ended || (stream->vm_id && event->vm_id != stream->vm_id))
		return;
	snprintf(name, sizeof(name), "%s", event->name);
	vms_clean_name(name);
	clock_gettime(CLOCK_REALTIME, &now);
	if (stream->json)
		print_json(event, name, &now);
	else
		print_text(stream, event, name, &now);
	stream->code = finish_output(EXIT_OK);
	stream->ended = stream->code || (stream->left && !--stream->left);
}

static int follow(struct stream *stream)
{
	struct vitrine_watch *watch = vms_open();
	struct vitrine_error err;
	int ret;

	if (!watch)
		return EXIT_HOST;
	ret = vitrine_watch_join(watch, &err);
	while (ret >= 0 && !stream->ended) {
		ret = vitrine_watch_events(watch, on_event, stream, &err);
		if (ret == -ENOBUFS) {
			complain("events: some were lost");
			ret = 0;
		}
	}
	if (ret < 0) {
		complain("%s", err.text);
		stream->code = EXIT_HOST;
	}
	vitrine_watch_close(watch);
	return stream->code;
}

static void print_usage(FILE *to)
{
	fputs("usage: vitrine events [OPTIONS] [VM]\n\n"
	      "Prints what happens to VMs, a line each as it happens, until it is interrupted: VMs and\n"
	      "vCPUs that come and go, guests that shut down by a triple fault, entries that the\n"
	      "processor refuses, guests that the hypervisor gives up on, control\n"
	      "tools that attach, VMs that are paused and resumed. Takes CAP_SYS_ADMIN (root).\n\n"
	      "  -j, --json         a JSON object a line\n"
	      "  -n, --count N      end after N events\n"
	      "  -h, --help         this text\n", to);
}

int command_events(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "count", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct stream stream = { .colours = colours_choose() };
	int value;

	optind = 0;
	while ((value = getopt_long(argc, argv, ":jn:h", options, NULL)) != -1) {
		switch (value) {
		case 'j':
			stream.json = true;
			break;
		case 'n':
			if (!parse_count("--count", optarg, UINT64_MAX, &stream.left))
				return EXIT_USAGE;
			break;
		case 'h':
			print_usage(stdout);
			return finish_output(EXIT_OK);
		default:
			return complain_option(argv, value);
		}
	}
	if (optind < argc && !vms_parse_id(argv[optind++], &stream.vm_id))
		return EXIT_USAGE;
	if (optind < argc) {
		complain("events: '%s' is one too many", argv[optind]);
		return EXIT_USAGE;
	}
	return follow(&stream);
}
