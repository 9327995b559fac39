/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Trace events of the system "vitrine": what vCPUs do, for perf, trace-cmd and ftrace's histograms.
 *
 * One that is not enabled costs its caller a no-op. So that it costs no more, callers hand over
 * what they have in registers anyway, and what else an event shows is looked up in here. All events
 * of a vCPU come from its own thread with the vCPU loaded, but vitrine_ipi, which comes from
 * whoever sends, and vitrine_table_change.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vitrine

#if !defined(VITRINE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VITRINE_TRACE_H

#include <linux/kvm_types.h>
#include <linux/tracepoint.h>
#include <linux/types.h>
#include <asm/apicdef.h>
#include <asm/vmx.h>

#include "backend.h"
#include "event.h"
#include "irq/lapic.h"
#include "mmu.h"
#include "regs.h"
#include "vcpu.h"
#include "vm.h"

/* Beside enum vitrine_mmu_op: a fault was answered by a translation. */
#undef VITRINE_TRACE_MAP
#define VITRINE_TRACE_MAP	16

#undef vitrine_show_exit
#define vitrine_show_exit(reason)						\
	__print_symbolic((reason) & 0xffff, VMX_EXIT_REASONS)

#define vitrine_show_event(type)						\
	__print_symbolic(type,							\
			 { VITRINE_EVENT_INTERRUPT, "interrupt" },		\
			 { VITRINE_EVENT_NMI, "NMI" },				\
			 { VITRINE_EVENT_EXCEPTION, "exception" },		\
			 { VITRINE_EVENT_SOFT_INTERRUPT, "INT n" },		\
			 { VITRINE_EVENT_PRIV_SOFT_EXCEPTION, "INT1" },		\
			 { VITRINE_EVENT_SOFT_EXCEPTION, "INT3" })

#define vitrine_show_delivery(mode)						\
	__print_symbolic(mode,							\
			 { APIC_DM_FIXED, "fixed" },				\
			 { APIC_DM_LOWEST, "lowest" },				\
			 { APIC_DM_SMI, "SMI" },				\
			 { APIC_DM_REMRD, "remote read" },			\
			 { APIC_DM_NMI, "NMI" },				\
			 { APIC_DM_INIT, "INIT" },				\
			 { APIC_DM_STARTUP, "SIPI" },				\
			 { APIC_DM_EXTINT, "ExtINT" })

#define vitrine_show_shorthand(shorthand)					\
	__print_symbolic(shorthand,						\
			 { 0, "one" },						\
			 { APIC_DEST_SELF, "self" },				\
			 { APIC_DEST_ALLINC, "all" },				\
			 { APIC_DEST_ALLBUT, "others" })

#define vitrine_show_table_op(op)						\
	__print_symbolic(op,							\
			 { VITRINE_MMU_ZAP, "zap" },				\
			 { VITRINE_MMU_WRITE_PROTECT, "write-protect" },	\
			 { VITRINE_MMU_CLEAN, "clean" },			\
			 { VITRINE_MMU_AGE, "age" },				\
			 { VITRINE_MMU_TEST_YOUNG, "test young" },		\
			 { VITRINE_TRACE_MAP, "map" })

/* Tools that read the events' formats know no enumerators. */
TRACE_DEFINE_ENUM(VITRINE_EVENT_INTERRUPT);
TRACE_DEFINE_ENUM(VITRINE_EVENT_NMI);
TRACE_DEFINE_ENUM(VITRINE_EVENT_EXCEPTION);
TRACE_DEFINE_ENUM(VITRINE_EVENT_SOFT_INTERRUPT);
TRACE_DEFINE_ENUM(VITRINE_EVENT_PRIV_SOFT_EXCEPTION);
TRACE_DEFINE_ENUM(VITRINE_EVENT_SOFT_EXCEPTION);
TRACE_DEFINE_ENUM(VITRINE_MMU_ZAP);
TRACE_DEFINE_ENUM(VITRINE_MMU_WRITE_PROTECT);
TRACE_DEFINE_ENUM(VITRINE_MMU_CLEAN);
TRACE_DEFINE_ENUM(VITRINE_MMU_AGE);
TRACE_DEFINE_ENUM(VITRINE_MMU_TEST_YOUNG);
TRACE_DEFINE_ENUM(EXIT_RESUME);

TRACE_EVENT(vitrine_entry,
	TP_PROTO(struct vitrine_vcpu *vcpu),
	TP_ARGS(vcpu),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u32, vcpu)
		__field(u32, injects)
		__field(u64, rip)
	),
	TP_fast_assign(
		__entry->vm = vcpu->vm->id;
		__entry->vcpu = vcpu->id;
		__entry->injects = vcpu->injected;
		__entry->rip = vitrine_rip_read(vcpu);
	),
	TP_printk("vm=%llu vcpu=%u rip=0x%llx%s", __entry->vm, __entry->vcpu, __entry->rip,
		  __entry->injects ? " with an event" : "")
);

