/* SPDX-License-Identifier: GPL-2.0 */
/* Who created a VM, and who may know of it. */
#ifndef VITRINE_CREATOR_H
#define VITRINE_CREATOR_H

#include <linux/cred.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <linux/uidgid.h>

#include "compat.h"

struct net;
struct pid;
struct pid_namespace;
struct sk_buff;
struct user_namespace;

/**
 * struct vitrine_creator - the process that created a VM, as it was then
 * @pid: thread group; the process may be gone
 * @cred: credentials of the thread
 * @label: what security modules took it for
 * @net: network namespace
 * @comm: name of the process
 * @born_ns: when, on the clock that counts suspend too
 */
struct vitrine_creator {
	struct pid *pid;
	const struct cred *cred;
	struct vitrine_label label;
	struct net *net;
	char comm[TASK_COMM_LEN];
	u64 born_ns;
};

/**
 * struct vitrine_viewer - who asks
 * @pid_ns: holds a reference
 * @user_ns: likewise
 * @uid: user, or invalid where the socket was opened by another than who sends
 * @sees_all: of what was created in @user_ns or below
 */
struct vitrine_viewer {
	struct pid_namespace *pid_ns;
	struct user_namespace *user_ns;
	kuid_t uid;
	bool sees_all;
};

/* From the current task. */
void vitrine_creator_init(struct vitrine_creator *creator);
void vitrine_creator_free(struct vitrine_creator *creator);

/* From the current task, which has sent the request @skb. */
void vitrine_viewer_init(struct vitrine_viewer *viewer, struct sk_buff *skb);
void vitrine_viewer_free(struct vitrine_viewer *viewer);
/*
 * As /proc with hidepid: in the viewer's PID namespace, and of the same user or of a user namespace
 * that the viewer has power over.
 */
bool vitrine_viewer_sees(const struct vitrine_viewer *viewer,
			 const struct vitrine_creator *creator);

#endif
