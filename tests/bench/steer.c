// SPDX-License-Identifier: GPL-2.0
/*
 * Rows of a control tool that is asked: a guest's OUT goes to another process, which answers that
 * it is done, and the VMM hears nothing. KVM has no such thing: its side of these rows is what it
 * takes for an OUT to come to the VMM itself and back. They are told and not judged.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vitrine_policy.h>

#include "bench.h"
#include "lib/monitor.h"
#include "lib/steer.h"

#define PORT	0x42

BENCH_LOOP(guest_out, "", "", "outb %al, $0x42\n");

/* On KVM the loop comes out for each OUT. */
static uint64_t by_vmm(struct test_vcpu *vcpu, const struct bench_row *row)
{
	struct kvm_regs regs;
	unsigned int i, loop;

	test_vcpu_long_mode(vcpu, guest_out, guest_out_end - guest_out);
	for (loop = 0; loop < 2; loop++) {
		for (i = 0; i < bench_rounds; i++)
			if (test_vcpu_run(vcpu) != KVM_EXIT_IO || vcpu->run->io.port != PORT)
				test_die("%s: no OUT", row->name);
		test_vcpu_run_to_sync(vcpu);
	}
	test_vcpu_regs(vcpu, &regs);
	return regs.rsi / bench_rounds;
}

/* Ready when it has written a byte; until it is killed. */
static void be_tool(int dev_fd, uint64_t vm_id, int cpu, int ready)
{
	struct vitrine_rule out = test_rule(VITRINE_ON_OUT, VITRINE_DO_ASK, PORT, PORT);
	struct vitrine_exit_event event;
	struct vitrine_answer answer;
	int fd;

	bench_pin(cpu);
	fd = test_attach(dev_fd, vm_id, VITRINE_ATTACH_STEER);
	if (fd < 0 || test_set_rules(fd, &out, 1) || write(ready, "", 1) != 1)
		_exit(1);
	while (!test_next_event(fd, &event, -1)) {
		answer = (struct vitrine_answer) { .seq = event.seq, .verdict = VITRINE_DONE,
						   .flags = VITRINE_ADVANCE };
		if (ioctl(fd, VITRINE_ANSWER, &answer))
			_exit(1);
	}
	_exit(1);
}

static uint64_t ask(const struct bench_row *row)
{
	struct test_vcpu *vcpu = bench_vcpu_create(false);
	struct kvm_regs regs;
	uint64_t ticks, vm_id;
	pid_t tool;
	int up[2];
	char byte;

	if (test_on_kvm()) {
		ticks = by_vmm(vcpu, row);
		bench_vcpu_free(vcpu);
		return ticks;
	}
	if (pipe(up))
		test_die("pipe");
	vm_id = test_vm_id(vcpu->vm);
	tool = fork();
	if (!tool)
		be_tool(vcpu->vm->dev_fd, vm_id, row->op, up[1]);
	close(up[1]);
	if (tool < 0 || read(up[0], &byte, 1) != 1)
		test_die("%s: no tool", row->name);
	close(up[0]);
	/* Ends the program if an OUT comes to the VMM. */
	ticks = bench_loop(vcpu, BENCH_CODE(guest_out), &regs);
	kill(tool, SIGKILL);
	waitpid(tool, NULL, 0);
	bench_vcpu_free(vcpu);
	return ticks;
}

const struct bench_row bench_steer_rows[] = {
	{ "OUT asked of a tool, another CPU", BENCH_TOOL, ask, NULL, 1, 2 },
	{ "OUT asked of a tool, the same CPU", BENCH_TOOL, ask, NULL, 0 },
	{}
};
