// SPDX-License-Identifier: GPL-2.0
/*
 * VMs as tables, and their values as text.
 */
#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "vms.h"

/* Room for one more item of @size bytes; NULL if there is no memory. */
static void *add(void **items, size_t *nr, size_t *max, size_t size)
{
	size_t more = *max ? 2 * *max : 64;
	void *bigger;

	if (*nr == *max) {
		bigger = reallocarray(*items, more, size);
		if (!bigger)
			return NULL;
		*items = bigger;
		*max = more;
	}
	return (char *)*items + (*nr)++ * size;
}

static void add_vm(const struct vitrine_vm_info *vm, void *data)
{
	struct vms *vms = data;
	struct vitrine_vm_info *to = add((void **)&vms->vm, &vms->nr_vms, &vms->max_vms,
					 sizeof(*to));

	if (!to) {
		vms->no_memory = true;
		return;
	}
	*to = *vm;
	vms_clean_name(to->name);
}

static void add_vcpu(const struct vitrine_vcpu_info *vcpu, void *data)
{
	struct vms *vms = data;
	struct vitrine_vcpu_info *to = add((void **)&vms->vcpu, &vms->nr_vcpus, &vms->max_vcpus,
					   sizeof(*to));

	if (to)
		*to = *vcpu;
	else
		vms->no_memory = true;
}

int vms_gather(struct vms *vms, struct vitrine_watch *watch, uint64_t vm_id, bool with_vcpus,
	       struct vitrine_error *err)
{
	int ret;

	vms->nr_vms = 0;
	vms->nr_vcpus = 0;
	vms->no_memory = false;
	ret = vitrine_watch_vms(watch, vm_id, add_vm, vms, err);
	if (!ret && with_vcpus)
		ret = vitrine_watch_vcpus(watch, vm_id, add_vcpu, vms, err);
	if (!ret && vms->no_memory) {
		if (err)
			*err = (struct vitrine_error) { ENOMEM, "no memory" };
		ret = -ENOMEM;
	}
	return ret;
}

void vms_free(struct vms *vms)
{
	free(vms->vm);
	free(vms->vcpu);
}

struct vitrine_watch *vms_open(void)
{
	struct vitrine_watch *watch;
	struct vitrine_error err;

	watch = vitrine_watch_open(&err);
	if (!watch)
		complain("%s", err.text);
	return watch;
}

struct vitrine_monitor *vms_attach(const char *device, uint64_t vm_id, uint32_t flags)
{
	struct vitrine_monitor *monitor = NULL;
	struct vitrine_error err;
	struct vitrine *dev;

	dev = vitrine_open(device, &err);
	if (dev)
		monitor = vitrine_monitor_attach(dev, vm_id, flags, &err);
	if (!monitor)
		complain("%s", err.text);
	/* The monitor is a descriptor of its own. */
	vitrine_close(dev);
	return monitor;
}

bool vms_parse_id(const char *text, uint64_t *id)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || !value) {
		complain("'%s' is no VM's id; 'vitrine list' shows them", text);
		return false;
	}
	*id = value;
	return true;
}

bool vms_take_id(int argc, char **argv, uint64_t *id)
{
	if (optind == argc - 1)
		return vms_parse_id(argv[optind], id);
	complain("%s: %s", argv[0], optind < argc ? "one VM at a time" : "which VM?");
	return false;
}

void vms_clean_name(char *name)
{
	for (; *name; name++)
		if (*name < ' ' || *name > '~')
			*name = '?';
}

const char *vms_bytes(uint64_t bytes, char *buffer, size_t size)
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes / 1024;
	unsigned int unit = 0;

	while (value >= 1024 && units[unit + 1]) {
		value /= 1024;
		unit++;
	}
	snprintf(buffer, size, value < 100 && value != (double)(int)value ? "%.1f%c" : "%.0f%c",
		 value, units[unit]);
	return buffer;
}

const char *vms_age(uint64_t ns, char *buffer, size_t size)
{
	unsigned long long s = ns / 1000000000;

	if (s < 60)
		snprintf(buffer, size, "%llu.%llus", s, (unsigned long long)ns / 100000000 % 10);
	else if (s < 3600)
		snprintf(buffer, size, "%llum%02llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buffer, size, "%lluh%02llum", s / 3600, s / 60 % 60);
	else
		snprintf(buffer, size, "%llud%02lluh", s / 86400, s / 3600 % 24);
	return buffer;
}

const char *vms_user(uint32_t uid, char *buffer, size_t size)
{
	/* VMs in a row are the same user's, as a rule; a look-up can be slow. */
	static uint32_t last_uid;
	static char last_name[64];
	const struct passwd *entry;

	if (!last_name[0] || uid != last_uid) {
		entry = getpwuid(uid);
		if (entry)
			snprintf(last_name, sizeof(last_name), "%s", entry->pw_name);
		else
			snprintf(last_name, sizeof(last_name), "%u", uid);
		last_uid = uid;
	}
	snprintf(buffer, size, "%s", last_name);
	return buffer;
}

const char *vms_reason(uint32_t reason, char *buffer, size_t size)
{
	const char *name = vitrine_reason_name(reason & 0xffff);

	if (name)
		return name;
	snprintf(buffer, size, "REASON_%u", reason & 0xffff);
	return buffer;
}
