// SPDX-License-Identifier: GPL-2.0
/*
 * The VMX capabilities of this CPU by their SDM names: what the module requires, what it uses
 * if it is there, and what it has no use for. The module's own list is kmod/vmx/caps.c.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "info.h"

#define MSR_FEATURE_CONTROL	0x3a
#define BASIC_TRUE_CONTROLS	(1ULL << 55)

/* Offsets from IA32_VMX_BASIC; SDM "VMX Capability Reporting Facility". */
enum {
	VMX_BASIC = 0x0,
	VMX_PIN = 0x1,
	VMX_CPU = 0x2,
	VMX_EXIT = 0x3,
	VMX_ENTRY = 0x4,
	VMX_CPU2 = 0xb,
	VMX_EPT_VPID = 0xc,
	VMX_TRUE_PIN = 0xd,
	VMX_TRUE_CPU = 0xe,
	VMX_TRUE_EXIT = 0xf,
	VMX_TRUE_ENTRY = 0x10,
	VMX_FUNCTIONS = 0x11,
};

enum word { PIN, CPU, CPU2, EXIT, ENTRY, EPT, NR_WORDS };

static const char *const word_names[NR_WORDS] = {
	[PIN] = "pin-based controls",
	[CPU] = "primary processor-based controls",
	[CPU2] = "secondary processor-based controls",
	[EXIT] = "VM-exit controls",
	[ENTRY] = "VM-entry controls",
	[EPT] = "EPT and VPID",
};

enum need { REQUIRED, OPTIONAL, UNUSED };

static const char *const need_names[] = {
	[REQUIRED] = "required",
	[OPTIONAL] = "optional",
	[UNUSED] = "unused",
};

