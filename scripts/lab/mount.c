// SPDX-License-Identifier: GPL-2.0
/*
 * PID 1's furniture: file systems, the loopback device, limits; and its way to small files.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init.h"

static const struct {
	const char *type;
	const char *path;
	const char *options;
	bool optional;
} mounts[] = {
	{ "devtmpfs",	"/dev",			"mode=755" },
	{ "proc",	"/proc",		NULL },
	{ "sysfs",	"/sys",			NULL },
	{ "debugfs",	"/sys/kernel/debug",	NULL, true },
	{ "tracefs",	"/sys/kernel/tracing",	NULL, true },
	{ "cgroup2",	"/sys/fs/cgroup",	NULL, true },
	{ "tmpfs",	"/tmp",			"mode=1777" },
	{ "tmpfs",	"/run",			"mode=755" },
	{ "devpts",	"/dev/pts",		"ptmxmode=666,mode=620,gid=5" },
	{ "tmpfs",	"/dev/shm",		"mode=1777" },
	{ "hugetlbfs",	"/dev/hugepages",	NULL, true },
	{ NULL }
};

static const char * const links[][2] = {
	{ "/proc/self/fd",	"/dev/fd" },
	{ "/proc/self/fd/0",	"/dev/stdin" },
	{ "/proc/self/fd/1",	"/dev/stdout" },
	{ "/proc/self/fd/2",	"/dev/stderr" },
	{ NULL }
};

/* NULL if there is no such file; the bytes are followed by a NUL. */
char *file_read(const char *path, size_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *data;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st))
		fail("%s: %s", path, strerror(errno));
	data = calloc(1, st.st_size + 1);
	if (!data || read(fd, data, st.st_size) != st.st_size)
		fail("%s: cannot be read", path);
	close(fd);
	if (bytes)
		*bytes = st.st_size;
	return data;
}

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
}

void mount_all(void)
{
	const struct rlimit files = { 1024, 1 << 20 };
	size_t i;

	for (i = 0; mounts[i].type; i++) {
		mkdir(mounts[i].path, 0755);
		if (mount(mounts[i].type, mounts[i].path, mounts[i].type, 0, mounts[i].options) &&
		    !mounts[i].optional && errno != EBUSY)
			fail("mount %s: %s", mounts[i].path, strerror(errno));
	}
	for (i = 0; links[i][0]; i++)
		if (symlink(links[i][0], links[i][1]) && errno != EEXIST)
			fail("%s: %s", links[i][1], strerror(errno));
	if (sethostname("vitrine-lab", 11))
		fail("sethostname: %s", strerror(errno));
	setrlimit(RLIMIT_NOFILE, &files);
	loopback_up();
}
