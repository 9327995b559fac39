// SPDX-License-Identifier: GPL-2.0
/* The commands of a steering monitor's fd: rules in, events out, answers in. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/err.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../backend.h"
#include "../vm.h"
#include "attach.h"
#include "policy.h"
#include "steer.h"

#define MAX_TIMEOUT_MS	3600000

static long check_rules(const struct vitrine_rule *rules, u32 nr)
{
	u32 supported = vitrine_backend->policy_classes();
	u32 i;

	for (i = 0; i < nr; i++) {
		const char *field = vitrine_rule_wrong_field(&rules[i]);

		if (field) {
			pr_debug_ratelimited("VITRINE_SET_POLICY: field rules[%u].%s is not what a rule on %u can have\n",
					     i, field, rules[i].on);
			return -EINVAL;
		}
		if (!(supported & BIT(rules[i].on))) {
			pr_debug_ratelimited("VITRINE_SET_POLICY: rules[%u]: this CPU cannot let class %s exit\n",
					     i, vitrine_rule_class_name(rules[i].on));
			return -EOPNOTSUPP;
		}
	}
	return 0;
}

/* From userspace, checked; ERR_PTR. */
static struct vitrine_policy_rules *copy_rules(const struct vitrine_rule __user *user, u32 nr)
{
	struct vitrine_policy_rules *rules;
	struct vitrine_rule *raw;
	long ret;

	raw = vmemdup_user(user, nr * sizeof(*raw));
	if (IS_ERR(raw))
		return ERR_CAST(raw);
	ret = check_rules(raw, nr);
	if (ret) {
		rules = ERR_PTR(ret);
		goto out;
	}
	rules = kvzalloc(struct_size(rules, rules, nr), GFP_KERNEL_ACCOUNT);
	if (!rules) {
		rules = ERR_PTR(-ENOMEM);
		goto out;
	}
	rules->nr = nr;
	vitrine_policy_build(rules, raw);
out:
	kvfree(raw);
	return rules;
}

static long set_rules(struct vitrine_monitor *monitor, struct vitrine_policy_rules *rules)
{
	struct vitrine_monitors *all = monitor->all;
	struct vitrine_vm *vm;
	long ret = -EPERM;

	/* Looked at again below: who does not steer is not to wait. */
	if (READ_ONCE(all->steering) != monitor)
		goto err_free_rules;
	vm = vitrine_monitor_get_vm(monitor);
	ret = -ESRCH;
	if (!vm)
		goto err_free_rules;
	/* Now, as nothing may be waited for under the lock, nor where they are retired. */
	ret = rules ? vitrine_vm_count_killable(vm) : 0;
	if (!ret)
		ret = mutex_lock_killable(&all->lock);
	if (ret)
		goto err_put_vm;
	ret = -EPERM;
	if (all->steering == monitor && all->vm) {
		vitrine_policy_set(vm, rules);
		ret = 0;
	}
	mutex_unlock(&all->lock);
err_put_vm:
	vitrine_vm_put(vm);
err_free_rules:
	if (ret)
		kvfree(rules);
	return ret;
}

static long steer_ioctl_set_policy(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_policy __user *user = arg->user;
	struct vitrine_policy_rules *rules = NULL;
	struct vitrine_policy head;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.reserved) {
		pr_debug_ratelimited("VITRINE_SET_POLICY: field reserved is %#x, must be 0\n",
				     head.reserved);
		return -EINVAL;
	}
	if (head.nr > VITRINE_MAX_RULES) {
		pr_debug_ratelimited("VITRINE_SET_POLICY: field nr is %u, must be at most %u\n",
				     head.nr, VITRINE_MAX_RULES);
		return -E2BIG;
	}
	if (head.nr) {
		rules = copy_rules(user->rules, head.nr);
		if (IS_ERR(rules))
			return PTR_ERR(rules);
	}
	return set_rules(obj, rules);
}

/* Only who steers: an observer must not take events away. Under steer->lock. */
static bool steers(const struct vitrine_monitor *monitor)
{
	return monitor->all->steer.poll == &monitor->wait;
}

static long steer_ioctl_next_event(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_monitor *monitor = obj;
	struct vitrine_steer *steer = &monitor->all->steer;
	struct vitrine_ask *ask;
	long ret = -EPERM;

	spin_lock(&steer->lock);
	if (!steers(monitor))
		goto out;
	ret = -EAGAIN;
	ask = list_first_entry_or_null(&steer->waiting, struct vitrine_ask, node);
	if (!ask)
		goto out;
	list_move_tail(&ask->node, &steer->fetched);
	*(struct vitrine_exit_event *)arg->data = ask->event;
	ret = 0;
out:
	spin_unlock(&steer->lock);
	return ret;
}

#define REFUSE(field, value, rule) ({						\
	pr_debug_ratelimited("VITRINE_ANSWER: field %s is %#x, must " rule "\n",	\
			     field, value);					\
	-EINVAL;								\
})

/* Of the answer alone. */
static long check_answer(const struct vitrine_answer *answer)
{
	u32 flags = VITRINE_SET_REGS;

	switch (answer->verdict) {
	case VITRINE_GO_ON:
		flags |= VITRINE_SET_VALUE;
		break;
	case VITRINE_DONE:
		flags |= VITRINE_ADVANCE | VITRINE_SET_VALUE;
		break;
	case VITRINE_INJECT:
		flags |= VITRINE_HAS_ERROR;
		if (answer->vector > 31 || answer->vector == X86_TRAP_NMI)
			return REFUSE("vector", answer->vector, "be an exception's");
		break;
	default:
		return REFUSE("verdict", answer->verdict, "be VITRINE_GO_ON, DONE or INJECT");
	}
	if (answer->flags & ~flags)
		return REFUSE("flags", answer->flags, "fit the verdict");
	if (answer->value && !(answer->flags & VITRINE_SET_VALUE)) {
		pr_debug_ratelimited("VITRINE_ANSWER: field value is 0x%llx, must be 0 without its flag\n",
				     answer->value);
		return -EINVAL;
	}
	return 0;
}

