// SPDX-License-Identifier: GPL-2.0
/*
 * Instructions that touch what is no memory. Owns the drive of the instruction machine (insn.h):
 * where each access leads, who answers it, and when the guest's registers take the result.
 *
 * Nothing of the guest changes before the instruction, or one iteration of a REP, is done. While
 * userspace answers an access, vcpu->insn and vcpu->mmio hold what is needed to go on; the
 * registers are then taken anew, because the VMM may have changed them. One that moved RIP has
 * given the instruction up.
 */
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/entry-kvm.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/smp.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "backend.h"
#include "bus.h"
#include "exit.h"
#include "fetch.h"
#include "guest.h"
#include "insn.h"
#include "linear.h"
#include "mmu.h"
#include "monitor/policy.h"
#include "monitor/steer.h"
#include "regs.h"
#include "trace.h"
#include "vm.h"
#include "xmm.h"

#define PIECE_MAX_BYTES	8	/* KVM_EXIT_MMIO carries no more */

/* Beside EXIT_USER and EXIT_RESUME: the machine goes on to its next step. */
#define GO_ON	2

/* Classes of an exit policy that are looked at here. */
#define STEERED	(BIT(VITRINE_ON_MMIO_READ) | BIT(VITRINE_ON_MMIO_WRITE))

static int run_insn(struct vitrine_vcpu *vcpu);

/* Unlike the others RSP is fetched when it is used: no common operand has it. */
static bool uses_rsp(const struct vitrine_insn *insn)
{
	return insn->mem.base == INSN_RSP || insn->reg == INSN_RSP;
}

static void load_registers(struct vitrine_vcpu *vcpu)
{
	struct vitrine_insn_state *s = &vcpu->insn;

	BUILD_BUG_ON(VITRINE_REG_RAX != 0 || VITRINE_REG_R15 != 15);
	s->gpr = vcpu->regs;
	if (unlikely(uses_rsp(&s->insn)))
		vitrine_reg_read(vcpu, VITRINE_REG_RSP);
	s->rflags = vitrine_rflags_read(vcpu);
}

/* The machine has written the general registers itself. */
static void store_registers(struct vitrine_vcpu *vcpu)
{
	struct vitrine_insn_state *s = &vcpu->insn;

	if (unlikely(uses_rsp(&s->insn)))
		vitrine_reg_write(vcpu, VITRINE_REG_RSP, s->gpr[INSN_RSP]);
	if (s->rflags != vcpu->regs[VITRINE_REG_RFLAGS])
		vitrine_reg_write(vcpu, VITRINE_REG_RFLAGS, s->rflags);
}

static int raise(struct vitrine_vcpu *vcpu, u8 vector)
{
	vitrine_vcpu_queue_exception(vcpu, vector, vector != X86_TRAP_UD, 0);
	return EXIT_RESUME;
}

/*
 * A program that the guest's kernel lets at a device must not end the machine by its choice of
 * instructions: it is told that this one does not exist.
 */
static int refuse(struct vitrine_vcpu *vcpu)
{
	if (vitrine_backend->get_cpl(vcpu) == 3)
		return raise(vcpu, X86_TRAP_UD);
	return vitrine_exit_emulation_failure(vcpu);
}

/* What the data lies in: bytes from @at on that one device, or memory, is asked for. */
static gpa_t piece(const struct vitrine_vcpu *vcpu, unsigned int *len_bytes)
{
	*len_bytes = min_t(unsigned int, vcpu->insn.size - vcpu->mmio.done_bytes, PIECE_MAX_BYTES);
	return vitrine_span_at(&vcpu->mmio.span, vcpu->mmio.done_bytes, len_bytes);
}

/* A constant size is a load and a store; memcpy() of an unknown one a call with a loop in it. */
static void copy_few(u8 *to, const u8 *from, unsigned int len_bytes)
{
	switch (len_bytes) {
	case sizeof(u64):
		memcpy(to, from, sizeof(u64));
		break;
	case sizeof(u32):
		memcpy(to, from, sizeof(u32));
		break;
	default:
		while (len_bytes--)
			*to++ = *from++;
		break;
	}
}

