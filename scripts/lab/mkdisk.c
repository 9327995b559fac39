// SPDX-License-Identifier: GPL-2.0
/*
 * Writes the lab's boot disk (disk.h): boot parameters, command line, the loadable segments of an
 * ELF vmlinux at their physical addresses, and the initramfs behind them: the one that all runs
 * share and what this run adds, which the kernel unpacks one after the other. Runs on the host;
 * refuses what the loader could not boot.
 *
 * usage: mkdisk OUT VMLINUX INITRAMFS ADDED_INITRAMFS MEMORY_MIB CMDLINE
 */
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk.h"

#define HUGE_BYTES	(2U << 20)
#define CYLINDER_BYTES	(16U * 63 * SECTOR_BYTES)
#define CMDLINE_MAX	2047
#define RUN_BYTES	(64UL << 20)	/* to run in, besides the files and their archive */

struct blob {
	const char *path;
	const unsigned char *data;
	size_t bytes;
};

static int out_fd;
static unsigned int next_lba = 1;
static struct disk_table table = { .magic = DISK_MAGIC };

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	fputs("mkdisk: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static struct blob blob_map(const char *path)
{
	struct blob blob = { .path = path };
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st))
		die("%s: %s", path, strerror(errno));
	blob.bytes = st.st_size;
	if (blob.bytes) {
		blob.data = mmap(NULL, blob.bytes, PROT_READ, MAP_PRIVATE, fd, 0);
		if (blob.data == MAP_FAILED)
			die("%s: %s", path, strerror(errno));
	}
	close(fd);
	return blob;
}

static unsigned long align_up(unsigned long value, unsigned long to)
{
	return (value + to - 1) / to * to;
}

/* Returns the first sector; the next write starts on a sector of its own. */
static unsigned int disk_append(const void *data, size_t bytes)
{
	unsigned int lba = next_lba;
	off_t at = (off_t)lba * SECTOR_BYTES;

	next_lba += align_up(bytes, SECTOR_BYTES) / SECTOR_BYTES;
	while (bytes) {
		ssize_t done = pwrite(out_fd, data, bytes, at);

		if (done <= 0)
			die("write: %s", strerror(errno));
		data = (const char *)data + done;
		bytes -= done;
		at += done;
	}
	return lba;
}

static void part_add(unsigned long addr, const void *data, size_t bytes)
{
	struct disk_part *part;

	if (!bytes)
		return;
	if (table.parts == DISK_PARTS)
		die("more than %d parts to load", DISK_PARTS);
	part = &table.part[table.parts++];
	part->addr = addr;
	part->sectors = align_up(bytes, SECTOR_BYTES) / SECTOR_BYTES;
	part->lba = disk_append(data, bytes);
}

/* Returns the first free address behind the kernel. */
static unsigned long kernel_add(const struct blob *kernel)
{
	const Elf64_Ehdr *elf = (const void *)kernel->data;
	const Elf64_Phdr *segment;
	unsigned long end = 0;
	size_t bytes;
	int i;

	if (kernel->bytes < sizeof(*elf) || memcmp(elf->e_ident, ELFMAG, SELFMAG) ||
	    elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_machine != EM_X86_64 ||
	    elf->e_type != ET_EXEC || elf->e_phentsize != sizeof(*segment))
		die("%s: not an x86-64 vmlinux", kernel->path);
	if (elf->e_phoff > kernel->bytes ||
	    elf->e_phnum > (kernel->bytes - elf->e_phoff) / sizeof(*segment))
		die("%s: truncated", kernel->path);
	segment = (const void *)(kernel->data + elf->e_phoff);
	for (i = 0; i < elf->e_phnum; i++, segment++) {
		if (segment->p_type != PT_LOAD)
			continue;
		if (segment->p_offset > kernel->bytes ||
		    segment->p_filesz > kernel->bytes - segment->p_offset)
			die("%s: truncated", kernel->path);
		if (segment->p_paddr < 1UL << 20 || segment->p_paddr >= 1UL << 31 ||
		    segment->p_memsz > 1UL << 31)
			die("%s: a segment does not load between 1 MiB and 2 GiB", kernel->path);
		/* What ends in zeroes is .bss, which the kernel clears itself. */
		bytes = segment->p_filesz;
		while (bytes && !kernel->data[segment->p_offset + bytes - 1])
			bytes--;
		part_add(segment->p_paddr, kernel->data + segment->p_offset, bytes);
		if (end < segment->p_paddr + segment->p_memsz)
			end = segment->p_paddr + segment->p_memsz;
	}
	/* Debian's vmlinux names the physical entry, a self-built one may name the virtual one. */
	table.entry = elf->e_entry & 0x7fffffff;
	return end;
}

int main(int argc, char **argv)
{
	static struct boot_params params;
	struct blob kernel, initramfs, added;
	unsigned long addr, bytes, memory;

	if (argc != 7)
		die("usage: mkdisk OUT VMLINUX INITRAMFS PAYLOAD MEMORY_MIB CMDLINE");
	kernel = blob_map(argv[2]);
	initramfs = blob_map(argv[3]);
	added = blob_map(argv[4]);
	memory = strtoul(argv[5], NULL, 10) << 20;
	if (strlen(argv[6]) > CMDLINE_MAX)
		die("the kernel command line is longer than %d bytes", CMDLINE_MAX);
	out_fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (out_fd < 0)
		die("%s: %s", argv[1], strerror(errno));

	addr = align_up(kernel_add(&kernel), HUGE_BYTES);
	/* The second archive starts on a sector of its own; zeroes between two are allowed. */
	bytes = align_up(initramfs.bytes, SECTOR_BYTES) + added.bytes;
	if (addr + 2 * bytes + RUN_BYTES > memory)
		die("%lu MiB of memory are too few for this kernel and these files: %lu are needed",
		    memory >> 20, (addr + 2 * bytes + RUN_BYTES + (1 << 20) - 1) >> 20);
	part_add(addr, initramfs.data, initramfs.bytes);
	part_add(addr + bytes - added.bytes, added.data, added.bytes);

	params.hdr.boot_flag = 0xaa55;
	params.hdr.header = 0x53726448;		/* "HdrS" */
	params.hdr.version = 0x20f;
	params.hdr.type_of_loader = 0xff;
	params.hdr.loadflags = LOADED_HIGH;
	params.hdr.kernel_alignment = HUGE_BYTES;
	params.hdr.ramdisk_image = addr;
	params.hdr.ramdisk_size = bytes;
	params.hdr.cmd_line_ptr = ADDR_CMDLINE;
	params.hdr.cmdline_size = CMDLINE_MAX;
	part_add(ADDR_BOOT_PARAMS, &params, sizeof(params));
	part_add(ADDR_CMDLINE, argv[6], strlen(argv[6]) + 1);

	next_lba = 0;
	disk_append(&table, sizeof(table));
	/* The emulated disk has whole cylinders. */
	if (ftruncate(out_fd, align_up(lseek(out_fd, 0, SEEK_END) + 1, CYLINDER_BYTES)))
		die("%s: %s", argv[1], strerror(errno));
	return 0;
}
