// SPDX-License-Identifier: GPL-2.0
/* Steering a VM: rules in, events out, answers in. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "internal.h"

static const char *rules_advice(int code)
{
	switch (code) {
	case EINVAL:
		return "one of them names what cannot be; " LOG_ADVICE;
	case EOPNOTSUPP:
		return "this CPU cannot let one of their classes exit (step and others need more); "
		       LOG_ADVICE;
	case EPERM:
		return "this monitor does not steer";
	case ESRCH:
		return "the VM is gone";
	default:
		return strerror(code);
	}
}

int vitrine_policy_set(struct vitrine_monitor *monitor, const struct vitrine_rule *rules,
		       uint32_t nr, struct vitrine_error *err)
{
	struct vitrine_policy *policy = calloc(1, sizeof(*policy) + nr * sizeof(*rules));
	int ret;

	if (!policy)
		return vitrine_fail(err, ENOMEM, "rules: out of memory");
	policy->nr = nr;
	if (nr)
		memcpy(policy->rules, rules, nr * sizeof(*rules));
	ret = ioctl(vitrine_monitor_fd(monitor), VITRINE_SET_POLICY, policy);
	if (ret)
		ret = vitrine_fail(err, errno, "rules: %s", rules_advice(errno));
	free(policy);
	return ret;
}

int vitrine_event_next(struct vitrine_monitor *monitor, struct vitrine_exit_event *event,
		       struct vitrine_error *err)
{
	if (!ioctl(vitrine_monitor_fd(monitor), VITRINE_NEXT_EVENT, event))
		return 1;
	if (errno == EAGAIN)
		return 0;
	return vitrine_fail(err, errno, "NEXT_EVENT: %s", strerror(errno));
}

int vitrine_event_answer(struct vitrine_monitor *monitor, const struct vitrine_answer *answer,
			 struct vitrine_error *err)
{
	if (!ioctl(vitrine_monitor_fd(monitor), VITRINE_ANSWER, answer))
		return 0;
	return vitrine_fail(err, errno, "event %llu: %s", (unsigned long long)answer->seq,
			    errno == EINVAL ? "no answer that its vCPU can take; " LOG_ADVICE :
			    errno == ENOENT ? "it does not wait any more" : strerror(errno));
}

int vitrine_event_limit(struct vitrine_monitor *monitor, uint32_t ms, struct vitrine_error *err)
{
	__u32 value = ms;

	if (!ioctl(vitrine_monitor_fd(monitor), VITRINE_SET_TIMEOUT, &value))
		return 0;
	return vitrine_fail(err, errno, "%u ms for an answer: %s", ms,
			    errno == EINVAL ? "1 to 3600000 are possible" : strerror(errno));
}
