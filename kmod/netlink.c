// SPDX-License-Identifier: GPL-2.0
/*
 * The generic netlink family: VMs, vCPUs and their counters for whoever may see them. Shows, and
 * changes nothing; takes no lock of a VM's, so that no reader holds a VMM up. What vCPUs write at
 * the same time is read as it is: figures for people.
 */
#include <linux/module.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/srcu.h>
#include <linux/timekeeping.h>
#include <linux/user_namespace.h>
#include <net/genetlink.h>
#include <asm/tsc.h>

#include "compat.h"
#include "netlink.h"
#include "registry.h"
#include "stats.h"
#include "vcpu.h"
#include "vm.h"

#define COUNT_ONE(name)	+ 1
#define NR_COUNTERS	(0 VITRINE_VCPU_COUNTERS(COUNT_ONE))
#define NAME_ONE(name)	"," #name
static const char counter_names[] = VITRINE_VCPU_COUNTERS(NAME_ONE);

static_assert(offsetof(struct vitrine_vcpu_counters, exit_count) == NR_COUNTERS * sizeof(u64));

/* Where a dump is, in netlink_callback::ctx. */
struct dump {
	u64 next_vm;
	u64 last_vm;
	u32 next_vcpu;			/* index, of the VM whose id is next_vm */
	struct vitrine_viewer viewer;
};

/* A message on its way to one viewer. */
struct message {
	struct sk_buff *skb;
	u32 portid;
	u32 seq;
	int flags;
	u8 cmd;
	const struct vitrine_viewer *viewer;
};

static enum vitrine_nl_vcpu_state vcpu_state(const struct vitrine_vcpu *vcpu)
{
	if (!READ_ONCE(vcpu->in_run))
		return VITRINE_NL_VCPU_OUT;
	if (READ_ONCE(vcpu->mode) == VITRINE_IN_GUEST)
		return VITRINE_NL_VCPU_GUEST;
	switch (READ_ONCE(vcpu->mp_state)) {
	case KVM_MP_STATE_HALTED:
		return VITRINE_NL_VCPU_HALTED;
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
		return VITRINE_NL_VCPU_NOT_STARTED;
	}
	return READ_ONCE(vcpu->cpu) < 0 ? VITRINE_NL_VCPU_WAITING : VITRINE_NL_VCPU_KERNEL;
}

static enum vitrine_nl_vm_state vm_state(struct vitrine_vm *vm)
{
	struct vitrine_vcpu *vcpu;
	unsigned long index;

	if (READ_ONCE(vm->dead))
		return VITRINE_NL_VM_DEAD;
	if (READ_ONCE(vm->paused))
		return VITRINE_NL_VM_PAUSED;
	if (!atomic_read(&vm->online_vcpus))
		return VITRINE_NL_VM_IDLE;
	vitrine_vm_for_each_vcpu(index, vcpu, vm)
		if (READ_ONCE(vcpu->in_run))
			return VITRINE_NL_VM_RUNNING;
	return VITRINE_NL_VM_IDLE;
}

static u64 memory_bytes(struct vitrine_vm *vm)
{
	const struct vitrine_memslots *slots;
	u64 pages = 0;
	unsigned int i;
	int idx;

	idx = srcu_read_lock(&vm->srcu);
	slots = srcu_dereference(vm->slots, &vm->srcu);
	for (i = 0; i < slots->nr; i++)
		pages += slots->slot[i]->nr_pages;
	srcu_read_unlock(&vm->srcu, idx);
	return pages << PAGE_SHIFT;
}

static int put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, VITRINE_NL_A_PAD);
}

static int put_vm(const struct message *msg, void *obj)
{
	struct vitrine_vm *vm = obj;
	const struct vitrine_creator *creator = &vm->creator;
	const struct vitrine_viewer *viewer = msg->viewer;
	struct sk_buff *skb = msg->skb;

	if (put_u64(skb, VITRINE_NL_A_VM_ID, vm->id) ||
	    nla_put_string(skb, VITRINE_NL_A_VM_NAME, creator->comm) ||
	    nla_put_u32(skb, VITRINE_NL_A_VM_STATE, vm_state(vm)) ||
	    nla_put_u32(skb, VITRINE_NL_A_OWNER_PID, pid_nr_ns(creator->pid, viewer->pid_ns)) ||
	    nla_put_u32(skb, VITRINE_NL_A_OWNER_UID,
			from_kuid_munged(viewer->user_ns, creator->cred->uid)) ||
	    put_u64(skb, VITRINE_NL_A_AGE_NS, ktime_get_boottime_ns() - creator->born_ns) ||
	    nla_put_u32(skb, VITRINE_NL_A_NR_VCPUS, atomic_read(&vm->online_vcpus)) ||
	    put_u64(skb, VITRINE_NL_A_MEMORY_BYTES, memory_bytes(vm)))
		return -EMSGSIZE;
	return put_u64(skb, VITRINE_NL_A_TABLE_BYTES,
		       (u64)atomic_long_read(&vm->mmu.nr_tables) << PAGE_SHIFT);
}

