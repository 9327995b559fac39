/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What mkdisk.c writes and the loader boots: one sector with a table, then the parts it names.
 * Everything clever (ELF, boot protocol, placement) is done on the host, so that the loader only
 * copies. Freestanding, and read by the assembler too.
 */
#ifndef VITRINE_LAB_DISK_H
#define VITRINE_LAB_DISK_H

#define DISK_MAGIC	0x656e697274697601ULL	/* "\1vitrine" */
#define DISK_PARTS	36
#define SECTOR_BYTES	512U

/* Fixed addresses below 640 KiB that neither the BIOS nor an idle real-mode vector uses. */
#define ADDR_E820	0x10000		/* u32 count, then 20-byte entries */
#define ADDR_BOOT_PARAMS 0x20000
#define ADDR_CMDLINE	0x21000
#define ADDR_TABLE	0x22000
#define ADDR_PAGE_TABLES 0x30000
#define ADDR_STACK	0x80000		/* grows down */

#ifndef __ASSEMBLER__

struct disk_part {
	unsigned int lba;
	unsigned int sectors;
	unsigned int addr;
};

struct disk_table {
	unsigned long long magic;
	unsigned int entry;		/* physical address of the 64-bit entry point */
	unsigned int parts;
	struct disk_part part[DISK_PARTS];
	unsigned char pad[SECTOR_BYTES - 16 - 12 * DISK_PARTS];
};

_Static_assert(sizeof(struct disk_table) == SECTOR_BYTES, "one sector");

#endif /* __ASSEMBLER__ */

#endif
