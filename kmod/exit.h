/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Vendor-neutral completions of exits. Vendor code extracts the facts into a plain struct and hands
 * them over; all return enum vitrine_exit_result or -errno. Called loaded, with vm->srcu held.
 */
#ifndef VITRINE_EXIT_H
#define VITRINE_EXIT_H

#include <linux/bits.h>
#include <linux/kvm_para.h>
#include <linux/kvm_types.h>
#include <linux/types.h>

struct mem_fault;
struct vitrine_vcpu;

/**
 * struct io_exit - an INS or OUTS that exited; RIP is still at the instruction
 * @port: I/O port
 * @size: bytes of one item: 1, 2, 4
 * @in: input
 * @rep: with a REP prefix
 * @addr_size: bytes of the address: 2, 4, 8
 * @seg: VITRINE_SEG_* of the memory operand
 */
struct io_exit {
	u16 port;
	u8 size;
	bool in;
	bool rep;
	u8 addr_size;
	u8 seg;
};

/* IN and OUT, in registers as it is the shortest way out: @size is 1, 2 or 4 bytes. */
int vitrine_exit_io(struct vitrine_vcpu *vcpu, u16 port, u8 size, bool in);
/* exit_string.c: INS and OUTS with their memory side. */
int vitrine_exit_string_io(struct vitrine_vcpu *vcpu, const struct io_exit *io);
/* KVM_EXIT_IO of @count items; the data page is filled (OUT), or read by the completion (IN). */
int vitrine_exit_io_to_user(struct vitrine_vcpu *vcpu, u16 port, u8 size, bool in,
			    unsigned int count);
/*
 * A second-level fault where no memory is: decodes the instruction at RIP and performs its
 * accesses.
 */
int vitrine_exit_mmio(struct vitrine_vcpu *vcpu, const struct mem_fault *fault);
/*
 * RDMSR and WRMSR that do not work: @error is what msr.h says, or -EPERM for the VMM's filter. #GP,
 * or an exit to a VMM that asked for it.
 */
int vitrine_exit_rdmsr_refused(struct vitrine_vcpu *vcpu, u32 msr, int error);
int vitrine_exit_wrmsr_refused(struct vitrine_vcpu *vcpu, u32 msr, u64 data, int error);
int vitrine_exit_hlt(struct vitrine_vcpu *vcpu);
/* KVM_CAP_EXIT_HYPERCALL: the calls that a VMM can have. */
#define VITRINE_EXIT_HYPERCALLS	BIT(KVM_HC_MAP_GPA_RANGE)
/*
 * #UD: VMMCALL, which a guest that takes the CPU for AMD's means for a hypercall, is replaced by
 * the
 * instruction that is one here.
 */
int vitrine_exit_undefined(struct vitrine_vcpu *vcpu);
int vitrine_exit_hypercall(struct vitrine_vcpu *vcpu);
/* KVM_EXIT_SHUTDOWN. */
int vitrine_exit_shutdown(struct vitrine_vcpu *vcpu);
/* KVM_EXIT_INTERNAL_ERROR with KVM's suberror and up to 16 words of facts. */
int vitrine_exit_internal_error(struct vitrine_vcpu *vcpu, u32 suberror, unsigned int ndata,
				const u64 *data);
/* The same for an instruction that cannot be emulated: carries the instruction bytes. */
int vitrine_exit_emulation_failure(struct vitrine_vcpu *vcpu);

#endif