TRACE_EVENT(vitrine_exit,
	TP_PROTO(struct vitrine_vcpu *vcpu),
	TP_ARGS(vcpu),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u32, vcpu)
		__field(u32, reason)
		__field(u64, rip)
		__field(u64, qualification)
		__field(u32, intr_info)
		__field(u32, vectoring_info)
	),
	TP_fast_assign(
		__entry->vm = vcpu->vm->id;
		__entry->vcpu = vcpu->id;
		__entry->reason = vcpu->exit.reason;
		__entry->rip = vitrine_rip_read(vcpu);
		__entry->qualification = vcpu->exit.qualification;
		__entry->intr_info = (u16)vcpu->exit.reason == EXIT_REASON_EXCEPTION_NMI ?
				     vcpu->exit.intr_info : 0;
		__entry->vectoring_info = vcpu->exit.vectoring_info;
	),
	TP_printk("vm=%llu vcpu=%u reason=%s%s rip=0x%llx qualification=0x%llx intr_info=0x%x vectoring_info=0x%x",
		  __entry->vm, __entry->vcpu, vitrine_show_exit(__entry->reason),
		  __entry->reason & VMX_EXIT_REASONS_FAILED_VMENTRY ? " (failed entry)" : "",
		  __entry->rip, __entry->qualification, __entry->intr_info,
		  __entry->vectoring_info)
);

TRACE_EVENT(vitrine_inject,
	TP_PROTO(struct vitrine_vcpu *vcpu, const struct vitrine_event *event),
	TP_ARGS(vcpu, event),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u32, vcpu)
		__field(u8, type)
		__field(u8, vector)
		__field(bool, has_error)
		__field(u32, error_code)
	),
	TP_fast_assign(
		__entry->vm = vcpu->vm->id;
		__entry->vcpu = vcpu->id;
		__entry->type = event->type;
		__entry->vector = event->vector;
		__entry->has_error = event->has_error;
		__entry->error_code = event->has_error ? event->error_code : 0;
	),
	TP_printk("vm=%llu vcpu=%u %s vector=0x%x error_code=0x%x%s", __entry->vm, __entry->vcpu,
		  vitrine_show_event(__entry->type), __entry->vector, __entry->error_code,
		  __entry->has_error ? "" : " (none)")
);

/* @value: of the first item, where it is at hand; a string's is in memory */
TRACE_EVENT(vitrine_io,
	TP_PROTO(struct vitrine_vcpu *vcpu, u16 port, u8 size, bool in, u32 count, u32 value),
	TP_ARGS(vcpu, port, size, in, count, value),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u32, vcpu)
		__field(u16, port)
		__field(u8, size)
		__field(bool, in)
		__field(u32, count)
		__field(u32, value)
	),
	TP_fast_assign(
		__entry->vm = vcpu->vm->id;
		__entry->vcpu = vcpu->id;
		__entry->port = port;
		__entry->size = size;
		__entry->in = in;
		__entry->count = count;
		__entry->value = size == 4 ? value : value & ((1U << size * 8) - 1);
	),
	TP_printk("vm=%llu vcpu=%u %s port=0x%x size=%u count=%u value=0x%x", __entry->vm,
		  __entry->vcpu, __entry->in ? "in" : "out", __entry->port, __entry->size,
		  __entry->count, __entry->value)
);

TRACE_EVENT(vitrine_mmio,
	TP_PROTO(struct vitrine_vcpu *vcpu, gpa_t gpa, u32 len, bool write, const void *data),
	TP_ARGS(vcpu, gpa, len, write, data),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u32, vcpu)
		__field(u32, len)
		__field(u64, gpa)
		__field(u64, value)
		__field(bool, write)
	),
	TP_fast_assign(
		__entry->vm = vcpu->vm->id;
		__entry->vcpu = vcpu->id;
		__entry->len = len;
		__entry->gpa = gpa;
		__entry->value = 0;
		memcpy(&__entry->value, data, min_t(u32, len, sizeof(__entry->value)));
		__entry->write = write;
	),
	TP_printk("vm=%llu vcpu=%u %s gpa=0x%llx len=%u value=0x%llx", __entry->vm, __entry->vcpu,
		  __entry->write ? "write" : "read", __entry->gpa, __entry->len, __entry->value)
);

/* @error: 0, or why the access was refused: -EPERM for the VMM's filter */
TRACE_EVENT(vitrine_msr,
	TP_PROTO(struct vitrine_vcpu *vcpu, u32 msr, bool write, u64 data, int error),
	TP_ARGS(vcpu, msr, write, data, error),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u32, vcpu)
		__field(u32, msr)
		__field(u64, data)
		__field(int, error)
		__field(bool, write)
	),
	TP_fast_assign(
		__entry->vm = vcpu->vm->id;
		__entry->vcpu = vcpu->id;
		__entry->msr = msr;
		__entry->data = error && !write ? 0 : data;
		__entry->error = error;
		__entry->write = write;
	),
	TP_printk("vm=%llu vcpu=%u %s msr=0x%x data=0x%llx error=%d", __entry->vm, __entry->vcpu,
		  __entry->write ? "write" : "read", __entry->msr, __entry->data, __entry->error)
);

