// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "stay.h"

static void on_alarm(int signal)
{
	(void)signal;
}

int test_run_for_us(struct test_vcpu *vcpu, unsigned int us)
{
	struct itimerval timer = { .it_value = { .tv_usec = us } }, off = {};
	struct sigaction action = { .sa_handler = on_alarm };
	int ret;

	if (sigaction(SIGALRM, &action, NULL) || setitimer(ITIMER_REAL, &timer, NULL))
		test_die("setitimer of %u us", us);
	ret = ioctl(vcpu->fd, KVM_RUN, 0) ? -errno : 0;
	setitimer(ITIMER_REAL, &off, NULL);
	return ret;
}

uint64_t test_counter_of(int object, const char *name, unsigned int i)
{
	char bytes[sizeof(struct kvm_stats_desc) + 64];
	struct kvm_stats_desc *desc = (void *)bytes;
	struct kvm_stats_header header;
	uint64_t count = ~0ull;
	int fd = ioctl(object, KVM_GET_STATS_FD, 0);
	bool found = false;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
	    sizeof(*desc) + header.name_size > sizeof(bytes))
		test_die("no statistics");
	for (unsigned int nr = 0; nr < header.num_desc && !found; nr++) {
		size_t size = sizeof(*desc) + header.name_size;

		if (pread(fd, desc, size, header.desc_offset + nr * size) != (ssize_t)size)
			test_die("no descriptor");
		found = !strcmp(desc->name, name);
	}
	if (!found || i >= desc->size ||
	    pread(fd, &count, 8, header.data_offset + desc->offset + i * 8) != 8)
		test_die("no counter %s[%u]", name, i);
	close(fd);
	return count;
}
