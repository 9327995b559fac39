// SPDX-License-Identifier: GPL-2.0
/*
 * ELF kernels: a PVH entry note, else a multiboot header, else Linux' 64-bit entry. Pure, and
 * every offset of the file is checked before it is followed.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "internal.h"

#define NOTE_NAME_XEN		"Xen"
#define NOTE_PHYS32_ENTRY	18

/* Both classes in one form. */
struct segment_header {
	uint32_t type;
	uint64_t offset, vaddr, paddr, file_size, memory_size, align;
};

struct elf {
	const uint8_t *bytes;
	size_t size;
	bool wide;
	uint64_t entry;
	uint64_t table;
	unsigned int entry_size;
	unsigned int count;
};

static const char *machine_name(unsigned int machine)
{
	switch (machine) {
	case EM_ARM:
		return "32-bit ARM";
	case EM_AARCH64:
		return "arm64";
	case EM_RISCV:
		return "RISC-V";
	case EM_PPC:
	case EM_PPC64:
		return "PowerPC";
	case EM_S390:
		return "s390";
	case EM_MIPS:
		return "MIPS";
	case EM_SPARC:
	case EM_SPARCV9:
		return "SPARC";
	case EM_IA_64:
		return "Itanium";
	default:
		return NULL;
	}
}