static int complete_mmio(struct vitrine_vcpu *vcpu)
{
	struct vitrine_insn_state *s = &vcpu->insn;
	unsigned int len_bytes;
	int idx, ret;

	if (unlikely(vitrine_rip_read(vcpu) != s->rip))
		return EXIT_RESUME;
	load_registers(vcpu);
	piece(vcpu, &len_bytes);
	if (!vcpu->mmio.write) {
		copy_few(s->data + vcpu->mmio.done_bytes, vcpu->run->mmio.data, len_bytes);
		trace_vitrine_mmio(vcpu, vcpu->run->mmio.phys_addr, len_bytes, false,
				   s->data + vcpu->mmio.done_bytes);
	}
	vcpu->mmio.done_bytes += len_bytes;
	/* The slots may be others by now. */
	vcpu->mmio.hint_fresh = false;
	vcpu->mmio.known_device = false;

	idx = srcu_read_lock(&vcpu->vm->srcu);
	ret = run_insn(vcpu);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

static int to_user(struct vitrine_vcpu *vcpu, gpa_t gpa, const u8 *data, unsigned int len_bytes)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = gpa;
	run->mmio.len = len_bytes;
	run->mmio.is_write = vcpu->mmio.write;
	memcpy(run->mmio.data, data, PIECE_MAX_BYTES);
	vcpu->complete_user_exit = complete_mmio;
	return EXIT_USER;
}

static int resume(struct vitrine_vcpu *vcpu, const struct vitrine_answer *answer);

/* As vitrine_steer_ask(). */
static int ask(struct vitrine_vcpu *vcpu, gpa_t gpa, const u8 *data, unsigned int len_bytes)
{
	struct vitrine_happening what = {
		.on = vcpu->mmio.write ? VITRINE_ON_MMIO_WRITE : VITRINE_ON_MMIO_READ,
		.key = gpa, .sub = len_bytes, .insn_len = vcpu->insn.insn.len,
	};

	if (vcpu->mmio.asked) {
		vcpu->mmio.asked = false;
		return 0;
	}
	if (vcpu->mmio.write)
		memcpy(&what.value, data, len_bytes);
	return vitrine_steer_ask(vcpu, &what, resume);
}

/*
 * GO_ON if it is for a device; otherwise it is moved, or nothing is yet. Apart, so that what is
 * known to be a device's has no part in it.
 */
static noinline int find_out(struct vitrine_vcpu *vcpu, gpa_t gpa, u8 *data, unsigned int len_bytes)
{
	int ret;

	ret = vcpu->mmio.write ? vitrine_guest_write(vcpu->vm, gpa, data, len_bytes) :
				 vitrine_guest_read(vcpu->vm, gpa, data, len_bytes);
	if (ret != -ENOENT) {
		/* It was a device's when the monitor was asked. */
		vcpu->mmio.asked = false;
		return ret;
	}
	if (likely(!(vcpu->policy_on & STEERED)))
		return GO_ON;
	return ask(vcpu, gpa, data, len_bytes) ?: GO_ON;
}

/* 0, EXIT_RESUME if a monitor is asked first, -EOPNOTSUPP if it is userspace's, or an errno. */
static int move_piece(struct vitrine_vcpu *vcpu, gpa_t gpa, u8 *data, unsigned int len_bytes)
{
	int ret;

	if (!vcpu->mmio.known_device) {
		ret = find_out(vcpu, gpa, data, len_bytes);
		if (ret != GO_ON)
			return ret;
	}
	vcpu->mmio.device = true;
	if (vcpu->mmio.write) {
		trace_vitrine_mmio(vcpu, gpa, len_bytes, true, data);
		return vitrine_bus_write(vcpu, VITRINE_BUS_MMIO, gpa, data, len_bytes);
	}
	ret = vitrine_bus_read(vcpu, VITRINE_BUS_MMIO, gpa, data, len_bytes);
	if (!ret)
		trace_vitrine_mmio(vcpu, gpa, len_bytes, false, data);
	return ret;
}

/* The access under way, as far as it gets without userspace. */
static int move_data(struct vitrine_vcpu *vcpu)
{
	unsigned int len_bytes;
	int ret;

	for (; vcpu->mmio.done_bytes < vcpu->insn.size; vcpu->mmio.done_bytes += len_bytes) {
		/* On the stack: a vCPU is no object that the kernel lets userspace's data into. */
		u8 data[PIECE_MAX_BYTES] = {};
		gpa_t gpa = piece(vcpu, &len_bytes);

		if (vcpu->mmio.write)
			copy_few(data, vcpu->insn.data + vcpu->mmio.done_bytes, len_bytes);
		ret = move_piece(vcpu, gpa, data, len_bytes);
		if (ret == -EOPNOTSUPP)
			return to_user(vcpu, gpa, data, len_bytes);
		if (ret)
			return ret;
		if (!vcpu->mmio.write)
			copy_few(vcpu->insn.data + vcpu->mmio.done_bytes, data, len_bytes);
	}
	return GO_ON;
}

