// SPDX-License-Identifier: GPL-2.0
/*
 * Loading and unloading: an ordered chain and its mirror image, nothing else.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/module.h>

#include "backend.h"
#include "clock.h"
#include "cpuid.h"
#include "dev.h"
#include "hardware.h"
#include "mmu.h"
#include "monitor/monitor.h"
#include "msr.h"
#include "netlink.h"
#include "vcpu.h"
#include "vm.h"

static int __init vitrine_init(void)
{
	int ret;

	ret = vitrine_hardware_init();
	if (ret)
		return ret;
	ret = vitrine_cpuid_module_init();
	if (ret)
		goto err_hardware;
	ret = vitrine_msr_module_init();
	if (ret)
		goto err_hardware;
	ret = vitrine_mmu_module_init();
	if (ret)
		goto err_hardware;
	ret = vitrine_backend->mitigation_init();
	if (ret)
		goto err_mmu;
	ret = vitrine_clock_module_init();
	if (ret)
		goto err_mitigation;
	ret = vitrine_vm_init();
	if (ret)
		goto err_clock;
	ret = vitrine_vcpu_module_init();
	if (ret)
		goto err_vm;
	ret = vitrine_monitor_init();
	if (ret)
		goto err_vcpu;
	ret = vitrine_netlink_init();
	if (ret)
		goto err_vcpu;
	ret = vitrine_dev_init();
	if (ret)
		goto err_netlink;
	return 0;

err_netlink:
	vitrine_netlink_exit();
err_vcpu:
	vitrine_vcpu_module_exit();
err_vm:
	vitrine_vm_exit();
err_clock:
	vitrine_clock_module_exit();
err_mitigation:
	vitrine_backend->mitigation_exit();
err_mmu:
	vitrine_mmu_module_exit();
err_hardware:
	vitrine_hardware_exit();
	return ret;
}

static void __exit vitrine_exit(void)
{
	vitrine_dev_exit();
	vitrine_netlink_exit();
	vitrine_vcpu_module_exit();
	vitrine_vm_exit();
	vitrine_clock_module_exit();
	vitrine_backend->mitigation_exit();
	vitrine_mmu_module_exit();
	vitrine_hardware_exit();
}

module_init(vitrine_init);
module_exit(vitrine_exit);

MODULE_DESCRIPTION("Intel VMX hypervisor with the KVM ABI and a control side");
MODULE_AUTHOR("The Vitrine developers");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
