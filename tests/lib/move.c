// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "apic.h"
#include "move.h"

#define MSR_TSC_DEADLINE	0x6e0
#define MAX_MSRS		256
#define NR_CHIPS		3
#define XSAVE_BYTES		16384

/* In the order in which they are put back. */
struct vcpu_state {
	struct kvm_sregs2 sregs;
	struct kvm_regs regs;
	uint8_t xsave[XSAVE_BYTES] __attribute__((aligned(64)));
	struct kvm_xcrs xcrs;
	unsigned int nr_msrs;
	struct kvm_msr_entry msr[MAX_MSRS];
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp_state;
	uint64_t tsc_deadline;
	struct kvm_debugregs debugregs;
};

static void must(int ret, const char *what)
{
	if (ret < 0)
		test_die("%s", what);
}

#define MUST(fd, cmd, arg)	must(ioctl(fd, cmd, arg), #cmd)

static void boot_machine(struct test_machine *machine)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXCEPTION_PAYLOAD, .args = { 1 } };
	struct kvm_pit_config pit = {};

	machine->vm = machine->irqchip ? test_vm_create_irqchip() : test_vm_create();
	if (machine->irqchip)
		MUST(machine->vm->fd, KVM_CREATE_PIT2, &pit);
	if (machine->payloads)
		MUST(machine->vm->fd, KVM_ENABLE_CAP, &cap);
	machine->vcpu = test_vcpu_create(machine->vm, 0);
	if (!machine->cpuid) {
		machine->cpuid = test_supported_cpuid(machine->vm->dev_fd);
		test_cpuid_find(machine->cpuid, 1, 0)->ecx |= CPUID_1_ECX_TSC_DEADLINE;
	}
	MUST(machine->vcpu->fd, KVM_SET_CPUID2, machine->cpuid);
}

void test_machine_create(struct test_machine *machine, bool irqchip, bool payloads)
{
	memset(machine, 0, sizeof(*machine));
	machine->irqchip = irqchip;
	machine->payloads = payloads;
	boot_machine(machine);
}

void test_machine_free(struct test_machine *machine)
{
	test_vcpu_free(machine->vcpu);
	test_vm_free(machine->vm);
	free(machine->cpuid);
}

static void save_msrs(struct test_vcpu *vcpu, struct vcpu_state *state)
{
	struct {
		struct kvm_msr_list header;
		uint32_t index[MAX_MSRS];
	} list = { .header.nmsrs = MAX_MSRS };
	uint64_t value;

	MUST(vcpu->vm->dev_fd, KVM_GET_MSR_INDEX_LIST, &list);
	state->nr_msrs = 0;
	for (unsigned int i = 0; i < list.header.nmsrs; i++) {
		/* Some only count with a feature that this guest was not given. */
		if (list.index[i] == MSR_TSC_DEADLINE ||
		    test_vcpu_get_msr(vcpu, list.index[i], &value) != 1)
			continue;
		state->msr[state->nr_msrs].index = list.index[i];
		state->msr[state->nr_msrs++].data = value;
	}
}

static void save_vcpu(struct test_machine *machine, struct vcpu_state *state)
{
	struct test_vcpu *vcpu = machine->vcpu;

	MUST(vcpu->fd, KVM_GET_VCPU_EVENTS, &state->events);
	MUST(vcpu->fd, KVM_GET_MP_STATE, &state->mp_state);
	MUST(vcpu->fd, KVM_GET_REGS, &state->regs);
	if (test_check_extension(machine->vm->fd, KVM_CAP_XSAVE2) > XSAVE_BYTES)
		test_die("a larger XSAVE image than expected");
	MUST(vcpu->fd, KVM_GET_XSAVE2, state->xsave);
	MUST(vcpu->fd, KVM_GET_XCRS, &state->xcrs);
	MUST(vcpu->fd, KVM_GET_SREGS2, &state->sregs);
	save_msrs(vcpu, state);
	state->tsc_deadline = 0;
	if (machine->irqchip) {
		/* In this order: one that passes now is in the APIC then, and not lost. */
		must(test_vcpu_get_msr(vcpu, MSR_TSC_DEADLINE, &state->tsc_deadline), "deadline");
		MUST(vcpu->fd, KVM_GET_LAPIC, &state->lapic);
	}
	MUST(vcpu->fd, KVM_GET_DEBUGREGS, &state->debugregs);
}

static void restore_vcpu(struct test_machine *machine, const struct vcpu_state *state)
{
	struct test_vcpu *vcpu = machine->vcpu;

	MUST(vcpu->fd, KVM_SET_SREGS2, &state->sregs);
	MUST(vcpu->fd, KVM_SET_REGS, &state->regs);
	MUST(vcpu->fd, KVM_SET_XSAVE, state->xsave);
	MUST(vcpu->fd, KVM_SET_XCRS, &state->xcrs);
	for (unsigned int i = 0; i < state->nr_msrs; i++) {
		if (test_vcpu_set_msr(vcpu, state->msr[i].index, state->msr[i].data) != 1 &&
		    !test_on_kvm())
			test_die("MSR 0x%x does not take what it was", state->msr[i].index);
	}
	if (machine->irqchip)
		MUST(vcpu->fd, KVM_SET_LAPIC, &state->lapic);
	MUST(vcpu->fd, KVM_SET_VCPU_EVENTS, &state->events);
	MUST(vcpu->fd, KVM_SET_MP_STATE, &state->mp_state);
	if (machine->irqchip)
		must(test_vcpu_set_msr(vcpu, MSR_TSC_DEADLINE, state->tsc_deadline) - 1,
		     "deadline");
	MUST(vcpu->fd, KVM_SET_DEBUGREGS, &state->debugregs);
}

struct vm_state {
	struct kvm_irqchip chip[NR_CHIPS];
	struct kvm_pit_state2 pit;
};

static void save_vm(struct test_machine *machine, struct vm_state *state)
{
	for (unsigned int i = 0; i < NR_CHIPS; i++) {
		state->chip[i].chip_id = i;
		MUST(machine->vm->fd, KVM_GET_IRQCHIP, &state->chip[i]);
	}
	MUST(machine->vm->fd, KVM_GET_PIT2, &state->pit);
}

static void restore_vm(struct test_machine *machine, struct vm_state *state)
{
	for (unsigned int i = 0; i < NR_CHIPS; i++)
		MUST(machine->vm->fd, KVM_SET_IRQCHIP, &state->chip[i]);
	MUST(machine->vm->fd, KVM_SET_PIT2, &state->pit);
}

void test_machine_move(struct test_machine *machine)
{
	struct vcpu_state *vcpu_state = aligned_alloc(64, sizeof(*vcpu_state));
	struct test_vcpu *old_vcpu = machine->vcpu;
	struct test_vm *old_vm = machine->vm;
	struct vm_state vm_state;

	if (!vcpu_state)
		test_die("no memory");
	memset(vcpu_state, 0, sizeof(*vcpu_state));
	save_vcpu(machine, vcpu_state);
	if (machine->irqchip)
		save_vm(machine, &vm_state);
	boot_machine(machine);
	memcpy(machine->vm->memory, old_vm->memory, old_vm->memory_bytes);
	test_vcpu_free(old_vcpu);
	test_vm_free(old_vm);
	if (machine->irqchip)
		restore_vm(machine, &vm_state);
	restore_vcpu(machine, vcpu_state);
	free(vcpu_state);
	machine->moves++;
}
