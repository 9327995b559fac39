// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest of several CPUs must get right: a thread bound to each CPU reads through one address
 * whose page the first one changes again and again. Whoever still sees the page before was not told
 * to drop its translation.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS		300u
#define PAGES		8u
#define MAX_CPUS	64
#define PAGE_BYTES	4096u

static volatile uint32_t *window;
static atomic_uint round_now, seen;
static atomic_uint wrong;

static void bind_to(unsigned int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one)) {
		perror("guest: sched_setaffinity");
		exit(1);
	}
}

static void *reader(void *arg)
{
	unsigned int last = 0, round;

	bind_to((uintptr_t)arg);
	while (last < ROUNDS) {
		round = round_now;
		if (round == last)
			continue;
		last = round;
		if (*window != round % PAGES)
			wrong++;
		seen++;
	}
	return NULL;
}

int main(void)
{
	unsigned int cpus = sysconf(_SC_NPROCESSORS_ONLN), cpu, round;
	int fd = memfd_create("pages", 0);
	pthread_t thread[MAX_CPUS];

	if (cpus > MAX_CPUS || fd < 0 || ftruncate(fd, PAGES * PAGE_BYTES))
		return 1;
	for (round = 0; round < PAGES; round++)
		if (pwrite(fd, &round, sizeof(round), round * PAGE_BYTES) != sizeof(round))
			return 1;
	window = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	bind_to(0);
	for (cpu = 1; cpu < cpus; cpu++)
		if (pthread_create(&thread[cpu], NULL, reader, (void *)(uintptr_t)cpu))
			return 1;
	for (round = 1; round <= ROUNDS; round++) {
		if (mmap((void *)window, PAGE_BYTES, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
			 round % PAGES * PAGE_BYTES) == MAP_FAILED)
			return 1;
		if (*window != round % PAGES)
			wrong++;
		seen = 0;
		round_now = round;
		while (seen < cpus - 1)
			;
	}
	for (cpu = 1; cpu < cpus; cpu++)
		pthread_join(thread[cpu], NULL);
	printf("guest: SMP: %u CPUs, %u remappings, %u not seen\n", cpus, ROUNDS, wrong);
	return wrong != 0;
}
