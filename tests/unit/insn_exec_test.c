// SPDX-License-Identifier: GPL-2.0
/* build: kmod/insn.c kmod/insn_opcode.c kmod/insn_exec.c kmod/insn_alu.c tests/unit/native.c */
/*
 * The instruction step machine against the processor. Each generated instruction runs natively on a
 * buffer and in the step machine on a copy of it; registers, flags and memory must come out alike.
 * What user mode of a 64-bit process cannot run has cases of its own at the end.
 */
#include <errno.h>
#include <string.h>

#include <linux/kernel.h>

#include <asm/kvm.h>
#include <asm/processor-flags.h>

#include "insn.h"
#include "native.h"
#include "tap.h"

#define ROUNDS		1000000
#define MAX_REPORTS	10
#define MAX_STEPS	64

#define STATUS_FLAGS	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | \
			 X86_EFLAGS_SF | X86_EFLAGS_OF)

struct candidate {
	u8 map;
	u8 opcode;
};

static struct candidate candidates[768];
static unsigned int candidate_count;

static unsigned int done[INSN_OP_MOV_XMM + 1];
static unsigned int faults[32];
static unsigned int reports;
static u8 memory[NATIVE_BUFFER_SIZE];

static unsigned int put_opcode(u8 *bytes, struct candidate candidate)
{
	unsigned int n = 0;

	if (candidate.map)
		bytes[n++] = 0x0f;
	if (candidate.map == 2)
		bytes[n++] = 0x38;
	bytes[n++] = candidate.opcode;
	return n;
}

static bool is_prefix_or_escape(struct candidate candidate)
{
	u8 byte = candidate.opcode;

	return !candidate.map && ((byte & 0xf0) == 0x40 || (byte & 0xe7) == 0x26 ||
				  (byte & 0xfc) == 0x64 || byte == 0xf0 ||
				  (byte & 0xfe) == 0xf2 || byte == 0x0f);
}

/* Does the opcode decode with some prefix and some ModRM.reg? */
static bool is_claimed(struct candidate candidate)
{
	static const u8 prefixes[] = { 0x3e, 0x66, 0xf2, 0xf3 };
	struct vitrine_insn insn;
	unsigned int i;

	for (i = 0; i < 8 * ARRAY_SIZE(prefixes); i++) {
		u8 bytes[16] = { prefixes[i / 8] };

		bytes[1 + put_opcode(bytes + 1, candidate)] = i % 8 << 3;
		if (!vitrine_insn_decode(bytes, 15, VITRINE_INSN_64, &insn))
			return true;
	}
	return false;
}

static void find_candidates(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(candidates); i++) {
		struct candidate candidate = { .map = i / 256, .opcode = i % 256 };

		if (!is_prefix_or_escape(candidate) && is_claimed(candidate))
			candidates[candidate_count++] = candidate;
	}
}

/* Interesting numbers meet carries, signs and equality far more often than random ones. */
static u64 value(void)
{
	u64 random = tap_random();

	switch (random & 7) {
	case 0:
		return 0;
	case 1:
		return ~0ull;
	case 2:
		return 0x8080808080808080ull;
	case 3:
		return 0x7f7f7f7f7f7f7f7full;
	case 4:
		return (s8)(random >> 8);
	default:
		return tap_random();
	}
}

/* Returns where the displacement or whole offset stands. */
static unsigned int generate(u8 *bytes)
{
	static const u8 prefixes[] = { 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x65, 0x65, 0x3e };
	struct candidate candidate = candidates[tap_random() % candidate_count];
	u64 random = tap_random();
	unsigned int n = 0, i, count = random & 3;
	u8 modrm;

	for (i = 0; i < count; i++)
		bytes[n++] = prefixes[tap_random() % sizeof(prefixes)];
	if (random & 4)
		bytes[n++] = 0x40 | (random >> 8 & 0xf);
	n += put_opcode(bytes + n, candidate);
	for (i = n; i < 16; i++)
		bytes[i] = tap_random();
	if (!candidate.map && candidate.opcode >= 0xa0 && candidate.opcode <= 0xaf)
		return n;
	modrm = bytes[n];
	return n + 1 + ((modrm & 7) == 4);
}

/*
 * Chooses registers, or the displacement, so that the operand lies at @target. Returns false for
 * the few forms for which that has no answer.
 */
