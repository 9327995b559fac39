// SPDX-License-Identifier: GPL-2.0
/*
 * From files into guest memory: opening an image, placing its segments, its initrd, and raw
 * code. What a kernel then finds in registers and boot structures is handover.c's business.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

/* What the kernels take if their header names no limit. */
#define INITRD_LIMIT_DEFAULT	0x80000000ULL
#define LINUX_CMDLINE_MAX	2047
#define INITRD_ALIGN		4096ULL

/* Opens a non-empty regular file; returns the descriptor and its size. */
static int open_file(const char *path, const char *what, uint64_t *size, struct vitrine_error *err)
{
	struct stat st;
	int fd, ret;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return vitrine_fail(err, errno, "%s %s: %s", what, path, strerror(errno));
	if (fstat(fd, &st))
		ret = vitrine_fail(err, errno, "%s %s: %s", what, path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		ret = vitrine_fail(err, EINVAL, "%s %s: is not a regular file", what, path);
	else if (!st.st_size)
		ret = vitrine_fail(err, EINVAL, "%s %s: is empty", what, path);
	else
		ret = 0;
	if (ret) {
		close(fd);
		return ret;
	}
	*size = (uint64_t)st.st_size;
	return fd;
}

struct vitrine_image *vitrine_image_open(const char *path, struct vitrine_error *err)
{
	struct vitrine_image *image = calloc(1, sizeof(*image));
	struct vitrine_error why;
	uint64_t size;
	void *map;
	int ret;

	if (image)
		image->path = strdup(path);
	if (!image || !image->path) {
		vitrine_fail(err, ENOMEM, "out of memory");
		goto err_free;
	}
	image->fd = open_file(path, "kernel", &size, err);
	if (image->fd < 0)
		goto err_free;
	map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, image->fd, 0);
	if (map == MAP_FAILED) {
		vitrine_fail(err, errno, "kernel %s: %s", path, strerror(errno));
		goto err_close;
	}
	ret = vitrine_image_parse(map, size, &image->info, &why);
	munmap(map, size);
	if (ret) {
		vitrine_fail(err, -ret, "kernel %s: %s", path, why.text);
		goto err_close;
	}
	return image;

err_close:
	close(image->fd);
err_free:
	if (image)
		free(image->path);
	free(image);
	return NULL;
}

void vitrine_image_close(struct vitrine_image *image)
{
	if (!image)
		return;
	close(image->fd);
	free(image->path);
	free(image);
}

const char *vitrine_image_kind(const struct vitrine_image *image)
{
	static const char *const kinds[] = {
		[IMAGE_BZIMAGE] = "bzImage",
		[IMAGE_ELF_PVH] = "ELF by PVH",
		[IMAGE_MULTIBOOT] = "multiboot",
		[IMAGE_ELF_LINUX] = "ELF by 64-bit entry",
	};

	return kinds[image->info.kind];
}

static bool overlaps(uint64_t gpa, uint64_t size, uint64_t start, uint64_t end)
{
	return gpa < end && gpa + size > start;
}

int vitrine_load_check_range(struct vitrine_vm *vm, uint64_t gpa, uint64_t size,
			     const char *what, struct vitrine_error *err)
{
	if (!vitrine_vm_ptr(vm, gpa, size))
		return vitrine_fail(err, ENOMEM,
				    "%s needs memory from 0x%llx to 0x%llx; the guest has %llu MiB",
				    what, (unsigned long long)gpa, (unsigned long long)(gpa + size),
				    (unsigned long long)(vm->ram_size / MIB));
	if (overlaps(gpa, size, BOOT_AREA_START, BOOT_AREA_END))
		return vitrine_fail(err, E2BIG, "%s at 0x%llx meets the loader's own 0x%llx-0x%llx",
				    what, (unsigned long long)gpa, BOOT_AREA_START, BOOT_AREA_END);
	return 0;
}