static const struct capability {
	enum word word;
	unsigned int bit;
	enum need need;
	const char *name;
} capabilities[] = {
	{ PIN, 0, REQUIRED, "External-interrupt exiting" },
	{ PIN, 3, REQUIRED, "NMI exiting" },
	{ PIN, 5, REQUIRED, "Virtual NMIs" },
	{ PIN, 6, OPTIONAL, "Activate VMX-preemption timer" },
	{ PIN, 7, UNUSED, "Process posted interrupts" },
	{ CPU, 2, OPTIONAL, "Interrupt-window exiting" },
	{ CPU, 3, REQUIRED, "Use TSC offsetting" },
	{ CPU, 7, REQUIRED, "HLT exiting" },
	{ CPU, 9, OPTIONAL, "INVLPG exiting" },
	{ CPU, 10, REQUIRED, "MWAIT exiting" },
	{ CPU, 11, REQUIRED, "RDPMC exiting" },
	{ CPU, 12, OPTIONAL, "RDTSC exiting" },
	{ CPU, 15, OPTIONAL, "CR3-load exiting" },
	{ CPU, 16, OPTIONAL, "CR3-store exiting" },
	{ CPU, 17, UNUSED, "Activate tertiary controls" },
	{ CPU, 19, REQUIRED, "CR8-load exiting" },
	{ CPU, 20, REQUIRED, "CR8-store exiting" },
	{ CPU, 21, OPTIONAL, "Use TPR shadow" },
	{ CPU, 22, OPTIONAL, "NMI-window exiting" },
	{ CPU, 23, REQUIRED, "MOV-DR exiting" },
	{ CPU, 24, REQUIRED, "Unconditional I/O exiting" },
	{ CPU, 25, UNUSED, "Use I/O bitmaps" },
	{ CPU, 27, OPTIONAL, "Monitor trap flag" },
	{ CPU, 28, REQUIRED, "Use MSR bitmaps" },
	{ CPU, 29, REQUIRED, "MONITOR exiting" },
	{ CPU, 30, OPTIONAL, "PAUSE exiting" },
	{ CPU, 31, REQUIRED, "Activate secondary controls" },
	{ CPU2, 0, OPTIONAL, "Virtualize APIC accesses" },
	{ CPU2, 1, REQUIRED, "Enable EPT" },
	{ CPU2, 2, OPTIONAL, "Descriptor-table exiting" },
	{ CPU2, 3, OPTIONAL, "Enable RDTSCP" },
	{ CPU2, 4, OPTIONAL, "Virtualize x2APIC mode" },
	{ CPU2, 5, OPTIONAL, "Enable VPID" },
	{ CPU2, 6, REQUIRED, "WBINVD exiting" },
	{ CPU2, 7, REQUIRED, "Unrestricted guest" },
	{ CPU2, 8, OPTIONAL, "APIC-register virtualization" },
	{ CPU2, 9, OPTIONAL, "Virtual-interrupt delivery" },
	{ CPU2, 10, UNUSED, "PAUSE-loop exiting" },
	{ CPU2, 11, OPTIONAL, "RDRAND exiting" },
	{ CPU2, 12, OPTIONAL, "Enable INVPCID" },
	{ CPU2, 13, UNUSED, "Enable VM functions" },
	{ CPU2, 14, UNUSED, "VMCS shadowing" },
	{ CPU2, 16, OPTIONAL, "RDSEED exiting" },
	{ CPU2, 17, OPTIONAL, "Enable PML" },
	{ CPU2, 15, OPTIONAL, "Enable ENCLS exiting" },
	{ CPU2, 18, UNUSED, "EPT-violation #VE" },
	{ CPU2, 20, UNUSED, "Enable XSAVES/XRSTORS" },
	{ CPU2, 22, UNUSED, "Mode-based execute control for EPT" },
	{ CPU2, 25, OPTIONAL, "Use TSC scaling" },
	{ CPU2, 26, UNUSED, "Enable user wait and pause" },
	{ CPU2, 28, UNUSED, "Enable ENCLV exiting" },
	{ EXIT, 2, REQUIRED, "Save debug controls" },
	{ EXIT, 9, REQUIRED, "Host address-space size" },
	{ EXIT, 12, UNUSED, "Load IA32_PERF_GLOBAL_CTRL (exit)" },
	{ EXIT, 15, UNUSED, "Acknowledge interrupt on exit" },
	{ EXIT, 18, REQUIRED, "Save IA32_PAT" },
	{ EXIT, 19, REQUIRED, "Load IA32_PAT (exit)" },
	{ EXIT, 20, UNUSED, "Save IA32_EFER" },
	{ EXIT, 21, REQUIRED, "Load IA32_EFER (exit)" },
	{ EXIT, 22, UNUSED, "Save VMX-preemption timer value" },
	{ EXIT, 23, UNUSED, "Clear IA32_BNDCFGS" },
	{ ENTRY, 2, REQUIRED, "Load debug controls" },
	{ ENTRY, 9, OPTIONAL, "IA-32e mode guest" },
	{ ENTRY, 13, UNUSED, "Load IA32_PERF_GLOBAL_CTRL (entry)" },
	{ ENTRY, 14, REQUIRED, "Load IA32_PAT (entry)" },
	{ ENTRY, 15, REQUIRED, "Load IA32_EFER (entry)" },
	{ ENTRY, 16, UNUSED, "Load IA32_BNDCFGS" },
	{ EPT, 0, OPTIONAL, "Execute-only EPT translations" },
	{ EPT, 6, REQUIRED, "EPT page-walk length of 4" },
	{ EPT, 7, UNUSED, "EPT page-walk length of 5" },
	{ EPT, 14, REQUIRED, "EPT paging-structure memory type WB" },
	{ EPT, 16, OPTIONAL, "EPT 2-MByte pages" },
	{ EPT, 17, OPTIONAL, "EPT 1-GByte pages" },
	{ EPT, 20, REQUIRED, "INVEPT" },
	{ EPT, 21, OPTIONAL, "EPT accessed and dirty flags" },
	{ EPT, 25, OPTIONAL, "Single-context INVEPT" },
	{ EPT, 26, REQUIRED, "All-context INVEPT" },
	{ EPT, 32, OPTIONAL, "INVVPID" },
	{ EPT, 40, UNUSED, "Individual-address INVVPID" },
	{ EPT, 41, OPTIONAL, "Single-context INVVPID" },
	{ EPT, 42, OPTIONAL, "All-context INVVPID" },
};

