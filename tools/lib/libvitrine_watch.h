/* SPDX-License-Identifier: GPL-2.0 */
/*
 * libvitrine, the watching side: which VMs there are, of whatever program, what they count and what
 * happens to them. It speaks to the module by generic netlink (uapi/vitrine_netlink.h), needs
 * neither the device nor the VMM's help, and changes nothing.
 *
 *	watch = vitrine_watch_open(&err);
 *	vitrine_watch_vms(watch, 0, print_vm, NULL, &err);
 *	vitrine_watch_close(watch);
 *
 * The rules of libvitrine.h hold: NULL or a negative errno on failure, and *err in one line. Whom
 * the caller may not see is not there: root sees all, others see the VMs of their own user. Link
 * with -lnl-genl-3 -lnl-3.
 */
#ifndef LIBVITRINE_WATCH_H
#define LIBVITRINE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "libvitrine.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VITRINE_WATCH_NAME_BYTES	32
#define VITRINE_WATCH_COUNTERS		64
#define VITRINE_WATCH_REASONS		128

struct vitrine_watch;

/**
 * vitrine_watch_open() - connect to the module
 *
 * Fails with ENOENT where it is not loaded (or speaks no netlink).
 */
struct vitrine_watch *vitrine_watch_open(struct vitrine_error *err);

/** vitrine_watch_close() - disconnect. NULL is fine. */
void vitrine_watch_close(struct vitrine_watch *watch);

/**
 * struct vitrine_vm_info - a VM
 * @id: never used again, whatever becomes of the VM
 * @name: of the process that created it; any byte may be in it, so mind it on a terminal
 * @state: enum vitrine_nl_vm_state; vitrine_vm_state_name()
 * @owner_pid: the process that created it; 0 where the caller's PID namespace does not know it
 * @owner_uid: its user
 * @nr_vcpus: vCPUs
 * @age_ns: since its creation
 * @memory_bytes: what its memory slots span
 * @table_bytes: its second-level page tables
 */
struct vitrine_vm_info {
	uint64_t id;
	char name[VITRINE_WATCH_NAME_BYTES];
	uint32_t state;
	uint32_t owner_pid;
	uint32_t owner_uid;
	uint32_t nr_vcpus;
	uint64_t age_ns;
	uint64_t memory_bytes;
	uint64_t table_bytes;
};

/**
 * struct vitrine_vcpu_info - a vCPU
 * @vm_id: its VM
 * @id: the VMM's number for it
 * @state: enum vitrine_nl_vcpu_state; vitrine_vcpu_state_name()
 * @cpu: where it is loaded, or -1
 * @has_run: the rest is known
 * @thread: that ran it last; 0 where the caller's PID namespace does not know it
 * @exit_reason: of its last exit, with the flag bits
 * @exit_qualification: likewise
 */
struct vitrine_vcpu_info {
	uint64_t vm_id;
	uint32_t id;
	uint32_t state;
	int cpu;
	bool has_run;
	uint32_t thread;
	uint32_t exit_reason;
	uint64_t exit_qualification;
};

/**
 * struct vitrine_counters - what a vCPU counted since its creation
 * @vm_id: its VM
 * @vcpu_id: the VMM's number for it
 * @time_ns: of a sample: when, on CLOCK_MONOTONIC; else 0
 * @guest_ticks: host TSC ticks inside the guest
 * @host_ticks: host TSC ticks inside KVM_RUN but outside the guest
 * @value: by counter: vitrine_watch_counter()
 * @exits: by basic exit reason: vitrine_reason_name()
 * @exit_ticks: host TSC ticks from such exits to the next entry
 */
struct vitrine_counters {
	uint64_t vm_id;
	uint32_t vcpu_id;
	uint64_t time_ns;
	uint64_t guest_ticks;
	uint64_t host_ticks;
	uint64_t value[VITRINE_WATCH_COUNTERS];
	uint64_t exits[VITRINE_WATCH_REASONS];
	uint64_t exit_ticks[VITRINE_WATCH_REASONS];
};

/**
 * vitrine_watch_vms() - call @fn for each VM, in the order of ids
 * @vm_id: only this one; 0: all
 *
 * A VM that comes or goes meanwhile may or may not be among them. @fn must not use @watch.
 * Fails with ENOENT if there is no VM @vm_id for the caller.
 */
