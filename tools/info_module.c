// SPDX-License-Identifier: GPL-2.0
/*
 * Facts about the module, its device, and who holds VMX.
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

/* What the CPU offers and the parameters allow: so VMs created now are run. */
static void add_features(struct json_object *root, const struct vitrine_caps *caps)
{
	const struct {
		const char *name;
		bool used;
	} features[] = {
		{ "EPT", caps->ept_in_use },
		{ "VPID", caps->vpid_in_use },
		{ "TPR shadow", caps->tpr_shadow_in_use },
		{ "APIC virtualization", caps->apicv_in_use },
		{ "page-modification log", caps->pml_in_use },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(features); i++)
		info_add(root, "VMs use", features[i].name, INFO_PLAIN, NULL, "%s",
			 features[i].used ? "yes" : "no");
}

static bool module_is_loaded(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	return !access(path, F_OK);
}

/* From 6.12 on kvm takes VMX when it is loaded, unless this parameter says otherwise. */
static bool kvm_takes_vmx_at_load(void)
{
	char line[8];

	return info_read_line("/sys/module/kvm/parameters/enable_virt_at_load", line,
			      sizeof(line)) && *line == 'Y';
}

void info_owner(struct json_object *root, int fd)
{
	bool kvm = module_is_loaded("kvm_intel");
	struct vitrine_caps caps;
	char references[16];

	if (fd >= 0 && !ioctl(fd, VITRINE_GET_CAPS, &caps)) {
		if (caps.owner == VITRINE_VMX_OURS)
			info_add(root, "VMX", "held by", INFO_OK, NULL, "vitrine, %u VM%s",
				 caps.vms, caps.vms == 1 ? "" : "s");
		else if (caps.owner == VITRINE_VMX_FREE)
			info_add(root, "VMX", "held by", INFO_OK, NULL, "nobody");
		else
			info_add(root, "VMX", "held by", INFO_BAD,
				 kvm ? "sudo modprobe -r kvm_intel" :
				       "unload the other hypervisor's module",
				 "%s", kvm ? "kvm_intel" : "another hypervisor");
		add_features(root, &caps);
	}
	if (!kvm) {
		info_add(root, "VMX", "kvm_intel", INFO_OK, NULL, "not loaded");
		return;
	}
	if (!info_read_line("/sys/module/kvm_intel/refcnt", references, sizeof(references)))
		snprintf(references, sizeof(references), "?");
	info_add(root, "VMX", "kvm_intel", INFO_BAD,
		 kvm_takes_vmx_at_load() ?
		 "sudo modprobe -r kvm_intel, or boot with kvm.enable_virt_at_load=0" :
		 "sudo modprobe -r kvm_intel",
		 "loaded, %s reference%s%s", references, strcmp(references, "1") ? "s" : "",
		 kvm_takes_vmx_at_load() ? ", holds VMX from load on" : "");
}
