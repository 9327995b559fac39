// SPDX-License-Identifier: GPL-2.0
/* build: tools/lib/vm.c tools/lib/vcpu.c tools/lib/start.c tools/lib/cpuid.c tools/lib/load.c */
/* build: tools/lib/handover.c tools/lib/memmap.c tools/lib/acpi.c tools/lib/image.c */
/* build: tools/lib/elf.c tools/lib/multiboot.c tools/lib/error.c */
/*
 * libvitrine between a file and the guest's memory: what fails, how the header says it does. The
 * device is this program: ioctl() is answered here.
 */
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../tools/lib/internal.h"
#include "tap.h"

static uint64_t slot_size[4];
static uint64_t refused_gpa;	/* memory there cannot be had */

int ioctl(int fd, unsigned long request, ...)
{
	const struct kvm_userspace_memory_region *region;
	va_list args;

	(void)fd;
	va_start(args, request);
	region = va_arg(args, void *);
	va_end(args);
	if (request != KVM_SET_USER_MEMORY_REGION || region->slot >= ARRAY_SIZE(slot_size)) {
		errno = ENOTTY;
		return -1;
	}
	if (region->memory_size && region->guest_phys_addr == refused_gpa) {
		errno = ENOMEM;
		return -1;
	}
	slot_size[region->slot] = region->memory_size;
	return 0;
}

int vitrine_check(const struct vitrine *dev, int cap)
{
	(void)dev;
	(void)cap;
	return 0;
}

/* As vitrine_vm_create() and vitrine_vm_destroy(), without a file descriptor. */
static struct vitrine dev = { .fd = -1 };

static struct vitrine_vm *make_vm(uint64_t ram_size)
{
	struct vitrine_vm *vm = calloc(1, sizeof(*vm));
	struct vitrine_error err;

	memset(slot_size, 0, sizeof(slot_size));
	refused_gpa = UINT64_MAX;
	vm->dev = &dev;
	vm->fd = -1;
	if (ram_size && vitrine_vm_map_ram(vm, ram_size, &err))
		tap_diag("%s", err.text);
	return vm;
}

static bool failed(int ret, int code, const struct vitrine_error *err, const char *word)
{
	if (ret == -code && err->code == code && strstr(err->text, word))
		return true;
	tap_diag("wanted %d and '%s', got %d and '%s'", -code, word, ret, err->text);
	return false;
}

static bool test_map_ram(void)
{
	struct vitrine_vm *vm = make_vm(0);
	struct vitrine_error err = { 0 };
	bool ok;

	refused_gpa = 4 * GIB;
	ok = failed(vitrine_vm_map_ram(vm, 5 * GIB, &err), ENOMEM, &err, "0x100000000") &&
	     !vm->nr_mappings && !slot_size[0] && !vitrine_vm_ptr(vm, 0, 1) &&
	     !vitrine_vm_ram_size(vm);
	refused_gpa = UINT64_MAX;
	ok = ok && !vitrine_vm_map_ram(vm, 5 * GIB, &err) && slot_size[0] == 3 * GIB &&
	     slot_size[1] == 2 * GIB && vitrine_vm_ptr(vm, 6 * GIB - 1, 1) &&
	     vitrine_vm_ram_size(vm) == 5 * GIB;
	ok = ok && failed(vitrine_vm_map_ram(vm, 1 * GIB, &err), EEXIST, &err, "overlaps") &&
	     slot_size[0] == 3 * GIB;
	vitrine_vm_destroy(vm);
	return ok;
}

static bool test_bytes(void)
{
	struct vitrine_vm *vm = make_vm(6 * GIB);
	static const char code[8192] = "code";
	struct vitrine_error err = { 0 };
	struct vitrine_start start;
	enum vitrine_mode mode;
	bool ok = true;

	for (mode = VITRINE_MODE_REAL; mode <= VITRINE_MODE_LONG; mode++) {
		ok &= failed(vitrine_load_bytes(vm, code, 1, 5 * GIB, mode, &start, &err), EINVAL,
			     &err, "out of reach");
		ok &= failed(vitrine_load_bytes(vm, code, 0, 0x8000, mode, &start, &err), EINVAL,
			     &err, "size is 0");
		ok &= !vitrine_load_bytes(vm, code, sizeof(code), 0x50000, mode, &start, &err) &&
		      start.rip == 0x50000 && start.mode == mode &&
		      !strcmp(vitrine_vm_ptr(vm, 0x50000, 5), "code");
		if (mode == VITRINE_MODE_REAL)
			continue;
		ok &= failed(vitrine_load_bytes(vm, code, 2, 3 * GIB - 1, mode, &start, &err),
			     E2BIG, &err, "do not fit");
		ok &= failed(vitrine_load_bytes(vm, code, 8192, 0xf000, mode, &start, &err), E2BIG,
			     &err, "meets");
	}
	vitrine_vm_destroy(vm);
	return ok;
}