/* What is read takes the instruction's place, what is written goes on into it. */
static bool value_fits(const struct vitrine_answer *answer, const struct vitrine_exit_event *event)
{
	if (!(event->flags & VITRINE_EVENT_VALUE))
		return false;
	return vitrine_class_reads(event->on) ? answer->flags & VITRINE_ADVANCE :
						answer->verdict == VITRINE_GO_ON;
}

/* "Event Injection": exceptions that come with an error code, and no others. */
static bool has_error_code(u32 vector)
{
	return vector == X86_TRAP_DF || vector == X86_TRAP_AC ||
	       (vector >= X86_TRAP_TS && vector <= X86_TRAP_PF);
}

/* An entry with another RIP would be refused, and that would be the guest's end. */
static bool rip_fits(u64 rip, const struct vitrine_exit_event *event, bool code64)
{
	unsigned int bits = event->cr4 & X86_CR4_LA57 ? 57 : 48;

	if (!code64)
		return !(rip >> 32);
	return (u64)sign_extend64(rip, bits - 1) == rip;
}

/* Of the answer to this event. */
static long check_fits(const struct vitrine_answer *answer, const struct vitrine_exit_event *event,
		       bool code64)
{
	bool protected_mode = event->cr0 & X86_CR0_PE;

	if (answer->flags & VITRINE_SET_REGS && !rip_fits(answer->regs.rip, event, code64)) {
		pr_debug_ratelimited("VITRINE_ANSWER: field regs.rip is 0x%llx, no address of this guest\n",
				     answer->regs.rip);
		return -EINVAL;
	}
	if (event->flags & VITRINE_EVENT_AFTER && answer->verdict != VITRINE_GO_ON)
		return REFUSE("verdict", answer->verdict, "be VITRINE_GO_ON, as it is done");
	if (answer->flags & VITRINE_SET_VALUE && !value_fits(answer, event))
		return REFUSE("flags", answer->flags, "set a value only where one can be");
	if (answer->flags & VITRINE_ADVANCE) {
		if (!event->insn_len)
			return REFUSE("flags", answer->flags, "not advance without an instruction");
		if (answer->flags & VITRINE_SET_REGS && answer->regs.rip != event->regs.rip)
			return REFUSE("flags", answer->flags, "not advance from another RIP");
	}
	if (answer->verdict == VITRINE_INJECT && event->on == VITRINE_ON_INTERRUPT)
		return REFUSE("verdict", answer->verdict, "be no exception for an interrupt");
	if (answer->verdict == VITRINE_INJECT) {
		bool error = answer->flags & VITRINE_HAS_ERROR;

		if (error != (protected_mode && has_error_code(answer->vector)))
			return REFUSE("flags", answer->flags,
				      "have an error code if and only if the exception has");
		if (error && answer->error_code >> 15)
			return REFUSE("error_code", answer->error_code, "fit in 15 bits");
	}
	return 0;
}

static struct vitrine_ask *find_event(struct vitrine_steer *steer, u64 seq)
{
	struct vitrine_ask *ask;

	list_for_each_entry(ask, &steer->fetched, node)
		if (ask->event.seq == seq && ask->state == VITRINE_ASK_OPEN)
			return ask;
	return NULL;
}

static long steer_ioctl_answer(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct vitrine_answer *answer = arg->data;
	struct vitrine_monitor *monitor = obj;
	struct vitrine_steer *steer = &monitor->all->steer;
	struct vitrine_ask *ask;
	long ret = check_answer(answer);

	if (ret)
		return ret;
	ret = -EPERM;
	spin_lock(&steer->lock);
	if (!steers(monitor))
		goto out;
	ask = find_event(steer, answer->seq);
	ret = ask ? check_fits(answer, &ask->event, ask->code64) : -ENOENT;
	if (ret)
		goto out;
	ask->answer = *answer;
	WRITE_ONCE(ask->state, VITRINE_ASK_ANSWERED);
	wake_up(&ask->wait);
out:
	spin_unlock(&steer->lock);
	return ret;
}

static long steer_ioctl_set_timeout(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_monitor *monitor = obj;
	struct vitrine_steer *steer = &monitor->all->steer;
	u32 ms = *(u32 *)arg->data;
	long ret = -EPERM;

	if (!ms || ms > MAX_TIMEOUT_MS) {
		pr_debug_ratelimited("VITRINE_SET_TIMEOUT: %u ms, must be 1 to %u\n", ms,
				     MAX_TIMEOUT_MS);
		return -EINVAL;
	}
	spin_lock(&steer->lock);
	if (steers(monitor)) {
		steer->timeout_ms = ms;
		ret = 0;
	}
	spin_unlock(&steer->lock);
	return ret;
}

const struct vitrine_ioctl vitrine_steer_ioctls[] = {
	{ VITRINE_SET_POLICY, VITRINE_IOCTL_RAW, steer_ioctl_set_policy },
	{ VITRINE_NEXT_EVENT, 0, steer_ioctl_next_event },
	{ VITRINE_ANSWER, 0, steer_ioctl_answer },
	{ VITRINE_SET_TIMEOUT, 0, steer_ioctl_set_timeout },
	{}
};
