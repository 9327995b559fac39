// SPDX-License-Identifier: GPL-2.0
/*
 * INS and OUTS. Owns their memory side, the repeat count and the registers they advance; ports are
 * the bus's and userspace's.
 *
 * One exit moves as many items as lie in one page; where that is not all, the guest executes the
 * rest of the instruction again, from the advanced registers. Nothing is kept in between.
 *
 * The exit has priority over limit violations and page faults of the memory operand (SDM, "Relative
 * Priority of Faults and VM Exits"), so both are looked for here, before the port is touched.
 */
#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "backend.h"
#include "bus.h"
#include "exit.h"
#include "guest.h"
#include "linear.h"
#include "regs.h"
#include "trace.h"
#include "vm.h"

static u64 address_mask(u8 addr_size)
{
	return GENMASK_ULL(8 * addr_size - 1, 0);
}

static void advance_reg(struct vitrine_vcpu *vcpu, unsigned int reg, s64 delta, u8 addr_size)
{
	u64 *value = &vcpu->regs[reg];
	u64 mask = address_mask(addr_size);

	/*
	 * As every 32-bit result, a 32-bit address clears the upper half; a 16-bit one keeps the
	 * rest.
	 */
	if (addr_size == 2)
		*value = (*value & ~mask) | ((*value + delta) & mask);
	else
		*value = (*value + delta) & mask;
}

/* @items are through: their share of the registers, and RIP when nothing is left. */
static int advance(struct vitrine_vcpu *vcpu, unsigned int items)
{
	s64 bytes = items * vcpu->pio.size;
	u8 addr_size = vcpu->pio.addr_size;

	advance_reg(vcpu, vcpu->pio.in ? VITRINE_REG_RDI : VITRINE_REG_RSI,
		    vcpu->pio.backward ? -bytes : bytes, addr_size);
	if (vcpu->pio.rep) {
		advance_reg(vcpu, VITRINE_REG_RCX, -(s64)items, addr_size);
		if (vcpu->regs[VITRINE_REG_RCX] & address_mask(addr_size)) {
			vitrine_backend->set_interrupt_shadow(vcpu, 0);
			vitrine_vcpu_insn_done(vcpu);
			return EXIT_RESUME;
		}
	}
	vitrine_backend->skip_insn(vcpu);
	return EXIT_RESUME;
}

/* Memory holds items of a downward transfer the other way round than the port sees them. */
static void reverse_items(void *data, unsigned int size, unsigned int items)
{
	unsigned int i;
	u32 swap;

	for (i = 0; i < items / 2; i++) {
		u8 *first = data + i * size, *last = data + (items - 1 - i) * size;

		memcpy(&swap, first, size);
		memcpy(first, last, size);
		memcpy(last, &swap, size);
	}
}

/* Items that lie in the page of the one at @gva, but at least that one. */
static unsigned int items_in_page(const struct vitrine_vcpu *vcpu, gva_t gva, u64 offset, u64 count)
{
	unsigned int size = vcpu->pio.size;
	u64 in_page, after;

	if (offset_in_page(gva) + size > PAGE_SIZE)
		return 1;
	if (vcpu->pio.backward) {
		in_page = offset_in_page(gva) / size + 1;
		after = offset / size;
	} else {
		in_page = (PAGE_SIZE - offset_in_page(gva)) / size;
		after = (address_mask(vcpu->pio.addr_size) - offset) / size;
	}
	/* How many come after the first until offsets wrap: all of them may be 2^64. */
	return min3(in_page - 1, after, count - 1) + 1;
}

static bool can_take(struct vitrine_vm *vm, const struct vitrine_span *span, unsigned int bytes)
{
	return vitrine_guest_has_memory(vm, span->gpa, true) &&
	       (span->first_bytes >= bytes || vitrine_guest_has_memory(vm, span->gpa_next, true));
}

static int copy_from_guest(struct vitrine_vcpu *vcpu, unsigned int bytes)
{
	const struct vitrine_span *span = &vcpu->pio.span;
	unsigned int at, part;

	for (at = 0; at < bytes; at += part) {
		gpa_t gpa;
		int ret;

		part = bytes - at;
		gpa = vitrine_span_at(span, at, &part);
		ret = vitrine_guest_read(vcpu->vm, gpa, vcpu->pio_data + at, part);
		if (ret)
			return ret;
	}
	return 0;
}

/* The first @items of those that the span was translated for arrived. */
static int finish_input(struct vitrine_vcpu *vcpu, unsigned int items)
{
	unsigned int bytes = items * vcpu->pio.size, start = 0, at, part;
	const struct vitrine_span *span = &vcpu->pio.span;

	if (vcpu->pio.backward) {
		reverse_items(vcpu->pio_data, vcpu->pio.size, items);
		start = (vcpu->pio.span_items - items) * vcpu->pio.size;
	}
	for (at = 0; at < bytes; at += part) {
		gpa_t gpa;
		int ret;

		part = bytes - at;
		gpa = vitrine_span_at(span, start + at, &part);
		ret = vitrine_guest_write(vcpu->vm, gpa, vcpu->pio_data + at, part);
		if (ret)
			return ret;
	}
	return advance(vcpu, items);
}

/* Of the items that were out: the VMM may have set another count meanwhile. */
static unsigned int items_wanted(const struct vitrine_vcpu *vcpu)
{
	u64 left = vcpu->regs[VITRINE_REG_RCX] & address_mask(vcpu->pio.addr_size);

	return vcpu->pio.rep ? min_t(u64, vcpu->pio.count, left) : vcpu->pio.count;
}

