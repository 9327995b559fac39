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
#include <linux/srcu.h>
#include <linux/string.h>
#include <asm/trapnr.h>

#include "backend.h"
#include "bus.h"
#include "compat.h"
#include "exit.h"
#include "fetch.h"
#include "guest.h"
#include "linear.h"
#include "netlink.h"
#include "pv.h"
#include "regs.h"
#include "trace.h"
#include "vm.h"

#define NOT_VMMCALL	2	/* beside enum vitrine_exit_result */
#define QUIRKY_PORT	0x7e	/* KVM_X86_QUIRK_OUT_7E_INC_RIP */

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
	vitrine_netlink_event(vcpu->vm, vcpu, VITRINE_NL_EVENT_INTERNAL_ERROR, suberror);
	return EXIT_USER;
}

int vitrine_exit_shutdown(struct vitrine_vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	vitrine_netlink_event(vcpu->vm, vcpu, VITRINE_NL_EVENT_SHUTDOWN, 0);
	return EXIT_USER;
}

/* The facts go behind the instruction's bytes, or take their place. */
static void tell_emulation_failure(struct vitrine_vcpu *vcpu)
{
	const struct vitrine_exit *exit = &vcpu->exit;
	u64 facts[] = { exit->reason, exit->qualification, exit->vectoring_info, 0, 0 };
	struct kvm_run *run = vcpu->run;
	u8 bytes[VITRINE_INSN_MAX_LEN + 1] = {};
	unsigned int ndata = 1;
	int idx, len;

	idx = srcu_read_lock(&vcpu->vm->srcu);
	len = vitrine_fetch_bytes(vcpu, bytes);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.flags = 0;
	if (len > 0) {
		ndata += DIV_ROUND_UP(1 + sizeof(run->emulation_failure.insn_bytes), 8);
		run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
		run->emulation_failure.insn_size = len;
		/* NOPs behind the end, as KVM has it: for disassemblers. */
		memset(run->emulation_failure.insn_bytes, 0x90, VITRINE_INSN_MAX_LEN);
		memcpy(run->emulation_failure.insn_bytes, bytes, len);
	}
	memcpy(&run->internal.data[ndata], facts, sizeof(facts));
	run->emulation_failure.ndata = ndata + ARRAY_SIZE(facts);
}

/*
 * Without KVM_CAP_EXIT_ON_EMULATION_FAILURE it is the guest's fault as well, and its application's
 * alone: that gets #UD, and the guest lives.
 */
int vitrine_exit_emulation_failure(struct vitrine_vcpu *vcpu)
{
	if (!READ_ONCE(vcpu->vm->emulation_failure_exits)) {
		vitrine_vcpu_queue_exception(vcpu, X86_TRAP_UD, false, 0);
		if (vitrine_backend->get_cpl(vcpu))
			return EXIT_RESUME;
	}
	tell_emulation_failure(vcpu);
	vitrine_netlink_event(vcpu->vm, vcpu, VITRINE_NL_EVENT_INTERNAL_ERROR,
			      KVM_INTERNAL_ERROR_EMULATION);
	return EXIT_USER;
}

int vitrine_exit_hlt(struct vitrine_vcpu *vcpu)
{
	if (vcpu->lapic) {
		/* A kick that came before was meant for this one. */
		if (unlikely(READ_ONCE(vcpu->pv.unhalted)))
			WRITE_ONCE(vcpu->pv.unhalted, false);
		else
			vcpu->mp_state = KVM_MP_STATE_HALTED;
		return EXIT_RESUME;
	}
	vcpu->run->exit_reason = KVM_EXIT_HLT;
	return EXIT_USER;
}

static bool is_64bit_call(struct vitrine_vcpu *vcpu)
{
	u64 base;

	return vitrine_backend->get_code_mode(vcpu, &base) == VITRINE_INSN_64;
}

static int end_hypercall(struct vitrine_vcpu *vcpu, u64 ret, bool long_mode)
{
	vcpu->regs[VITRINE_REG_RAX] = long_mode ? ret : (u32)ret;
	vitrine_backend->skip_insn(vcpu);
	return EXIT_RESUME;
}

/* A VMM that moved RIP meanwhile has given the instruction up. */
static int complete_hypercall(struct vitrine_vcpu *vcpu)
{
	if (vitrine_rip_read(vcpu) != vcpu->user_exit_rip)
		return EXIT_RESUME;
	return end_hypercall(vcpu, READ_ONCE(vcpu->run->hypercall.ret), is_64bit_call(vcpu));
}

/* A range of pages becomes shared or private: whether that means anything is the VMM's to know. */
static int map_gpa_range(struct vitrine_vcpu *vcpu, u64 gpa, u64 nr_pages, u64 attributes,
			 bool long_mode)
{
	struct kvm_run *run = vcpu->run;
	u64 gfn = gpa >> PAGE_SHIFT;

	if (offset_in_page(gpa) || gfn + nr_pages <= gfn)
		return end_hypercall(vcpu, -KVM_EINVAL, long_mode);
	run->exit_reason = KVM_EXIT_HYPERCALL;
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	run->hypercall.args[0] = gpa;
	run->hypercall.args[1] = nr_pages;
	run->hypercall.args[2] = attributes;
	run->hypercall.vitrine_longmode = long_mode;
	vcpu->user_exit_rip = vitrine_rip_read(vcpu);
	vcpu->complete_user_exit = complete_hypercall;
	return EXIT_USER;
}

