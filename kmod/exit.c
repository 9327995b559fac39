// SPDX-License-Identifier: GPL-2.0
/*
 * Vendor-neutral ends of exits: what is asked of in-kernel devices, and what userspace is told.
 * MMIO, which needs the instruction decoded, is exit_mmio.c's.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "backend.h"
#include "bus.h"
#include "exit.h"
#include "fetch.h"
#include "regs.h"
#include "vm.h"

int vitrine_exit_internal_error(struct vitrine_vcpu *vcpu, u32 suberror, unsigned int ndata,
				const u64 *data)
{
	struct kvm_run *run = vcpu->run;
	unsigned int i;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = suberror;
	run->internal.ndata = ndata;
	for (i = 0; i < ndata; i++)
		run->internal.data[i] = data[i];
	return EXIT_USER;
}

int vitrine_exit_emulation_failure(struct vitrine_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u8 bytes[VITRINE_INSN_MAX_LEN + 1] = {};
	int idx, len;

	idx = srcu_read_lock(&vcpu->vm->srcu);
	len = vitrine_fetch_bytes(vcpu, bytes);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	memset(&run->emulation_failure, 0, sizeof(run->emulation_failure));
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.ndata = 1;
	if (len > 0) {
		run->emulation_failure.ndata =
			1 + DIV_ROUND_UP(1 + sizeof(run->emulation_failure.insn_bytes), 8);
		run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
		run->emulation_failure.insn_size = len;
		memcpy(run->emulation_failure.insn_bytes, bytes, VITRINE_INSN_MAX_LEN);
	}
	return EXIT_USER;
}

int vitrine_exit_hlt(struct vitrine_vcpu *vcpu)
{
	if (vcpu->lapic) {
		vcpu->mp_state = KVM_MP_STATE_HALTED;
		return EXIT_RESUME;
	}
	vcpu->run->exit_reason = KVM_EXIT_HLT;
	return EXIT_USER;
}

/* KVM's calling convention; none of its calls is offered, so every number is unknown. */
int vitrine_exit_hypercall(struct vitrine_vcpu *vcpu)
{
	long ret = vitrine_backend->get_cpl(vcpu) ? -KVM_EPERM : -KVM_ENOSYS;

	if (!(vcpu->efer & EFER_LMA))
		ret = (u32)ret;
	vcpu->regs[VITRINE_REG_RAX] = ret;
	return EXIT_RESUME;
}

static void write_accumulator(struct vitrine_vcpu *vcpu, const void *data, unsigned int size)
{
	u64 *rax = &vcpu->regs[VITRINE_REG_RAX];

	switch (size) {
	case 1:
		*(u8 *)rax = *(const u8 *)data;
		break;
	case 2:
		*(u16 *)rax = *(const u16 *)data;
		break;
	default:
		*rax = *(const u32 *)data; /* the upper half becomes 0 */
		break;
	}
}

/* A VMM that moved RIP meanwhile has given the instruction up. */
static int complete_in(struct vitrine_vcpu *vcpu)
{
	if (unlikely(vitrine_rip_read(vcpu) != vcpu->pio.rip))
		return EXIT_RESUME;
	write_accumulator(vcpu, vcpu->pio_data, vcpu->pio.size);
	vitrine_backend->skip_insn(vcpu);
	return EXIT_RESUME;
}

static int complete_out(struct vitrine_vcpu *vcpu)
{
	if (unlikely(vitrine_rip_read(vcpu) != vcpu->pio.rip))
		return EXIT_RESUME;
	vitrine_backend->skip_insn(vcpu);
	return EXIT_RESUME;
}

int vitrine_exit_io_to_user(struct vitrine_vcpu *vcpu, const struct io_exit *io, unsigned int count)
{
	struct kvm_run *run = vcpu->run;

	vcpu->pio.size = io->size;
	vcpu->pio.count = count;
	vcpu->pio.rip = vitrine_rip_read(vcpu);
	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = io->in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = io->size;
	run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	run->io.count = count;
	run->io.port = io->port;
	return EXIT_USER;
}

/*
 * RIP stays at the instruction until the VMM comes back, so that what it sees (and saves) is a
 * state from which the instruction can be done again; the length of the instruction is still in the
 * VMCS then.
 */
int vitrine_exit_io(struct vitrine_vcpu *vcpu, const struct io_exit *io)
{
	u32 value = 0;

	if (unlikely(io->string))
		return vitrine_exit_string_io(vcpu, io);
	if (!io->in) {
		value = vcpu->regs[VITRINE_REG_RAX];
		if (!vitrine_bus_write(vcpu, VITRINE_BUS_PIO, io->port, &value, io->size)) {
			vitrine_backend->skip_insn(vcpu);
			return EXIT_RESUME;
		}
		memcpy(vcpu->pio_data, &value, io->size);
		vcpu->complete_user_exit = complete_out;
	} else {
		if (!vitrine_bus_read(vcpu, VITRINE_BUS_PIO, io->port, &value, io->size)) {
			write_accumulator(vcpu, &value, io->size);
			vitrine_backend->skip_insn(vcpu);
			return EXIT_RESUME;
		}
		vcpu->complete_user_exit = complete_in;
	}
	return vitrine_exit_io_to_user(vcpu, io, 1);
}