static int start_access(struct vitrine_vcpu *vcpu, bool write)
{
	const struct vitrine_insn_state *s = &vcpu->insn;
	gva_t gva = s->gva;
	int ret;

	vcpu->mmio.write = write;
	vcpu->mmio.done_bytes = 0;
	/* The CPU itself got this far with this address: its translation is known. */
	if (likely(vcpu->mmio.hint && gva == vcpu->mmio.hint_gva &&
		   offset_in_page(gva) + s->size <= PAGE_SIZE &&
		   (!write || vcpu->mmio.hint_write))) {
		vcpu->mmio.known_device = vcpu->mmio.hint_fresh && write == vcpu->mmio.hint_write;
		vcpu->mmio.span.gpa = vcpu->mmio.hint_gpa;
		vcpu->mmio.span.first_bytes = s->size;
		return move_data(vcpu);
	}
	vcpu->mmio.known_device = false;
	if (s->mode != VITRINE_INSN_64 &&
	    !vitrine_linear_address(vcpu, s->mode, s->seg, s->offset, s->size, write, &gva)) {
		vitrine_linear_fault(vcpu, s->seg);
		return EXIT_RESUME;
	}
	ret = vitrine_linear_translate(vcpu, s->mode, gva, s->size, write, &vcpu->mmio.span);
	return ret ?: move_data(vcpu);
}

/*
 * An iteration of a REP is done. The CPU goes on by itself where the string has left the device, or
 * when it is time for something else: it finds the instruction with the registers advanced.
 */
static int end_iteration(struct vitrine_vcpu *vcpu)
{
	bool stepped = vcpu->insn.rflags & X86_EFLAGS_TF ||
		       vcpu->db.guest_debug & KVM_GUESTDBG_SINGLESTEP;

	store_registers(vcpu);
	if (vcpu->mmio.device && !stepped && !READ_ONCE(vcpu->requests) &&
	    !__xfer_to_guest_mode_work_pending()) {
		vcpu->mmio.device = false;
		return GO_ON;
	}
	vitrine_backend->set_interrupt_shadow(vcpu, 0);
	vitrine_vcpu_insn_done(vcpu);
	return EXIT_RESUME;
}

static int end_insn(struct vitrine_vcpu *vcpu)
{
	struct vitrine_insn_state *s = &vcpu->insn;

	/* SDM, "EFLAGS": the resume flag holds for one instruction. */
	s->rflags &= ~(u64)X86_EFLAGS_RF;
	store_registers(vcpu);
	vitrine_reg_write(vcpu, VITRINE_REG_RIP, s->rip);
	if (unlikely(vitrine_insn_loads_xmm(&s->insn)))
		vitrine_xmm_write(s->insn.reg, s->xmm);
	vitrine_backend->set_interrupt_shadow(vcpu, 0);
	vitrine_vcpu_insn_done(vcpu);
	return EXIT_RESUME;
}

/* From wherever the machine stands; an access under way is continued first. */
static int run_insn(struct vitrine_vcpu *vcpu)
{
	struct vitrine_insn_state *s = &vcpu->insn;
	int ret = move_data(vcpu);

	while (ret == GO_ON) {
		switch (vitrine_insn_step(s)) {
		case INSN_READ:
			ret = start_access(vcpu, false);
			break;
		case INSN_WRITE:
			ret = start_access(vcpu, true);
			break;
		case INSN_AGAIN:
			ret = end_iteration(vcpu);
			break;
		case INSN_DONE:
			return end_insn(vcpu);
		case INSN_FAULT:
			return raise(vcpu, s->vector);
		}
	}
	return ret;
}

/* Nothing of it is done but this. */
static int skip_insn(struct vitrine_vcpu *vcpu)
{
	struct vitrine_insn_state *s = &vcpu->insn;
	u64 rip = s->rip + s->insn.len;

	vitrine_reg_write(vcpu, VITRINE_REG_RIP, s->mode == VITRINE_INSN_64 ? rip : (u32)rip);
	vitrine_backend->set_interrupt_shadow(vcpu, 0);
	vitrine_vcpu_insn_done(vcpu);
	return EXIT_RESUME;
}

