// SPDX-License-Identifier: GPL-2.0
/*
 * The VMCS into the kernel log, once a vCPU, for an entry that failed. Addresses of the host stay
 * out: where the kernel lies is no reader of the log's business.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kernel.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <asm/vmx.h>

#include "../vm.h"
#include "vmx.h"

#define LINE_COLUMNS	100

struct field {
	const char *name;
	u32 encoding;
	u32 needs;	/* secondary control without which the field does not exist */
};

static const struct field guest_fields[] = {
	{ "cr0", GUEST_CR0 }, { "cr3", GUEST_CR3 }, { "cr4", GUEST_CR4 },
	{ "efer", GUEST_IA32_EFER }, { "pat", GUEST_IA32_PAT },
	{ "rip", GUEST_RIP }, { "rsp", GUEST_RSP }, { "rflags", GUEST_RFLAGS },
	{ "dr7", GUEST_DR7 }, { "debugctl", GUEST_IA32_DEBUGCTL },
	{ "cs", GUEST_CS_SELECTOR }, { "cs.base", GUEST_CS_BASE },
	{ "cs.limit", GUEST_CS_LIMIT }, { "cs.ar", GUEST_CS_AR_BYTES },
	{ "ss", GUEST_SS_SELECTOR }, { "ss.base", GUEST_SS_BASE },
	{ "ss.limit", GUEST_SS_LIMIT }, { "ss.ar", GUEST_SS_AR_BYTES },
	{ "ds", GUEST_DS_SELECTOR }, { "ds.base", GUEST_DS_BASE },
	{ "ds.limit", GUEST_DS_LIMIT }, { "ds.ar", GUEST_DS_AR_BYTES },
	{ "es", GUEST_ES_SELECTOR }, { "es.base", GUEST_ES_BASE },
	{ "es.limit", GUEST_ES_LIMIT }, { "es.ar", GUEST_ES_AR_BYTES },
	{ "fs", GUEST_FS_SELECTOR }, { "fs.base", GUEST_FS_BASE },
	{ "fs.limit", GUEST_FS_LIMIT }, { "fs.ar", GUEST_FS_AR_BYTES },
	{ "gs", GUEST_GS_SELECTOR }, { "gs.base", GUEST_GS_BASE },
	{ "gs.limit", GUEST_GS_LIMIT }, { "gs.ar", GUEST_GS_AR_BYTES },
	{ "tr", GUEST_TR_SELECTOR }, { "tr.base", GUEST_TR_BASE },
	{ "tr.limit", GUEST_TR_LIMIT }, { "tr.ar", GUEST_TR_AR_BYTES },
	{ "ldtr", GUEST_LDTR_SELECTOR }, { "ldtr.base", GUEST_LDTR_BASE },
	{ "ldtr.limit", GUEST_LDTR_LIMIT }, { "ldtr.ar", GUEST_LDTR_AR_BYTES },
	{ "gdtr.base", GUEST_GDTR_BASE }, { "gdtr.limit", GUEST_GDTR_LIMIT },
	{ "idtr.base", GUEST_IDTR_BASE }, { "idtr.limit", GUEST_IDTR_LIMIT },
	{ "sysenter.cs", GUEST_SYSENTER_CS }, { "sysenter.esp", GUEST_SYSENTER_ESP },
	{ "sysenter.eip", GUEST_SYSENTER_EIP },
	{ "activity", GUEST_ACTIVITY_STATE },
	{ "interruptibility", GUEST_INTERRUPTIBILITY_INFO },
	{ "pending_debug", GUEST_PENDING_DBG_EXCEPTIONS },
	{ "pdpte0", GUEST_PDPTR0 }, { "pdpte1", GUEST_PDPTR1 },
	{ "pdpte2", GUEST_PDPTR2 }, { "pdpte3", GUEST_PDPTR3 },
	{ "link", VMCS_LINK_POINTER },
};

