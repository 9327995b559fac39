// SPDX-License-Identifier: GPL-2.0
/*
 * The open device: its path, its file descriptor and what it says it can do.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "internal.h"

static int open_failed(const char *path, int code, struct vitrine_error *err)
{
	const char *advice = "";

	if (code == ENOENT || code == ENXIO || code == ENODEV)
		advice = ": is the module loaded? (modprobe vitrine; 'vitrine info' says more)";
	else if (code == EACCES || code == EPERM)
		advice = ": join the group that owns it (ls -l shows it), or use sudo";
	return vitrine_fail(err, code, "%s: %s%s", path, strerror(code), advice);
}

struct vitrine *vitrine_open(const char *path, struct vitrine_error *err)
{
	struct vitrine *dev;
	int version;

	if (!path)
		path = getenv(VITRINE_DEVICE_ENV);
	if (!path || !*path)
		path = VITRINE_DEFAULT_DEVICE;

	dev = calloc(1, sizeof(*dev));
	if (dev)
		dev->path = strdup(path);
	if (!dev || !dev->path) {
		vitrine_fail(err, ENOMEM, "%s: out of memory", path);
		goto err_free;
	}
	dev->fd = open(path, O_RDWR | O_CLOEXEC);
	if (dev->fd < 0) {
		open_failed(path, errno, err);
		goto err_free;
	}
	version = ioctl(dev->fd, KVM_GET_API_VERSION, 0);
	if (version < 0) {
		vitrine_fail(err, ENOTTY, "%s is not a hypervisor's device: GET_API_VERSION: %s",
			     path, strerror(errno));
		goto err_close;
	}
	if (version != KVM_API_VERSION) {
		vitrine_fail(err, EPROTO, "%s speaks version %d of the KVM ABI, not %d", path,
			     version, KVM_API_VERSION);
		goto err_close;
	}
	return dev;

err_close:
	close(dev->fd);
err_free:
	if (dev)
		free(dev->path);
	free(dev);
	return NULL;
}

void vitrine_close(struct vitrine *dev)
{
	if (!dev)
		return;
	close(dev->fd);
	free(dev->path);
	free(dev);
}

const char *vitrine_path(const struct vitrine *dev)
{
	return dev->path;
}

int vitrine_fd(const struct vitrine *dev)
{
	return dev->fd;
}

int vitrine_check(const struct vitrine *dev, int cap)
{
	int ret = ioctl(dev->fd, KVM_CHECK_EXTENSION, (unsigned long)cap);

	return ret < 0 ? 0 : ret;
}
