// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU and its last exit as text for a person. It changes nothing.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <asm/vmx.h>

#include "internal.h"

struct text {
	char *at;
	size_t left;
};

__attribute__((format(printf, 2, 3)))
static void append(struct text *text, const char *format, ...)
{
	va_list args;
	int length;

	if (!text->left)
		return;
	va_start(args, format);
	length = vsnprintf(text->at, text->left, format, args);
	va_end(args);
	if (length < 0)
		return;
	if ((size_t)length >= text->left)
		length = (int)text->left - 1;
	text->at += length;
	text->left -= (size_t)length;
}

static void append_segment(struct text *text, const char *name, const struct kvm_segment *segment)
{
	append(text, "%-4s %04x base %016llx limit %08x type %x%s dpl %u%s%s%s\n", name,
	       segment->selector, (unsigned long long)segment->base, segment->limit,
	       segment->type, segment->s ? "" : " system", segment->dpl,
	       segment->l ? " 64" : segment->db ? " 32" : " 16",
	       segment->present ? "" : " absent", segment->unusable ? " unusable" : "");
}

int vitrine_vcpu_get_regs(struct vitrine_vcpu *vcpu, struct kvm_regs *regs,
			  struct kvm_sregs *sregs, struct vitrine_error *err)
{
	if (regs && ioctl(vcpu->fd, KVM_GET_REGS, regs))
		return vitrine_fail(err, errno, "vCPU %u: GET_REGS: %s", vcpu->id,
				    strerror(errno));
	if (sregs && ioctl(vcpu->fd, KVM_GET_SREGS, sregs))
		return vitrine_fail(err, errno, "vCPU %u: GET_SREGS: %s", vcpu->id,
				    strerror(errno));
	return 0;
}

int vitrine_vcpu_describe(struct vitrine_vcpu *vcpu, char *buffer, size_t size,
			  struct vitrine_error *err)
{
	struct text text = { buffer, size };
	struct kvm_sregs s;
	struct kvm_regs r;
	int ret;

	if (size)
		buffer[0] = 0;
	ret = vitrine_vcpu_get_regs(vcpu, &r, &s, err);
	if (ret)
		return ret;
	append(&text, "rip %016llx  rflags %016llx\n", r.rip, r.rflags);
	append(&text, "rax %016llx  rbx %016llx  rcx %016llx\n", r.rax, r.rbx, r.rcx);
	append(&text, "rdx %016llx  rsi %016llx  rdi %016llx\n", r.rdx, r.rsi, r.rdi);
	append(&text, "rbp %016llx  rsp %016llx  r8  %016llx\n", r.rbp, r.rsp, r.r8);
	append(&text, "r9  %016llx  r10 %016llx  r11 %016llx\n", r.r9, r.r10, r.r11);
	append(&text, "r12 %016llx  r13 %016llx  r14 %016llx\n", r.r12, r.r13, r.r14);
	append(&text, "r15 %016llx  cr2 %016llx  cr8 %016llx\n", r.r15, s.cr2, s.cr8);
	append(&text, "cr0 %016llx  cr3 %016llx  cr4 %016llx\n", s.cr0, s.cr3, s.cr4);
	append(&text, "efer %016llx  apic base %016llx\n", s.efer, s.apic_base);
	append_segment(&text, "cs", &s.cs);
	append_segment(&text, "ds", &s.ds);
	append_segment(&text, "es", &s.es);
	append_segment(&text, "fs", &s.fs);
	append_segment(&text, "gs", &s.gs);
	append_segment(&text, "ss", &s.ss);
	append_segment(&text, "tr", &s.tr);
	append_segment(&text, "ldtr", &s.ldt);
	append(&text, "gdtr base %016llx limit %04x  idtr base %016llx limit %04x\n",
	       s.gdt.base, s.gdt.limit, s.idt.base, s.idt.limit);
	return 0;
}

