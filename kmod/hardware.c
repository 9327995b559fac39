// SPDX-License-Identifier: GPL-2.0
/*
 * Root operation on all CPUs while at least one VM lives; CPUs that come and go, suspend, and the
 * ways down.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/errno.h>
#include <linux/irqflags.h>
#include <linux/mutex.h>
#include <linux/reboot.h>
#include <linux/smp.h>
#include <asm/msr.h>

#include "backend.h"
#include "compat.h"
#include "hardware.h"
#include "tsc.h"

/*
 * Outside cpus_read_lock(): hotplug callbacks run with that held for writing and read @users only.
 */
static DEFINE_MUTEX(users_lock);
static unsigned int users;		/* VMs; changed under users_lock and cpus_read_lock() */
static bool going_down;			/* [users_lock] no new VM: the machine restarts */
static enum cpuhp_state hotplug_state;
static u64 asleep_since;		/* the TSC as the last CPU went to sleep */

/* First failure among the CPUs, for the errno. */
struct enable_result {
	atomic_t error;
};

static void enable_this_cpu(void *arg)
{
	struct enable_result *result = arg;
	int ret = vitrine_backend->cpu_enable();

	if (ret)
		atomic_cmpxchg(&result->error, 0, ret);
}

static void disable_this_cpu(void *unused)
{
	vitrine_backend->cpu_disable();
}

static int enable_all(void)
{
	struct enable_result result = { .error = ATOMIC_INIT(0) };
	int ret = vitrine_backend->hardware_claim();

	if (ret)
		return ret;
	on_each_cpu(enable_this_cpu, &result, 1);
	ret = atomic_read(&result.error);
	if (ret) {
		on_each_cpu(disable_this_cpu, NULL, 1);
		vitrine_backend->hardware_release();
	}
	return ret;
}

int vitrine_hardware_get(void)
{
	int ret = 0;

	mutex_lock(&users_lock);
	cpus_read_lock();
	if (going_down)
		ret = -ESHUTDOWN;
	else if (!users)
		ret = enable_all();
	if (!ret)
		users++;
	cpus_read_unlock();
	mutex_unlock(&users_lock);
	return ret;
}

void vitrine_hardware_put(void)
{
	mutex_lock(&users_lock);
	cpus_read_lock();
	if (!--users) {
		on_each_cpu(disable_this_cpu, NULL, 1);
		vitrine_backend->hardware_release();
	}
	cpus_read_unlock();
	mutex_unlock(&users_lock);
}

static int online(unsigned int cpu)
{
	unsigned long flags;
	int ret = 0;

	local_irq_save(flags);
	vitrine_backend->cpu_leaving(false);
	if (users)
		ret = vitrine_backend->cpu_enable();
	local_irq_restore(flags);
	if (ret)
		pr_err("CPU %u stays offline: it cannot enter root operation while virtual machines run\n",
		       cpu);
	return ret;
}

static int offline(unsigned int cpu)
{
	unsigned long flags;

	local_irq_save(flags);
	vitrine_backend->cpu_leaving(true);
	vitrine_backend->cpu_disable();
	local_irq_restore(flags);
	return 0;
}

/*
 * One CPU is left and interrupts are off; the others went through hotplug. Of user tasks, and so of
 * those in an ioctl, only the one that asked for the sleep is not frozen.
 */
static int suspend(void)
{
	if (users)
		vitrine_backend->cpu_disable();
	asleep_since = rdtsc();
	return 0;
}

static void wake(void)
{
	u64 now = rdtsc();

	if (users && vitrine_backend->cpu_enable())
		pr_err("root operation is lost after sleep: virtual machines end with EIO\n");
	/* Firmware starts it anew in S3; so does a boot that wakes from disk. */
	if (now < asleep_since)
		vitrine_tsc_fell_back(asleep_since, now);
}

/* Interrupts are on here, unlike in the two above. */
static void shutdown(void)
{
	unsigned long flags;

	local_irq_save(flags);
	vitrine_backend->cpu_disable();
	local_irq_restore(flags);
}

VITRINE_SYSCORE(hardware_syscore, suspend, wake, shutdown);

/* Restart, halt, kexec: firmware or the next kernel must not find a CPU in VMX operation. */
static int reboot_notify(struct notifier_block *nb, unsigned long action, void *unused)
{
	mutex_lock(&users_lock);
	going_down = true;
	mutex_unlock(&users_lock);
	vitrine_backend->going_down();
	on_each_cpu(disable_this_cpu, NULL, 1);
	return NOTIFY_OK;
}

static struct notifier_block reboot_notifier = { .notifier_call = reboot_notify };

int vitrine_hardware_init(void)
{
	int ret = vitrine_backend->hardware_setup();

	if (ret)
		return ret;
	ret = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "vitrine:online", online, offline);
	if (ret < 0)
		goto err_unsetup;
	hotplug_state = ret;
	ret = register_reboot_notifier(&reboot_notifier);
	if (ret)
		goto err_remove_state;
	vitrine_syscore_register(&hardware_syscore);
	return 0;

err_remove_state:
	cpuhp_remove_state(hotplug_state);
err_unsetup:
	vitrine_backend->hardware_unsetup();
	return ret;
}

void vitrine_hardware_exit(void)
{
	vitrine_syscore_unregister(&hardware_syscore);
	unregister_reboot_notifier(&reboot_notifier);
	cpuhp_remove_state(hotplug_state);
	vitrine_backend->hardware_unsetup();
}
