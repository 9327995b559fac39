// SPDX-License-Identifier: GPL-2.0
/*
 * What a kernel finds when it starts, by boot protocol: Linux' boot_params, PVH's start info,
 * multiboot's information block. Everything lies in the boot area, which load.c has checked
 * to be RAM and free.
 */
#include <string.h>

#include "internal.h"

#define LOADER_UNDEFINED	0xff
#define HEADER_MAGIC		0x53726448	/* "HdrS" */
#define BOOT_FLAG		0xaa55
#define VERSION_2_15		0x020f
#define VIDEO_NORMAL		0xffff
#define ALIGN_2M		0x200000

#define PVH_MAGIC		0x336ec578
#define MULTIBOOT_LOADED	0x2badb002
#define MULTIBOOT_HAS_MEMORY	(1U << 0)
#define MULTIBOOT_HAS_CMDLINE	(1U << 2)
#define MULTIBOOT_HAS_MODULES	(1U << 3)
#define MULTIBOOT_HAS_MAP	(1U << 6)
#define MULTIBOOT_HAS_NAME	(1U << 9)
#define MAP_ENTRIES_MAX		16

struct pvh_start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modules, cmdline, rsdp, memory_map;
	uint32_t nr_map_entries, reserved;
};

struct pvh_module {
	uint64_t gpa, size, cmdline, reserved;
};

struct pvh_map_entry {
	uint64_t gpa, size;
	uint32_t type, reserved;
};

struct multiboot_info {
	uint32_t flags, mem_lower_kib, mem_upper_kib, boot_device;
	uint32_t cmdline, nr_modules, modules, symbols[4];
	uint32_t map_length, map, drives_length, drives, config_table, loader_name;
	uint32_t apm_table, vbe[4], framebuffer[6];
};

struct multiboot_module {
	uint32_t start, end, cmdline, reserved;
};

struct multiboot_map_entry {
	uint32_t size;
	uint64_t gpa, length;
	uint32_t type;
} __attribute__((packed));

/* The lists share two pages: the memory map first, then modules, then names. */
#define LIST_MODULES_GPA	(BOOT_LISTS_GPA + 0x1000)
#define LIST_NAME_GPA		(BOOT_LISTS_GPA + 0x1800)

void vitrine_handover_linux(struct vitrine_vm *vm, const struct image_info *info,
			    const struct handover *handover, struct vitrine_start *start)
{
	struct boot_params *params = vitrine_vm_ptr(vm, BOOT_PARAMS_GPA, sizeof(*params));

	memset(params, 0, sizeof(*params));
	if (info->kind == IMAGE_BZIMAGE) {
		params->hdr = info->setup;
	} else {
		params->hdr.boot_flag = BOOT_FLAG;
		params->hdr.header = HEADER_MAGIC;
		params->hdr.version = VERSION_2_15;
		params->hdr.loadflags = LOADED_HIGH;
		params->hdr.kernel_alignment = ALIGN_2M;
	}
	params->hdr.vid_mode = VIDEO_NORMAL;
	params->hdr.type_of_loader = LOADER_UNDEFINED;
	params->hdr.cmd_line_ptr = BOOT_CMDLINE_GPA;
	params->hdr.ramdisk_image = (uint32_t)handover->initrd_gpa;
	params->hdr.ramdisk_size = (uint32_t)handover->initrd_size;
	params->acpi_rsdp_addr = handover->rsdp;
	params->e820_entries = (uint8_t)vitrine_memmap_fill(vm->ram_size, params->e820_table,
							    E820_MAX_ENTRIES_ZEROPAGE);
	start->mode = VITRINE_MODE_LONG;
	start->rsi = BOOT_PARAMS_GPA;
}