static int put_vcpu(const struct message *msg, void *obj)
{
	struct vitrine_vcpu *vcpu = obj;
	int cpu = READ_ONCE(vcpu->cpu);
	struct sk_buff *skb = msg->skb;
	u32 thread;

	if (put_u64(skb, VITRINE_NL_A_VM_ID, vcpu->vm->id) ||
	    nla_put_u32(skb, VITRINE_NL_A_VCPU_ID, vcpu->id) ||
	    nla_put_u32(skb, VITRINE_NL_A_VCPU_STATE, vcpu_state(vcpu)))
		return -EMSGSIZE;
	if (cpu >= 0 && nla_put_u32(skb, VITRINE_NL_A_CPU, cpu))
		return -EMSGSIZE;
	if (!READ_ONCE(vcpu->stats.runs))
		return 0;
	spin_lock(&vcpu->pv.thread_lock);
	thread = pid_nr_ns(vcpu->pv.thread, msg->viewer->pid_ns);
	spin_unlock(&vcpu->pv.thread_lock);
	if (nla_put_u32(skb, VITRINE_NL_A_THREAD, thread) ||
	    nla_put_u32(skb, VITRINE_NL_A_EXIT_REASON, READ_ONCE(vcpu->exit.reason)))
		return -EMSGSIZE;
	return put_u64(skb, VITRINE_NL_A_EXIT_QUALIFICATION, READ_ONCE(vcpu->exit.qualification));
}

static int put_reasons(struct sk_buff *skb, const struct vitrine_vcpu_counters *stats)
{
	unsigned int reason, nr = 0, used = 0;
	struct vitrine_nl_reason *to;
	struct nlattr *attr;

	for (reason = 0; reason < VITRINE_NR_EXIT_REASONS; reason++)
		nr += !!READ_ONCE(stats->exit_count[reason]);
	attr = nla_reserve_64bit(skb, VITRINE_NL_A_REASONS, nr * sizeof(*to), VITRINE_NL_A_PAD);
	if (!attr)
		return -EMSGSIZE;
	to = nla_data(attr);
	/* One that occurs for the first time just now has no room. */
	for (reason = 0; reason < VITRINE_NR_EXIT_REASONS && used < nr; reason++) {
		u64 count = READ_ONCE(stats->exit_count[reason]);

		if (count)
			to[used++] = (struct vitrine_nl_reason){
				.reason = reason,
				.count = count,
				.ticks = READ_ONCE(stats->exit_ticks[reason]),
			};
	}
	return 0;
}

static int put_stats(const struct message *msg, void *obj)
{
	const struct vitrine_vcpu *vcpu = obj;
	const struct vitrine_vcpu_counters *stats = &vcpu->stats;
	struct sk_buff *skb = msg->skb;

	if (put_u64(skb, VITRINE_NL_A_VM_ID, vcpu->vm->id) ||
	    nla_put_u32(skb, VITRINE_NL_A_VCPU_ID, vcpu->id) ||
	    nla_put_64bit(skb, VITRINE_NL_A_COUNTERS, NR_COUNTERS * sizeof(u64), stats,
			  VITRINE_NL_A_PAD) ||
	    put_u64(skb, VITRINE_NL_A_GUEST_TICKS, READ_ONCE(stats->guest_ticks)) ||
	    put_u64(skb, VITRINE_NL_A_HOST_TICKS, READ_ONCE(stats->host_ticks)))
		return -EMSGSIZE;
	return put_reasons(skb, stats);
}

static int put_sample(const struct message *msg, void *obj)
{
	return put_u64(msg->skb, VITRINE_NL_A_TIME_NS, ktime_get_ns()) ?: put_stats(msg, obj);
}

/* Adds one message to msg->skb, whole or not at all. */
static int add_message(const struct message *msg,
		       int (*put)(const struct message *msg, void *obj), void *obj)
{
	void *header = genlmsg_put(msg->skb, msg->portid, msg->seq, &vitrine_netlink_family,
				   msg->flags, msg->cmd);
	int ret;

	if (!header)
		return -EMSGSIZE;
	ret = put(msg, obj);
	if (ret)
		genlmsg_cancel(msg->skb, header);
	else
		genlmsg_end(msg->skb, header);
	return ret;
}

int vitrine_netlink_add_stats(struct sk_buff *skb, struct vitrine_vcpu *vcpu, u8 cmd)
{
	const struct message msg = { .skb = skb, .cmd = cmd };

	return add_message(&msg, put_sample, vcpu);
}

