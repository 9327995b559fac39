// SPDX-License-Identifier: GPL-2.0
/* build: tools/lib/image.c tools/lib/elf.c tools/lib/multiboot.c tools/lib/error.c */
/*
 * The image parsers: each kind of kernel is known, each other file is refused in words, and no
 * file, cut or damaged anywhere, leads outside its bytes (the address sanitizer watches).
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "../../tools/lib/internal.h"
#include "tap.h"

#define IMAGE_BYTES 16384

/* Parses a copy of exactly @size bytes, so that reading one more is caught. */
static int parse(const uint8_t *bytes, size_t size, struct image_info *info,
		 struct vitrine_error *err)
{
	uint8_t *copy = malloc(size ? size : 1);
	int ret;

	memcpy(copy, bytes, size);
	err->text[0] = 0;
	ret = vitrine_image_parse(copy, size, info, err);
	free(copy);
	return ret;
}

static bool refused(const uint8_t *bytes, size_t size, int code, const char *word)
{
	struct vitrine_error err;
	struct image_info info;
	int ret = parse(bytes, size, &info, &err);

	if (ret == -code && err.code == code && strstr(err.text, word))
		return true;
	tap_diag("wanted %d and '%s', got %d and '%s'", -code, word, ret, err.text);
	return false;
}

static void make_bzimage(uint8_t *bytes)
{
	struct setup_header *setup = (void *)(bytes + 0x1f1);

	memset(bytes, 0, IMAGE_BYTES);
	bytes[0] = 'M';
	bytes[1] = 'Z';
	setup->setup_sects = 3;
	setup->boot_flag = 0xaa55;
	setup->jump = 0x6aeb;
	setup->header = 0x53726448;
	setup->version = 0x020f;
	setup->loadflags = LOADED_HIGH;
	setup->xloadflags = XLF_KERNEL_64;
	setup->syssize = (IMAGE_BYTES - 4 * 512) / 16;
	setup->pref_address = 0x1000000;
	setup->init_size = 0x200000;
	setup->cmdline_size = 2047;
	setup->payload_offset = 16;
	setup->payload_length = 1024;
}

static bool test_bzimage(void)
{
	uint8_t bytes[IMAGE_BYTES];
	struct vitrine_error err;
	struct image_info info;
	size_t size;

	make_bzimage(bytes);
	if (parse(bytes, sizeof(bytes), &info, &err) || info.kind != IMAGE_BZIMAGE ||
	    info.entry != 0x1000200 || info.nr_segments != 1 ||
	    info.segments[0].offset != 2048 || info.segments[0].memory_size != 0x200000 ||
	    info.setup.cmdline_size != 2047) {
		tap_diag("a good bzImage: %s", err.text);
		return false;
	}
	for (size = 0; size < sizeof(bytes); size++)
		if (!parse(bytes, size, &info, &err) || !*err.text) {
			tap_diag("taken when cut to %zu bytes", size);
			return false;
		}
	return refused(bytes, sizeof(bytes) - 1, EINVAL, "truncated") &&
	       refused(bytes, 3000, EINVAL, "truncated");
}

static bool test_bzimage_refused(void)
{
	uint8_t bytes[IMAGE_BYTES];
	struct setup_header *setup = (void *)(bytes + 0x1f1);
	bool ok;

	make_bzimage(bytes);
	setup->xloadflags = 0;
	ok = refused(bytes, sizeof(bytes), ENOEXEC, "32-bit");
	make_bzimage(bytes);
	setup->loadflags = 0;
	ok &= refused(bytes, sizeof(bytes), ENOEXEC, "zImage");
	make_bzimage(bytes);
	setup->version = 0x0204;
	ok &= refused(bytes, sizeof(bytes), ENOEXEC, "2.04");
	make_bzimage(bytes);
	setup->payload_length = 0xffffffff;
	ok &= refused(bytes, sizeof(bytes), EINVAL, "payload_length");
	make_bzimage(bytes);
	setup->init_size = 1;
	ok &= refused(bytes, sizeof(bytes), EINVAL, "init_size");
	make_bzimage(bytes);
	setup->pref_address = 0x1000;
	ok &= refused(bytes, sizeof(bytes), EINVAL, "pref_address");
	setup->pref_address = 4 * GIB;
	ok &= refused(bytes, sizeof(bytes), EINVAL, "out of reach");
	setup->pref_address = UINT64_MAX - 4095;
	return ok & refused(bytes, sizeof(bytes), EINVAL, "out of reach");
}