void vitrine_handover_pvh(struct vitrine_vm *vm, const struct handover *handover,
			  struct vitrine_start *start)
{
	struct pvh_start_info *pvh = vitrine_vm_ptr(vm, BOOT_PARAMS_GPA, sizeof(*pvh));
	struct pvh_map_entry *map = vitrine_vm_ptr(vm, BOOT_LISTS_GPA,
						   MAP_ENTRIES_MAX * sizeof(*map));
	struct pvh_module *module = vitrine_vm_ptr(vm, LIST_MODULES_GPA, sizeof(*module));
	struct boot_e820_entry entries[MAP_ENTRIES_MAX];
	unsigned int i, count;

	count = vitrine_memmap_fill(vm->ram_size, entries, MAP_ENTRIES_MAX);
	for (i = 0; i < count; i++)
		map[i] = (struct pvh_map_entry) {
			.gpa = entries[i].addr,
			.size = entries[i].size,
			.type = entries[i].type,
		};
	*module = (struct pvh_module) {
		.gpa = handover->initrd_gpa,
		.size = handover->initrd_size,
	};
	*pvh = (struct pvh_start_info) {
		.magic = PVH_MAGIC,
		.version = 1,
		.nr_modules = handover->initrd_size ? 1 : 0,
		.modules = handover->initrd_size ? LIST_MODULES_GPA : 0,
		.cmdline = BOOT_CMDLINE_GPA,
		.rsdp = handover->rsdp,
		.memory_map = BOOT_LISTS_GPA,
		.nr_map_entries = count,
	};
	start->mode = VITRINE_MODE_PROTECTED;
	start->rbx = BOOT_PARAMS_GPA;
}

void vitrine_handover_multiboot(struct vitrine_vm *vm, const struct handover *handover,
				struct vitrine_start *start)
{
	static const char name[] = "vitrine";
	struct multiboot_info *info = vitrine_vm_ptr(vm, BOOT_PARAMS_GPA, sizeof(*info));
	struct multiboot_map_entry *map = vitrine_vm_ptr(vm, BOOT_LISTS_GPA,
							 MAP_ENTRIES_MAX * sizeof(*map));
	struct multiboot_module *module = vitrine_vm_ptr(vm, LIST_MODULES_GPA, sizeof(*module));
	uint64_t low = vm->ram_size < PCI_HOLE_START ? vm->ram_size : PCI_HOLE_START;
	struct boot_e820_entry entries[MAP_ENTRIES_MAX];
	unsigned int i, count;

	count = vitrine_memmap_fill(vm->ram_size, entries, MAP_ENTRIES_MAX);
	for (i = 0; i < count; i++)
		map[i] = (struct multiboot_map_entry) {
			.size = sizeof(map[i]) - sizeof(map[i].size),
			.gpa = entries[i].addr,
			.length = entries[i].size,
			.type = entries[i].type,
		};
	memcpy(vitrine_vm_ptr(vm, LIST_NAME_GPA, sizeof(name)), name, sizeof(name));
	*module = (struct multiboot_module) {
		.start = (uint32_t)handover->initrd_gpa,
		.end = (uint32_t)(handover->initrd_gpa + handover->initrd_size),
	};
	*info = (struct multiboot_info) {
		.flags = MULTIBOOT_HAS_MEMORY | MULTIBOOT_HAS_CMDLINE | MULTIBOOT_HAS_MAP |
			 MULTIBOOT_HAS_NAME,
		.mem_lower_kib = LOW_RAM_END / KIB,
		.mem_upper_kib = (uint32_t)((low - HIGH_RAM_START) / KIB),
		.cmdline = BOOT_CMDLINE_GPA,
		.map = BOOT_LISTS_GPA,
		.map_length = count * sizeof(*map),
		.loader_name = LIST_NAME_GPA,
	};
	if (handover->initrd_size) {
		info->flags |= MULTIBOOT_HAS_MODULES;
		info->nr_modules = 1;
		info->modules = LIST_MODULES_GPA;
	}
	start->mode = VITRINE_MODE_PROTECTED;
	start->rax = MULTIBOOT_LOADED;
	start->rbx = BOOT_PARAMS_GPA;
}
