// SPDX-License-Identifier: GPL-2.0
/*
 * The next VM that somebody creates, for tools that want to be there from its start. Who may hears
 * of it; who may not looks again and again.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <time.h>

#include "command.h"
#include "vitrine_netlink.h"
#include "vms.h"

#define LOOK_MS	10

static void on_event(const struct vitrine_life_event *event, void *data)
{
	uint64_t *vm_id = data;

	if (event->event == VITRINE_NL_EVENT_VM_CREATED && !*vm_id)
		*vm_id = event->vm_id;
}

static void note_last(const struct vitrine_vm_info *vm, void *data)
{
	uint64_t *last = data;

	*last = vm->id;
}

/* Ids only grow, and a dump is in their order. */
static int look(struct vitrine_watch *watch, uint64_t *vm_id, struct vitrine_error *err)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };
	uint64_t before = 0, last = 0;
	int ret;

	ret = vitrine_watch_vms(watch, 0, note_last, &before, err);
	complain("waiting for the next VM");
	while (!ret && last <= before) {
		nanosleep(&pause, NULL);
		last = before;
		ret = vitrine_watch_vms(watch, 0, note_last, &last, err);
	}
	*vm_id = last;
	return ret;
}

static int listen_for(struct vitrine_watch *watch, uint64_t *vm_id, struct vitrine_error *err)
{
	int ret = 0;

	complain("waiting for the next VM");
	/* What was lost had VMs in it, perhaps; there are others. */
	while ((ret >= 0 || ret == -ENOBUFS) && !*vm_id)
		ret = vitrine_watch_events(watch, on_event, vm_id, err);
	return *vm_id ? 0 : ret;
}

int vms_wait_next(uint64_t *vm_id)
{
	struct vitrine_watch *watch = vms_open();
	struct vitrine_error err;
	int ret;

	*vm_id = 0;
	if (!watch)
		return -ENOENT;
	ret = vitrine_watch_join(watch, &err);
	if (ret == -EPERM)
		ret = look(watch, vm_id, &err);
	else if (ret >= 0)
		ret = listen_for(watch, vm_id, &err);
	if (ret < 0)
		complain("%s", err.text);
	else
		complain("VM %" PRIu64 " it is", *vm_id);
	vitrine_watch_close(watch);
	return ret < 0 ? ret : 0;
}
