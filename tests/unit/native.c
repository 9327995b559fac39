// SPDX-License-Identifier: GPL-2.0
/*
 * One instruction on the real processor. The code around it is written byte by byte, because no
 * register is left to a compiler: not even the stack pointer.
 */
#include <asm/prctl.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/kernel.h>
#include <linux/kvm.h>

#include "native.h"

#define CODE_SIZE	4096
#define SLOT_SIZE	16

struct frame {
	struct native_state state;
	uint64_t host_rsp;
};

uint8_t *native_buffer;
uint64_t native_slot;

static struct frame *frame;
static uint8_t *code;
static uint8_t *load_xmm, *store_xmm;
static sigjmp_buf escape;

static uint8_t *put(uint8_t *at, const void *bytes, size_t len)
{
	memcpy(at, bytes, len);
	return at + len;
}

/* An instruction with a register and an absolute 32-bit address: ModRM and SIB without base. */
static uint8_t *put_absolute(uint8_t *at, const void *opcode, size_t len, unsigned int reg,
			     const void *address)
{
	uint32_t disp = (uint32_t)(uintptr_t)address;
	uint8_t modrm[] = { 0x04 | (reg & 7) << 3, 0x25 };

	at = put(at, opcode, len);
	at = put(at, modrm, sizeof(modrm));
	return put(at, &disp, sizeof(disp));
}

static uint8_t *put_mov(uint8_t *at, bool load, unsigned int reg, const uint64_t *address)
{
	uint8_t opcode[] = { reg & 8 ? 0x4c : 0x48, load ? 0x8b : 0x89 };

	return put_absolute(at, opcode, sizeof(opcode), reg, address);
}

static void write_code(void)
{
	static const uint8_t save[] = {
		0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57,
	};
	static const uint8_t restore[] = {
		0xfc, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3,
	};
	static const uint8_t movdqu_load[] = { 0xf3, 0x44, 0x0f, 0x6f };
	static const uint8_t movdqu_store[] = { 0xf3, 0x44, 0x0f, 0x7f };
	struct native_state *state = &frame->state;
	uint8_t *at = code;
	unsigned int reg;

	at = put(at, save, sizeof(save));
	at = put_mov(at, false, 4, &frame->host_rsp);
	load_xmm = at;
	at = put_absolute(at, movdqu_load, sizeof(movdqu_load), 0, state->xmm);
	at = put_absolute(at, "\xff", 1, 6, &state->rflags);	/* push */
	at = put(at, "\x9d", 1);				/* popfq */
	for (reg = 0; reg < 16; reg++)
		at = put_mov(at, true, reg, &state->gpr[reg]);

	native_slot = (uintptr_t)at;
	memset(at, 0x90, SLOT_SIZE);
	at += SLOT_SIZE;

	for (reg = 0; reg < 16; reg++)
		at = put_mov(at, false, reg, &state->gpr[reg]);
	at = put_mov(at, true, 4, &frame->host_rsp);
	at = put(at, "\x9c", 1);				/* pushfq */
	at = put_absolute(at, "\x8f", 1, 0, &state->rflags);	/* pop */
	store_xmm = at;
	at = put_absolute(at, movdqu_store, sizeof(movdqu_store), 0, state->xmm);
	put(at, restore, sizeof(restore));
}

/* Linux tells #SS from #GP by the signal, and #PF from both by an address. */
static void on_fault(int signal, siginfo_t *info, void *context)
{
	(void)context;
	if (signal == SIGBUS)
		siglongjmp(escape, SS_VECTOR);
	if (signal == SIGILL)
		siglongjmp(escape, UD_VECTOR);
	siglongjmp(escape, info->si_code == SI_KERNEL ? GP_VECTOR : PF_VECTOR);
}

bool native_init(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL };
	static uint8_t stack[65536];
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	unsigned int i;
	uint8_t *memory;

	/* The page behind the data stays inaccessible, the one before it holds only the frame. */
	memory = mmap(NULL, CODE_SIZE + 4 * 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (memory == MAP_FAILED || mprotect(memory + CODE_SIZE + 2 * 4096, 4096, PROT_NONE))
		return false;
	code = memory;
	frame = (struct frame *)(memory + CODE_SIZE);
	native_buffer = memory + CODE_SIZE + 2 * 4096 - NATIVE_BUFFER_SIZE;
	write_code();

	if (sigaltstack(&alternate, NULL))
		return false;
	action.sa_sigaction = on_fault;
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		if (sigaction(signals[i], &action, NULL))
			return false;
	return !syscall(SYS_arch_prctl, ARCH_SET_GS, NATIVE_GS_BASE);
}

/* Turns REX.R and ModRM.reg of a load or store into those of register @xmm. */
static void select_xmm(uint8_t *insn, unsigned int xmm)
{
	insn[1] = xmm & 8 ? 0x44 : 0x40;
	insn[4] = 0x04 | (xmm & 7) << 3;
}

int native_run(const uint8_t *bytes, size_t len, unsigned int xmm, struct native_state *state)
{
	uint8_t *slot = (uint8_t *)(uintptr_t)native_slot;
	int vector;

	memcpy(slot, bytes, len);
	memset(slot + len, 0x90, SLOT_SIZE - len);
	select_xmm(load_xmm, xmm);
	select_xmm(store_xmm, xmm);
	frame->state = *state;

	vector = sigsetjmp(escape, 1);
	if (!vector)
		((void (*)(void))code)();
	*state = frame->state;
	return vector;
}
