// SPDX-License-Identifier: GPL-2.0
/*
 * Monitors: attaching to VMs of other processes, and reading the rings of their exits. Records are
 * read from shared memory that the kernel goes on writing; vitrine.h has the rules.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#define HEADER_BYTES	4096

struct vitrine_monitor {
	int fd;
	uint64_t vm_id;
	struct vitrine_ring *rings;	/* a list, for vitrine_monitor_detach() */
};

struct vitrine_ring {
	struct vitrine_monitor *monitor;
	struct vitrine_ring *next;
	struct vitrine_ring_config config;
	struct vitrine_ring_header *header;
	const struct vitrine_record *records;
	uint64_t tail;
	uint64_t overwritten;
};

static const char *attach_advice(int code)
{
	switch (code) {
	case ESRCH:
		return "no VM of this number lives";
	case EPERM:
		return "not allowed: not its owner, or it is protected (the kernel log says why)";
	case EBUSY:
		return "another monitor steers it, or too many watch it";
	case ENOTTY:
		return "the module has no monitors";
	default:
		return strerror(code);
	}
}

struct vitrine_monitor *vitrine_monitor_attach(struct vitrine *dev, uint64_t vm_id,
					       uint32_t flags, struct vitrine_error *err)
{
	struct vitrine_attach attach = { .vm_id = vm_id, .flags = flags };
	struct vitrine_monitor *monitor = calloc(1, sizeof(*monitor));

	if (!monitor) {
		vitrine_fail(err, ENOMEM, "VM %llu: out of memory", (unsigned long long)vm_id);
		return NULL;
	}
	monitor->vm_id = vm_id;
	monitor->fd = ioctl(dev->fd, VITRINE_ATTACH, &attach);
	if (monitor->fd < 0) {
		vitrine_fail(err, errno, "VM %llu: %s", (unsigned long long)vm_id,
			     attach_advice(errno));
		free(monitor);
		return NULL;
	}
	return monitor;
}

void vitrine_monitor_detach(struct vitrine_monitor *monitor)
{
	if (!monitor)
		return;
	while (monitor->rings)
		vitrine_ring_close(monitor->rings);
	close(monitor->fd);
	free(monitor);
}

int vitrine_monitor_fd(const struct vitrine_monitor *monitor)
{
	return monitor->fd;
}

int vitrine_monitor_info(const struct vitrine_monitor *monitor, struct vitrine_monitor_info *info,
			 struct vitrine_error *err)
{
	if (ioctl(monitor->fd, VITRINE_MONITOR_INFO, info))
		return vitrine_fail(err, errno, "VM %llu: MONITOR_INFO: %s",
				    (unsigned long long)monitor->vm_id, strerror(errno));
	return 0;
}

int vitrine_monitor_wait(const struct vitrine_monitor *monitor, int timeout_ms,
			 struct vitrine_error *err)
{
	struct pollfd poll_fd = { .fd = monitor->fd, .events = POLLIN };

	if (poll(&poll_fd, 1, timeout_ms) < 0)
		return vitrine_fail(err, errno, "VM %llu: poll: %s",
				    (unsigned long long)monitor->vm_id, strerror(errno));
	return poll_fd.revents;
}

struct vitrine_ring *vitrine_ring_open(struct vitrine_monitor *monitor, uint32_t vcpu,
				       uint32_t nr_records, uint32_t flags, uint32_t wakeup,
				       const uint64_t *reasons, struct vitrine_error *err)
{
	struct vitrine_ring *ring = calloc(1, sizeof(*ring));
	void *map;

	if (!ring) {
		vitrine_fail(err, ENOMEM, "vCPU %u: out of memory", vcpu);
		return NULL;
	}
	ring->monitor = monitor;
	ring->config = (struct vitrine_ring_config) {
		.vcpu = vcpu,
		.flags = flags,
		.nr_records = nr_records,
		.wakeup = wakeup,
		.reasons = { reasons ? reasons[0] : UINT64_MAX, reasons ? reasons[1] : UINT64_MAX },
	};
	if (ioctl(monitor->fd, VITRINE_RING_CREATE, &ring->config)) {
		vitrine_fail(err, errno, "vCPU %u: RING_CREATE of %u records: %s", vcpu,
			     nr_records, strerror(errno));
		goto err_free;
	}
	map = mmap(NULL, ring->config.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, monitor->fd,
		   (off_t)ring->config.map_offset);
	if (map == MAP_FAILED) {
		vitrine_fail(err, errno, "vCPU %u: mapping its ring: %s", vcpu, strerror(errno));
		goto err_free;
	}
	ring->header = map;
	ring->records = (const void *)((const char *)map + HEADER_BYTES);
	ring->next = monitor->rings;
	monitor->rings = ring;
	return ring;

err_free:
	free(ring);
	return NULL;
}

void vitrine_ring_close(struct vitrine_ring *ring)
{
	struct vitrine_ring **link;

	if (!ring)
		return;
	for (link = &ring->monitor->rings; *link; link = &(*link)->next) {
		if (*link == ring) {
			*link = ring->next;
			break;
		}
	}
	munmap(ring->header, ring->config.map_bytes);
	free(ring);
}

uint32_t vitrine_ring_vcpu(const struct vitrine_ring *ring, uint32_t *id)
{
	if (id)
		*id = ring->config.vcpu_id;
	return ring->config.vcpu;
}

int vitrine_ring_filter(struct vitrine_ring *ring, const uint64_t *reasons,
			struct vitrine_error *err)
{
	struct vitrine_ring_filter filter = {
		.vcpu = ring->config.vcpu,
		.reasons = { reasons[0], reasons[1] },
	};

	if (ioctl(ring->monitor->fd, VITRINE_RING_FILTER, &filter))
		return vitrine_fail(err, errno, "vCPU %u: RING_FILTER: %s", filter.vcpu,
				    strerror(errno));
	return 0;
}

bool vitrine_ring_read(struct vitrine_ring *ring, struct vitrine_record *record)
{
	uint32_t nr = ring->config.nr_records;
	const struct vitrine_record *from;
	uint64_t head, seq;

	for (;;) {
		head = __atomic_load_n(&ring->header->head, __ATOMIC_ACQUIRE);
		if (head == ring->tail)
			return false;
		if (head - ring->tail > nr) {
			ring->overwritten += head - nr - ring->tail;
			ring->tail = head - nr;
		}
		from = &ring->records[ring->tail & (nr - 1)];
		seq = __atomic_load_n(&from->seq, __ATOMIC_ACQUIRE);
		*record = *(const volatile struct vitrine_record *)from;
		/* The copy is over before the number is looked at again. */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		ring->tail++;
		__atomic_store_n(&ring->header->tail, ring->tail, __ATOMIC_RELEASE);
		if (seq == ring->tail &&
		    __atomic_load_n(&from->seq, __ATOMIC_RELAXED) == ring->tail)
			return true;
		ring->overwritten++;
	}
}

uint64_t vitrine_ring_lost(const struct vitrine_ring *ring)
{
	return ring->overwritten + __atomic_load_n(&ring->header->lost, __ATOMIC_RELAXED);
}
