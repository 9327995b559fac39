// SPDX-License-Identifier: GPL-2.0
/*
 * Building, running and ending the machine. The event loop (loop.c) talks to the user; this
 * file talks to libvitrine.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"

#define SERIAL_IRQ	4
#define PAUSE_LIMIT_MS	2000
#define KICK_PERIOD_MS	20

static const struct {
	const char *name;
	const char *text;
	int exit_code;
} ends[] = {
	[END_NONE] = { "none", "still running", EXIT_HOST },
	[END_POWER_OFF] = { "power-off", "the guest powered off", EXIT_OK },
	[END_HALTED] = { "halted", "the guest halted for good", EXIT_OK },
	[END_QUIT] = { "quit", "quit by the escape key", EXIT_OK },
	[END_UNTIL] = { "until", "the text of --until appeared", EXIT_OK },
	[END_RESET] = { "reset", "the guest asked for a reset", EXIT_RESET },
	[END_SHUTDOWN] = { "shutdown", "triple fault in the guest", EXIT_SHUTDOWN },
	[END_ENTRY_FAILURE] = { "entry-failure", "the hardware refused to enter the guest",
				EXIT_ENTRY_FAILURE },
	[END_INTERNAL_ERROR] = { "internal-error", "the hypervisor gave up on the guest",
				 EXIT_INTERNAL_ERROR },
	[END_UNKNOWN_EXIT] = { "unknown-exit", "an exit that this program does not know",
			       EXIT_UNKNOWN_EXIT },
	[END_STRICT] = { "strict", "the guest used what is not there (--strict)", EXIT_STRICT },
	[END_RUN_FAILED] = { "run-failed", "running the guest failed", EXIT_HOST },
	[END_OUTPUT] = { "output", "the guest's output cannot be written", EXIT_HOST },
	[END_TIMEOUT] = { "timeout", "time-out", EXIT_TIMEOUT },
	[END_SIGNAL] = { "signal", "ended by a signal", EXIT_SIGNAL },
};

const char *machine_end_text(enum machine_end end)
{
	return ends[end].text;
}

const char *machine_end_name(enum machine_end end)
{
	return ends[end].name;
}

enum machine_end machine_ended(struct machine *machine)
{
	return __atomic_load_n(&machine->end, __ATOMIC_ACQUIRE);
}

int machine_exit_code(const struct machine *machine)
{
	if (machine->end == END_SIGNAL)
		return EXIT_SIGNAL + machine->end_signal;
	if (machine->end == END_OUTPUT && machine->output.error == EPIPE)
		return EXIT_SIGNAL + SIGPIPE;
	return ends[machine->end].exit_code;
}

void machine_wake(void *data)
{
	struct machine *machine = data;
	uint64_t one = 1;

	/* A full counter means that the loop has not looked yet: nothing is lost. */
	if (write(machine->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void machine_finish(struct machine *machine, enum machine_end end, const char *text)
{
	pthread_mutex_lock(&machine->lock);
	if (machine->end == END_NONE) {
		snprintf(machine->end_text, sizeof(machine->end_text), "%s", text ? text : "");
		__atomic_store_n(&machine->end, end, __ATOMIC_RELEASE);
	}
	/* Whoever is parked goes on, to see that it is over. */
	pthread_cond_broadcast(&machine->changed);
	pthread_mutex_unlock(&machine->lock);
	machine_wake(machine);
}

static void set_serial_irq(void *data, bool level)
{
	struct machine *machine = data;

	if (machine->options->irqchip)
		vitrine_vm_irq(machine->vm, SERIAL_IRQ, level);
}

/* A kick arrived: park while the loop wants to look at us, leave if the run is over. */
static int on_interrupted(struct vitrine_vcpu *vcpu, void *data)
{
	struct machine_cpu *cpu = data;
	struct machine *machine = cpu->machine;

	(void)vcpu;
	pthread_mutex_lock(&machine->lock);
	if (machine->pausing) {
		machine->parked++;
		pthread_cond_broadcast(&machine->changed);
		while (machine->pausing && machine->end == END_NONE)
			pthread_cond_wait(&machine->changed, &machine->lock);
		machine->parked--;
	}
	pthread_mutex_unlock(&machine->lock);
	return machine_ended(machine) == END_NONE ? VITRINE_RESUME : VITRINE_END_MACHINE;
}

static enum machine_end end_of(int ret)
{
	switch (ret) {
	case VITRINE_END_HALTED:
		return END_HALTED;
	case VITRINE_END_SHUTDOWN:
		return END_SHUTDOWN;
	case VITRINE_END_ENTRY_FAILURE:
		return END_ENTRY_FAILURE;
	case VITRINE_END_INTERNAL_ERROR:
		return END_INTERNAL_ERROR;
	default:
		return ret < 0 ? END_RUN_FAILED : END_UNKNOWN_EXIT;
	}
}

static void *cpu_main(void *data)
{
	static const struct vitrine_handlers handlers = {
		.io = port_access,
		.mmio = mmio_access,
		.interrupted = on_interrupted,
	};
	struct machine_cpu *cpu = data;
	struct machine *machine = cpu->machine;
	struct vitrine_error err;
	enum machine_end end;
	char text[512] = "";
	int ret;

	ret = vitrine_vcpu_run(cpu->vcpu, &handlers, cpu, &err);
	if (ret != VITRINE_END_MACHINE) {
		end = end_of(ret);
		if (ret < 0)
			snprintf(text, sizeof(text), "%s", err.text);
		else if (end != END_HALTED)
			vitrine_vcpu_explain(cpu->vcpu, text, sizeof(text));
		machine_finish(machine, end, text);
	}
	pthread_mutex_lock(&machine->lock);
	cpu->finished = true;
	pthread_cond_broadcast(&machine->changed);
	pthread_mutex_unlock(&machine->lock);
	machine_wake(machine);
	return NULL;
}

static int load_guest(struct machine *machine, const struct vitrine_image *image,
		      struct vitrine_start *start, struct vitrine_error *err)
{
	const struct run_options *options = machine->options;
	struct vitrine_boot boot = {
		.cmdline = options->cmdline,
		.initrd = options->initrd,
	};
	int ret;

	if (!image)
		return vitrine_load_flat(machine->vm, options->flat, options->flat_gpa,
					 options->mode, start, err);
	ret = vitrine_load_acpi(machine->vm, options->cpus, &boot.rsdp, err);
	return ret ? ret : vitrine_load_kernel(machine->vm, image, &boot, start, err);
}

static int create_cpus(struct machine *machine, struct vitrine_error *err)
{
	unsigned int i;
	int ret;

	machine->cpus = calloc(machine->options->cpus, sizeof(*machine->cpus));
	if (!machine->cpus) {
		err->code = ENOMEM;
		snprintf(err->text, sizeof(err->text), "out of memory");
		return -ENOMEM;
	}
	for (i = 0; i < machine->options->cpus; i++) {
		machine->cpus[i].machine = machine;
		machine->cpus[i].vcpu = vitrine_vcpu_create(machine->vm, i, err);
		if (!machine->cpus[i].vcpu)
			return -err->code;
		machine->nr_cpus = i + 1;
		ret = vitrine_vcpu_prepare(machine->cpus[i].vcpu, machine->options->cpus, err);
		if (ret)
			return ret;
	}
	return 0;
}

int machine_create(struct machine *machine, struct vitrine *dev,
		   const struct vitrine_image *image, const struct run_options *options)
{
	struct vitrine_start start;
	struct vitrine_error err;

	*machine = (struct machine) { .options = options };
	pthread_mutex_init(&machine->lock, NULL);
	pthread_cond_init(&machine->changed, NULL);
	output_init(&machine->output, STDOUT_FILENO, options->until, machine_wake, machine);
	serial_init(&machine->serial, &machine->output, set_serial_irq, machine);
	machine->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (machine->wake_fd < 0) {
		complain("eventfd: %s", strerror(errno));
		return EXIT_HOST;
	}
	machine->vm = vitrine_vm_create(dev, &err);
	if (!machine->vm ||
	    (options->irqchip && vitrine_vm_add_irqchip(machine->vm, &err)) ||
	    vitrine_vm_map_ram(machine->vm, options->memory_bytes, &err) ||
	    create_cpus(machine, &err) ||
	    load_guest(machine, image, &start, &err) ||
	    vitrine_vcpu_start(machine->cpus[0].vcpu, &start, &err)) {
		complain("%s", err.text);
		return EXIT_HOST;
	}
	return 0;
}

static void on_kick(int signo)
{
	(void)signo;
}

int machine_start(struct machine *machine)
{
	struct sigaction action = { .sa_handler = on_kick };
	unsigned int i;
	int ret;

	sigaction(SIGUSR1, &action, NULL);
	for (i = 0; i < machine->nr_cpus; i++) {
		ret = pthread_create(&machine->cpus[i].thread, NULL, cpu_main, &machine->cpus[i]);
		if (ret) {
			complain("cannot start a thread for vCPU %u: %s", i, strerror(ret));
			machine_finish(machine, END_RUN_FAILED, "");
			return EXIT_HOST;
		}
		machine->cpus[i].started = true;
	}
	return 0;
}

static unsigned int count_running(struct machine *machine)
{
	unsigned int i, running = 0;

	for (i = 0; i < machine->nr_cpus; i++)
		if (machine->cpus[i].started && !machine->cpus[i].finished)
			running++;
	return running;
}

static void kick_all(struct machine *machine)
{
	unsigned int i;

	for (i = 0; i < machine->nr_cpus; i++)
		if (machine->cpus[i].started && !machine->cpus[i].finished)
			vitrine_vcpu_kick(machine->cpus[i].vcpu, machine->cpus[i].thread, SIGUSR1);
}

/* Waits on @changed for one period; the caller holds the lock. */
static void wait_a_period(struct machine *machine)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += KICK_PERIOD_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&machine->changed, &machine->lock, &until);
}

