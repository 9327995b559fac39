/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only assembly between host and guest: load the guest's general registers, enter, and store
 * them again at HOST_RIP. No policy; what to do comes in flags, what happened goes out as the
 * return value.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/alternative.h>
#include <asm/cpufeatures.h>
#include <asm/frame.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <asm/segment.h>
#include <asm/unwind_hints.h>
#include "enter.h"
#include "../compat_asm.h"

/* Offsets into vcpu->regs: the encoding of the registers. */
#define RAX_OFF		(0 * 8)
#define RCX_OFF		(1 * 8)
#define RDX_OFF		(2 * 8)
#define RBX_OFF		(3 * 8)
#define RBP_OFF		(5 * 8)
#define RSI_OFF		(6 * 8)
#define RDI_OFF		(7 * 8)
#define R8_OFF		(8 * 8)
#define R9_OFF		(9 * 8)
#define R10_OFF		(10 * 8)
#define R11_OFF		(11 * 8)
#define R12_OFF		(12 * 8)
#define R13_OFF		(13 * 8)
#define R14_OFF		(14 * 8)
#define R15_OFF		(15 * 8)

	.section .noinstr.text, "ax"

/*
 * int vmx_enter(u64 *regs, struct vmx_entry *entry, unsigned int flags)
 *
 * Interrupts are off. Returns 0 after a VM exit, 1 if the entry instruction failed (VMfail), 2 if
 * it faulted.
 */
SYM_FUNC_START(vmx_enter)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdx
	push	%rsi
	push	%rdi

	/* HOST_RSP is written only when the stack stands elsewhere than at the last entry. */
	cmp	%rsp, VMX_ENTRY_HOST_RSP(%rsi)
	je	.Lhost_rsp_done
	mov	%rsp, VMX_ENTRY_HOST_RSP(%rsi)
	mov	$VMX_FIELD_HOST_RSP, %eax
.Lwrite_host_rsp:
	vmwrite	%rsp, %rax
	jbe	.Lfailed
.Lhost_rsp_done:

	ALTERNATIVE "jmp .Lspec_ctrl_done", "", X86_FEATURE_MSR_SPEC_CTRL
	mov	%edx, %r8d
	mov	VMX_ENTRY_GUEST_SPEC_CTRL(%rsi), %eax
	cmp	VMX_ENTRY_HOST_SPEC_CTRL(%rsi), %eax
	je	.Lspec_ctrl_same
	xor	%edx, %edx
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	wrmsr
.Lspec_ctrl_same:
	mov	%r8d, %edx
.Lspec_ctrl_done:

	/* The exit comes back to this stack; the unwinder is told so at vmx_exit_point. */
	UNWIND_HINT_SAVE

	/* CF survives the loads of registers below, and VERW, which changes only ZF. */
	bt	$VMX_ENTER_RESUME_BIT, %edx

	mov	RCX_OFF(%rdi), %rcx
	mov	RDX_OFF(%rdi), %rdx
	mov	RBX_OFF(%rdi), %rbx
	mov	RBP_OFF(%rdi), %rbp
	mov	RSI_OFF(%rdi), %rsi
	mov	R8_OFF(%rdi), %r8
	mov	R9_OFF(%rdi), %r9
	mov	R10_OFF(%rdi), %r10
	mov	R11_OFF(%rdi), %r11
	mov	R12_OFF(%rdi), %r12
	mov	R13_OFF(%rdi), %r13
	mov	R14_OFF(%rdi), %r14
	mov	R15_OFF(%rdi), %r15
	mov	RAX_OFF(%rdi), %rax
	mov	RDI_OFF(%rdi), %rdi

	/* Last before entry: nothing of the host may come into the buffers after this. */
	VITRINE_CLEAR_CPU_BUFFERS

	jnc	.Llaunch
.Lresume:
	vmresume
	jmp	.Lentry_failed
.Llaunch:
	vmlaunch
.Lentry_failed:
	/* Still on our stack with the guest's registers loaded; only the stack knows ours. */
	mov	$VMX_ENTER_FAILED, %ebx
	jmp	.Lleave

	_ASM_EXTABLE(.Lwrite_host_rsp, .Lfaulted)
	_ASM_EXTABLE(.Lresume, .Lfaulted)
	_ASM_EXTABLE(.Llaunch, .Lfaulted)

