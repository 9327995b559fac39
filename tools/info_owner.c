// SPDX-License-Identifier: GPL-2.0
/*
 * Facts about who holds VMX. The module (kmod/vmx/owner.c) refuses VMs while kvm_intel is loaded;
 * one that is built into the kernel stands in the way only while it holds VMX.
 */
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "info.h"

#define KVM_DIR		"/sys/module/kvm_intel"
#define UNLOAD_ADVICE	"sudo modprobe -r kvm_intel"
#define BOOT_ADVICE	"boot with kvm.enable_virt_at_load=0"
#define END_ADVICE	"end its virtual machines"

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

static const char *kvm_advice(const struct info_owner *owner)
{
	switch (owner->kvm) {
	case INFO_KVM_MODULE:
		return UNLOAD_ADVICE;
	case INFO_KVM_BUILTIN:
		return owner->kvm_at_load ? BOOT_ADVICE : END_ADVICE;
	default:
		return "unload the other hypervisor's module";
	}
}

static void add_holder(struct json_object *root, const struct info_owner *owner)
{
	switch (owner->holder) {
	case VITRINE_VMX_OURS:
		info_add(root, "VMX", "held by", INFO_OK, NULL, "vitrine, %u VM%s", owner->vms,
			 owner->vms == 1 ? "" : "s");
		break;
	case VITRINE_VMX_FREE:
		info_add(root, "VMX", "held by", INFO_OK, NULL, "nobody");
		break;
	default:
		info_add(root, "VMX", "held by", INFO_BAD, kvm_advice(owner), "%s",
			 owner->kvm ? "kvm_intel" : "another hypervisor");
	}
}

static void add_module(struct json_object *root, const struct info_owner *owner)
{
	info_add(root, "VMX", "kvm_intel", INFO_BAD, UNLOAD_ADVICE, "loaded, %s reference%s%s",
		 owner->references, *owner->references == '1' && !owner->references[1] ? "" : "s",
		 owner->kvm_at_load ? ", holds VMX from load on" : "");
}

static void add_builtin(struct json_object *root, const struct info_owner *owner)
{
	/* Without our module to say who holds VMX, the parameter does. */
	bool holds = owner->known ? owner->holder == VITRINE_VMX_FOREIGN : owner->kvm_at_load;

	info_add(root, "VMX", "kvm_intel", holds ? INFO_BAD : INFO_NOTE,
		 holds ? kvm_advice(owner) : NULL, "built into the kernel, %s",
		 !holds ? "holds VMX while it has virtual machines" :
		 owner->kvm_at_load ? "holds VMX from its start on" : "holds VMX");
}

void info_owner_add(struct json_object *root, const struct info_owner *owner)
{
	if (owner->known)
		add_holder(root, owner);
	if (owner->kvm == INFO_KVM_MODULE)
		add_module(root, owner);
	else if (owner->kvm == INFO_KVM_BUILTIN)
		add_builtin(root, owner);
	else
		info_add(root, "VMX", "kvm_intel", INFO_OK, NULL, "not loaded");
}

/* From 6.12 on kvm takes VMX when it is loaded, unless this parameter says otherwise. */
static bool kvm_takes_vmx_at_load(void)
{
	char line[8];

	return info_read_line("/sys/module/kvm/parameters/enable_virt_at_load", line,
			      sizeof(line)) && *line == 'Y';
}

/* Both kinds have a directory, but only what is loaded has a state. */
static enum info_kvm find_kvm(void)
{
	if (access(KVM_DIR, F_OK))
		return INFO_KVM_NONE;
	return access(KVM_DIR "/initstate", F_OK) ? INFO_KVM_BUILTIN : INFO_KVM_MODULE;
}

void info_owner(struct json_object *root, int fd)
{
	struct info_owner owner = { .kvm = find_kvm(), .kvm_at_load = kvm_takes_vmx_at_load() };
	struct vitrine_caps caps;

	if (!info_read_line(KVM_DIR "/refcnt", owner.references, sizeof(owner.references)))
		snprintf(owner.references, sizeof(owner.references), "?");
	if (fd >= 0 && !ioctl(fd, VITRINE_GET_CAPS, &caps)) {
		owner.known = true;
		owner.holder = caps.owner;
		owner.vms = caps.vms;
	}
	info_owner_add(root, &owner);
	if (owner.known)
		add_features(root, &caps);
}