static int read_header(struct elf *elf, struct vitrine_error *err)
{
	unsigned int machine, type;
	const char *name;

	if (elf->size < sizeof(Elf32_Ehdr))
		return vitrine_fail(err, EINVAL, "ELF file is truncated in its header");
	if (elf->bytes[EI_DATA] != ELFDATA2LSB)
		return vitrine_fail(err, ENOEXEC, "ELF file is for a big-endian machine");
	if (elf->bytes[EI_CLASS] == ELFCLASS64) {
		Elf64_Ehdr head;

		if (elf->size < sizeof(head))
			return vitrine_fail(err, EINVAL, "ELF file is truncated in its header");
		memcpy(&head, elf->bytes, sizeof(head));
		elf->wide = true;
		elf->entry = head.e_entry;
		elf->table = head.e_phoff;
		elf->entry_size = head.e_phentsize;
		elf->count = head.e_phnum;
		machine = head.e_machine;
		type = head.e_type;
	} else if (elf->bytes[EI_CLASS] == ELFCLASS32) {
		Elf32_Ehdr head;

		memcpy(&head, elf->bytes, sizeof(head));
		elf->entry = head.e_entry;
		elf->table = head.e_phoff;
		elf->entry_size = head.e_phentsize;
		elf->count = head.e_phnum;
		machine = head.e_machine;
		type = head.e_type;
	} else {
		return vitrine_fail(err, ENOEXEC, "ELF file is of unknown class %u",
				    elf->bytes[EI_CLASS]);
	}
	if (machine != EM_X86_64 && machine != EM_386) {
		name = machine_name(machine);
		if (name)
			return vitrine_fail(err, ENOEXEC, "ELF file is for another machine (%s)",
					    name);
		return vitrine_fail(err, ENOEXEC, "ELF file is for another machine (number %u)",
				    machine);
	}
	if (type != ET_EXEC && type != ET_DYN)
		return vitrine_fail(err, ENOEXEC, "ELF file is no executable (type %u)", type);
	if (!elf->count || elf->entry_size !=
	    (elf->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return vitrine_fail(err, ENOEXEC, "ELF file has no usable program headers");
	if (elf->table > elf->size ||
	    (uint64_t)elf->count * elf->entry_size > elf->size - elf->table)
		return vitrine_fail(err, EINVAL, "ELF file is truncated in its program headers");
	return 0;
}

static int read_segment(const struct elf *elf, unsigned int index, struct segment_header *segment,
			struct vitrine_error *err)
{
	const uint8_t *at = elf->bytes + elf->table + (uint64_t)index * elf->entry_size;

	if (elf->wide) {
		Elf64_Phdr head;

		memcpy(&head, at, sizeof(head));
		*segment = (struct segment_header) {
			head.p_type, head.p_offset, head.p_vaddr, head.p_paddr,
			head.p_filesz, head.p_memsz, head.p_align
		};
	} else {
		Elf32_Phdr head;

		memcpy(&head, at, sizeof(head));
		*segment = (struct segment_header) {
			head.p_type, head.p_offset, head.p_vaddr, head.p_paddr,
			head.p_filesz, head.p_memsz, head.p_align
		};
	}
	if (segment->type != PT_LOAD && segment->type != PT_NOTE)
		return 0;
	if (segment->offset > elf->size || segment->file_size > elf->size - segment->offset)
		return vitrine_fail(err, EINVAL,
				    "ELF file is truncated: segment %u ends beyond the file",
				    index);
	return 0;
}

/* Looks for Xen's PHYS32_ENTRY among the notes of one segment. */
static bool find_pvh_entry(const struct elf *elf, const struct segment_header *segment,
			   uint64_t *entry)
{
	uint64_t align = segment->align == 8 ? 8 : 4;
	uint64_t at = segment->offset, end = segment->offset + segment->file_size;
	uint64_t name, desc;
	Elf64_Nhdr note;	/* both classes have the same layout */

	while (end - at >= sizeof(note)) {
		memcpy(&note, elf->bytes + at, sizeof(note));
		name = at + sizeof(note);
		desc = name + ((note.n_namesz + align - 1) & ~(align - 1));
		at = desc + ((note.n_descsz + align - 1) & ~(align - 1));
		if (at > end)
			return false;
		if (note.n_type != NOTE_PHYS32_ENTRY || note.n_namesz != sizeof(NOTE_NAME_XEN) ||
		    memcmp(elf->bytes + name, NOTE_NAME_XEN, sizeof(NOTE_NAME_XEN)))
			continue;
		if (note.n_descsz != 4 && note.n_descsz != 8)
			return false;
		*entry = 0;
		memcpy(entry, elf->bytes + desc, note.n_descsz);
		return *entry <= UINT32_MAX;
	}
	return false;
}

static int add_load(struct image_info *info, const struct segment_header *segment,
		    unsigned int index, struct vitrine_error *err)
{
	if (!segment->memory_size)
		return 0;
	if (segment->memory_size < segment->file_size ||
	    segment->paddr + segment->memory_size < segment->paddr)
		return vitrine_fail(err, EINVAL, "ELF segment %u: p_memsz is impossible", index);
	if (info->nr_segments == IMAGE_SEGMENTS_MAX)
		return vitrine_fail(err, E2BIG, "ELF file has more than %d segments",
				    IMAGE_SEGMENTS_MAX);
	info->segments[info->nr_segments++] = (struct image_segment) {
		.offset = segment->offset,
		.file_size = segment->file_size,
		.gpa = segment->paddr,
		.memory_size = segment->memory_size,
	};
	return 0;
}

static bool entry_is_loaded(const struct image_info *info, uint64_t entry)
{
	const struct image_segment *segment;
	unsigned int i;

	for (i = 0; i < info->nr_segments; i++) {
		segment = &info->segments[i];
		if (entry >= segment->gpa && entry - segment->gpa < segment->memory_size)
			return true;
	}
	return false;
}

static int choose_entry(const struct elf *elf, struct image_info *info, bool pvh,
			struct vitrine_error *err)
{
	const uint8_t *multiboot = pvh ? NULL : vitrine_multiboot_find(elf->bytes, elf->size);

	if (pvh) {
		info->kind = IMAGE_ELF_PVH;
	} else if (multiboot) {
		/* With an address block of its own the header overrides ELF's. */
		return vitrine_multiboot_parse(elf->bytes, elf->size, multiboot, info, err);
	} else if (elf->wide) {
		info->kind = IMAGE_ELF_LINUX;
		info->entry = elf->entry;
	} else {
		return vitrine_fail(err, ENOEXEC,
				    "32-bit ELF file with neither a PVH note nor a multiboot header");
	}
	if (info->entry >= ENTRY_END)
		return vitrine_fail(err, EINVAL,
				    "ELF entry 0x%llx is out of reach: kernels start below 4 GiB",
				    (unsigned long long)info->entry);
	if (!entry_is_loaded(info, info->entry))
		return vitrine_fail(err, EINVAL, "ELF entry 0x%llx lies in no segment",
				    (unsigned long long)info->entry);
	return 0;
}

int vitrine_elf_parse(const uint8_t *bytes, size_t size, struct image_info *info,
		      struct vitrine_error *err)
{
	struct elf elf = { .bytes = bytes, .size = size };
	struct segment_header segment;
	bool pvh = false;
	unsigned int i;
	int ret;

	ret = read_header(&elf, err);
	if (ret)
		return ret;
	/* A multiboot header without an entry of its own takes this one. */
	info->entry = elf.entry;
	for (i = 0; i < elf.count; i++) {
		ret = read_segment(&elf, i, &segment, err);
		if (ret)
			return ret;
		if (segment.type == PT_INTERP)
			return vitrine_fail(err, ENOEXEC, "is a program for Linux, not a kernel");
		if (segment.type == PT_NOTE && !pvh)
			pvh = find_pvh_entry(&elf, &segment, &info->entry);
		if (segment.type != PT_LOAD)
			continue;
		ret = add_load(info, &segment, i, err);
		if (ret)
			return ret;
		/* Entries given as a virtual address are meant where the segment is loaded. */
		if (!pvh && segment.vaddr != segment.paddr && elf.entry >= segment.vaddr &&
		    elf.entry - segment.vaddr < segment.memory_size)
			info->entry = elf.entry - segment.vaddr + segment.paddr;
	}
	elf.entry = info->entry;
	return choose_entry(&elf, info, pvh, err);
}
