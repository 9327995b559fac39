// SPDX-License-Identifier: GPL-2.0
/*
 * Multiboot, version 1: finding and checking the header ("OS image format" of the Multiboot
 * Specification). Pure.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

#define MULTIBOOT_MAGIC		0x1badb002
#define MULTIBOOT_SEARCH	8192
/* Page-aligned modules and a memory map are given; a video mode is not. */
#define MULTIBOOT_UNDERSTOOD	0x3
#define MULTIBOOT_REQUIRED	0xffff
#define MULTIBOOT_ADDRESSES	(1U << 16)

struct multiboot_header {
	uint32_t magic, flags, checksum;
};

struct multiboot_addresses {
	uint32_t header, load, load_end, bss_end, entry;
};

const uint8_t *vitrine_multiboot_find(const uint8_t *bytes, size_t size)
{
	size_t limit = size < MULTIBOOT_SEARCH ? size : MULTIBOOT_SEARCH;
	struct multiboot_header header;
	size_t at;

	for (at = 0; at + sizeof(header) <= limit; at += 4) {
		memcpy(&header, bytes + at, sizeof(header));
		if (header.magic == MULTIBOOT_MAGIC &&
		    !(header.magic + header.flags + header.checksum))
			return bytes + at;
	}
	return NULL;
}

static int parse_addresses(const uint8_t *bytes, size_t size, const uint8_t *header,
			   struct image_info *info, struct vitrine_error *err)
{
	struct image_segment *segment = &info->segments[0];
	struct multiboot_addresses where;
	uint64_t at = (uint64_t)(header - bytes);

	if (at + sizeof(struct multiboot_header) + sizeof(where) > size)
		return vitrine_fail(err, EINVAL, "multiboot image is truncated in its header");
	memcpy(&where, header + sizeof(struct multiboot_header), sizeof(where));
	if (where.header < where.load || where.header - where.load > at)
		return vitrine_fail(err, EINVAL, "multiboot: load_addr 0x%x is impossible",
				    where.load);
	segment->offset = at - (where.header - where.load);
	segment->file_size = size - segment->offset;
	if (where.load_end) {
		if (where.load_end <= where.load)
			return vitrine_fail(err, EINVAL,
					    "multiboot: load_end_addr 0x%x is impossible",
					    where.load_end);
		if (where.load_end - where.load > segment->file_size)
			return vitrine_fail(err, EINVAL,
					    "multiboot image is truncated: load_end_addr lies beyond the file");
		segment->file_size = where.load_end - where.load;
	}
	segment->gpa = where.load;
	segment->memory_size = segment->file_size;
	if (where.bss_end > where.load + segment->file_size)
		segment->memory_size = where.bss_end - where.load;
	info->nr_segments = 1;
	info->entry = where.entry;
	return 0;
}

int vitrine_multiboot_parse(const uint8_t *bytes, size_t size, const uint8_t *header,
			    struct image_info *info, struct vitrine_error *err)
{
	struct multiboot_header head;
	uint64_t entry, start, end;
	unsigned int i;
	int ret;

	memcpy(&head, header, sizeof(head));
	if (head.flags & MULTIBOOT_REQUIRED & ~MULTIBOOT_UNDERSTOOD)
		return vitrine_fail(err, ENOEXEC, "multiboot: flags 0x%x need what is not offered",
				    head.flags);
	if (head.flags & MULTIBOOT_ADDRESSES) {
		ret = parse_addresses(bytes, size, header, info, err);
		if (ret)
			return ret;
	} else if (!info->nr_segments) {
		return vitrine_fail(err, EINVAL, "multiboot: no ELF and no load address either");
	}
	info->kind = IMAGE_MULTIBOOT;
	info->multiboot_flags = head.flags;
	entry = info->entry;
	for (i = 0; i < info->nr_segments; i++) {
		start = info->segments[i].gpa;
		end = start + info->segments[i].memory_size;
		if (entry >= start && entry < end && entry <= UINT32_MAX)
			return 0;
	}
	return vitrine_fail(err, EINVAL, "multiboot: entry 0x%llx lies in no segment",
			    (unsigned long long)entry);
}