static void make_elf64(uint8_t *bytes, bool note)
{
	Elf64_Ehdr *head = (void *)bytes;
	Elf64_Phdr *segment = (void *)(bytes + sizeof(*head));
	uint32_t pvh[] = { 4, 4, 18, 0x006e6558, 0x1000123 };

	memset(bytes, 0, IMAGE_BYTES);
	memcpy(head->e_ident, ELFMAG, SELFMAG);
	head->e_ident[EI_CLASS] = ELFCLASS64;
	head->e_ident[EI_DATA] = ELFDATA2LSB;
	head->e_type = ET_EXEC;
	head->e_machine = EM_X86_64;
	head->e_entry = 0x1000000;
	head->e_phoff = sizeof(*head);
	head->e_phentsize = sizeof(*segment);
	head->e_phnum = 2;
	segment[0] = (Elf64_Phdr) {
		.p_type = PT_LOAD, .p_offset = 8192, .p_vaddr = 0xffffffff81000000,
		.p_paddr = 0x1000000, .p_filesz = 4096, .p_memsz = 8192,
	};
	segment[1] = (Elf64_Phdr) {
		.p_type = note ? PT_NOTE : PT_NULL, .p_offset = 4096, .p_filesz = sizeof(pvh),
		.p_align = 4,
	};
	memcpy(bytes + 4096, pvh, sizeof(pvh));
}

static bool test_elf64(void)
{
	uint8_t bytes[IMAGE_BYTES];
	Elf64_Ehdr *head = (void *)bytes;
	struct vitrine_error err;
	struct image_info info;

	make_elf64(bytes, false);
	if (parse(bytes, sizeof(bytes), &info, &err) || info.kind != IMAGE_ELF_LINUX ||
	    info.entry != 0x1000000 || info.segments[0].memory_size != 8192)
		return false;
	head->e_entry = 0xffffffff81000040;
	if (parse(bytes, sizeof(bytes), &info, &err) || info.entry != 0x1000040) {
		tap_diag("a virtual entry: %s", err.text);
		return false;
	}
	make_elf64(bytes, true);
	if (parse(bytes, sizeof(bytes), &info, &err) || info.kind != IMAGE_ELF_PVH ||
	    info.entry != 0x1000123) {
		tap_diag("PVH: %s", err.text);
		return false;
	}
	return refused(bytes, 8192 + 4095, EINVAL, "truncated") &&
	       refused(bytes, 100, EINVAL, "truncated") && refused(bytes, 20, EINVAL, "truncated");
}

static bool test_elf_refused(void)
{
	uint8_t bytes[IMAGE_BYTES];
	Elf64_Ehdr *head = (void *)bytes;
	Elf64_Phdr *segment = (void *)(bytes + sizeof(*head));
	bool ok;

	make_elf64(bytes, false);
	head->e_machine = EM_AARCH64;
	ok = refused(bytes, sizeof(bytes), ENOEXEC, "arm64");
	head->e_machine = 0x7777;
	ok &= refused(bytes, sizeof(bytes), ENOEXEC, "another machine");
	make_elf64(bytes, false);
	head->e_ident[EI_DATA] = ELFDATA2MSB;
	ok &= refused(bytes, sizeof(bytes), ENOEXEC, "big-endian");
	make_elf64(bytes, false);
	head->e_type = ET_REL;
	ok &= refused(bytes, sizeof(bytes), ENOEXEC, "no executable");
	make_elf64(bytes, false);
	head->e_phoff = UINT64_MAX - 8;
	ok &= refused(bytes, sizeof(bytes), EINVAL, "truncated");
	make_elf64(bytes, false);
	segment[0].p_paddr = UINT64_MAX - 4096;
	ok &= refused(bytes, sizeof(bytes), EINVAL, "p_memsz");
	make_elf64(bytes, false);
	segment[0].p_memsz = 16;
	ok &= refused(bytes, sizeof(bytes), EINVAL, "p_memsz");
	make_elf64(bytes, false);
	segment[1].p_type = PT_INTERP;
	ok &= refused(bytes, sizeof(bytes), ENOEXEC, "program for Linux");
	make_elf64(bytes, false);
	head->e_entry = 0x5000;
	ok &= refused(bytes, sizeof(bytes), EINVAL, "no segment");
	head->e_entry = 4 * GIB;
	segment[0].p_vaddr = 4 * GIB;
	segment[0].p_paddr = 4 * GIB;
	return ok & refused(bytes, sizeof(bytes), EINVAL, "out of reach");
}

static void make_elf32(uint8_t *bytes)
{
	Elf32_Ehdr *head = (void *)bytes;
	Elf32_Phdr *segment = (void *)(bytes + sizeof(*head));
	uint32_t multiboot[] = { 0x1badb002, 3, -(0x1badb002u + 3) };

	memset(bytes, 0, IMAGE_BYTES);
	memcpy(head->e_ident, ELFMAG, SELFMAG);
	head->e_ident[EI_CLASS] = ELFCLASS32;
	head->e_ident[EI_DATA] = ELFDATA2LSB;
	head->e_type = ET_EXEC;
	head->e_machine = EM_386;
	head->e_entry = 0x100010;
	head->e_phoff = sizeof(*head);
	head->e_phentsize = sizeof(*segment);
	head->e_phnum = 1;
	*segment = (Elf32_Phdr) {
		.p_type = PT_LOAD, .p_offset = 4096, .p_vaddr = 0x100000, .p_paddr = 0x100000,
		.p_filesz = 4096, .p_memsz = 4096,
	};
	memcpy(bytes + 4096, multiboot, sizeof(multiboot));
}