/* What is to be at the entry is the first thing that is looked at. */
static bool test_start(void)
{
	struct vitrine_start start = { .mode = VITRINE_MODE_LONG, .rip = 4 * GIB };
	struct vitrine_vm *vm = make_vm(MIB);
	struct vitrine_vcpu vcpu = { .vm = vm, .fd = -1, .prepared = true };
	struct vitrine_error err = { 0 };
	bool ok;

	ok = failed(vitrine_vcpu_start(&vcpu, &start, &err), EINVAL, &err, "out of reach");
	start.rip--;
	ok &= failed(vitrine_vcpu_start(&vcpu, &start, &err), ENOTTY, &err, "GET_SREGS");
	ok &= !vitrine_vcpu_create(vm, 254, &err) && err.code == EINVAL &&
	      strstr(err.text, "0 to 253");
	ok &= !vitrine_vcpu_create(vm, 253, &err) && err.code == ENOTTY;
	vitrine_vm_destroy(vm);
	return ok;
}

/* A file that has no name but this one. */
static void make_file(char *path, size_t size, const void *bytes, size_t count)
{
	int fd = memfd_create("image", 0);

	snprintf(path, size, "/proc/self/fd/%d", fd);
	if (fd < 0 || write(fd, bytes, count) != (ssize_t)count)
		tap_diag("no file: %s", strerror(errno));
}

#define SEGMENTS 33

struct kernel {
	Elf64_Ehdr head;
	Elf64_Phdr segment[SEGMENTS];
	char code[4096];
};

static void make_kernel(struct kernel *kernel, unsigned int segments)
{
	unsigned int i;

	*kernel = (struct kernel) {
		.head = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_entry = 0x200000,
			.e_phoff = offsetof(struct kernel, segment),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = (Elf64_Half)segments,
		},
	};
	for (i = 0; i < segments; i++)
		kernel->segment[i] = (Elf64_Phdr) {
			.p_type = PT_LOAD,
			.p_offset = offsetof(struct kernel, code),
			.p_vaddr = 0x200000 + i * 4096,
			.p_paddr = 0x200000 + i * 4096,
			.p_filesz = 4096,
			.p_memsz = 4096,
		};
}

static bool test_files(void)
{
	struct vitrine_vm *vm = make_vm(16 * MIB);
	struct vitrine_error err = { 0 };
	struct vitrine_image *image;
	struct vitrine_boot boot = { 0 };
	struct vitrine_start start;
	struct kernel kernel;
	char path[32], empty[32];
	bool ok;

	make_file(empty, sizeof(empty), "", 0);
	ok = failed(vitrine_load_flat(vm, "/none", 0x8000, VITRINE_MODE_REAL, &start, &err), ENOENT,
		    &err, "/none");
	ok &= failed(vitrine_load_flat(vm, empty, 0x8000, VITRINE_MODE_REAL, &start, &err), EINVAL,
		     &err, "empty");
	ok &= !vitrine_image_open("/none", &err) && err.code == ENOENT;
	ok &= !vitrine_image_open(empty, &err) && err.code == EINVAL;

	make_kernel(&kernel, SEGMENTS);
	make_file(path, sizeof(path), &kernel, sizeof(kernel));
	ok &= !vitrine_image_open(path, &err) && err.code == E2BIG;

	make_kernel(&kernel, 2);
	make_file(path, sizeof(path), &kernel, sizeof(kernel));
	image = vitrine_image_open(path, &err);
	if (!image) {
		tap_diag("%s", err.text);
		return false;
	}
	ok &= !vitrine_load_kernel(vm, image, &boot, &start, &err) && start.rip == 0x200000;
	boot.initrd = "/none";
	ok &= failed(vitrine_load_kernel(vm, image, &boot, &start, &err), ENOENT, &err, "/none");
	boot.initrd = NULL;
	ok &= !truncate(path, 4096);
	ok &= failed(vitrine_load_kernel(vm, image, &boot, &start, &err), EIO, &err, "shorter");
	vitrine_image_close(image);
	vitrine_vm_destroy(vm);
	return ok;
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "RAM is mapped as a whole or not at all", test_map_ram },
		{ "bytes that a guest cannot reach or has no room for", test_bytes },
		{ "a start where no first page table leads, and the last vCPU's id", test_start },
		{ "files that are not there, are odd or get shorter", test_files },
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
