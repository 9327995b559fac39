/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The lab's boot loader, first half: the BIOS calls it in real mode as if it were the VGA BIOS,
 * after the ACPI tables are built and before the slow device probes. It asks for the memory map,
 * goes to 32-bit mode for rom.c, and takes what that prepared into 64-bit mode and the kernel. It
 * never returns to the BIOS and never writes to itself (it runs from ROM).
 */
#include "disk.h"

#define GDT_CODE64	0x10	/* the selectors that Linux's 64-bit boot protocol asks for */
#define GDT_DATA	0x18
#define GDT_CODE32	0x20

	.section .head, "ax"
	.code16
rom:
	.byte	0x55, 0xaa, ROM_SECTORS
	jmp	entry16

entry16:
	cli
	cld
	xorw	%ax, %ax
	movw	%ax, %ss
	movw	$0x7c00, %sp
	movw	$(ADDR_E820 >> 4), %ax
	movw	%ax, %es
	movl	$0, %es:0
	movw	$4, %di
	xorl	%ebx, %ebx
next_range:
	movl	$0xe820, %eax
	movl	$20, %ecx
	movl	$0x534d4150, %edx
	int	$0x15
	jc	last_range
	cmpl	$0x534d4150, %eax
	jne	last_range
	incl	%es:0
	addw	$20, %di
	testl	%ebx, %ebx
	jnz	next_range
last_range:
	cli
	inb	$0x92, %al		/* A20 */
	orb	$2, %al
	outb	%al, $0x92
	lgdtl	%cs:(gdt_pointer - rom)
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$GDT_CODE32, $entry32

	.code32
entry32:
	movl	$GDT_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%eax, %ss
	movl	$ADDR_STACK, %esp
	call	rom_load		/* returns the kernel's entry point */
	movl	%eax, %ebp

	movl	%cr4, %eax
	orl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	movl	$ADDR_PAGE_TABLES, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000000, %eax
	movl	%eax, %cr0
	ljmpl	$GDT_CODE64, $entry64

	.code64
entry64:
	movl	$ADDR_BOOT_PARAMS, %esi
	movl	%ebp, %eax
	jmp	*%rax

	.balign	8
gdt:
	.quad	0, 0
	.quad	0x00af9a000000ffff	/* GDT_CODE64 */
	.quad	0x00cf92000000ffff	/* GDT_DATA */
	.quad	0x00cf9a000000ffff	/* GDT_CODE32 */
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.long	gdt
	.section .note.GNU-stack, "", @progbits