static bool test_multiboot(void)
{
	uint32_t kludge[] = { 0x1badb002, 0x10000, -(0x1badb002u + 0x10000), 0x200100, 0x200000,
			      0x200400, 0x201000, 0x200120 };
	uint8_t bytes[IMAGE_BYTES];
	uint32_t *header = (void *)(bytes + 4096);
	struct vitrine_error err;
	struct image_info info;
	bool ok;

	make_elf32(bytes);
	if (parse(bytes, sizeof(bytes), &info, &err) || info.kind != IMAGE_MULTIBOOT ||
	    info.entry != 0x100010) {
		tap_diag("ELF: %s", err.text);
		return false;
	}
	header[1] = 4;
	header[2] = -(0x1badb002u + 4);
	ok = refused(bytes, sizeof(bytes), ENOEXEC, "flags");
	header[0] = 0;
	ok &= refused(bytes, sizeof(bytes), ENOEXEC, "neither");

	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes + 0x100, kludge, sizeof(kludge));
	if (parse(bytes, 4096, &info, &err) || info.kind != IMAGE_MULTIBOOT ||
	    info.segments[0].offset || info.segments[0].gpa != 0x200000 ||
	    info.segments[0].file_size != 0x400 || info.segments[0].memory_size != 0x1000 ||
	    info.entry != 0x200120) {
		tap_diag("addresses in the header: %s", err.text);
		return false;
	}
	ok &= refused(bytes, 0x300, EINVAL, "truncated");
	header = (void *)(bytes + 0x100);
	header[4] = 0x200101;
	return ok & refused(bytes, 4096, EINVAL, "load_addr");
}

static bool test_no_kernel(void)
{
	static const struct {
		const char *start, *word;
	} files[] = {
		{ "\x1f\x8b\x08", "gzip" },
		{ "070701", "cpio" },
		{ "#!/bin/sh\n", "script" },
		{ "MZ", "EFI" },
		{ "What is this?", "no kernel" },
	};
	uint8_t bytes[IMAGE_BYTES] = { 0 };
	unsigned int i;
	bool ok;

	ok = refused(bytes, 0, ENOEXEC, "empty");
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		memset(bytes, 0, sizeof(bytes));
		memcpy(bytes, files[i].start, strlen(files[i].start));
		ok &= refused(bytes, sizeof(bytes), ENOEXEC, files[i].word);
	}
	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, "MZ", 2);
	memcpy(bytes + 0x38, "ARM\x64", 4);
	return ok & refused(bytes, sizeof(bytes), ENOEXEC, "arm64");
}

/* Whatever is accepted must lie within the file and start inside what is loaded. */
static bool is_sound(const struct image_info *info, size_t size)
{
	const struct image_segment *segment;
	bool entry = false;
	unsigned int i;

	for (i = 0; i < info->nr_segments; i++) {
		segment = &info->segments[i];
		if (segment->offset > size || segment->file_size > size - segment->offset ||
		    segment->memory_size < segment->file_size ||
		    segment->gpa + segment->memory_size < segment->gpa)
			return false;
		entry |= info->entry >= segment->gpa && info->entry < 4 * GIB &&
			 info->entry - segment->gpa < segment->memory_size;
	}
	return entry;
}

static bool test_damage(void)
{
	unsigned int round, hits, accepted = 0;
	uint8_t bytes[IMAGE_BYTES];
	struct vitrine_error err;
	struct image_info info;
	size_t size;

	for (round = 0; round < 40000; round++) {
		if (round % 4 == 0)
			make_bzimage(bytes);
		else if (round % 4 == 3)
			make_elf32(bytes);
		else
			make_elf64(bytes, round % 4 == 1);
		for (hits = 1 + tap_random() % 8; hits; hits--)
			bytes[tap_random() % (round % 4 ? 256 : 0x270)] = (uint8_t)tap_random();
		if (round % 8 > 3)
			bytes[4096 + tap_random() % 32] = (uint8_t)tap_random();
		size = round % 5 ? sizeof(bytes) : tap_random() % sizeof(bytes);
		if (parse(bytes, size, &info, &err))
			continue;
		accepted++;
		if (!is_sound(&info, size)) {
			tap_diag("round %u: accepted, but leads outside", round);
			return false;
		}
	}
	tap_diag("%u of %u damaged images were still sound", accepted, round);
	return accepted && accepted < round;
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "a bzImage is known, and refused when cut anywhere", test_bzimage },
		{ "a bzImage that cannot start is refused by name", test_bzimage_refused },
		{ "ELF by 64-bit entry and by PVH note", test_elf64 },
		{ "ELF for another machine or damaged is refused by name", test_elf_refused },
		{ "multiboot in ELF and by its own addresses", test_multiboot },
		{ "what is no kernel is named", test_no_kernel },
		{ "damaged images never lead outside the file", test_damage },
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