static int dump_vm(const struct message *msg, struct vitrine_vm *vm, u32 *next_vcpu)
{
	return add_message(msg, put_vm, vm);
}

static int dump_vcpus(const struct message *msg, struct vitrine_vm *vm, u32 *next_vcpu)
{
	struct vitrine_vcpu *vcpu;
	int ret = 0;

	for (; !ret && *next_vcpu < (u32)atomic_read(&vm->online_vcpus); *next_vcpu += !ret) {
		vcpu = xa_load(&vm->vcpus, *next_vcpu);
		if (msg->cmd == VITRINE_NL_CMD_GET_VCPU)
			ret = add_message(msg, put_vcpu, vcpu);
		else
			ret = add_message(msg, put_stats, vcpu);
	}
	return ret;
}

/* The VM, with a reference, if there is one for this viewer. */
static struct vitrine_vm *find_vm(const struct vitrine_viewer *viewer, u64 id)
{
	struct vitrine_vm *vm = vitrine_vm_get_by_id(id);

	if (vm && !vitrine_viewer_sees(viewer, &vm->creator)) {
		vitrine_vm_put(vm);
		vm = NULL;
	}
	return vm;
}

/* Who asks is decided here: later parts are for whoever reads the socket. */
static int dump_start(struct netlink_callback *cb)
{
	struct nlattr *id = vitrine_genl_dump_attrs(cb)[VITRINE_NL_A_VM_ID];
	struct dump *dump = (void *)cb->ctx;
	struct vitrine_vm *vm;

	BUILD_BUG_ON(sizeof(*dump) > sizeof(cb->ctx));
	*dump = (struct dump){ .last_vm = U64_MAX };
	vitrine_viewer_init(&dump->viewer, cb->skb);
	if (!id)
		return 0;
	dump->next_vm = nla_get_u64(id);
	dump->last_vm = dump->next_vm;
	vm = find_vm(&dump->viewer, dump->next_vm);
	if (!vm) {
		vitrine_viewer_free(&dump->viewer);
		NL_SET_ERR_MSG(cb->extack, "no such VM");
		return -ENOENT;
	}
	vitrine_vm_put(vm);
	return 0;
}

static int dump_done(struct netlink_callback *cb)
{
	struct dump *dump = (void *)cb->ctx;

	vitrine_viewer_free(&dump->viewer);
	return 0;
}

/*
 * As much as there is room for, from where the last call ended. VMs come and go between calls: the
 * next one has an id above, and a reference only while it is looked at.
 */
static int dump_part(struct sk_buff *skb, struct netlink_callback *cb,
		     int (*dump_one)(const struct message *msg, struct vitrine_vm *vm,
				     u32 *next_vcpu))
{
	struct dump *dump = (void *)cb->ctx;
	struct message msg = {
		.skb = skb,
		.portid = NETLINK_CB(cb->skb).portid,
		.seq = cb->nlh->nlmsg_seq,
		.flags = NLM_F_MULTI,
		.cmd = ((struct genlmsghdr *)nlmsg_data(cb->nlh))->cmd,
		.viewer = &dump->viewer,
	};
	u64 id = dump->next_vm;
	struct vitrine_vm *vm;
	int ret = 0;

	while (!ret && (vm = vitrine_vm_get_next(&id))) {
		if (id != dump->next_vm)
			dump->next_vcpu = 0;
		dump->next_vm = id;
		if (id > dump->last_vm)
			ret = 1;
		else if (vitrine_viewer_sees(&dump->viewer, &vm->creator))
			ret = dump_one(&msg, vm, &dump->next_vcpu);
		if (!ret) {
			dump->next_vm = ++id;
			dump->next_vcpu = 0;
		}
		vitrine_vm_put(vm);
		cond_resched();
	}
	return skb->len || ret > 0 ? skb->len : ret;
}

static int dump_vm_part(struct sk_buff *skb, struct netlink_callback *cb)
{
	return dump_part(skb, cb, dump_vm);
}

static int dump_vcpu_part(struct sk_buff *skb, struct netlink_callback *cb)
{
	return dump_part(skb, cb, dump_vcpus);
}

static int get_vm(struct sk_buff *request, struct genl_info *info)
{
	struct vitrine_viewer viewer;
	struct message msg = {
		.portid = info->snd_portid,
		.seq = info->snd_seq,
		.cmd = VITRINE_NL_CMD_GET_VM,
		.viewer = &viewer,
	};
	struct vitrine_vm *vm;
	int ret;

	if (!info->attrs[VITRINE_NL_A_VM_ID]) {
		GENL_SET_ERR_MSG(info, "VM_ID is missing");
		return -EINVAL;
	}
	vitrine_viewer_init(&viewer, request);
	vm = find_vm(&viewer, nla_get_u64(info->attrs[VITRINE_NL_A_VM_ID]));
	if (!vm) {
		GENL_SET_ERR_MSG(info, "no such VM");
		ret = -ENOENT;
		goto out_free_viewer;
	}
	ret = -ENOMEM;
	msg.skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL_ACCOUNT);
	if (msg.skb) {
		ret = add_message(&msg, put_vm, vm);
		if (ret)
			nlmsg_free(msg.skb);
	}
	vitrine_vm_put(vm);
	if (!ret)
		ret = genlmsg_reply(msg.skb, info);