static bool aim(u8 *bytes, unsigned int disp_at, const struct vitrine_insn *insn, u64 target,
		uint64_t *gpr)
{
	const struct vitrine_insn_mem *mem = &insn->mem;
	u64 mask = mem->addr_size == 4 ? ~0u : ~0ull;
	u64 index = 0, disp;

	if (mem->seg == INSN_GS)
		target -= NATIVE_GS_BASE;
	if (mem->base != INSN_NO_REG) {
		if (mem->base == mem->index)
			return false;
		if (mem->index != INSN_NO_REG)
			index = gpr[mem->index] * mem->scale;
		target -= index + mem->disp;
		gpr[mem->base] = (gpr[mem->base] & ~mask) | (target & mask);
		return true;
	}
	if (mem->index != INSN_NO_REG) {
		gpr[mem->index] = (gpr[mem->index] & ~mask) | (tap_random() & 0xffff);
		index = (gpr[mem->index] & mask) * mem->scale;
	}
	disp = target - index;
	if (mem->rip_relative)
		disp -= native_slot + insn->len;
	/* A whole offset is as wide as the address; any other has four bytes here. */
	memcpy(bytes + disp_at, &disp,
	       disp_at + 8 == insn->len && mem->addr_size == 8 && insn->op == INSN_OP_MOV ? 8 : 4);
	return true;
}

static bool uses_bit_offset(const struct vitrine_insn *insn)
{
	return insn->op >= INSN_OP_BT && insn->op <= INSN_OP_BTC && insn->src == INSN_SRC_REG;
}

/* Bits that the SDM leaves undefined, and processors differ in. */
static u64 undefined_flags(const struct vitrine_insn *insn)
{
	switch (insn->op) {
	case INSN_OP_OR:
	case INSN_OP_AND:
	case INSN_OP_XOR:
	case INSN_OP_TEST:
		return X86_EFLAGS_AF;
	case INSN_OP_BT ... INSN_OP_BTC:
		return X86_EFLAGS_OF | X86_EFLAGS_SF | X86_EFLAGS_AF | X86_EFLAGS_PF;
	default:
		return 0;
	}
}

/* Registers, flags and memory before the instruction; returns false for a form to leave out. */
static bool prepare(u8 *bytes, unsigned int disp_at, struct vitrine_insn *insn,
		    struct native_state *before)
{
	u64 target = (uintptr_t)native_buffer + 768 + tap_random() % 512;
	u64 operand;
	unsigned int i;

	if (vitrine_insn_decode(bytes, 16, VITRINE_INSN_64, insn))
		return false;
	if (insn->aligned && tap_random() % 64)
		target &= ~15ull;

	for (i = 0; i < 16; i++)
		before->gpr[i] = value();
	before->xmm[0] = tap_random();
	before->xmm[1] = tap_random();
	before->rflags = X86_EFLAGS_FIXED | X86_EFLAGS_IF |
			 (tap_random() & (STATUS_FLAGS | X86_EFLAGS_DF));
	for (i = 0; i < 32; i++)
		*(u64 *)(native_buffer + 512 + 8 * (tap_random() % 128)) = value();
	operand = value();
	memcpy((void *)(uintptr_t)target, &operand, sizeof(operand));

	if (uses_bit_offset(insn)) {
		s64 bit = (s64)(tap_random() % 8192) - 4096;

		if (insn->reg == insn->mem.base || insn->reg == insn->mem.index)
			return false;
		memcpy(&before->gpr[insn->reg], &bit, insn->reg_size);
	}
	if (insn->rep != INSN_REP_NONE) {
		u64 count = 1 + tap_random() % 8;

		memcpy(&before->gpr[INSN_RCX], &count, insn->mem.addr_size);
	}
	if (insn->op == INSN_OP_MOVS || insn->op == INSN_OP_CMPS) {
		u64 to = target + tap_random() % 64;

		memcpy(&before->gpr[INSN_RDI], &to, insn->mem.addr_size);
	}
	if (!aim(bytes, disp_at, insn, target, before->gpr))
		return false;
	if (vitrine_insn_decode(bytes, 16, VITRINE_INSN_64, insn))
		return false;

	if (tap_random() & 1) {
		u8 *at = (u8 *)(uintptr_t)target;

		if (insn->op == INSN_OP_CMPXCHG && insn->mem.base != INSN_RAX &&
		    insn->mem.index != INSN_RAX)
			memcpy(&before->gpr[INSN_RAX], at, insn->mem_size);
		if (insn->op == INSN_OP_CMPXCHG_WIDE && insn->mem.base != INSN_RAX &&
		    insn->mem.base != INSN_RDX && insn->mem.index != INSN_RAX &&
		    insn->mem.index != INSN_RDX) {
			memcpy(&before->gpr[INSN_RAX], at, insn->mem_size / 2);
			memcpy(&before->gpr[INSN_RDX], at + insn->mem_size / 2,
			       insn->mem_size / 2);
		}
	}
	return true;
}

