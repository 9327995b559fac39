// SPDX-License-Identifier: GPL-2.0
/* Rows of creation and destruction, and the kernel memory of an idle VM. */
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <x86intrin.h>

#include "bench.h"
#include "lib/host.h"

#define IDLE_VMS	128	/* so that they outweigh what else comes and goes */

enum { CREATE_VM, CREATE_VCPU, CREATE_AND_CLOSE_VM, CREATE_AND_CLOSE_BOTH };

static int must(int fd, const char *what)
{
	if (fd < 0)
		test_die("%s", what);
	return fd;
}

static uint64_t create(const struct bench_row *row)
{
	int dev = test_dev_open(), vm, vcpu = -1;
	uint64_t start = __rdtsc(), ticks;

	vm = must(ioctl(dev, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	ticks = __rdtsc() - start;
	if (row->op == CREATE_VCPU)
		start = __rdtsc();
	if (row->op == CREATE_VCPU || row->op == CREATE_AND_CLOSE_BOTH)
		vcpu = must(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	if (row->op == CREATE_VCPU)
		ticks = __rdtsc() - start;
	if (vcpu >= 0)
		close(vcpu);
	close(vm);
	if (row->op == CREATE_AND_CLOSE_VM || row->op == CREATE_AND_CLOSE_BOTH)
		ticks = __rdtsc() - start;
	close(dev);
	return ticks;
}

/* KiB, once what was closed before has been freed. */
static long available_kib(void)
{
	long last, kib = host_meminfo_kib("MemAvailable");

	do {
		last = kib;
		usleep(200000);
		kib = host_meminfo_kib("MemAvailable");
	} while (kib - last > 64);
	return kib;
}

/*
 * KiB of kernel memory: what MemAvailable lost to VMs without memory and with a vCPU that never
 * ran. Once they are closed the kernel keeps the pages in its caches, and more VMs of the kind
 * seem to cost nothing.
 */
static uint64_t idle_memory(const struct bench_row *row)
{
	int dev = test_dev_open(), vm[IDLE_VMS], vcpu[IDLE_VMS], vms, i;
	long before, after;

	(void)row;
	vms = bench_rounds_at_most(IDLE_VMS);
	before = available_kib();
	for (i = 0; i < vms; i++) {
		vm[i] = must(ioctl(dev, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
		must(ioctl(vm[i], KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
		vcpu[i] = must(ioctl(vm[i], KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	}
	after = host_meminfo_kib("MemAvailable");
	for (i = 0; i < vms; i++) {
		close(vcpu[i]);
		close(vm[i]);
	}
	close(dev);
	return before > after ? (before - after) / vms : 0;
}

const struct bench_row bench_life_rows[] = {
	{ "create VM", BENCH_LIFE, create, .op = CREATE_VM },
	{ "create vCPU", BENCH_LIFE, create, .op = CREATE_VCPU },
	{ "create and close VM", BENCH_LIFE, create, .op = CREATE_AND_CLOSE_VM },
	{ "create and close VM and vCPU", BENCH_LIFE, create, .op = CREATE_AND_CLOSE_BOTH },
	{ "memory of an idle VM, KiB", BENCH_LIFE, idle_memory, .once = true },
	{}
};
