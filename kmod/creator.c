// SPDX-License-Identifier: GPL-2.0
/*
 * Who created a VM, and who may know of it. It answers by what was noted when the VM was created
 * and when the question was asked, so that neither has to be there any more.
 */
#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/nsproxy.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/timekeeping.h>
#include <linux/user_namespace.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "creator.h"

void vitrine_creator_init(struct vitrine_creator *creator)
{
	creator->pid = get_task_pid(current, PIDTYPE_TGID);
	creator->cred = get_current_cred();
	vitrine_label_get(&creator->label);
	creator->net = get_net(current->nsproxy->net_ns);
	get_task_comm(creator->comm, current->group_leader);
	creator->born_ns = ktime_get_boottime_ns();
}

void vitrine_creator_free(struct vitrine_creator *creator)
{
	put_net(creator->net);
	put_cred(creator->cred);
	put_pid(creator->pid);
}

void vitrine_viewer_init(struct vitrine_viewer *viewer, struct sk_buff *skb)
{
	/* Who opens a socket, and has somebody mightier write to it, gains nothing. */
	bool own_socket = uid_eq(NETLINK_CB(skb).sk->sk_uid, current_fsuid());

	viewer->uid = own_socket ? current_fsuid() : INVALID_UID;
	viewer->pid_ns = get_pid_ns(task_active_pid_ns(current));
	viewer->user_ns = get_user_ns(current_user_ns());
	viewer->sees_all = netlink_ns_capable(skb, viewer->user_ns, CAP_SYS_PTRACE);
}

void vitrine_viewer_free(struct vitrine_viewer *viewer)
{
	put_user_ns(viewer->user_ns);
	put_pid_ns(viewer->pid_ns);
}

static bool is_below(const struct user_namespace *ns, const struct user_namespace *top)
{
	for (; ns; ns = ns->parent)
		if (ns == top)
			return true;
	return false;
}

bool vitrine_viewer_sees(const struct vitrine_viewer *viewer,
			 const struct vitrine_creator *creator)
{
	const struct cred *cred = creator->cred;

	if (!pid_nr_ns(creator->pid, viewer->pid_ns))
		return false;
	if (viewer->sees_all && is_below(cred->user_ns, viewer->user_ns))
		return true;
	return uid_valid(viewer->uid) && uid_eq(viewer->uid, cred->uid) &&
	       uid_eq(viewer->uid, cred->euid) && uid_eq(viewer->uid, cred->suid);
}