TRACE_EVENT(vitrine_cr,
	TP_PROTO(struct vitrine_vcpu *vcpu, u32 cr, bool write, u64 value),
	TP_ARGS(vcpu, cr, write, value),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u32, vcpu)
		__field(u32, cr)
		__field(u64, value)
		__field(bool, write)
	),
	TP_fast_assign(
		__entry->vm = vcpu->vm->id;
		__entry->vcpu = vcpu->id;
		__entry->cr = cr;
		__entry->value = value;
		__entry->write = write;
	),
	TP_printk("vm=%llu vcpu=%u %s cr%u value=0x%llx", __entry->vm, __entry->vcpu,
		  __entry->write ? "write" : "read", __entry->cr, __entry->value)
);

/* @result: enum vitrine_exit_result, VITRINE_FAULT_MMIO, or -errno */
TRACE_EVENT(vitrine_fault,
	TP_PROTO(struct vitrine_vcpu *vcpu, const struct mem_fault *fault, int result),
	TP_ARGS(vcpu, fault, result),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u32, vcpu)
		__field(int, result)
		__field(u64, gpa)
		__field(u64, rip)
		__field(bool, read)
		__field(bool, write)
		__field(bool, exec)
		__field(bool, present)
	),
	TP_fast_assign(
		__entry->vm = vcpu->vm->id;
		__entry->vcpu = vcpu->id;
		__entry->result = result;
		__entry->gpa = fault->gpa;
		__entry->rip = vitrine_rip_read(vcpu);
		__entry->read = fault->read;
		__entry->write = fault->write;
		__entry->exec = fault->exec;
		__entry->present = fault->present;
	),
	TP_printk("vm=%llu vcpu=%u gpa=0x%llx %s%s%s%s rip=0x%llx result=%s", __entry->vm,
		  __entry->vcpu, __entry->gpa, __entry->read ? "r" : "-",
		  __entry->write ? "w" : "-", __entry->exec ? "x" : "-",
		  __entry->present ? " present" : "", __entry->rip,
		  __print_symbolic(__entry->result, { EXIT_RESUME, "mapped" },
				   { VITRINE_FAULT_MMIO, "no memory" }, { -EFAULT, "EFAULT" },
				   { -ENOMEM, "ENOMEM" }))
);

/* Second-level tables: @pages guest frames from @gfn on. */
TRACE_EVENT(vitrine_table_change,
	TP_PROTO(const struct vitrine_vm *vm, u32 op, gfn_t gfn, u64 pages),
	TP_ARGS(vm, op, gfn, pages),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u64, gfn)
		__field(u64, pages)
		__field(u32, op)
	),
	TP_fast_assign(
		__entry->vm = vm->id;
		__entry->gfn = gfn;
		__entry->pages = pages;
		__entry->op = op;
	),
	TP_printk("vm=%llu %s gfn=0x%llx pages=%llu", __entry->vm,
		  vitrine_show_table_op(__entry->op), __entry->gfn, __entry->pages)
);

/* @ticks: of the host's TSC */
TRACE_EVENT(vitrine_halt,
	TP_PROTO(struct vitrine_vcpu *vcpu, u64 ticks, int result),
	TP_ARGS(vcpu, ticks, result),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u32, vcpu)
		__field(int, result)
		__field(u64, ticks)
	),
	TP_fast_assign(
		__entry->vm = vcpu->vm->id;
		__entry->vcpu = vcpu->id;
		__entry->result = result;
		__entry->ticks = ticks;
	),
	TP_printk("vm=%llu vcpu=%u ticks=%llu ended by %s", __entry->vm, __entry->vcpu,
		  __entry->ticks, __entry->result ? "a signal" : "work")
);

/* A message on its way to local APICs. @source: the sender's id, or -1 where it is no local APIC */
TRACE_EVENT(vitrine_ipi,
	TP_PROTO(const struct vitrine_vm *vm, const struct vitrine_lapic *source,
		 const struct vitrine_apic_msg *msg),
	TP_ARGS(vm, source, msg),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(int, source)
		__field(u32, dest)
		__field(u32, mode)
		__field(u32, shorthand)
		__field(u8, vector)
		__field(bool, logical)
	),
	TP_fast_assign(
		__entry->vm = vm->id;
		__entry->source = source ? (int)source->vcpu->id : -1;
		__entry->dest = msg->dest;
		__entry->mode = msg->delivery_mode;
		__entry->shorthand = msg->shorthand;
		__entry->vector = msg->vector;
		__entry->logical = msg->logical;
	),
	TP_printk("vm=%llu source=%d dest=0x%x (%s%s) %s vector=0x%x", __entry->vm,
		  __entry->source, __entry->dest, vitrine_show_shorthand(__entry->shorthand),
		  __entry->logical ? ", logical" : "", vitrine_show_delivery(__entry->mode),
		  __entry->vector)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace

#include <trace/define_trace.h>
