// SPDX-License-Identifier: GPL-2.0
/*
 * Facts about the machine and its kernel: CPU, firmware, Secure Boot, lockdown, mitigations.
 * Reads files and CPUID; changes nothing.
 */
#include <cpuid.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "info.h"

#define CPUID_VMX		(1U << 5)
#define CPUID_HYPERVISOR	(1U << 31)
#define FEATURE_LOCKED		(1ULL << 0)
#define FEATURE_VMX_OUTSIDE_SMX	(1ULL << 2)
#define EFI_DIR			"/sys/firmware/efi"
#define SECURE_BOOT_FILE EFI_DIR "/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
#define LOCKDOWN_FILE		"/sys/kernel/security/lockdown"
#define VULNERABILITIES_DIR	"/sys/devices/system/cpu/vulnerabilities"
#define SIGN_ADVICE "the module must be signed: DKMS signs with /var/lib/dkms/mok.key; " \
	"enrol its certificate with 'mokutil --import /var/lib/dkms/mok.pub' and reboot"

static void vendor(unsigned int leaf, char name[13])
{
	unsigned int eax, ebx, ecx, edx;

	__cpuid(leaf, eax, ebx, ecx, edx);
	/* Leaf 0 spells in EBX, EDX, ECX; hypervisors' leaves in EBX, ECX, EDX. */
	memcpy(name, &ebx, 4);
	memcpy(name + 4, leaf ? &ecx : &edx, 4);
	memcpy(name + 8, leaf ? &edx : &ecx, 4);
	name[12] = 0;
}

static void brand(char name[49])
{
	unsigned int regs[4], i;

	name[0] = 0;
	if (__get_cpuid_max(0x80000000, NULL) < 0x80000004)
		return;
	for (i = 0; i < 3; i++) {
		__cpuid(0x80000002 + i, regs[0], regs[1], regs[2], regs[3]);
		memcpy(name + 16 * i, regs, sizeof(regs));
	}
	name[48] = 0;
}

void info_hardware(struct json_object *root)
{
	unsigned int eax, ebx, ecx, edx;
	char name[49], maker[13];
	struct utsname kernel;

	vendor(0, maker);
	brand(name);
	info_add(root, "hardware", "CPU", INFO_PLAIN, NULL, "%s (%s)",
		 name[strspn(name, " ")] ? name + strspn(name, " ") : "no name", maker);
	info_add(root, "hardware", "CPUs online", INFO_PLAIN, NULL, "%ld",
		 sysconf(_SC_NPROCESSORS_ONLN));
	__cpuid(1, eax, ebx, ecx, edx);
	if (ecx & CPUID_VMX)
		info_add(root, "hardware", "VMX", INFO_OK, NULL, "yes, by CPUID");
	else if (!strcmp(maker, "AuthenticAMD") || !strcmp(maker, "HygonGenuine"))
		info_add(root, "hardware", "VMX", INFO_BAD,
			 "this CPU has SVM instead; run it in the emulated machine: make run",
			 "no, not an Intel CPU");
	else
		info_add(root, "hardware", "VMX", INFO_BAD,
			 "turn VT-x on in the firmware set-up (or nested virtualization in the outer hypervisor), or use the emulated machine: make run",
			 "no, by CPUID");
	if (ecx & CPUID_HYPERVISOR) {
		vendor(0x40000000, maker);
		info_add(root, "hardware", "runs on", INFO_NOTE, NULL,
			 "a hypervisor (%s): VMX here is nested", *maker ? maker : "no name");
	} else {
		info_add(root, "hardware", "runs on", INFO_PLAIN, NULL, "bare metal");
	}
	if (!uname(&kernel))
		info_add(root, "hardware", "kernel", INFO_PLAIN, NULL, "%s %s", kernel.release,
			 kernel.machine);
}

void info_firmware(struct json_object *root, const struct info_vmx *vmx)
{
	uint64_t value = vmx->feature_control;

	if (!vmx->has_feature_control)
		info_add(root, "firmware", "IA32_FEATURE_CONTROL", INFO_PLAIN,
			 "root can read it after 'modprobe msr'", "not readable");
	else if (!(value & FEATURE_LOCKED))
		info_add(root, "firmware", "IA32_FEATURE_CONTROL", INFO_BAD,
			 "turn VT-x on in the firmware set-up", "0x%llx: not locked, VMX off",
			 (unsigned long long)value);
	else if (!(value & FEATURE_VMX_OUTSIDE_SMX))
		info_add(root, "firmware", "IA32_FEATURE_CONTROL", INFO_BAD,
			 "turn VT-x on in the firmware set-up", "0x%llx: VMX disabled and locked",
			 (unsigned long long)value);
	else
		info_add(root, "firmware", "IA32_FEATURE_CONTROL", INFO_OK, NULL,
			 "0x%llx: VMX enabled", (unsigned long long)value);
}