bool machine_pause(struct machine *machine)
{
	unsigned int waited_ms = 0;
	bool all;

	pthread_mutex_lock(&machine->lock);
	machine->pausing = true;
	for (;;) {
		all = machine->parked >= count_running(machine);
		if (all || waited_ms >= PAUSE_LIMIT_MS || machine->end != END_NONE)
			break;
		/* Again each time: a thread may have been in write(2) when the last one came. */
		kick_all(machine);
		wait_a_period(machine);
		waited_ms += KICK_PERIOD_MS;
	}
	pthread_mutex_unlock(&machine->lock);
	return all;
}

void machine_resume(struct machine *machine)
{
	pthread_mutex_lock(&machine->lock);
	machine->pausing = false;
	pthread_cond_broadcast(&machine->changed);
	pthread_mutex_unlock(&machine->lock);
}

void machine_join(struct machine *machine)
{
	unsigned int i;

	output_close(&machine->output);
	pthread_mutex_lock(&machine->lock);
	while (count_running(machine)) {
		kick_all(machine);
		wait_a_period(machine);
	}
	pthread_mutex_unlock(&machine->lock);
	for (i = 0; i < machine->nr_cpus; i++)
		if (machine->cpus[i].started)
			pthread_join(machine->cpus[i].thread, NULL);
}

void machine_destroy(struct machine *machine)
{
	vitrine_vm_destroy(machine->vm);
	serial_destroy(&machine->serial);
	output_destroy(&machine->output);
	if (machine->wake_fd >= 0)
		close(machine->wake_fd);
	free(machine->cpus);
	pthread_cond_destroy(&machine->changed);
	pthread_mutex_destroy(&machine->lock);
}
