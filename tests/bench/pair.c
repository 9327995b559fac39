// SPDX-License-Identifier: GPL-2.0
/*
 * Rows of interrupts from elsewhere, with a CPU for each side: from another vCPU, from an eventfd
 * of the VMM. Who sends waits for the handler's count, so the time is from the sending to the
 * moment at which he sees it, by one clock.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <x86intrin.h>

#include "irq.h"

#define GSI		24
#define PATIENCE	100000000ull	/* ticks; a second in the lab */
/* Between two rounds: the other side goes to sleep meanwhile, or runs on. */
#define DELAY_HALTED	10000
#define DELAY_RUNNING	1000

GUEST_CODE(guest_runs,
	   IRQ_APIC_ON "incl " IRQ_READY "\nsti\n"
	   "1:\ncmpl $0, " IRQ_STOP "\nje 1b\n" GUEST_SYNC);
GUEST_CODE(guest_halts,
	   IRQ_APIC_ON "incl " IRQ_READY "\n"
	   "1:\nsti\nhlt\nincl " IRQ_HALTS "\ncmpl $0, " IRQ_STOP "\nje 1b\n" GUEST_SYNC);

/* The other vCPU's APIC ID is 1. */
#define SEND(name, delay)						\
	GUEST_CODE(name,						\
		IRQ_APIC_ON "sti\n"					\
		"1:\nmov " BENCH_ROUNDS ", %r15d\nmov " BENCH_COUNTER ", %ebx\nxor %esi, %esi\n" \
		"2:\ninc %ebx\n" BENCH_RDTSC("r12") "add $" delay ", %r12\n" \
		"3:\n" BENCH_RDTSC("r14") "cmp %r12, %r14\njb 3b\n"	\
		"mov $0x830, %ecx\nmov $0x4040, %eax\nmov $1, %edx\nwrmsr\n" \
		IRQ_WAIT BENCH_RDTSC("r12") "sub %r14, %r12\nadd %r12, %rsi\n" \
		"dec %r15d\njnz 2b\n" GUEST_SYNC "jmp 1b\n")
SEND(guest_sends_to_running, "1000");
SEND(guest_sends_to_halted, "10000");

struct pair {
	const char *name;
	enum irq_poll poll;
	bool halts;
	struct test_vm *vm;
	struct test_vcpu *target;
	pthread_t thread;
};

static void *run_target(void *arg)
{
	struct pair *pair = arg;

	bench_pin(1);
	if (ioctl(pair->target->fd, KVM_RUN, 0) ? errno != EINTR :
	    pair->target->run->exit_reason != KVM_EXIT_IO)
		test_die("%s: exit reason %u", pair->name, pair->target->run->exit_reason);
	return NULL;
}

static void interrupted(int signal)
{
	(void)signal;
}

static void wait_for(volatile uint32_t *word, uint32_t value, const char *name)
{
	uint64_t start = __rdtsc();

	while (*word != value)
		if (__rdtsc() - start > PATIENCE)
			test_die("%s: nobody came, %u instead of %u", name, *word, value);
}

/* @id 0 is the BSP: the target where no other vCPU is. */
static void pair_start(struct pair *pair, const struct bench_row *row, unsigned int id)
{
	pair->name = row->name;
	pair->poll = row->op & 1 ? IRQ_POLL_OFF : IRQ_POLL_DEFAULT;
	pair->halts = row->op & 2;
	sigaction(SIGUSR1, &(const struct sigaction){ .sa_handler = interrupted }, NULL);
	irq_poll_set(pair->poll);
	pair->vm = irq_vm_create();
	pair->target = test_vcpu_create(pair->vm, id);
	irq_vcpu_start(pair->target, id, pair->halts ? BENCH_CODE(guest_halts) :
						       BENCH_CODE(guest_runs));
	if (pthread_create(&pair->thread, NULL, run_target, pair))
		test_die("pthread_create");
}

static void pair_ready(struct pair *pair)
{
	wait_for(irq_word(pair->vm, IRQ_READY_GPA), 1, pair->name);
}