/* Straight from the file to its place: one copy, and none of the image stays in our memory. */
int vitrine_load_file(struct vitrine_vm *vm, int fd, uint64_t offset, uint64_t gpa,
		      uint64_t size, const char *path, struct vitrine_error *err)
{
	uint8_t *to = vitrine_vm_ptr(vm, gpa, size);
	ssize_t got;

	if (!to)
		return vitrine_fail(err, ENOMEM, "%s does not fit into guest memory", path);
	while (size) {
		got = pread(fd, to, size, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return vitrine_fail(err, errno, "%s: %s", path, strerror(errno));
		if (!got)
			return vitrine_fail(err, EIO, "%s: got shorter while it was read", path);
		to += got;
		offset += (uint64_t)got;
		size -= (uint64_t)got;
	}
	return 0;
}

static int load_segments(struct vitrine_vm *vm, const struct vitrine_image *image,
			 uint64_t *end, struct vitrine_error *err)
{
	const struct image_segment *segment;
	unsigned int i;
	int ret;

	*end = HIGH_RAM_START;
	for (i = 0; i < image->info.nr_segments; i++) {
		segment = &image->info.segments[i];
		ret = vitrine_load_check_range(vm, segment->gpa, segment->memory_size,
					       "the kernel", err);
		if (!ret)
			ret = vitrine_load_file(vm, image->fd, segment->offset, segment->gpa,
						segment->file_size, image->path, err);
		if (ret)
			return ret;
		if (*end < segment->gpa + segment->memory_size)
			*end = segment->gpa + segment->memory_size;
	}
	return 0;
}

/* As high as the kernel can reach it, so that it is out of the way of what unpacks itself. */
static int load_initrd(struct vitrine_vm *vm, const struct image_info *info, const char *path,
		       uint64_t kernel_end, struct handover *handover, struct vitrine_error *err)
{
	uint64_t limit = vm->ram_size < PCI_HOLE_START ? vm->ram_size : PCI_HOLE_START;
	uint64_t size, max = INITRD_LIMIT_DEFAULT;
	int fd, ret;

	fd = open_file(path, "initrd", &size, err);
	if (fd < 0)
		return fd;
	if (info->kind == IMAGE_BZIMAGE && info->setup.initrd_addr_max)
		max = (uint64_t)info->setup.initrd_addr_max + 1;
	if (limit > max)
		limit = max;
	handover->initrd_size = size;
	handover->initrd_gpa = (limit - size) & ~(INITRD_ALIGN - 1);
	if (size > limit || handover->initrd_gpa < kernel_end)
		ret = vitrine_fail(err, E2BIG,
				   "initrd %s: %llu MiB do not fit beside the kernel; the guest has %llu MiB",
				   path, (unsigned long long)(size / MIB),
				   (unsigned long long)(vm->ram_size / MIB));
	else
		ret = vitrine_load_file(vm, fd, 0, handover->initrd_gpa, size, path, err);
	close(fd);
	return ret;
}

/* Multiboot kernels expect their own name as the first word. */
static int place_cmdline(struct vitrine_vm *vm, const struct vitrine_image *image,
			 const char *cmdline, struct vitrine_error *err)
{
	char *to = vitrine_vm_ptr(vm, BOOT_CMDLINE_GPA, BOOT_CMDLINE_MAX);
	size_t max = LINUX_CMDLINE_MAX;
	int length;

	if (!to)
		return vitrine_fail(err, ENOMEM, "no memory at 0x%llx for the command line",
				    BOOT_CMDLINE_GPA);
	if (image->info.kind == IMAGE_BZIMAGE)
		max = image->info.setup.cmdline_size;
	else if (image->info.kind == IMAGE_MULTIBOOT)
		max = BOOT_CMDLINE_MAX - 1;
	if (max > BOOT_CMDLINE_MAX - 1)
		max = BOOT_CMDLINE_MAX - 1;
	if (image->info.kind == IMAGE_MULTIBOOT)
		length = snprintf(to, BOOT_CMDLINE_MAX, "%s%s%s", image->path,
				  *cmdline ? " " : "", cmdline);
	else
		length = snprintf(to, BOOT_CMDLINE_MAX, "%s", cmdline);
	if (length < 0 || (size_t)length > max)
		return vitrine_fail(err, E2BIG, "command line: %d bytes, this kernel takes %zu",
				    length, max);
	return 0;
}

int vitrine_load_kernel(struct vitrine_vm *vm, const struct vitrine_image *image,
			const struct vitrine_boot *boot, struct vitrine_start *start,
			struct vitrine_error *err)
{
	struct handover handover = { .rsdp = boot->rsdp };
	uint64_t kernel_end;
	int ret;

	ret = place_cmdline(vm, image, boot->cmdline ? boot->cmdline : "", err);
	if (!ret)
		ret = load_segments(vm, image, &kernel_end, err);
	if (!ret && boot->initrd)
		ret = load_initrd(vm, &image->info, boot->initrd, kernel_end, &handover, err);
	if (ret)
		return ret;

	memset(start, 0, sizeof(*start));
	start->rip = image->info.entry;
	start->rsp = BOOT_AREA_START;
	switch (image->info.kind) {
	case IMAGE_BZIMAGE:
	case IMAGE_ELF_LINUX:
		vitrine_handover_linux(vm, &image->info, &handover, start);
		break;
	case IMAGE_ELF_PVH:
		vitrine_handover_pvh(vm, &handover, start);
		break;
	case IMAGE_MULTIBOOT:
		vitrine_handover_multiboot(vm, &handover, start);
		break;
	}
	return 0;
}

int vitrine_load_acpi(struct vitrine_vm *vm, unsigned int nr_cpus, uint64_t *rsdp,
		      struct vitrine_error *err)
{
	uint8_t *area = vitrine_vm_ptr(vm, ACPI_GPA, ACPI_MAX);

	if (!area)
		return vitrine_fail(err, EFAULT, "no memory at 0x%llx for ACPI tables", ACPI_GPA);
	if (!nr_cpus || nr_cpus > VM_CPUS_MAX)
		return vitrine_fail(err, EINVAL, "%u CPUs: 1 to %d are possible", nr_cpus,
				    VM_CPUS_MAX);
	if (!vitrine_acpi_build(area, ACPI_MAX, ACPI_GPA, nr_cpus))
		return vitrine_fail(err, E2BIG, "ACPI tables for %u CPUs do not fit", nr_cpus);
	*rsdp = ACPI_GPA;
	return 0;
}

static int check_flat(struct vitrine_vm *vm, uint64_t gpa, uint64_t size,
		      enum vitrine_mode mode, struct vitrine_error *err)
{
	if (mode == VITRINE_MODE_REAL && gpa >= MIB)
		return vitrine_fail(err, EINVAL, "0x%llx is out of reach in real mode",
				    (unsigned long long)gpa);
	if (gpa >= ENTRY_END)
		return vitrine_fail(err, EINVAL, "0x%llx is out of reach: code starts below 4 GiB",
				    (unsigned long long)gpa);
	if (!vitrine_vm_ptr(vm, gpa, size))
		return vitrine_fail(err, E2BIG, "%llu bytes at 0x%llx do not fit into memory",
				    (unsigned long long)size, (unsigned long long)gpa);
	return mode == VITRINE_MODE_REAL ? 0 :
	       vitrine_load_check_range(vm, gpa, size, "the code", err);
}

static void start_flat(struct vitrine_start *start, uint64_t gpa, enum vitrine_mode mode)
{
	memset(start, 0, sizeof(*start));
	start->mode = mode;
	start->rip = gpa;
	/* Below a boot sector, as a BIOS has it; otherwise below the page tables. */
	start->rsp = mode == VITRINE_MODE_REAL ? 0x7000 : BOOT_AREA_START;
}

int vitrine_load_flat(struct vitrine_vm *vm, const char *path, uint64_t gpa,
		      enum vitrine_mode mode, struct vitrine_start *start,
		      struct vitrine_error *err)
{
	uint64_t size;
	int fd, ret;

	fd = open_file(path, "file", &size, err);
	if (fd < 0)
		return fd;
	ret = check_flat(vm, gpa, size, mode, err);
	if (!ret)
		ret = vitrine_load_file(vm, fd, 0, gpa, size, path, err);
	if (!ret)
		start_flat(start, gpa, mode);
	close(fd);
	return ret;
}

int vitrine_load_bytes(struct vitrine_vm *vm, const void *bytes, size_t size, uint64_t gpa,
		       enum vitrine_mode mode, struct vitrine_start *start,
		       struct vitrine_error *err)
{
	int ret;

	if (!size)
		return vitrine_fail(err, EINVAL, "no code: size is 0");
	ret = check_flat(vm, gpa, size, mode, err);
	if (ret)
		return ret;
	memcpy(vitrine_vm_ptr(vm, gpa, size), bytes, size);
	start_flat(start, gpa, mode);
	return 0;
}
