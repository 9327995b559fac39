// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/vitrine: system ioctls, and the one list of what KVM_CHECK_EXTENSION says yes to.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/kvm.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <vitrine.h>
#include <asm/cpufeature.h>

#include "backend.h"
#include "cpuid.h"
#include "dev.h"
#include "exit.h"
#include "fpu.h"
#include "ioctl.h"
#include "mce.h"
#include "memslot.h"
#include "monitor/attach.h"
#include "msr.h"
#include "regs.h"
#include "registry.h"
#include "tsc.h"
#include "vcpu.h"
#include "vm.h"

#define NR_CAPS	256

/* Only what works and is tested. A capability whose answer depends on the VM is answered below. */
static const int extensions[NR_CAPS] = {
	[KVM_CAP_IRQCHIP] = 1,
	[KVM_CAP_HLT] = 1,
	[KVM_CAP_MMU_SHADOW_CACHE_CONTROL] = 1,
	[KVM_CAP_USER_MEMORY] = 1,
	[KVM_CAP_SET_TSS_ADDR] = 1,
	[KVM_CAP_EXT_CPUID] = 1,
	[KVM_CAP_CLOCKSOURCE] = 1,
	[KVM_CAP_NR_VCPUS] = 1,
	[KVM_CAP_NR_MEMSLOTS] = VITRINE_MAX_SLOTS,
	[KVM_CAP_PIT] = 1,
	[KVM_CAP_NOP_IO_DELAY] = 1,
	[KVM_CAP_MP_STATE] = 1,
	[KVM_CAP_COALESCED_MMIO] = KVM_COALESCED_MMIO_PAGE_OFFSET,
	[KVM_CAP_SYNC_MMU] = 1,
	[KVM_CAP_DESTROY_MEMORY_REGION_WORKS] = 1,
	[KVM_CAP_USER_NMI] = 1,
	[KVM_CAP_MCE] = VITRINE_MCE_BANKS,
	[KVM_CAP_SET_GUEST_DEBUG] = 1,
	[KVM_CAP_REINJECT_CONTROL] = 1,
	[KVM_CAP_IRQ_ROUTING] = 4096,
	[KVM_CAP_IRQ_INJECT_STATUS] = 1,
	[KVM_CAP_JOIN_MEMORY_REGIONS_WORKS] = 1,
	[KVM_CAP_IRQFD] = 1,
	[KVM_CAP_PIT2] = 1,
	[KVM_CAP_SET_BOOT_CPU_ID] = 1,
	[KVM_CAP_PIT_STATE2] = 1,
	[KVM_CAP_IOEVENTFD] = 1,
	[KVM_CAP_SET_IDENTITY_MAP_ADDR] = 1,
	[KVM_CAP_ADJUST_CLOCK] = VITRINE_CLOCK_FLAGS,
	[KVM_CAP_INTERNAL_ERROR_DATA] = 1,
	[KVM_CAP_VCPU_EVENTS] = 1,
	[KVM_CAP_DEBUGREGS] = 1,
	[KVM_CAP_X86_ROBUST_SINGLESTEP] = 1,
	[KVM_CAP_ENABLE_CAP] = 1,
	[KVM_CAP_XSAVE] = 1,
	[KVM_CAP_GET_TSC_KHZ] = 1,
	[KVM_CAP_MAX_VCPUS] = VITRINE_MAX_VCPUS,
	[KVM_CAP_MAX_VCPU_ID] = VITRINE_MAX_VCPU_IDS,
	[KVM_CAP_TSC_DEADLINE_TIMER] = 1,
	[KVM_CAP_KVMCLOCK_CTRL] = 1,
	[KVM_CAP_SIGNAL_MSI] = 1,
	[KVM_CAP_READONLY_MEM] = 1,
	[KVM_CAP_IRQFD_RESAMPLE] = 1,
	[KVM_CAP_EXT_EMUL_CPUID] = 1,
	[KVM_CAP_IOEVENTFD_NO_LENGTH] = 1,
	[KVM_CAP_ENABLE_CAP_VM] = 1,
	[KVM_CAP_CHECK_EXTENSION_VM] = 1,
	[KVM_CAP_SPLIT_IRQCHIP] = 1,
	[KVM_CAP_IOEVENTFD_ANY_LENGTH] = 1,
	[KVM_CAP_X2APIC_API] = KVM_X2APIC_API_USE_32BIT_IDS |
			       KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK,
	[KVM_CAP_IMMEDIATE_EXIT] = 1,
	[KVM_CAP_GET_MSR_FEATURES] = 1,
	[KVM_CAP_SYNC_REGS] = KVM_SYNC_X86_VALID_FIELDS,
	[KVM_CAP_NESTED_STATE] = sizeof(struct kvm_nested_state),
	[KVM_CAP_COALESCED_PIO] = 1,
	[KVM_CAP_DIRTY_LOG_RING] = VITRINE_DIRTY_RING_MAX_BYTES,
	[KVM_CAP_DIRTY_LOG_RING_ACQ_REL] = VITRINE_DIRTY_RING_MAX_BYTES,
	[KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2] = VITRINE_DIRTY_MANUAL_ALL,
	[KVM_CAP_MSR_PLATFORM_INFO] = 1,
	[KVM_CAP_EXCEPTION_PAYLOAD] = 1,
	[KVM_CAP_DISABLE_QUIRKS] = 1,
	[KVM_CAP_DISABLE_QUIRKS2] = VITRINE_QUIRKS,
	[KVM_CAP_EXIT_HYPERCALL] = VITRINE_EXIT_HYPERCALLS,
	[KVM_CAP_EXIT_ON_EMULATION_FAILURE] = 1,
	[KVM_CAP_X86_USER_SPACE_MSR] = 1,
	[KVM_CAP_X86_MSR_FILTER] = 1,
	[KVM_CAP_HALT_POLL] = 1,
	[KVM_CAP_STEAL_TIME] = IS_ENABLED(CONFIG_SCHED_INFO),
	[KVM_CAP_ENFORCE_PV_FEATURE_CPUID] = 1,
	[KVM_CAP_SET_GUEST_DEBUG2] = VITRINE_GUEST_DEBUG_ALL,
	[KVM_CAP_X86_TRIPLE_FAULT_EVENT] = 1,
	[KVM_CAP_BINARY_STATS_FD] = 1,
	[KVM_CAP_SREGS2] = 1,
	[KVM_CAP_VCPU_ATTRIBUTES] = 1,
	[KVM_CAP_VM_DISABLE_NX_HUGE_PAGES] = 1,
};

