/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The machine that "vitrine run" builds: a VM, its vCPU threads and its few devices; and how
 * it comes to an end.
 */
#ifndef VITRINE_MACHINE_H
#define VITRINE_MACHINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "command.h"
#include "lib/libvitrine.h"
#include "options.h"
#include "output.h"
#include "serial.h"

/* Why a run ended; the table in machine.c has text and exit code for each. */
enum machine_end {
	END_NONE,
	END_POWER_OFF,
	END_HALTED,
	END_QUIT,
	END_UNTIL,
	END_RESET,
	END_SHUTDOWN,
	END_ENTRY_FAILURE,
	END_INTERNAL_ERROR,
	END_UNKNOWN_EXIT,
	END_STRICT,
	END_RUN_FAILED,
	END_OUTPUT,
	END_TIMEOUT,
	END_SIGNAL,
};

struct machine_cpu {
	struct machine *machine;
	struct vitrine_vcpu *vcpu;
	pthread_t thread;
	bool started;
	bool finished;
};

/**
 * struct machine - one machine
 *
 * @lock covers @pausing, @parked and @cpu.finished; @end is set once, by whoever comes first.
 */
struct machine {
	const struct run_options *options;
	struct vitrine_vm *vm;
	struct machine_cpu *cpus;
	unsigned int nr_cpus;
	struct serial serial;
	struct output output;
	uint8_t rtc_index;
	uint8_t port61;
	uint16_t pm1_status, pm1_enable, pm1_control;
	uint64_t unknown_io, unknown_mmio;	/* accesses that nothing answered */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool pausing;
	unsigned int parked;

	int end;			/* enum machine_end, by __atomic_* */
	int end_signal;
	char end_text[512];		/* what there is to say beside the reason */
	int wake_fd;			/* eventfd: the event loop has something to look at */
};

/* Builds the machine up to the point where its vCPUs can start; 0 or an exit code, told. */
int machine_create(struct machine *machine, struct vitrine *dev,
		   const struct vitrine_image *image, const struct run_options *options);

/* Starts the vCPU threads; 0 or an exit code, told. */
int machine_start(struct machine *machine);

/* Ends the run, from any thread; only the first reason counts. @text may be NULL. */
void machine_finish(struct machine *machine, enum machine_end end, const char *text);

enum machine_end machine_ended(struct machine *machine);
const char *machine_end_text(enum machine_end end);
const char *machine_end_name(enum machine_end end);
int machine_exit_code(const struct machine *machine);

/* Brings every vCPU out of the guest and keeps it out. False if one does not come in time. */
bool machine_pause(struct machine *machine);
void machine_resume(struct machine *machine);

/* Waits for the vCPU threads; the machine must have ended. */
void machine_join(struct machine *machine);
void machine_destroy(struct machine *machine);

/* Makes the event loop look again. */
void machine_wake(void *machine);

/* port.c: what the guest finds at its ports and at addresses without memory */
int port_access(struct vitrine_vcpu *vcpu, const struct vitrine_io *io, void *cpu);
int mmio_access(struct vitrine_vcpu *vcpu, const struct vitrine_mmio *mmio, void *cpu);

/* What callbacks return once machine_finish() was called. */
#define VITRINE_END_MACHINE VITRINE_END_CALLER

#endif /* VITRINE_MACHINE_H */