static void pair_end(struct pair *pair, uint32_t interrupts)
{
	uint32_t halts = *irq_word(pair->vm, IRQ_HALTS_GPA);

	*irq_word(pair->vm, IRQ_STOP_GPA) = 1;
	pthread_kill(pair->thread, SIGUSR1);
	pthread_join(pair->thread, NULL);
	/* It may be on its way from the last handler to its next HLT. */
	if (*irq_word(pair->vm, BENCH_COUNTER_GPA) != interrupts ||
	    (pair->halts && halts + 1 < interrupts))
		test_die("%s: %u interrupts, %u ends of HLT, should be %u", pair->name,
			 *irq_word(pair->vm, BENCH_COUNTER_GPA), halts, interrupts);
	test_vcpu_free(pair->target);
	test_vm_free(pair->vm);
	irq_poll_restore();
}

static uint64_t ipi(const struct bench_row *row)
{
	struct test_vcpu *sender;
	struct pair pair;
	uint32_t rounds;
	uint64_t ticks;

	pair_start(&pair, row, 1);
	sender = test_vcpu_create(pair.vm, 0);
	irq_vcpu_start(sender, 0, pair.halts ? BENCH_CODE(guest_sends_to_halted) :
					       BENCH_CODE(guest_sends_to_running));
	pair_ready(&pair);
	rounds = *irq_word(pair.vm, BENCH_ROUNDS_GPA);
	ticks = irq_loop(sender);
	test_vcpu_free(sender);
	pair_end(&pair, 2 * rounds);
	return ticks;
}

static uint64_t ring(struct pair *pair, int bell, uint32_t count)
{
	uint64_t one = 1, start = __rdtsc();

	while (__rdtsc() - start < (pair->halts ? DELAY_HALTED : DELAY_RUNNING))
		;
	start = __rdtsc();
	if (write(bell, &one, sizeof(one)) != sizeof(one))
		test_die("eventfd");
	wait_for(irq_word(pair->vm, BENCH_COUNTER_GPA), count, pair->name);
	return __rdtsc() - start;
}

static bool offers_irqfd(void)
{
	int dev = test_dev_open();
	bool yes = test_check_extension(dev, KVM_CAP_IRQFD) &&
		   test_check_extension(dev, KVM_CAP_IRQ_ROUTING);

	close(dev);
	return yes;
}

static uint64_t irqfd(const struct bench_row *row)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} routing = {
		.head.nr = 1,
		.entry = {
			.gsi = GSI,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = 0xfee00000, .data = IRQ_VECTOR },
		},
	};
	struct kvm_irqfd irqfd = { .gsi = GSI };
	int bell = eventfd(0, 0);
	uint32_t rounds, i;
	struct pair pair;
	uint64_t sum = 0;

	if (!offers_irqfd()) {
		close(bell);
		return BENCH_NOT_OFFERED;
	}
	pair_start(&pair, row, 0);
	rounds = *irq_word(pair.vm, BENCH_ROUNDS_GPA);
	irqfd.fd = bell;
	if (bell < 0 || ioctl(pair.vm->fd, KVM_SET_GSI_ROUTING, &routing) ||
	    ioctl(pair.vm->fd, KVM_IRQFD, &irqfd))
		test_die("KVM_IRQFD");
	pair_ready(&pair);
	for (i = 1; i <= 2 * rounds; i++) {
		if (i == rounds + 1)
			sum = 0;
		sum += ring(&pair, bell, i);
	}
	close(bell);
	pair_end(&pair, 2 * rounds);
	return sum / rounds;
}

const struct bench_row bench_pair_rows[] = {
	{ "IPI to a running vCPU", BENCH_IRQ, ipi, .op = 0, .cpus = 2 },
	{ "IPI to a halted vCPU, no polling", BENCH_IRQ, ipi, .op = 3, .cpus = 2 },
	{ "IPI to a halted vCPU", BENCH_IRQ, ipi, .op = 2, .cpus = 2 },
	{ "irqfd to handler, running", BENCH_IRQ, irqfd, .op = 0, .cpus = 2 },
	{ "irqfd to handler, HLT, no polling", BENCH_IRQ, irqfd, .op = 3, .cpus = 2 },
	{ "irqfd to handler, HLT", BENCH_IRQ, irqfd, .op = 2, .cpus = 2 },
	{}
};