/* This VM, or one created now. */
static bool has_apicv(const struct vitrine_vm *vm)
{
	struct vitrine_caps caps = {};

	if (vm)
		return vm->apicv;
	vitrine_backend->report_caps(&caps);
	return caps.apicv_in_use;
}

long vitrine_dev_extension(struct vitrine_vm *vm, unsigned long cap)
{
	if (cap >= NR_CAPS)
		return 0;
	switch (cap) {
	case KVM_CAP_VAPIC:
		return !has_apicv(vm);
	case KVM_CAP_XCRS:
		return boot_cpu_has(X86_FEATURE_XSAVE);
	case KVM_CAP_XSAVE2:
		return vitrine_fpu_image_bytes();
	case KVM_CAP_X86_DISABLE_EXITS:
		return vitrine_vm_disable_exits();
	case KVM_CAP_TSC_CONTROL:
	case KVM_CAP_VM_TSC_CONTROL:
		return vitrine_tsc_scaling_supported;
	case KVM_CAP_NR_VCPUS:
		return min_t(unsigned int, num_online_cpus(), VITRINE_MAX_VCPUS);
	default:
		return extensions[array_index_nospec(cap, NR_CAPS)];
	}
}

static long dev_ioctl_get_api_version(void *obj, struct vitrine_ioctl_arg *arg)
{
	return arg->value ? -EINVAL : KVM_API_VERSION;
}

static long dev_ioctl_create_vm(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vm *vm;
	int fd;

	if (arg->value) {
		pr_debug_ratelimited("KVM_CREATE_VM: type is 0x%lx, must be 0\n", arg->value);
		return -EINVAL;
	}
	vm = vitrine_vm_create();
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	fd = vitrine_vm_open_fd(vm);
	if (fd < 0)
		vitrine_vm_put(vm);
	return fd;
}

static long dev_ioctl_check_extension(void *obj, struct vitrine_ioctl_arg *arg)
{
	return vitrine_dev_extension(NULL, arg->value);
}

static long dev_ioctl_get_vcpu_mmap_size(void *obj, struct vitrine_ioctl_arg *arg)
{
	return arg->value ? -EINVAL : VITRINE_RUN_PAGES * PAGE_SIZE;
}

static long dev_ioctl_get_caps(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_caps *caps = arg->data;

	caps->vms = vitrine_vm_count();
	vitrine_backend->report_caps(caps);
	return 0;
}

static long dev_ioctl_get_mitigations(void *obj, struct vitrine_ioctl_arg *arg)
{
	vitrine_backend->report_mitigations(arg->data);
	return 0;
}

static const struct vitrine_ioctl dev_ioctls[] = {
	{ KVM_GET_API_VERSION, 0, dev_ioctl_get_api_version },
	{ KVM_CREATE_VM, 0, dev_ioctl_create_vm },
	{ KVM_CHECK_EXTENSION, 0, dev_ioctl_check_extension },
	{ KVM_GET_VCPU_MMAP_SIZE, 0, dev_ioctl_get_vcpu_mmap_size },
	{ VITRINE_GET_CAPS, 0, dev_ioctl_get_caps },
	{ VITRINE_GET_MITIGATIONS, 0, dev_ioctl_get_mitigations },
	{}
};

static const struct vitrine_ioctl *const dev_tables[] = {
	dev_ioctls,
	vitrine_cpuid_dev_ioctls,
	vitrine_msr_dev_ioctls,
	vitrine_mce_dev_ioctls,
	vitrine_attach_dev_ioctls,
	NULL
};

static struct vitrine_ioctl_set dev_set = { .tables = dev_tables };

static long dev_ioctl(struct file *file, unsigned int cmd, unsigned long value)
{
	const struct vitrine_ioctl *row = vitrine_ioctl_find(&dev_set, cmd);

	return row ? vitrine_ioctl_call(row, NULL, value) : -ENOTTY;
}

static const struct file_operations dev_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vitrine",
	.fops = &dev_fops,
	.mode = 0660,
};

int vitrine_dev_init(void)
{
	int ret = vitrine_ioctl_set_build(&dev_set);

	return ret ? ret : misc_register(&dev);
}

void vitrine_dev_exit(void)
{
	misc_deregister(&dev);
}