/* KVM's calling convention; RIP is still at the instruction. */
int vitrine_exit_hypercall(struct vitrine_vcpu *vcpu)
{
	bool long_mode = is_64bit_call(vcpu);
	u64 mask = long_mode ? ~0ULL : U32_MAX;
	const u64 *regs = vcpu->regs;
	struct hypercall call = {
		.nr = regs[VITRINE_REG_RAX] & mask,
		.arg = { regs[VITRINE_REG_RBX] & mask, regs[VITRINE_REG_RCX] & mask,
			 regs[VITRINE_REG_RDX] & mask, regs[VITRINE_REG_RSI] & mask },
		.long_mode = long_mode,
	};

	if (vitrine_backend->get_cpl(vcpu))
		return end_hypercall(vcpu, -KVM_EPERM, long_mode);
	if (call.nr == KVM_HC_MAP_GPA_RANGE &&
	    READ_ONCE(vcpu->vm->exit_hypercalls) & BIT(KVM_HC_MAP_GPA_RANGE))
		return map_gpa_range(vcpu, call.arg[0], call.arg[1], call.arg[2], long_mode);
	return end_hypercall(vcpu, vitrine_hypercall(vcpu, &call), long_mode);
}

/* NOT_VMMCALL, or what the exit comes to: the guest executes the new instruction, or a fault. */
static int patch_hypercall(struct vitrine_vcpu *vcpu)
{
	static const u8 vmmcall[] = { 0x0f, 0x01, 0xd9 }, vmcall[] = { 0x0f, 0x01, 0xc1 };
	u8 bytes[VITRINE_INSN_MAX_LEN + 1];
	struct vitrine_span span;
	unsigned int i, len;
	u64 base;
	int mode, ret;
	gva_t gva;

	if (vitrine_fetch_bytes(vcpu, bytes) < (int)sizeof(vmmcall) ||
	    memcmp(bytes, vmmcall, sizeof(vmmcall)))
		return NOT_VMMCALL;
	mode = vitrine_backend->get_code_mode(vcpu, &base);
	gva = vitrine_rip_read(vcpu) + base;
	if (mode != VITRINE_INSN_64)
		gva = (u32)gva;
	/* As if the guest wrote it: to code that is write-protected that is a page fault. */
	ret = vitrine_linear_translate(vcpu, mode, gva, sizeof(vmcall), true, &span);
	for (i = 0; i < sizeof(vmcall) && !ret; i += len) {
		gpa_t gpa;

		len = sizeof(vmcall) - i;
		gpa = vitrine_span_at(&span, i, &len);
		if (vitrine_guest_write(vcpu->vm, gpa, vmcall + i, len))
			return NOT_VMMCALL;
	}
	return ret ?: EXIT_RESUME;
}

int vitrine_exit_undefined(struct vitrine_vcpu *vcpu)
{
	int ret = NOT_VMMCALL;
	int idx;

	if (vitrine_vm_has_quirk(vcpu->vm, KVM_X86_QUIRK_FIX_HYPERCALL_INSN)) {
		idx = srcu_read_lock(&vcpu->vm->srcu);
		ret = patch_hypercall(vcpu);
		srcu_read_unlock(&vcpu->vm->srcu, idx);
	}
	if (ret != NOT_VMMCALL)
		return ret;
	vitrine_vcpu_queue_exception(vcpu, X86_TRAP_UD, false, 0);
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
	trace_vitrine_io(vcpu, vcpu->run->io.port, vcpu->pio.size, true, 1,
			 vcpu->regs[VITRINE_REG_RAX]);
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

int vitrine_exit_io_to_user(struct vitrine_vcpu *vcpu, u16 port, u8 size, bool in,
			    unsigned int count)
{
	struct kvm_run *run = vcpu->run;

	vcpu->pio.size = size;
	vcpu->pio.count = count;
	vcpu->pio.rip = vitrine_rip_read(vcpu);
	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = size;
	run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	run->io.count = count;
	run->io.port = port;
	return EXIT_USER;
}

/*
 * RIP stays at the instruction until the VMM comes back, so that what it sees (and saves) is a
 * state from which the instruction can be done again; the length of the instruction is still in the
 * VMCS then.
 */
int vitrine_exit_io(struct vitrine_vcpu *vcpu, u16 port, u8 size, bool in)
{
	/* Not on the stack, whose guard costs more than all this, nor in the VMM's page. */
	u32 *value = &vcpu->pio.value;

	if (!in) {
		*value = vcpu->regs[VITRINE_REG_RAX];
		trace_vitrine_io(vcpu, port, size, false, 1, *value);
		if (!vitrine_bus_write(vcpu, VITRINE_BUS_PIO, port, value, size)) {
			vitrine_backend->skip_insn(vcpu);
			return EXIT_RESUME;
		}
		/* The VMM looks at the first @size bytes of it. */
		*(u32 *)vcpu->pio_data = *value;
		if (unlikely(port == QUIRKY_PORT) &&
		    vitrine_vm_has_quirk(vcpu->vm, KVM_X86_QUIRK_OUT_7E_INC_RIP))
			vitrine_backend->skip_insn(vcpu);
		else
			vcpu->complete_user_exit = complete_out;
	} else {
		*value = 0;
		if (!vitrine_bus_read(vcpu, VITRINE_BUS_PIO, port, value, size)) {
			write_accumulator(vcpu, value, size);
			trace_vitrine_io(vcpu, port, size, true, 1, *value);
			vitrine_backend->skip_insn(vcpu);
			return EXIT_RESUME;
		}
		vcpu->complete_user_exit = complete_in;
	}
	return vitrine_exit_io_to_user(vcpu, port, size, in, 1);
}
