// SPDX-License-Identifier: GPL-2.0
/*
 * What the numbers of the watching side are called.
 */
#include <stddef.h>

#include <asm/vmx.h>

#include "internal.h"
#include "libvitrine_watch.h"
#include "vitrine_netlink.h"

#define NAME_OF(names, number)	\
	((number) < sizeof(names) / sizeof((names)[0]) && (names)[number] ? (names)[number] : "?")

const char *vitrine_vm_state_name(uint32_t state)
{
	static const char *const names[] = {
		[VITRINE_NL_VM_IDLE] = "idle",
		[VITRINE_NL_VM_RUNNING] = "running",
		[VITRINE_NL_VM_DEAD] = "dead",
		[VITRINE_NL_VM_PAUSED] = "paused",
	};

	return NAME_OF(names, state);
}

const char *vitrine_vcpu_state_name(uint32_t state)
{
	static const char *const names[] = {
		[VITRINE_NL_VCPU_OUT] = "out",
		[VITRINE_NL_VCPU_GUEST] = "guest",
		[VITRINE_NL_VCPU_KERNEL] = "kernel",
		[VITRINE_NL_VCPU_WAITING] = "waiting",
		[VITRINE_NL_VCPU_HALTED] = "halted",
		[VITRINE_NL_VCPU_NOT_STARTED] = "not-started",
	};

	return NAME_OF(names, state);
}

const char *vitrine_event_name(uint32_t event)
{
	static const char *const names[] = {
		[VITRINE_NL_EVENT_VM_CREATED] = "vm_created",
		[VITRINE_NL_EVENT_VM_GONE] = "vm_gone",
		[VITRINE_NL_EVENT_VCPU_CREATED] = "vcpu_created",
		[VITRINE_NL_EVENT_VCPU_GONE] = "vcpu_gone",
		[VITRINE_NL_EVENT_SHUTDOWN] = "shutdown",
		[VITRINE_NL_EVENT_ENTRY_FAILURE] = "entry_failure",
		[VITRINE_NL_EVENT_INTERNAL_ERROR] = "internal_error",
		[VITRINE_NL_EVENT_MONITOR_ATTACHED] = "monitor_attached",
		[VITRINE_NL_EVENT_MONITOR_DETACHED] = "monitor_detached",
		[VITRINE_NL_EVENT_PAUSED] = "paused",
		[VITRINE_NL_EVENT_RESUMED] = "resumed",
	};

	return NAME_OF(names, event);
}

const char *vitrine_reason_name(uint32_t reason)
{
	static const struct {
		uint32_t reason;
		const char *name;
	} names[] = { VMX_EXIT_REASONS };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].reason == reason)
			return names[i].name;
	return NULL;
}