static u8 *copy_of(u64 address, u8 size)
{
	u64 offset = address - (uintptr_t)native_buffer;

	if (offset + size > NATIVE_BUFFER_SIZE || offset > NATIVE_BUFFER_SIZE)
		return NULL;
	return memory + offset;
}

static u64 registers[16];	/* the machine's */

static void load(struct vitrine_insn_state *s, const struct native_state *state)
{
	s->mode = VITRINE_INSN_64;
	s->la_bits = 48;
	s->gpr = registers;
	memcpy(registers, state->gpr, sizeof(registers));
	s->rflags = state->rflags;
	s->rip = native_slot;
	s->seg_base[INSN_ES] = tap_random();
	s->seg_base[INSN_CS] = tap_random();
	s->seg_base[INSN_SS] = tap_random();
	s->seg_base[INSN_DS] = tap_random();
	s->seg_base[INSN_GS] = NATIVE_GS_BASE;
	memset(s->xmm, 0, sizeof(s->xmm));
	if (vitrine_insn_stores_xmm(&s->insn))
		memcpy(s->xmm, state->xmm, sizeof(s->xmm));
}

static bool untouched(const struct vitrine_insn_state *s, const u64 *gpr, u64 rflags)
{
	return !memcmp(s->gpr, gpr, sizeof(registers)) && s->rflags == rflags &&
	       s->rip == native_slot;
}

/* Runs to the end on the copy. Returns what went wrong, or NULL. */
static const char *emulate(struct vitrine_insn_state *s, int *vector)
{
	u64 gpr[16], rflags = s->rflags;
	unsigned int i;
	u8 *at;

	memcpy(gpr, s->gpr, sizeof(gpr));
	vitrine_insn_begin(s);
	for (i = 0; i < MAX_STEPS; i++) {
		enum vitrine_insn_step step = vitrine_insn_step(s);

		if (step == INSN_DONE)
			return s->rip == native_slot + s->insn.len ? NULL : "RIP";
		if (step == INSN_AGAIN) {
			/* Between iterations the state may be thrown away. */
			struct vitrine_insn_state fresh;

			memset(&fresh, 0xa5, sizeof(fresh));
			fresh.insn = s->insn;
			fresh.mode = s->mode;
			fresh.la_bits = s->la_bits;
			fresh.gpr = s->gpr;
			memcpy(fresh.seg_base, s->seg_base, sizeof(fresh.seg_base));
			fresh.rflags = s->rflags;
			fresh.rip = s->rip;
			*s = fresh;
			vitrine_insn_begin(s);
			memcpy(gpr, s->gpr, sizeof(gpr));
			rflags = s->rflags;
			continue;
		}
		if (!untouched(s, gpr, rflags))
			return "state changed before the end";
		if (step == INSN_FAULT) {
			*vector = s->vector;
			return NULL;
		}
		at = copy_of(s->gva, s->size);
		if (!at)
			return "address";
		if (step == INSN_READ)
			memcpy(s->data, at, s->size);
		else
			memcpy(at, s->data, s->size);
	}
	return "no end";
}

static bool report(const u8 *bytes, const struct vitrine_insn *insn, const char *what)
{
	char hex[3 * 16 + 1] = "";
	unsigned int i;

	for (i = 0; i < insn->len; i++)
		sprintf(hex + 3 * i, "%02x ", bytes[i]);
	if (reports++ < MAX_REPORTS)
		tap_diag("%s: %s (operation %u, %u bytes)", hex, what, insn->op, insn->mem_size);
	return false;
}

static bool compare(const u8 *bytes, const struct native_state *before)
{
	struct native_state after = *before;
	static struct vitrine_insn_state s;
	int native_vector, vector = 0;
	const char *wrong;
	u64 flags;

	vitrine_insn_decode(bytes, 16, VITRINE_INSN_64, &s.insn);
	load(&s, before);
	memcpy(memory, native_buffer, sizeof(memory));
	wrong = emulate(&s, &vector);
	if (wrong)
		return report(bytes, &s.insn, wrong);

	native_vector = native_run(bytes, s.insn.len,
				   s.insn.op == INSN_OP_MOV_XMM ? s.insn.reg : 0, &after);
	faults[native_vector]++;
	if (native_vector != vector)
		return report(bytes, &s.insn, "fault");
	if (memcmp(memory, native_buffer, sizeof(memory)))
		return report(bytes, &s.insn, "memory");
	if (vector)
		return true;

	flags = (STATUS_FLAGS | X86_EFLAGS_DF) & ~undefined_flags(&s.insn);
	if ((s.rflags ^ after.rflags) & flags)
		return report(bytes, &s.insn, "flags");
	if ((s.rflags ^ before->rflags) & ~(u64)STATUS_FLAGS)
		return report(bytes, &s.insn, "flags that are no status");
	if (memcmp(s.gpr, after.gpr, sizeof(registers)))
		return report(bytes, &s.insn, "registers");
	if (s.insn.op == INSN_OP_MOV_XMM && memcmp(s.xmm, after.xmm, sizeof(s.xmm)))
		return report(bytes, &s.insn, "XMM register");
	done[s.insn.op]++;
	return true;
}

