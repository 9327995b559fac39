/* SPDX-License-Identifier: GPL-2.0 */
/* The generic netlink family, and what goes out by it unasked. */
#ifndef VITRINE_NETLINK_H
#define VITRINE_NETLINK_H

#include <linux/types.h>
#include <vitrine_netlink.h>

struct genl_family;
struct genl_info;
struct sk_buff;
struct vitrine_vcpu;
struct vitrine_vm;

/* Places of the groups among all. */
enum { VITRINE_NL_GROUP_LIFE_INDEX, VITRINE_NL_GROUP_STATS_INDEX };
extern struct genl_family vitrine_netlink_family;

int vitrine_netlink_init(void);
void vitrine_netlink_exit(void);

/* Before the first event of @vm. */
void vitrine_netlink_event_init(struct vitrine_vm *vm);

/**
 * vitrine_netlink_event() - tell those who listen, if there are any
 * @vm: which VM
 * @vcpu: of which vCPU, or NULL
 * @event: what happened to it
 * @detail: more about it, where &enum vitrine_nl_event says so
 *
 * Sleeps. A message that is lost, for want of memory or because somebody does not read, is reported
 * to the listener as ENOBUFS. What a VM or its owner can make happen at will is sent a hundred
 * times a second for each VM, and not more: the rest is dropped.
 */
void vitrine_netlink_event(struct vitrine_vm *vm, struct vitrine_vcpu *vcpu,
			   enum vitrine_nl_event event, u64 detail);

/* Adds a message with a vCPU's counters and the time; 0 or -EMSGSIZE. */
int vitrine_netlink_add_stats(struct sk_buff *skb, struct vitrine_vcpu *vcpu, u8 cmd);

/* netlink_sample.c: VITRINE_NL_CMD_SAMPLE, and the end of it before the family's. */
int vitrine_netlink_set_sampling(struct sk_buff *request, struct genl_info *info);
void vitrine_netlink_stop_sampling(void);

#endif