static const char *const exit_names[] = {
	[KVM_EXIT_UNKNOWN] = "UNKNOWN",
	[KVM_EXIT_EXCEPTION] = "EXCEPTION",
	[KVM_EXIT_IO] = "IO",
	[KVM_EXIT_HYPERCALL] = "HYPERCALL",
	[KVM_EXIT_DEBUG] = "DEBUG",
	[KVM_EXIT_HLT] = "HLT",
	[KVM_EXIT_MMIO] = "MMIO",
	[KVM_EXIT_IRQ_WINDOW_OPEN] = "IRQ_WINDOW_OPEN",
	[KVM_EXIT_SHUTDOWN] = "SHUTDOWN",
	[KVM_EXIT_FAIL_ENTRY] = "FAIL_ENTRY",
	[KVM_EXIT_INTR] = "INTR",
	[KVM_EXIT_SET_TPR] = "SET_TPR",
	[KVM_EXIT_TPR_ACCESS] = "TPR_ACCESS",
	[KVM_EXIT_NMI] = "NMI",
	[KVM_EXIT_INTERNAL_ERROR] = "INTERNAL_ERROR",
	[KVM_EXIT_SYSTEM_EVENT] = "SYSTEM_EVENT",
	[KVM_EXIT_IOAPIC_EOI] = "IOAPIC_EOI",
	[KVM_EXIT_HYPERV] = "HYPERV",
	[KVM_EXIT_X86_RDMSR] = "X86_RDMSR",
	[KVM_EXIT_X86_WRMSR] = "X86_WRMSR",
	[KVM_EXIT_DIRTY_RING_FULL] = "DIRTY_RING_FULL",
	[KVM_EXIT_X86_BUS_LOCK] = "X86_BUS_LOCK",
	[KVM_EXIT_XEN] = "XEN",
	[KVM_EXIT_NOTIFY] = "NOTIFY",
};

const char *vitrine_exit_name(unsigned int reason)
{
	return reason < ARRAY_SIZE(exit_names) ? exit_names[reason] : NULL;
}

static const char *hardware_reason(uint64_t reason)
{
	static const struct {
		uint64_t reason;
		const char *name;
	} names[] = { VMX_EXIT_REASONS };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].reason == (reason & 0xffff))
			return names[i].name;
	return "no name";
}

static void explain_internal_error(struct text *text, const struct kvm_run *run)
{
	static const char *const names[] = {
		[KVM_INTERNAL_ERROR_EMULATION] = "an instruction that it cannot emulate",
		[KVM_INTERNAL_ERROR_SIMUL_EX] = "simultaneous exceptions",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] = "an exit while an event was delivered",
		[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "an exit reason it does not know",
	};
	uint32_t suberror = run->internal.suberror;
	uint32_t i, ndata = run->internal.ndata;

	append(text, ": suberror %u", suberror);
	if (suberror < ARRAY_SIZE(names) && names[suberror])
		append(text, " (%s)", names[suberror]);
	if (suberror == KVM_INTERNAL_ERROR_EMULATION && ndata >= 3 &&
	    run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) {
		append(text, ", instruction bytes");
		for (i = 0; i < run->emulation_failure.insn_size && i < 15; i++)
			append(text, " %02x", run->emulation_failure.insn_bytes[i]);
		return;
	}
	for (i = 0; i < ndata && i < ARRAY_SIZE(run->internal.data); i++)
		append(text, "%s 0x%llx", i ? "," : ", data", run->internal.data[i]);
}

void vitrine_vcpu_explain(const struct vitrine_vcpu *vcpu, char *buffer, size_t size)
{
	const struct kvm_run *run = vcpu->run;
	const char *name = vitrine_exit_name(run->exit_reason);
	struct text text = { buffer, size };
	uint64_t reason;

	if (size)
		buffer[0] = 0;
	append(&text, "exit %u (%s)", run->exit_reason, name ? name : "no name");
	switch (run->exit_reason) {
	case KVM_EXIT_FAIL_ENTRY:
		reason = run->fail_entry.hardware_entry_failure_reason;
		append(&text, ": hardware reason 0x%llx", (unsigned long long)reason);
		/* SDM "Basic VM-Exit Information": bit 31 says that the entry failed. */
		if (reason & VMX_EXIT_REASONS_FAILED_VMENTRY)
			append(&text, " (%s at VM entry)", hardware_reason(reason));
		else
			append(&text, " (VM-instruction error)");
		append(&text, " on CPU %u; the kernel log names the failed check",
		       run->fail_entry.cpu);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		explain_internal_error(&text, run);
		break;
	case KVM_EXIT_UNKNOWN:
		append(&text, ": hardware exit reason 0x%llx (%s)",
		       run->hw.hardware_exit_reason,
		       hardware_reason(run->hw.hardware_exit_reason));
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		append(&text, ": type %u", run->system_event.type);
		break;
	case KVM_EXIT_IO:
		append(&text, ": port 0x%x, %u bytes %s", run->io.port, run->io.size,
		       run->io.direction == KVM_EXIT_IO_OUT ? "out" : "in");
		break;
	case KVM_EXIT_MMIO:
		append(&text, ": address 0x%llx, %u bytes %s", run->mmio.phys_addr,
		       run->mmio.len, run->mmio.is_write ? "written" : "read");
		break;
	}
}
