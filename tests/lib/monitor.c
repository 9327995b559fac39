// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "monitor.h"

uint64_t test_vm_id(struct test_vm *vm)
{
	uint64_t id;

	if (ioctl(vm->fd, VITRINE_GET_VM_ID, &id))
		test_die("VITRINE_GET_VM_ID");
	return id;
}

int test_attach(int dev_fd, uint64_t vm_id, uint32_t flags)
{
	struct vitrine_attach attach = { .vm_id = vm_id, .flags = flags };
	int fd = ioctl(dev_fd, VITRINE_ATTACH, &attach);

	return fd < 0 ? -errno : fd;
}

int test_monitor_info(int fd, struct vitrine_monitor_info *info)
{
	return ioctl(fd, VITRINE_MONITOR_INFO, info) ? -errno : 0;
}

int test_ring_create(int fd, struct vitrine_ring_config *config)
{
	return ioctl(fd, VITRINE_RING_CREATE, config) ? -errno : 0;
}

int test_ring_filter(int fd, uint32_t vcpu, uint64_t low, uint64_t high)
{
	struct vitrine_ring_filter filter = { .vcpu = vcpu, .reasons = { low, high } };

	return ioctl(fd, VITRINE_RING_FILTER, &filter) ? -errno : 0;
}

void test_ring_state(int fd, uint32_t vcpu, struct vitrine_ring_state *state)
{
	*state = (struct vitrine_ring_state) { .vcpu = vcpu };
	if (ioctl(fd, VITRINE_RING_STATE, state))
		test_die("VITRINE_RING_STATE");
}

void test_ring_open(struct test_ring *ring, int fd, uint32_t vcpu, uint32_t nr_records,
		    uint32_t flags)
{
	void *map;

	ring->config = (struct vitrine_ring_config) { .vcpu = vcpu, .flags = flags,
						      .nr_records = nr_records,
						      .reasons = { ~0ull, ~0ull } };
	if (test_ring_create(fd, &ring->config))
		test_die("VITRINE_RING_CREATE");
	map = mmap(NULL, ring->config.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   ring->config.map_offset);
	if (map == MAP_FAILED)
		test_die("mapping a ring");
	ring->header = map;
	ring->records = (void *)((char *)map + 4096);
}

void test_ring_close(struct test_ring *ring)
{
	munmap(ring->header, ring->config.map_bytes);
}
