// SPDX-License-Identifier: GPL-2.0
/*
 * Coexistence with kvm_intel. The kernel has one emergency callback for "leave VMX now", and warns
 * when a second user takes it; kvm_intel holds it from load (6.1) or from its first use (6.12). So
 * VMs of ours are refused while kvm_intel is loaded, and it is not let in while we have VMs.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kconfig.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/pgtable.h>
#include <linux/rculist.h>
#include <linux/string.h>
#include <asm/reboot.h>
#include <asm/tlbflush.h>
#include <vitrine.h>

#include "cpu.h"
#include "owner.h"

#define KVM_MODULE	"kvm_intel"

static DEFINE_MUTEX(lock);
static bool kvm_loaded;		/* [lock] kvm_intel is there or on its way in */
static bool claimed;		/* [lock] we have VMs */

/* Before it is initialised: refusing here fails its insmod and nothing else. */
static int module_notify(struct notifier_block *nb, unsigned long state, void *data)
{
	const struct module *mod = data;
	int ret = NOTIFY_DONE;

	if (strcmp(mod->name, KVM_MODULE))
		return NOTIFY_DONE;
	mutex_lock(&lock);
	if (state == MODULE_STATE_COMING && claimed) {
		pr_err(KVM_MODULE " is kept out: virtual machines of this module live; end them first\n");
		ret = notifier_from_errno(-EBUSY);
	} else if (state == MODULE_STATE_COMING) {
		kvm_loaded = true;
	} else if (state == MODULE_STATE_GOING) {
		kvm_loaded = false;
	}
	mutex_unlock(&lock);
	return ret;
}

static struct notifier_block module_notifier = { .notifier_call = module_notify };

/*
 * Was it there before us? The list of modules has no exported head, but we are on it. The head
 * itself lies in the kernel image and every module's struct in the modules' own area, which tells
 * them apart.
 */
static bool find_kvm(void)
{
	struct module *mod;
	bool found = false;

	preempt_disable();
	list_for_each_entry_rcu(mod, &THIS_MODULE->list, list) {
		unsigned long addr = (unsigned long)mod;

		if (addr < MODULES_VADDR || addr >= MODULES_END)
			continue;
		if (!strcmp(mod->name, KVM_MODULE)) {
			found = true;
			break;
		}
	}
	preempt_enable();
	return found;
}

int vmx_owner_init(void)
{
	int ret = register_module_notifier(&module_notifier);

	if (ret)
		return ret;
	mutex_lock(&lock);
	kvm_loaded |= find_kvm();
	mutex_unlock(&lock);
	return 0;
}

void vmx_owner_exit(void)
{
	unregister_module_notifier(&module_notifier);
}

int vmx_owner_claim(void)
{
	int ret = 0;

	mutex_lock(&lock);
	if (IS_BUILTIN(CONFIG_KVM_INTEL) && cr4_read_shadow() & X86_CR4_VMXE) {
		pr_err("VMX is held by the KVM in this kernel: boot with kvm.enable_virt_at_load=0\n");
		ret = -EBUSY;
	} else if (kvm_loaded) {
		pr_err("VMX is held by %s: end its virtual machines and run 'modprobe -r %s'\n",
		       KVM_MODULE, KVM_MODULE);
		ret = -EBUSY;
	} else {
		/* It has no module to keep out, and would take the same callback: it warns then. */
		if (IS_BUILTIN(CONFIG_KVM_INTEL))
			pr_notice("the KVM in this kernel must not be used while virtual machines of this module live\n");
		claimed = true;
		cpu_emergency_register_virt_callback(vmx_cpu_emergency);
	}
	mutex_unlock(&lock);
	return ret;
}

void vmx_owner_release(void)
{
	mutex_lock(&lock);
	cpu_emergency_unregister_virt_callback(vmx_cpu_emergency);
	claimed = false;
	mutex_unlock(&lock);
}

u32 vmx_owner_report(void)
{
	u32 owner = VITRINE_VMX_FREE;

	mutex_lock(&lock);
	if (claimed)
		owner = VITRINE_VMX_OURS;
	else if (kvm_loaded || cr4_read_shadow() & X86_CR4_VMXE)
		owner = VITRINE_VMX_FOREIGN;
	mutex_unlock(&lock);
	return owner;
}