int vitrine_watch_vms(struct vitrine_watch *watch, uint64_t vm_id,
		      void (*fn)(const struct vitrine_vm_info *vm, void *data), void *data,
		      struct vitrine_error *err);

/** vitrine_watch_vcpus() - the same for each vCPU, of VM @vm_id or of all */
int vitrine_watch_vcpus(struct vitrine_watch *watch, uint64_t vm_id,
			void (*fn)(const struct vitrine_vcpu_info *vcpu, void *data), void *data,
			struct vitrine_error *err);

/** vitrine_watch_counters() - the same for each vCPU's counters */
int vitrine_watch_counters(struct vitrine_watch *watch, uint64_t vm_id,
			   void (*fn)(const struct vitrine_counters *counters, void *data),
			   void *data, struct vitrine_error *err);

/** vitrine_watch_counter_name() - of vitrine_counters.value[@index]; NULL from the last one on */
const char *vitrine_watch_counter_name(const struct vitrine_watch *watch, unsigned int index);

/** vitrine_watch_counter() - the index of that name, or -1 where the module has no such counter */
int vitrine_watch_counter(const struct vitrine_watch *watch, const char *name);

/** vitrine_watch_tsc_khz() - what ticks are counted in */
uint32_t vitrine_watch_tsc_khz(const struct vitrine_watch *watch);

/**
 * struct vitrine_life_event - something happened to a VM
 * @event: enum vitrine_nl_event; vitrine_event_name()
 * @vm_id: to which
 * @name: as in struct vitrine_vm_info, and so the next two
 * @owner_pid: likewise
 * @owner_uid: likewise
 * @vcpu_id: to which vCPU of it, or -1
 * @exit_reason: of an entry failure
 * @detail: the suberror of an internal error, the VITRINE_ATTACH_* of a monitor that comes or goes
 */
struct vitrine_life_event {
	uint32_t event;
	uint64_t vm_id;
	char name[VITRINE_WATCH_NAME_BYTES];
	uint32_t owner_pid;
	uint32_t owner_uid;
	int64_t vcpu_id;
	uint32_t exit_reason;
	uint64_t detail;
};

/**
 * vitrine_watch_join() - receive events from now on
 *
 * Fails with EPERM without CAP_SYS_ADMIN. Returns a descriptor to poll for input; @watch owns it.
 */
int vitrine_watch_join(struct vitrine_watch *watch, struct vitrine_error *err);

/**
 * vitrine_watch_events() - call @fn for the events that have come
 *
 * Waits if there are none. Fails with ENOBUFS if some were lost, as nobody came for them in time;
 * what comes after can be had by calling again. A signal does not end the wait.
 */
int vitrine_watch_events(struct vitrine_watch *watch,
			 void (*fn)(const struct vitrine_life_event *event, void *data),
			 void *data, struct vitrine_error *err);

/**
 * vitrine_watch_sample() - have every vCPU's counters sent at an interval
 * @interval_ms: 100 to 60000; who asks last decides for all
 *
 * For many who want the same: one reading serves all. Fails with EPERM without CAP_SYS_ADMIN.
 * Returns a descriptor to poll for input; @watch owns it.
 */
int vitrine_watch_sample(struct vitrine_watch *watch, uint32_t interval_ms,
			 struct vitrine_error *err);

/** vitrine_watch_samples() - call @fn for the samples that have come; as vitrine_watch_events() */
int vitrine_watch_samples(struct vitrine_watch *watch,
			  void (*fn)(const struct vitrine_counters *counters, void *data),
			  void *data, struct vitrine_error *err);

/** vitrine_vm_state_name() - "idle" and so on; "?" for what this library does not know */
const char *vitrine_vm_state_name(uint32_t state);
/** vitrine_vcpu_state_name() - likewise */
const char *vitrine_vcpu_state_name(uint32_t state);
/** vitrine_event_name() - "vm_created" and so on, likewise */
const char *vitrine_event_name(uint32_t event);
/** vitrine_reason_name() - "CPUID" for basic exit reason 10 and so on; NULL without a name */
const char *vitrine_reason_name(uint32_t reason);

#ifdef __cplusplus
}
#endif

#endif /* LIBVITRINE_WATCH_H */