static const struct field host_fields[] = {
	{ "cr0", HOST_CR0 }, { "cr4", HOST_CR4 },
	{ "efer", HOST_IA32_EFER }, { "pat", HOST_IA32_PAT },
	{ "cs", HOST_CS_SELECTOR }, { "ss", HOST_SS_SELECTOR }, { "ds", HOST_DS_SELECTOR },
	{ "es", HOST_ES_SELECTOR }, { "fs", HOST_FS_SELECTOR }, { "gs", HOST_GS_SELECTOR },
	{ "tr", HOST_TR_SELECTOR }, { "sysenter.cs", HOST_IA32_SYSENTER_CS },
};

static const struct field control_fields[] = {
	{ "pin", PIN_BASED_VM_EXEC_CONTROL }, { "cpu", CPU_BASED_VM_EXEC_CONTROL },
	{ "cpu2", SECONDARY_VM_EXEC_CONTROL },
	{ "exit", VM_EXIT_CONTROLS }, { "entry", VM_ENTRY_CONTROLS },
	{ "exceptions", EXCEPTION_BITMAP },
	{ "pf_mask", PAGE_FAULT_ERROR_CODE_MASK }, { "pf_match", PAGE_FAULT_ERROR_CODE_MATCH },
	{ "cr0_mask", CR0_GUEST_HOST_MASK }, { "cr0_shadow", CR0_READ_SHADOW },
	{ "cr4_mask", CR4_GUEST_HOST_MASK }, { "cr4_shadow", CR4_READ_SHADOW },
	{ "eptp", EPT_POINTER },
	{ "vpid", VIRTUAL_PROCESSOR_ID, SECONDARY_EXEC_ENABLE_VPID },
	{ "tsc_offset", TSC_OFFSET },
	{ "tsc_multiplier", TSC_MULTIPLIER, SECONDARY_EXEC_TSC_SCALING },
	{ "event", VM_ENTRY_INTR_INFO_FIELD },
	{ "event_error", VM_ENTRY_EXCEPTION_ERROR_CODE },
	{ "event_len", VM_ENTRY_INSTRUCTION_LEN },
	{ "msrs_in", VM_ENTRY_MSR_LOAD_COUNT }, { "msrs_out", VM_EXIT_MSR_LOAD_COUNT },
	{ "reason", VM_EXIT_REASON }, { "qualification", EXIT_QUALIFICATION },
	{ "intr_info", VM_EXIT_INTR_INFO }, { "vectoring", IDT_VECTORING_INFO_FIELD },
	{ "insn_error", VM_INSTRUCTION_ERROR },
};

static void dump_fields(const char *group, const struct field *fields, unsigned int nr)
{
	char line[LINE_COLUMNS + 1], word[48];
	unsigned int i;
	int used = 0;

	for (i = 0; i < nr; i++) {
		int len;

		if ((vmx_caps.cpu2 & fields[i].needs) != fields[i].needs)
			continue;
		len = scnprintf(word, sizeof(word), " %s=%llx", fields[i].name,
				vmcs_read(fields[i].encoding));
		if (used + len > LINE_COLUMNS) {
			pr_err("%s:%s\n", group, line);
			used = 0;
		}
		used += scnprintf(line + used, sizeof(line) - used, "%s", word);
	}
	if (used)
		pr_err("%s:%s\n", group, line);
}

static void dump_autoload(const struct vmx_autoload *list)
{
	unsigned int i;

	for (i = 0; i < list->nr; i++)
		pr_err("msr %x: guest=%llx host=%llx\n", list->guest[i].index,
		       list->guest[i].value, list->host[i].value);
}

/* The vCPU is loaded. */
void vmx_dump_vmcs(struct vmx_vcpu *vmx)
{
	/* Once a vCPU is still as often as a VMM creates one. */
	static DEFINE_RATELIMIT_STATE(limit, 10 * HZ, 2);

	if (vmx->dumped || !__ratelimit(&limit))
		return;
	vmx->dumped = true;
	pr_err("VMCS of vCPU %u of VM %llu on CPU %d:\n", vmx->vcpu.id, vmx->vcpu.vm->id,
	       raw_smp_processor_id());
	dump_fields("guest", guest_fields, ARRAY_SIZE(guest_fields));
	dump_fields("host", host_fields, ARRAY_SIZE(host_fields));
	dump_fields("control", control_fields, ARRAY_SIZE(control_fields));
	dump_autoload(&vmx->autoload);
}
