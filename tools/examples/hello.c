// SPDX-License-Identifier: GPL-2.0
/* A first virtual machine monitor on libvitrine: a guest that says hello by port 0x3f8. */
#include <stdio.h>
#include <string.h>

#include "libvitrine.h"

/* next: lodsb; test al, al; jz end; mov dx, 0x3f8; out dx, al; jmp next; end: hlt */
static const uint8_t code[] = { 0xac, 0x84, 0xc0, 0x74, 0x07, 0x66, 0xba, 0xf8, 0x03, 0xee,
				0xeb, 0xf4, 0xf4 };
static const char text[] = "Hello from inside the glass\n";

static int on_io(struct vitrine_vcpu *vcpu, const struct vitrine_io *io, void *exits)
{
	(void)vcpu;
	if (!io->out || io->port != 0x3f8)
		return VITRINE_END_OTHER;
	++*(unsigned int *)exits;
	fwrite(io->data, io->size, io->count, stdout);
	return VITRINE_RESUME;
}

int main(int argc, char **argv)
{
	const struct vitrine_handlers handlers = { .io = on_io };
	struct vitrine_error err;
	struct vitrine *dev = vitrine_open(argc > 1 ? argv[1] : NULL, &err);
	struct vitrine_vm *vm = dev ? vitrine_vm_create(dev, &err) : NULL;
	struct vitrine_vcpu *vcpu = vm ? vitrine_vcpu_create(vm, 0, &err) : NULL;
	const enum vitrine_mode mode = VITRINE_MODE_LONG;
	struct vitrine_start start;
	unsigned int exits = 0;
	int end = -1;

	if (vcpu && !vitrine_vm_map_ram(vm, 2 << 20, &err) &&
	    !vitrine_load_bytes(vm, code, sizeof(code), 0x100000, mode, &start, &err)) {
		memcpy(vitrine_vm_ptr(vm, 0x1000, sizeof(text)), text, sizeof(text));
		start.rsi = 0x1000;
		if (!vitrine_vcpu_start(vcpu, &start, &err))
			end = vitrine_vcpu_run(vcpu, &handlers, &exits, &err);
	}
	if (end == VITRINE_END_HALTED)
		printf("the guest halted after %u port exits\n", exits);
	else
		fprintf(stderr, "hello: %s\n", end < 0 ? err.text : "an unexpected exit");
	vitrine_vm_destroy(vm);
	vitrine_close(dev);
	return end != VITRINE_END_HALTED;
}