static bool secure_boot_is_on(bool *known)
{
	uint8_t bytes[5] = { 0 };
	ssize_t count;
	int fd;

	/* Four bytes of attributes, then the value. */
	fd = open(SECURE_BOOT_FILE, O_RDONLY | O_CLOEXEC);
	count = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
	if (fd >= 0)
		close(fd);
	*known = count == sizeof(bytes);
	return *known && bytes[4] == 1;
}

/* The file lists all levels with the current one in brackets. */
static bool current_lockdown(char *level, size_t size)
{
	char line[128], *start, *end;

	if (!info_read_line(LOCKDOWN_FILE, line, sizeof(line)))
		return false;
	start = strchr(line, '[');
	end = start ? strchr(start, ']') : NULL;
	if (!end)
		return false;
	*end = 0;
	snprintf(level, size, "%s", start + 1);
	return true;
}

void info_security(struct json_object *root)
{
	char level[32], enforce[8];
	bool known, on;

	on = secure_boot_is_on(&known);
	if (access(EFI_DIR, F_OK))
		info_add(root, "firmware", "Secure Boot", INFO_PLAIN, NULL,
			 "off: not started by EFI");
	else if (!known)
		info_add(root, "firmware", "Secure Boot", INFO_PLAIN, NULL, "not readable");
	else
		info_add(root, "firmware", "Secure Boot", on ? INFO_NOTE : INFO_PLAIN,
			 on ? SIGN_ADVICE : NULL, on ? "on" : "off");
	if (!current_lockdown(level, sizeof(level)))
		info_add(root, "firmware", "lockdown", INFO_PLAIN, NULL, "not readable");
	else
		info_add(root, "firmware", "lockdown",
			 strcmp(level, "none") ? INFO_NOTE : INFO_PLAIN,
			 strcmp(level, "none") && !on ? SIGN_ADVICE : NULL, "%s", level);
	if (info_read_line("/sys/module/module/parameters/sig_enforce", enforce, sizeof(enforce)))
		info_add(root, "firmware", "module signatures", INFO_PLAIN, NULL, "%s",
			 *enforce == 'Y' ? "enforced" : "not enforced");
}

static int by_name(const struct dirent **left, const struct dirent **right)
{
	return strcmp((*left)->d_name, (*right)->d_name);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void kernel_mitigations(struct json_object *root)
{
	struct dirent **names;
	char path[512], line[256];
	int i, count;

	count = scandir(VULNERABILITIES_DIR, &names, is_visible, by_name);
	for (i = 0; i < count; i++) {
		snprintf(path, sizeof(path), VULNERABILITIES_DIR "/%s", names[i]->d_name);
		if (info_read_line(path, line, sizeof(line)))
			info_add(root, "mitigations", names[i]->d_name,
				 strncmp(line, "Vulnerable", 10) ? INFO_PLAIN : INFO_NOTE, NULL,
				 "%s", line);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
}

void info_mitigations(struct json_object *root, int fd)
{
	static const char *const names[VITRINE_NR_MITIGATIONS] = {
		"ITLB multihit", "L1TF", "MDS, TAA, MMIO stale data", "RSB", "BHI",
		"SPEC_CTRL", "IBPB", "VMSCAPE",
	};
	struct vitrine_mitigations mitigations;
	bool needed, active;
	char name[64];
	unsigned int i;

	kernel_mitigations(root);
	if (fd < 0 || ioctl(fd, VITRINE_GET_MITIGATIONS, &mitigations))
		return;
	for (i = 0; i < VITRINE_NR_MITIGATIONS; i++) {
		needed = mitigations.needed >> i & 1;
		active = mitigations.active >> i & 1;
		snprintf(name, sizeof(name), "module: %s", names[i]);
		info_add(root, "mitigations", name,
			 needed && !active ? INFO_BAD : active ? INFO_OK : INFO_PLAIN, NULL, "%s",
			 active ? (needed ? "active" : "active, not needed") :
				  (needed ? "NEEDED AND MISSING: VMs are refused" : "not needed"));
	}
}
