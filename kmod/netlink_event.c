// SPDX-License-Identifier: GPL-2.0
/*
 * Life-cycle messages. Multicast cannot be filtered by receiver on every kernel, so who joins has
 * power over the network namespace, and a message goes to the first one and to the creator's.
 */
#include <linux/jiffies.h>
#include <linux/pid_namespace.h>
#include <linux/ratelimit.h>
#include <linux/user_namespace.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>

#include "netlink.h"
#include "vcpu.h"
#include "vm.h"

#define EVENT_BYTES	256	/* all attributes of a message */
#define EVENTS_PER_SECOND	100

static int put_event(struct sk_buff *skb, struct vitrine_vm *vm, struct vitrine_vcpu *vcpu,
		     enum vitrine_nl_event event, u64 detail)
{
	if (nla_put_u32(skb, VITRINE_NL_A_EVENT, event) ||
	    nla_put_u64_64bit(skb, VITRINE_NL_A_VM_ID, vm->id, VITRINE_NL_A_PAD) ||
	    nla_put_string(skb, VITRINE_NL_A_VM_NAME, vm->creator.comm))
		return -EMSGSIZE;
	if (vcpu && nla_put_u32(skb, VITRINE_NL_A_VCPU_ID, vcpu->id))
		return -EMSGSIZE;
	if (event == VITRINE_NL_EVENT_ENTRY_FAILURE)
		return nla_put_u32(skb, VITRINE_NL_A_EXIT_REASON, vcpu->exit.reason);
	if (event == VITRINE_NL_EVENT_INTERNAL_ERROR ||
	    event == VITRINE_NL_EVENT_MONITOR_ATTACHED ||
	    event == VITRINE_NL_EVENT_MONITOR_DETACHED)
		return nla_put_u64_64bit(skb, VITRINE_NL_A_DETAIL, detail, VITRINE_NL_A_PAD);
	return 0;
}

static int put_owner(struct sk_buff *skb, const struct vitrine_creator *creator,
		     struct pid_namespace *pid_ns, struct user_namespace *user_ns)
{
	if (nla_put_u32(skb, VITRINE_NL_A_OWNER_PID, pid_nr_ns(creator->pid, pid_ns)))
		return -EMSGSIZE;
	return nla_put_u32(skb, VITRINE_NL_A_OWNER_UID,
			   from_kuid_munged(user_ns, creator->cred->uid));
}

static void send(struct net *net, struct pid_namespace *pid_ns, struct vitrine_vm *vm,
		 struct vitrine_vcpu *vcpu, enum vitrine_nl_event event, u64 detail)
{
	struct sk_buff *skb;
	void *header;

	if (!genl_has_listeners(&vitrine_netlink_family, net, VITRINE_NL_GROUP_LIFE_INDEX))
		return;
	skb = genlmsg_new(EVENT_BYTES, GFP_KERNEL);
	if (!skb)
		goto err_lost;
	header = genlmsg_put(skb, 0, 0, &vitrine_netlink_family, 0, VITRINE_NL_CMD_EVENT);
	if (!header || put_event(skb, vm, vcpu, event, detail) ||
	    put_owner(skb, &vm->creator, pid_ns, net->user_ns))
		goto err_free;
	genlmsg_end(skb, header);
	genlmsg_multicast_netns(&vitrine_netlink_family, net, skb, 0, VITRINE_NL_GROUP_LIFE_INDEX,
				GFP_KERNEL);
	return;

err_free:
	WARN_ON_ONCE(1);	/* EVENT_BYTES is too little */
	nlmsg_free(skb);
err_lost:
	genl_set_err(&vitrine_netlink_family, net, 0, VITRINE_NL_GROUP_LIFE_INDEX, -ENOBUFS);
}

void vitrine_netlink_event_init(struct vitrine_vm *vm)
{
	ratelimit_state_init(&vm->event_limit, HZ, EVENTS_PER_SECOND);
	/* Nothing in the kernel log: that would be as many lines. */
	ratelimit_set_flags(&vm->event_limit, RATELIMIT_MSG_ON_RELEASE);
}

/* What comes and goes costs who makes it, and who listens must have seen it. */
static bool is_of_a_life(enum vitrine_nl_event event)
{
	return event == VITRINE_NL_EVENT_VM_CREATED || event == VITRINE_NL_EVENT_VM_GONE ||
	       event == VITRINE_NL_EVENT_VCPU_CREATED || event == VITRINE_NL_EVENT_VCPU_GONE;
}

void vitrine_netlink_event(struct vitrine_vm *vm, struct vitrine_vcpu *vcpu,
			   enum vitrine_nl_event event, u64 detail)
{
	struct net *net = vm->creator.net;

	might_sleep();
	if (!is_of_a_life(event) && !__ratelimit(&vm->event_limit))
		return;
	send(&init_net, &init_pid_ns, vm, vcpu, event, detail);
	if (!net_eq(net, &init_net))
		send(net, ns_of_pid(vm->creator.pid), vm, vcpu, event, detail);
}
