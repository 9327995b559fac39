// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host.h"

int host_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

int host_cpu_set_online(int cpu, int online)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	return host_write(path, online ? "1" : "0");
}

int host_module_users(void)
{
	FILE *modules = fopen("/proc/modules", "re");
	char name[64];
	int users, found = -1;

	if (!modules)
		return -1;
	while (fscanf(modules, "%63s %*u %d%*[^\n]", name, &users) == 2)
		if (!strcmp(name, HOST_MODULE))
			found = users;
	fclose(modules);
	return found;
}

int host_module_unload(void)
{
	return syscall(SYS_delete_module, HOST_MODULE, O_NONBLOCK) ? -errno : 0;
}

long host_meminfo_kib(const char *name)
{
	FILE *meminfo = fopen("/proc/meminfo", "re");
	char key[64];
	long value, found = -1;

	if (!meminfo)
		return -1;
	while (fscanf(meminfo, "%63[^:]: %ld%*[^\n] ", key, &value) == 2)
		if (!strcmp(key, name))
			found = value;
	fclose(meminfo);
	return found;
}

bool host_keeps_freed_memory(void)
{
	FILE *symbols = fopen("/proc/kallsyms", "re");
	char name[128];
	bool found = false;

	if (!symbols)
		return false;
	while (!found && fscanf(symbols, "%*s %*s %127s%*[^\n]", name) == 1)
		found = !strcmp(name, "kasan_quarantine_put");
	fclose(symbols);
	return found;
}

uint64_t host_seed(void)
{
	const char *text = getenv("TEST_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : 20261122;

	printf("# TEST_SEED=%llu\n", (unsigned long long)seed);
	return seed ? seed : 1;
}

/* xorshift64* */
uint64_t host_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}