static bool random_instructions(void)
{
	struct native_state before;
	struct vitrine_insn insn;
	unsigned int round = 0;
	u8 bytes[16];
	bool ok = true;

	while (round < ROUNDS) {
		unsigned int disp_at = generate(bytes);

		if (!prepare(bytes, disp_at, &insn, &before) || insn.mem.seg == INSN_FS)
			continue;
		ok &= compare(bytes, &before);
		round++;
	}
	return ok;
}

/* The comparison above proves nothing about what it never ran. */
static bool every_operation_ran(void)
{
	unsigned int op;
	bool ok = faults[GP_VECTOR] > 10;

	for (op = 0; op <= INSN_OP_MOV_XMM; op++) {
		if (done[op] < 500) {
			tap_diag("operation %u ran %u times", op, done[op]);
			ok = false;
		}
	}
	return ok;
}

/* Bytes on which the disassembler library and the processor disagree, see insn_test.c. */
static bool disputed_encodings(void)
{
	u8 no_base[] = { 0x67, 0x45, 0x3b, 0x0c, 0x25, 0, 0, 0, 0 };
	const u8 movsxd[] = { 0x66, 0x63, 0x08 };
	u32 end = (uintptr_t)native_buffer + NATIVE_BUFFER_SIZE;
	struct native_state before = { .rflags = X86_EFLAGS_FIXED };
	u8 bytes[16] = { 0 };
	u32 address = end - 1024;
	bool ok;

	/* cmp r9d, [address], and not [r13d + address]. */
	memcpy(no_base + 5, &address, 4);
	memcpy(bytes, no_base, sizeof(no_base));
	before.gpr[13] = 0x70000000;
	ok = compare(bytes, &before);

	/*
	 * movsxd cx, [the last two bytes before an inaccessible page]. AMD's processors read four
	 * bytes all the same; guests run on Intel's.
	 */
	__builtin_cpu_init();
	if (!__builtin_cpu_is("intel")) {
		printf("# movsxd with a 16-bit operand is left out: not an Intel processor\n");
		return ok;
	}
	memcpy(bytes, movsxd, sizeof(movsxd));
	before.gpr[INSN_RAX] = end - 2;
	return ok & compare(bytes, &before);
}

/* Not canonical: #SS(0) where the stack segment is the default, else #GP(0). */
static bool not_canonical(void)
{
	static const u8 cases[][16] = {
		{ 0x8b, 0x08 },			/* mov ecx, [rax] */
		{ 0x89, 0x4d, 0x00 },		/* mov [rbp], ecx */
		{ 0x3e, 0x89, 0x4d, 0x00 },	/* ... with a DS prefix that counts for nothing */
		{ 0x65, 0x01, 0x4d, 0x00 },	/* add gs:[rbp], ecx */
		{ 0x87, 0x0c, 0x24 },		/* xchg [rsp], ecx */
		{ 0x48, 0xa5 },			/* movs */
		{ 0xa1, 0, 0, 0, 0, 0, 0, 0, 0x40 },
	};
	struct native_state before = { .rflags = X86_EFLAGS_FIXED };
	unsigned int i, gp = faults[GP_VECTOR], ss = faults[SS_VECTOR];
	bool ok = true;

	for (i = 0; i < 16; i++)
		before.gpr[i] = 0x4000000000001000ull;
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		ok &= compare(cases[i], &before);
	return ok && faults[GP_VECTOR] == gp + 4 && faults[SS_VECTOR] == ss + 3;
}

struct legacy_case {
	const char *what;
	u8 mode;
	u8 bytes[8];
	u64 rip;
	u64 gpr[8];
	u64 seg_base;		/* of every segment */
	u32 gva;		/* of each access, the first one here */
	u32 last_gva;
	u64 rip_after;
	u64 rcx, rsi, rdi;	/* afterwards */
};