/* A monitor has said what becomes of the piece that is next; NULL: it was not asked yet. */
static int resume(struct vitrine_vcpu *vcpu, const struct vitrine_answer *answer)
{
	bool value = answer && answer->flags & VITRINE_SET_VALUE;
	struct vitrine_insn_state *s = &vcpu->insn;
	unsigned int len_bytes;
	int idx, ret;

	load_registers(vcpu);
	piece(vcpu, &len_bytes);
	/* The slots may be others by now. */
	vcpu->mmio.hint_fresh = false;
	vcpu->mmio.known_device = false;
	if (value)
		memcpy(s->data + vcpu->mmio.done_bytes, &answer->value, len_bytes);
	if (answer && answer->verdict == VITRINE_DONE) {
		if (!(answer->flags & VITRINE_ADVANCE))
			return EXIT_RESUME;
		if (!vcpu->mmio.write && !value)
			return skip_insn(vcpu);
		vcpu->mmio.done_bytes += len_bytes;
	} else {
		vcpu->mmio.asked = answer;
	}
	idx = srcu_read_lock(&vcpu->vm->srcu);
	ret = run_insn(vcpu);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	/* The piece may have found memory in the device's place. */
	vcpu->mmio.asked = false;
	return ret;
}

/* Bases that the instruction can use; in 64-bit mode only two are not taken as zero. */
static void load_bases(struct vitrine_vcpu *vcpu)
{
	struct vitrine_insn_state *s = &vcpu->insn;
	struct kvm_segment var;
	u8 seg = s->insn.mem.seg;

	if (s->mode != VITRINE_INSN_64 || seg >= INSN_FS) {
		vitrine_backend->get_segment(vcpu, seg, &var);
		s->seg_base[seg] = var.base;
	}
	if (s->mode != VITRINE_INSN_64 && seg != INSN_ES) {
		vitrine_backend->get_segment(vcpu, VITRINE_SEG_ES, &var);
		s->seg_base[INSN_ES] = var.base;
	}
}

static int delivery_error(struct vitrine_vcpu *vcpu, const struct mem_fault *fault)
{
	u64 facts[] = {
		vcpu->exit.vectoring_info, vcpu->exit.reason, vcpu->exit.qualification, fault->gpa,
		raw_smp_processor_id(),
	};

	return vitrine_exit_internal_error(vcpu, KVM_INTERNAL_ERROR_DELIVERY_EV, ARRAY_SIZE(facts),
					   facts);
}

int vitrine_exit_mmio(struct vitrine_vcpu *vcpu, const struct mem_fault *fault)
{
	struct vitrine_insn_state *s = &vcpu->insn;

	vcpu->host_data_read = true;
	if (unlikely(fault->delivery))
		return delivery_error(vcpu, fault);
	if (unlikely(fault->exec))
		return refuse(vcpu);
	switch (vitrine_fetch_insn(vcpu, s)) {
	case 0:
		break;
	case -EINVAL:
		return raise(vcpu, X86_TRAP_UD);
	case -E2BIG:
		return raise(vcpu, X86_TRAP_GP);
	default:
		return refuse(vcpu);
	}

	load_registers(vcpu);
	load_bases(vcpu);
	s->rip = vitrine_rip_read(vcpu);
	s->la_bits = vcpu->cr4 & X86_CR4_LA57 ? 57 : 48;
	if (unlikely(vitrine_insn_stores_xmm(&s->insn)))
		vitrine_xmm_read(s->insn.reg, s->xmm);
	vcpu->mmio.hint = fault->gva_valid;
	/* Where somebody is asked, the pieces do not take the short way. */
	vcpu->mmio.hint_fresh = true;
	if (unlikely(vcpu->policy_on & STEERED))
		vcpu->mmio.hint_fresh = false;
	vcpu->mmio.hint_write = fault->write;
	vcpu->mmio.hint_gva = fault->gva;
	vcpu->mmio.hint_gpa = fault->gpa;
	vcpu->mmio.device = false;
	/* No access is under way yet. */
	s->size = 0;
	vcpu->mmio.done_bytes = 0;
	vitrine_insn_begin(s);
	return run_insn(vcpu);
}
