// SPDX-License-Identifier: GPL-2.0
/*
 * Facts about the module and its device.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "info.h"

#define MODULE_DIR	"/sys/module/vitrine"
#define LOAD_ADVICE	"load it: sudo modprobe vitrine"
#define GROUP_ADVICE	"join its group: sudo adduser $USER vitrine, then log in anew"
#define INSTALL_ADVICE	"install it: make install (as root), then sudo modprobe vitrine"

static bool is_installed(void)
{
	static const char *const places[] = {
		"updates/dkms/vitrine.ko", "updates/dkms/vitrine.ko.xz", "updates/vitrine.ko",
		"extra/vitrine.ko", "extra/vitrine.ko.xz", "updates/dkms/vitrine.ko.zst",
	};
	struct utsname kernel;
	char path[512];
	unsigned int i;

	if (uname(&kernel))
		return false;
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		snprintf(path, sizeof(path), "/lib/modules/%s/%s", kernel.release, places[i]);
		if (!access(path, F_OK))
			return true;
	}
	return false;
}

static void add_parameters(struct json_object *root)
{
	DIR *dir = opendir(MODULE_DIR "/parameters");
	char path[512], name[320], line[128];
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), MODULE_DIR "/parameters/%s", entry->d_name);
		if (entry->d_name[0] == '.' || !info_read_line(path, line, sizeof(line)))
			continue;
		snprintf(name, sizeof(name), "parameter %s", entry->d_name);
		info_add(root, "module", name, INFO_PLAIN, NULL, "%s", line);
	}
	closedir(dir);
}

bool info_module(struct json_object *root)
{
	char line[128];

	if (access(MODULE_DIR, F_OK)) {
		info_add(root, "module", "loaded", INFO_BAD,
			 is_installed() ? LOAD_ADVICE : INSTALL_ADVICE, "no, %s",
			 is_installed() ? "but installed for this kernel" :
					  "and not installed for this kernel");
		return false;
	}
	info_add(root, "module", "loaded", INFO_OK, NULL, "yes");
	if (info_read_line(MODULE_DIR "/version", line, sizeof(line)))
		info_add(root, "module", "version", INFO_PLAIN, NULL, "%s", line);
	if (info_read_line(MODULE_DIR "/srcversion", line, sizeof(line)))
		info_add(root, "module", "source version", INFO_PLAIN, NULL, "%s", line);
	if (info_read_line(MODULE_DIR "/refcnt", line, sizeof(line)))
		info_add(root, "module", "references", INFO_PLAIN, NULL, "%s", line);
	add_parameters(root);
	return true;
}

static void add_permissions(struct json_object *root, const char *path, const struct stat *st)
{
	struct passwd *user = getpwuid(st->st_uid);
	struct group *group = getgrgid(st->st_gid);
	char user_name[32], group_name[32];

	snprintf(user_name, sizeof(user_name), "%u", st->st_uid);
	snprintf(group_name, sizeof(group_name), "%u", st->st_gid);
	info_add(root, "device", path, S_ISCHR(st->st_mode) ? INFO_PLAIN : INFO_BAD, NULL,
		 "%s, mode %04o, owner %s, group %s",
		 S_ISCHR(st->st_mode) ? "character device" : "NOT a character device",
		 st->st_mode & 07777, user ? user->pw_name : user_name,
		 group ? group->gr_name : group_name);
}

/* Returns the open device, or -1. */
int info_device(struct json_object *root, const char *path)
{
	struct stat st;
	int fd, version;

	if (stat(path, &st)) {
		info_add(root, "device", path, INFO_BAD, NULL, "%s", strerror(errno));
		return -1;
	}
	add_permissions(root, path, &st);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		info_add(root, "device", "usable", INFO_BAD,
			 errno == EACCES ? GROUP_ADVICE : NULL, "no: %s", strerror(errno));
		return -1;
	}
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version == KVM_API_VERSION)
		info_add(root, "device", "usable", INFO_OK, NULL, "yes, KVM ABI version %d",
			 version);
	else
		info_add(root, "device", "usable", INFO_BAD, NULL,
			 "no: it does not speak the KVM ABI");
	if (version == KVM_API_VERSION)
		return fd;
	close(fd);
	return -1;
}
