// SPDX-License-Identifier: GPL-2.0
/*
 * What kind of kernel a file is, and the bzImage among the kinds. Pure: bytes in, segments and
 * an entry out; every offset comes from a file that may lie. Nothing is loaded here.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "internal.h"

#define SETUP_HEADER_OFFSET	0x1f1
#define SECTOR_BYTES		512
#define BOOT_FLAG		0xaa55
#define VERSION_64BIT_ENTRY	0x020c
#define ENTRY_64_OFFSET		0x200
#define SETUP_SECTS_DEFAULT	4
#define SETUP_END_BYTE		0x201

static bool starts_with(const uint8_t *bytes, size_t size, size_t offset, const char *magic,
			size_t length)
{
	return size >= offset + length && !memcmp(bytes + offset, magic, length);
}

static bool is_bzimage(const uint8_t *bytes, size_t size)
{
	uint16_t flag;

	if (!starts_with(bytes, size, 0x202, "HdrS", 4))
		return false;
	memcpy(&flag, bytes + 0x1fe, sizeof(flag));
	return flag == BOOT_FLAG;
}

int vitrine_bzimage_parse(const uint8_t *bytes, size_t size, struct image_info *info,
			  struct vitrine_error *err)
{
	struct setup_header *setup = &info->setup;
	struct image_segment *segment = &info->segments[0];
	uint64_t setup_bytes, body, header_bytes;

	/* The jump at 0x200 tells how far the header of this version goes. */
	header_bytes = SETUP_END_BYTE + 1 + bytes[SETUP_END_BYTE] - SETUP_HEADER_OFFSET;
	if (header_bytes > sizeof(*setup))
		header_bytes = sizeof(*setup);
	if (SETUP_HEADER_OFFSET + header_bytes > size)
		return vitrine_fail(err, EINVAL, "bzImage is truncated in its setup header");
	memset(setup, 0, sizeof(*setup));
	memcpy(setup, bytes + SETUP_HEADER_OFFSET, header_bytes);

	if (!(setup->loadflags & LOADED_HIGH))
		return vitrine_fail(err, ENOEXEC, "zImage: kernels below 1 MiB are not supported");
	if (setup->version < VERSION_64BIT_ENTRY)
		return vitrine_fail(err, ENOEXEC,
				    "bzImage of boot protocol %u.%02u: 2.12 or later is needed",
				    setup->version >> 8, setup->version & 0xff);
	if (!(setup->xloadflags & XLF_KERNEL_64))
		return vitrine_fail(err, ENOEXEC,
				    "bzImage is a 32-bit kernel: it has no 64-bit entry point");

	setup_bytes = (setup->setup_sects ? setup->setup_sects : SETUP_SECTS_DEFAULT) + 1;
	setup_bytes *= SECTOR_BYTES;
	body = (uint64_t)setup->syssize * 16;
	if (!body || setup_bytes + body > size)
		return vitrine_fail(err, EINVAL,
				    "bzImage is truncated: %llu of %llu bytes are there",
				    (unsigned long long)size,
				    (unsigned long long)(setup_bytes + body));
	if ((uint64_t)setup->payload_offset + setup->payload_length > body)
		return vitrine_fail(err, EINVAL, "bzImage: payload_length 0x%x exceeds the image",
				    setup->payload_length);
	if (setup->pref_address < HIGH_RAM_START || setup->init_size < body)
		return vitrine_fail(err, EINVAL,
				    "bzImage: pref_address 0x%llx or init_size 0x%x is impossible",
				    (unsigned long long)setup->pref_address, setup->init_size);
	if (setup->pref_address > ENTRY_END - setup->init_size)
		return vitrine_fail(err, EINVAL,
				    "bzImage: pref_address 0x%llx is out of reach: kernels start below 4 GiB",
				    (unsigned long long)setup->pref_address);
	segment->offset = setup_bytes;
	segment->file_size = body;
	segment->gpa = setup->pref_address;
	segment->memory_size = setup->init_size;
	info->nr_segments = 1;
	info->entry = segment->gpa + ENTRY_64_OFFSET;
	info->kind = IMAGE_BZIMAGE;
	return 0;
}

/* For what is certainly no kernel of ours, say what it is. */
static int refuse(const uint8_t *bytes, size_t size, struct vitrine_error *err)
{
	static const struct {
		size_t offset;
		const char *magic;
		size_t length;
		const char *what;
	} known[] = {
		{ 0x38, "ARM\x64", 4, "is a kernel for arm64" },
		{ 0x38, "RSC\x05", 4, "is a kernel for riscv" },
		{ 0, "\x1f\x8b", 2, "is gzip-compressed: unpack it first" },
		{ 0, "\xfd\x37zXZ", 5, "is xz-compressed: unpack it first" },
		{ 0, "\x28\xb5\x2f\xfd", 4, "is zstd-compressed: unpack it first" },
		{ 0, "\x02\x21\x4c\x18", 4, "is lz4-compressed: unpack it first" },
		{ 0, "070701", 6, "is a cpio archive (an initrd?), not a kernel" },
		{ 0, "\x27\x05\x19\x56", 4, "is a U-Boot image, for another machine" },
		{ 0, "#!", 2, "is a script, not a kernel" },
		{ 0, "MZ", 2, "is an EFI or DOS program without a Linux boot header" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(known); i++)
		if (starts_with(bytes, size, known[i].offset, known[i].magic, known[i].length))
			return vitrine_fail(err, ENOEXEC, "%s", known[i].what);
	if (size < SECTOR_BYTES + SECTOR_BYTES)
		return vitrine_fail(err, ENOEXEC, "is no kernel: only %zu bytes long", size);
	return vitrine_fail(err, ENOEXEC,
			    "is no kernel: neither a bzImage, nor ELF, nor multiboot (--flat runs raw code)");
}

int vitrine_image_parse(const void *image, size_t size, struct image_info *info,
			struct vitrine_error *err)
{
	const uint8_t *bytes = image;
	const uint8_t *multiboot;

	memset(info, 0, sizeof(*info));
	if (!size)
		return vitrine_fail(err, ENOEXEC, "is empty");
	if (is_bzimage(bytes, size))
		return vitrine_bzimage_parse(bytes, size, info, err);
	if (starts_with(bytes, size, 0, ELFMAG, SELFMAG))
		return vitrine_elf_parse(bytes, size, info, err);
	multiboot = vitrine_multiboot_find(bytes, size);
	if (multiboot)
		return vitrine_multiboot_parse(bytes, size, multiboot, info, err);
	return refuse(bytes, size, err);
}