#define NR_CAPABILITIES ARRAY_SIZE(capabilities)

/* Controls may be 1 if their bit in the MSR's upper half is; EPT's bits stand for themselves. */
static uint64_t allowed(const struct info_vmx *vmx, enum word word)
{
	static const uint8_t plain[] = { VMX_PIN, VMX_CPU, VMX_CPU2, VMX_EXIT, VMX_ENTRY };
	static const uint8_t precise[] = {
		VMX_TRUE_PIN, VMX_TRUE_CPU, VMX_CPU2, VMX_TRUE_EXIT, VMX_TRUE_ENTRY
	};

	if (word == EPT)
		return vmx->msr[VMX_EPT_VPID];
	if (vmx->msr[VMX_BASIC] & BASIC_TRUE_CONTROLS)
		return vmx->msr[precise[word]] >> 32;
	return vmx->msr[plain[word]] >> 32;
}

bool info_vmx_allows(const struct info_vmx *vmx, const char *name)
{
	unsigned int i;

	for (i = 0; i < NR_CAPABILITIES; i++)
		if (!strcmp(capabilities[i].name, name))
			return allowed(vmx, capabilities[i].word) >> capabilities[i].bit & 1;
	return false;
}

unsigned int info_vmx_table(struct json_object *root, const struct info_vmx *vmx)
{
	struct json_object *list = json_object_new_array(), *row;
	const struct capability *capability;
	unsigned int i, missing = 0;
	bool present;

	for (i = 0; i < NR_CAPABILITIES; i++) {
		capability = &capabilities[i];
		present = info_vmx_allows(vmx, capability->name);
		missing += !present && capability->need == REQUIRED;
		row = json_object_new_object();
		json_object_object_add(row, "name", json_object_new_string(capability->name));
		json_object_object_add(row, "group",
				       json_object_new_string(word_names[capability->word]));
		json_object_object_add(row, "need",
				       json_object_new_string(need_names[capability->need]));
		json_object_object_add(row, "present", json_object_new_boolean(present));
		json_object_array_add(list, row);
	}
	json_object_object_add(root, "vmx_capabilities", list);
	return missing;
}

static bool read_msr(int fd, unsigned int msr, uint64_t *value)
{
	return pread(fd, value, sizeof(*value), msr) == sizeof(*value);
}

/* The module knows best; without it root can read the MSRs, if the msr driver is loaded. */
void info_vmx_read(struct info_vmx *vmx, int fd)
{
	struct vitrine_caps caps;
	unsigned int i;
	int msr_fd;

	memset(vmx, 0, sizeof(*vmx));
	if (fd >= 0 && !ioctl(fd, VITRINE_GET_CAPS, &caps)) {
		vmx->source = "the module";
		memcpy(vmx->msr, caps.vmx_msr, sizeof(vmx->msr));
		vmx->has_feature_control = true;
		vmx->feature_control = caps.feature_control;
		return;
	}
	msr_fd = open("/dev/cpu/0/msr", O_RDONLY | O_CLOEXEC);
	if (msr_fd < 0)
		return;
	vmx->has_feature_control = read_msr(msr_fd, MSR_FEATURE_CONTROL, &vmx->feature_control);
	/* MSRs that a CPU lacks fail to read: their features are absent. */
	if (read_msr(msr_fd, INFO_MSR_BASE, &vmx->msr[0])) {
		vmx->source = "/dev/cpu/0/msr";
		for (i = 1; i < VITRINE_NR_VMX_MSRS; i++)
			if (!read_msr(msr_fd, INFO_MSR_BASE + i, &vmx->msr[i]))
				vmx->msr[i] = 0;
	}
	close(msr_fd);
}
