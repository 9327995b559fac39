// SPDX-License-Identifier: GPL-2.0
/*
 * A record of an exit in words: the reason by the SDM's name, the instruction, and what the exit
 * qualification says for that reason. Pure.
 */
#include <asm/vmx.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "command.h"
#include "trace.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

static const char *const exception_names[] = {
	"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "", "#TS", "#NP", "#SS",
	"#GP", "#PF", "", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
};

const char *record_reason(const struct vitrine_record *record, char *buffer, size_t size)
{
	const char *name = vitrine_reason_name(record->reason & 0xffff);

	if (name)
		return name;
	snprintf(buffer, size, "reason %u", record->reason & 0xffff);
	return buffer;
}

void record_insn(const struct vitrine_record *record, char *buffer, size_t size)
{
	static const struct {
		ZydisMachineMode machine;
		ZydisStackWidth stack;
	} modes[] = {
		[VITRINE_RECORD_16BIT] = { ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16 },
		[VITRINE_RECORD_32BIT] = { ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32 },
		[VITRINE_RECORD_64BIT] = { ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64 },
	};
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	ZydisFormatter formatter;
	ZydisDecoder decoder;

	buffer[0] = 0;
	if (!record->nr_insn || record->nr_insn > sizeof(record->insn) ||
	    record->mode >= ARRAY_SIZE(modes))
		return;
	if (ZYAN_FAILED(ZydisDecoderInit(&decoder, modes[record->mode].machine,
					 modes[record->mode].stack)) ||
	    ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, record->insn, record->nr_insn, &insn,
					       operands)) ||
	    ZYAN_FAILED(ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL)) ||
	    ZYAN_FAILED(ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE,
						  ZYAN_FALSE)) ||
	    ZYAN_FAILED(ZydisFormatterFormatInstruction(&formatter, &insn, operands,
							insn.operand_count_visible, buffer, size,
							record->rip, NULL)))
		snprintf(buffer, size, "(bad)");
}

static void describe_io(const struct vitrine_record *record, char *buffer, size_t size)
{
	uint64_t q = record->qualification;
	unsigned int bytes = (q & 7) + 1;
	uint64_t mask = bytes >= 8 ? ~0ull : (1ull << 8 * bytes) - 1;

	if (q & 1u << 4)
		snprintf(buffer, size, "%s%s port 0x%x size %u%s", q & 1u << 5 ? "rep " : "",
			 q & 1u << 3 ? "ins" : "outs", (unsigned int)(q >> 16) & 0xffff, bytes, "");
	else if (q & 1u << 3)
		snprintf(buffer, size, "in port 0x%x size %u", (unsigned int)(q >> 16) & 0xffff,
			 bytes);
	else
		snprintf(buffer, size, "out port 0x%x size %u value 0x%" PRIx64,
			 (unsigned int)(q >> 16) & 0xffff, bytes,
			 (uint64_t)record->regs[RAX] & mask);
}

static void describe_cr(const struct vitrine_record *record, char *buffer, size_t size)
{
	static const char *const what[] = { "write", "read", "clts", "lmsw" };
	uint64_t q = record->qualification;
	unsigned int type = (q >> 4) & 3;

	if (type == 0)
		snprintf(buffer, size, "write cr%u value 0x%" PRIx64, (unsigned int)q & 15,
			 (uint64_t)record->regs[(q >> 8) & 15]);
	else if (type == 1)
		snprintf(buffer, size, "read cr%u", (unsigned int)q & 15);
	else
		snprintf(buffer, size, "%s", what[type]);
}

static void describe_exception(const struct vitrine_record *record, char *buffer, size_t size)
{
	unsigned int vector = record->intr_info & 0xff;
	const char *name = vector < ARRAY_SIZE(exception_names) ? exception_names[vector] : "";

	if (vector == 14)
		snprintf(buffer, size, "#PF address 0x%" PRIx64 " error 0x%x",
			 (uint64_t)record->qualification, record->error_code);
	else if (record->error_code)
		snprintf(buffer, size, "%s vector %u error 0x%x", name, vector,
			 record->error_code);
	else
		snprintf(buffer, size, "%s vector %u", name, vector);
}

void record_detail(const struct vitrine_record *record, char *buffer, size_t size)
{
	uint64_t q = record->qualification;
	uint64_t data = (uint32_t)record->regs[RAX] | (uint64_t)record->regs[RDX] << 32;

	buffer[0] = 0;
	if (record->reason & VMX_EXIT_REASONS_FAILED_VMENTRY) {
		snprintf(buffer, size, "entry failed, qualification 0x%" PRIx64, q);
		return;
	}
	switch (record->reason & 0xffff) {
	case EXIT_REASON_EXCEPTION_NMI:
		describe_exception(record, buffer, size);
		break;
	case EXIT_REASON_CPUID:
		snprintf(buffer, size, "leaf 0x%x subleaf 0x%x", (uint32_t)record->regs[RAX],
			 (uint32_t)record->regs[RCX]);
		break;
	case EXIT_REASON_CR_ACCESS:
		describe_cr(record, buffer, size);
		break;
	case EXIT_REASON_DR_ACCESS:
		snprintf(buffer, size, "%s dr%u", q & 16 ? "read" : "write", (unsigned int)q & 7);
		break;
	case EXIT_REASON_IO_INSTRUCTION:
		describe_io(record, buffer, size);
		break;
	case EXIT_REASON_MSR_READ:
		snprintf(buffer, size, "msr 0x%x", (uint32_t)record->regs[RCX]);
		break;
	case EXIT_REASON_MSR_WRITE:
		snprintf(buffer, size, "msr 0x%x value 0x%" PRIx64, (uint32_t)record->regs[RCX],
			 data);
		break;
	case EXIT_REASON_VMCALL:
		snprintf(buffer, size, "call %" PRIu64, (uint64_t)record->regs[RAX]);
		break;
	case EXIT_REASON_EPT_VIOLATION:
		snprintf(buffer, size, "gpa 0x%" PRIx64 " %s%s%s%s", (uint64_t)record->gpa,
			 q & 1 ? "r" : "-", q & 2 ? "w" : "-", q & 4 ? "x" : "-",
			 q & 0x38 ? " present" : "");
		break;
	case EXIT_REASON_EPT_MISCONFIG:
		snprintf(buffer, size, "gpa 0x%" PRIx64, (uint64_t)record->gpa);
		break;
	case EXIT_REASON_XSETBV:
		snprintf(buffer, size, "xcr%u value 0x%" PRIx64, (uint32_t)record->regs[RCX], data);
		break;
	default:
		if (q)
			snprintf(buffer, size, "qualification 0x%" PRIx64, q);
		break;
	}
}
