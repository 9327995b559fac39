// SPDX-License-Identifier: GPL-2.0
/*
 * Samples of every vCPU's counters at an interval, as long as somebody listens. One reading for all
 * who want it, however many they are; whom nobody asks for samples has no timer.
 */
#include <linux/capability.h>
#include <linux/jiffies.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/workqueue.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>

#include "netlink.h"
#include "registry.h"
#include "vcpu.h"
#include "vm.h"

static void sample_work(struct work_struct *work);
static DECLARE_DELAYED_WORK(sampling, sample_work);
static DEFINE_MUTEX(lock);
static bool stopped;		/* [lock] the module is on its way out */
static u32 interval_ms;		/* [a] as the last one who asked wants it; written under lock */

static void send(struct sk_buff *skb)
{
	genlmsg_multicast_netns(&vitrine_netlink_family, &init_net, skb, 0,
				VITRINE_NL_GROUP_STATS_INDEX, GFP_KERNEL);
}

/* Adds to *skb, which is sent when it is full; false without memory. */
static bool add(struct sk_buff **skb, struct vitrine_vcpu *vcpu)
{
	if (*skb && !vitrine_netlink_add_stats(*skb, vcpu, VITRINE_NL_CMD_SAMPLE))
		return true;
	if (*skb)
		send(*skb);
	*skb = nlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	/* An empty one has room for any vCPU. */
	return *skb && !WARN_ON_ONCE(vitrine_netlink_add_stats(*skb, vcpu, VITRINE_NL_CMD_SAMPLE));
}

static bool add_vm(struct sk_buff **skb, struct vitrine_vm *vm)
{
	struct vitrine_vcpu *vcpu;
	unsigned long index;

	if (!atomic_read(&vm->online_vcpus))
		return true;
	vitrine_vm_for_each_vcpu(index, vcpu, vm)
		if (!add(skb, vcpu))
			return false;
	return true;
}

static void sample_all(void)
{
	struct sk_buff *skb = NULL;
	struct vitrine_vm *vm;
	bool whole = true;
	u64 id = 0;

	for (; whole && (vm = vitrine_vm_get_next(&id)); id++) {
		whole = add_vm(&skb, vm);
		vitrine_vm_put(vm);
		cond_resched();
	}
	if (skb)
		send(skb);
	if (!whole)
		genl_set_err(&vitrine_netlink_family, &init_net, 0, VITRINE_NL_GROUP_STATS_INDEX,
			     -ENOBUFS);
}

static void sample_work(struct work_struct *work)
{
	/* Who joins later asks again, and that starts it again. */
	if (!genl_has_listeners(&vitrine_netlink_family, &init_net, VITRINE_NL_GROUP_STATS_INDEX))
		return;
	sample_all();
	queue_delayed_work(system_unbound_wq, &sampling,
			   msecs_to_jiffies(READ_ONCE(interval_ms)));
}

int vitrine_netlink_set_sampling(struct sk_buff *request, struct genl_info *info)
{
	if (!netlink_capable(request, CAP_SYS_ADMIN)) {
		GENL_SET_ERR_MSG(info, "samples take CAP_SYS_ADMIN");
		return -EPERM;
	}
	if (!info->attrs[VITRINE_NL_A_INTERVAL_MS]) {
		GENL_SET_ERR_MSG(info, "INTERVAL_MS is missing");
		return -EINVAL;
	}
	mutex_lock(&lock);
	if (!stopped) {
		WRITE_ONCE(interval_ms, nla_get_u32(info->attrs[VITRINE_NL_A_INTERVAL_MS]));
		mod_delayed_work(system_unbound_wq, &sampling, msecs_to_jiffies(interval_ms));
	}
	mutex_unlock(&lock);
	return 0;
}

void vitrine_netlink_stop_sampling(void)
{
	mutex_lock(&lock);
	stopped = true;
	mutex_unlock(&lock);
	cancel_delayed_work_sync(&sampling);
}