SYM_INNER_LABEL_ALIGN(vmx_exit_point, SYM_L_GLOBAL)
	/* HOST_RIP. The stack is as it was before the entry. */
	UNWIND_HINT_RESTORE
	ENDBR
	push	%rax
	mov	8(%rsp), %rax
	mov	%rcx, RCX_OFF(%rax)
	mov	%rdx, RDX_OFF(%rax)
	mov	%rbx, RBX_OFF(%rax)
	mov	%rbp, RBP_OFF(%rax)
	mov	%rsi, RSI_OFF(%rax)
	mov	%rdi, RDI_OFF(%rax)
	mov	%r8, R8_OFF(%rax)
	mov	%r9, R9_OFF(%rax)
	mov	%r10, R10_OFF(%rax)
	mov	%r11, R11_OFF(%rax)
	mov	%r12, R12_OFF(%rax)
	mov	%r13, R13_OFF(%rax)
	mov	%r14, R14_OFF(%rax)
	mov	%r15, R15_OFF(%rax)
	pop	RAX_OFF(%rax)
	mov	$VMX_ENTER_DONE, %ebx

	/* The answer waits in EBX, which all that is called from here on preserves. */
.Lleave:
	/* No value of the guest's may steer speculation on the way out. */
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%ebp, %ebp
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d

	/* Before the first RET: the guest may have trained the return predictors. */
	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT,\
			   X86_FEATURE_RSB_VMEXIT_LITE

	pop	%rdi
	pop	%rsi
	pop	%rdx
	/* Patched, not tested: a jump over this that the guest has trained must not be possible. */
	ALTERNATIVE "jmp .Lspec_ctrl_restored", "", X86_FEATURE_MSR_SPEC_CTRL
	mov	%edx, %r8d
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	test	$VMX_ENTER_SAVE_SPEC_CTRL, %r8b
	jz	.Lspec_ctrl_known
	rdmsr
	mov	%eax, VMX_ENTRY_GUEST_SPEC_CTRL(%rsi)
.Lspec_ctrl_known:
	/* With IBRS in the kernel the write itself is the barrier, whatever the value was. */
	mov	VMX_ENTRY_HOST_SPEC_CTRL(%rsi), %eax
	ALTERNATIVE "", "jmp .Lspec_ctrl_write", X86_FEATURE_KERNEL_IBRS
	cmp	VMX_ENTRY_GUEST_SPEC_CTRL(%rsi), %eax
	je	.Lspec_ctrl_written
.Lspec_ctrl_write:
	xor	%edx, %edx
	wrmsr
.Lspec_ctrl_written:
	/* No RET before the write is done, not even a predicted one. */
	lfence
.Lspec_ctrl_restored:

	/* It takes EAX and ECX. */
	VITRINE_CLEAR_BRANCH_HISTORY

	mov	%ebx, %eax
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET

.Lfailed:
	mov	$VMX_ENTER_FAILED, %ebx
	jmp	.Lleave
.Lfaulted:
	mov	$VMX_ENTER_FAULTED, %ebx
	jmp	.Lleave
SYM_FUNC_END(vmx_enter)

/*
 * void vmx_call_nmi_entry(void)
 *
 * Hands an NMI that caused a VM exit to the kernel's own entry, as if it had arrived here: an
 * interrupt frame on this stack, and an IRET at the end that unblocks NMIs.
 */
SYM_FUNC_START(vmx_call_nmi_entry)
	push	%rbp
	mov	%rsp, %rbp
	and	$-16, %rsp
	push	$__KERNEL_DS
	push	%rbp
	pushf
	push	$__KERNEL_CS
	call	VITRINE_NMI_ENTRY
	mov	%rbp, %rsp
	pop	%rbp
	RET
SYM_FUNC_END(vmx_call_nmi_entry)

/*
 * vmcs_read()'s way to say so: the field is at 8(%rsp), and every register but the flags comes back
 * as it was, as the compiler does not know of a call.
 */
SYM_FUNC_START(vmx_vmread_failed)
	push	%rbp
	mov	%rsp, %rbp
	push	%rax
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	mov	16(%rbp), %rdi
	call	vmx_vmread_tell
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rax
	pop	%rbp
	RET
SYM_FUNC_END(vmx_vmread_failed)