/* Modes that a 64-bit process cannot enter: address wrap, 16-bit forms, counts. */
static bool legacy_modes(void)
{
	static const struct legacy_case cases[] = {
		{ "mov ax, [bx + si + 0x10]", VITRINE_INSN_16, { 0x8b, 0x40, 0x10 }, 0x100,
		  { [INSN_RBX] = 0xabcdf000, [INSN_RSI] = 0x1000 }, 0x20000, 0x20010, 0x20010,
		  0x103, 0, 0x1000, 0 },
		{ "mov [bp - 2], ax", VITRINE_INSN_16, { 0x89, 0x46, 0xfe }, 0x100,
		  { [INSN_RBP] = 1 }, 0x30000, 0x3ffff, 0x3ffff, 0x103, 0, 0, 0 },
		{ "rep stosb over the end of a segment", VITRINE_INSN_16, { 0xf3, 0xaa }, 0xfffe,
		  { [INSN_RCX] = 0xdead0003, [INSN_RDI] = 0xbeefffff }, 0xf0000, 0xfffff, 0xf0001,
		  0x10000, 0xdead0000, 0, 0xbeef0002 },
		{ "rep movsd backwards", VITRINE_INSN_32, { 0xfd, 0xf3, 0xa5 }, 0x1000,
		  { [INSN_RCX] = 2, [INSN_RSI] = 0x100, [INSN_RDI] = 0 }, 0, 0x100, 0xfffffffc,
		  0x1002, 0, 0xf8, 0xfffffff8 },
		{ "linear addresses wrap", VITRINE_INSN_32, { 0x89, 0x01 }, 0xffffffff,
		  { [INSN_RCX] = 0xfffff000 }, 0x2000, 0x1000, 0x1000, 1, 0xfffff000, 0, 0 },
		{ "rep with a count of zero", VITRINE_INSN_32, { 0xf3, 0xab }, 0x1000,
		  { 0 }, 0, 0, 0, 0x1002, 0, 0, 0 },
		{ "bts [0x1000], eax with a negative bit", VITRINE_INSN_32,
		  { 0x0f, 0xab, 0x05, 0x00, 0x10, 0x00, 0x00 }, 0, { [INSN_RAX] = (u32)-1 },
		  0, 0xffc, 0xffc, 7, 0, 0, 0 },
	};
	unsigned int i, seg;
	bool ok = true;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct legacy_case *c = &cases[i];
		/* A leading STD of a case stands for DF set. */
		bool down = c->bytes[0] == 0xfd;
		struct vitrine_insn_state s = { .mode = c->mode, .rip = c->rip, .gpr = registers };
		enum vitrine_insn_step step;
		u64 first = 0, last = 0;
		unsigned int accesses = 0;

		if (vitrine_insn_decode(c->bytes + down, sizeof(c->bytes) - down, c->mode,
					&s.insn)) {
			tap_diag("%s: not decoded", c->what);
			ok = false;
			continue;
		}
		memset(registers, 0, sizeof(registers));
		memcpy(registers, c->gpr, sizeof(c->gpr));
		s.rflags = X86_EFLAGS_FIXED | (down ? X86_EFLAGS_DF : 0);
		for (seg = 0; seg < INSN_NR_SEGS; seg++)
			s.seg_base[seg] = c->seg_base;
		vitrine_insn_begin(&s);
		do {
			step = vitrine_insn_step(&s);
			if (step != INSN_READ && step != INSN_WRITE)
				continue;
			last = s.gva;
			if (!accesses++)
				first = s.gva;
		} while (step != INSN_DONE && step != INSN_FAULT && accesses < MAX_STEPS);

		if (step != INSN_DONE || first != c->gva || last != c->last_gva ||
		    s.rip != c->rip_after || s.gpr[INSN_RCX] != c->rcx ||
		    s.gpr[INSN_RSI] != c->rsi || s.gpr[INSN_RDI] != c->rdi) {
			tap_diag("%s: step %d gva %llx..%llx rip %llx rcx %llx rsi %llx rdi %llx",
				 c->what, step, (unsigned long long)first, (unsigned long long)last,
				 s.rip, s.gpr[INSN_RCX], s.gpr[INSN_RSI], s.gpr[INSN_RDI]);
			ok = false;
		}
	}
	return ok;
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "disputed encodings, on the processor", disputed_encodings },
		{ "random instructions, on the processor", random_instructions },
		{ "every operation ran", every_operation_ran },
		{ "addresses that are not canonical", not_canonical },
		{ "16-bit and 32-bit modes", legacy_modes },
	};

	if (!native_init()) {
		printf("Bail out! no executable memory below 2 GiB\n");
		return 1;
	}
	find_candidates();
	return tap_main(tests, ARRAY_SIZE(tests));
}