out_free_viewer:
	vitrine_viewer_free(&viewer);
	return ret;
}

static int put_caps(const struct message *msg, void *unused)
{
	const u64 events = BIT(VITRINE_NL_NR_EVENTS) - 1;

	if (nla_put_string(msg->skb, VITRINE_NL_A_COUNTER_NAMES, counter_names + 1) ||
	    put_u64(msg->skb, VITRINE_NL_A_EVENTS, events) ||
	    nla_put_u32(msg->skb, VITRINE_NL_A_TSC_KHZ, tsc_khz))
		return -EMSGSIZE;
	return nla_put_u32(msg->skb, VITRINE_NL_A_NR_VMS, vitrine_vm_count());
}

static int get_caps(struct sk_buff *request, struct genl_info *info)
{
	struct message msg = {
		.skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL_ACCOUNT),
		.portid = info->snd_portid,
		.seq = info->snd_seq,
		.cmd = VITRINE_NL_CMD_GET_CAPS,
	};
	int ret;

	if (!msg.skb)
		return -ENOMEM;
	ret = add_message(&msg, put_caps, NULL);
	if (!ret)
		return genlmsg_reply(msg.skb, info);
	nlmsg_free(msg.skb);
	return ret;
}

static const struct nla_policy vm_id_policy[VITRINE_NL_A_VM_ID + 1] = {
	[VITRINE_NL_A_VM_ID] = { .type = NLA_U64 },
};

/* NLA_POLICY_RANGE() has 15 bits for either end. Not const: 6.1 points at it with less. */
static struct netlink_range_validation interval_range = { .min = 100, .max = 60000 };

static const struct nla_policy interval_policy[VITRINE_NL_A_INTERVAL_MS + 1] = {
	[VITRINE_NL_A_INTERVAL_MS] = NLA_POLICY_FULL_RANGE(NLA_U32, &interval_range),
};

/* A command without a policy takes no attributes. */
static const struct genl_ops ops[] = {
	{
		.cmd = VITRINE_NL_CMD_GET_VM,
		.policy = vm_id_policy,
		.maxattr = VITRINE_NL_A_VM_ID,
		.doit = get_vm,
		.start = dump_start,
		.dumpit = dump_vm_part,
		.done = dump_done,
	},
	{
		.cmd = VITRINE_NL_CMD_GET_VCPU,
		.policy = vm_id_policy,
		.maxattr = VITRINE_NL_A_VM_ID,
		.start = dump_start,
		.dumpit = dump_vcpu_part,
		.done = dump_done,
	},
	{
		.cmd = VITRINE_NL_CMD_GET_STATS,
		.policy = vm_id_policy,
		.maxattr = VITRINE_NL_A_VM_ID,
		.start = dump_start,
		.dumpit = dump_vcpu_part,
		.done = dump_done,
	},
	{
		.cmd = VITRINE_NL_CMD_GET_CAPS,
		.doit = get_caps,
	},
	{
		.cmd = VITRINE_NL_CMD_SAMPLE,
		.policy = interval_policy,
		.maxattr = VITRINE_NL_A_INTERVAL_MS,
		.doit = vitrine_netlink_set_sampling,
	},
};

static const struct genl_multicast_group groups[] = {
	[VITRINE_NL_GROUP_LIFE_INDEX] = {
		.name = VITRINE_NL_GROUP_LIFE,
		.flags = GENL_MCAST_CAP_SYS_ADMIN,
	},
	[VITRINE_NL_GROUP_STATS_INDEX] = {
		.name = VITRINE_NL_GROUP_STATS,
		.flags = GENL_MCAST_CAP_SYS_ADMIN,
	},
};

struct genl_family vitrine_netlink_family __ro_after_init = {
	.name = VITRINE_NL_FAMILY,
	.version = VITRINE_NL_VERSION,
	.module = THIS_MODULE,
	/* The registry has its own locks, and a VM may be destroyed here. */
	.parallel_ops = true,
	.netnsok = true,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
};

int __init vitrine_netlink_init(void)
{
	return genl_register_family(&vitrine_netlink_family);
}

void vitrine_netlink_exit(void)
{
	vitrine_netlink_stop_sampling();
	genl_unregister_family(&vitrine_netlink_family);
}