/* From device to device there is no way through here. What is read by then is lost. */
static int refuse_device(struct vitrine_vcpu *vcpu, int ret)
{
	return ret == -ENOENT ? vitrine_exit_emulation_failure(vcpu) : ret;
}

static int complete_input(struct vitrine_vcpu *vcpu)
{
	int idx, ret;

	if (vitrine_rip_read(vcpu) != vcpu->pio.rip)
		return EXIT_RESUME;
	idx = srcu_read_lock(&vcpu->vm->srcu);
	/* The VMM may have taken the memory away since. */
	ret = refuse_device(vcpu, finish_input(vcpu, items_wanted(vcpu)));
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

static int complete_output(struct vitrine_vcpu *vcpu)
{
	if (vitrine_rip_read(vcpu) != vcpu->pio.rip)
		return EXIT_RESUME;
	return advance(vcpu, items_wanted(vcpu));
}

static int input(struct vitrine_vcpu *vcpu, const struct io_exit *io, unsigned int items)
{
	unsigned int done;
	u32 value = 0;

	/* Before a device is read. */
	if (!can_take(vcpu->vm, &vcpu->pio.span, items * io->size))
		return -ENOENT;
	vcpu->pio.span_items = items;
	for (done = 0; done < items; done++) {
		if (vitrine_bus_read(vcpu, VITRINE_BUS_PIO, io->port, &value, io->size))
			break;
		memcpy(vcpu->pio_data + done * io->size, &value, io->size);
	}
	if (done)
		return finish_input(vcpu, done);
	vcpu->complete_user_exit = complete_input;
	return vitrine_exit_io_to_user(vcpu, io->port, io->size, io->in, items);
}

static int output(struct vitrine_vcpu *vcpu, const struct io_exit *io, unsigned int items)
{
	unsigned int done;
	u32 value = 0;
	int ret;

	ret = copy_from_guest(vcpu, items * io->size);
	if (ret)
		return ret;
	if (vcpu->pio.backward)
		reverse_items(vcpu->pio_data, io->size, items);
	for (done = 0; done < items; done++) {
		/* The VMM can write to the data page: devices see a copy that nobody changes. */
		memcpy(&value, vcpu->pio_data + done * io->size, io->size);
		if (vitrine_bus_write(vcpu, VITRINE_BUS_PIO, io->port, &value, io->size))
			break;
	}
	if (done)
		return advance(vcpu, done);
	vcpu->complete_user_exit = complete_output;
	return vitrine_exit_io_to_user(vcpu, io->port, io->size, io->in, items);
}

/* SDM, "Interrupt 17: Alignment Check Exception (#AC)" */
static bool is_misaligned(struct vitrine_vcpu *vcpu, gva_t gva, unsigned int size)
{
	return gva & (size - 1) && vitrine_rflags_read(vcpu) & X86_EFLAGS_AC &&
	       vitrine_backend->get_cr0(vcpu) & X86_CR0_AM && vitrine_backend->get_cpl(vcpu) == 3;
}

static bool is_stepped(struct vitrine_vcpu *vcpu)
{
	return vitrine_rflags_read(vcpu) & X86_EFLAGS_TF ||
	       vcpu->db.guest_debug & KVM_GUESTDBG_SINGLESTEP;
}

int vitrine_exit_string_io(struct vitrine_vcpu *vcpu, const struct io_exit *io)
{
	enum vitrine_insn_mode mode;
	u64 mask = address_mask(io->addr_size);
	u64 offset = vcpu->regs[io->in ? VITRINE_REG_RDI : VITRINE_REG_RSI] & mask;
	u64 count = io->rep ? vcpu->regs[VITRINE_REG_RCX] & mask : 1;
	unsigned int items;
	u64 code_base;
	gva_t gva;
	int ret;

	if (!count) {
		vitrine_backend->skip_insn(vcpu);
		return EXIT_RESUME;
	}
	vcpu->host_data_read = true;
	mode = vitrine_backend->get_code_mode(vcpu, &code_base);
	vcpu->pio.size = io->size;
	vcpu->pio.in = io->in;
	vcpu->pio.rep = io->rep;
	vcpu->pio.addr_size = io->addr_size;
	vcpu->pio.backward = vitrine_rflags_read(vcpu) & X86_EFLAGS_DF;

	if (!vitrine_linear_address(vcpu, mode, io->seg, offset, io->size, io->in, &gva)) {
		vitrine_linear_fault(vcpu, io->seg);
		return EXIT_RESUME;
	}
	if (is_misaligned(vcpu, gva, io->size)) {
		vitrine_vcpu_queue_exception(vcpu, X86_TRAP_AC, true, 0);
		return EXIT_RESUME;
	}
	items = is_stepped(vcpu) ? 1 : items_in_page(vcpu, gva, offset, count);
	if (vcpu->pio.backward)
		offset -= (items - 1) * io->size;
	/* A segment that ends within this page: an item at a time, up to the one that faults. */
	if (items > 1 && !vitrine_linear_address(vcpu, mode, io->seg, offset, items * io->size,
						 io->in, &gva))
		items = 1;
	ret = vitrine_linear_translate(vcpu, mode, gva, items * io->size, io->in, &vcpu->pio.span);
	if (ret)
		return ret;
	trace_vitrine_io(vcpu, io->port, io->size, io->in, items, 0);
	return refuse_device(vcpu, io->in ? input(vcpu, io, items) : output(vcpu, io, items));
}
