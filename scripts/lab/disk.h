/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What mkdisk.c writes, the loader boots and PID 1 reads: one sector with a table, then the parts it
 * names. Everything clever (ELF, boot protocol, placement) is done on the host, so that the loader
 * only copies. The ATA reader stands here because the loader (32-bit) and PID 1 (64-bit, with
 * I/O permission) are the two who use it. Freestanding: no libc here.
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
	unsigned int payload_lba;	/* cpio archive for PID 1, not loaded by the loader */
	unsigned int payload_bytes;
	struct disk_part part[DISK_PARTS];
	unsigned char pad[SECTOR_BYTES - 24 - 12 * DISK_PARTS];
};

_Static_assert(sizeof(struct disk_table) == SECTOR_BYTES, "one sector");

static inline void out8(unsigned short port, unsigned char value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline unsigned char in8(unsigned short port)
{
	unsigned char value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void out_bytes(unsigned short port, const void *from, unsigned long bytes)
{
	asm volatile("rep outsb" : "+S"(from), "+c"(bytes) : "d"(port) : "memory");
}

static inline unsigned long long read_tsc(void)
{
	unsigned int lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (unsigned long long)hi << 32 | lo;
}

#define ATA_DATA	0x1f0
#define ATA_COUNT	0x1f2
#define ATA_LBA		0x1f3
#define ATA_DEVICE	0x1f6
#define ATA_COMMAND	0x1f7
#define ATA_STATUS	0x1f7
#define ATA_READ_EXT	0x24
#define ATA_BUSY	0x80
#define ATA_DRQ		0x08
#define ATA_ERR		0x01
#define ATA_MAX_SECTORS	0x8000U

static inline int ata_wait(void)
{
	unsigned char status;

	do
		status = in8(ATA_STATUS);
	while (status & ATA_BUSY);
	return (status & (ATA_DRQ | ATA_ERR)) == ATA_DRQ ? 0 : -1;
}

/* Polled reads of the first disk; the memory must be present, so that no fault splits a transfer. */
static inline int ata_read(void *to, unsigned int lba, unsigned int sectors)
{
	int i;

	while (sectors) {
		unsigned int count = sectors < ATA_MAX_SECTORS ? sectors : ATA_MAX_SECTORS;
		unsigned int n;

		out8(ATA_DEVICE, 0x40);
		out8(ATA_COUNT, count >> 8);
		for (i = 0; i < 3; i++)
			out8(ATA_LBA + i, i ? 0 : lba >> 24);
		out8(ATA_COUNT, count);
		for (i = 0; i < 3; i++)
			out8(ATA_LBA + i, lba >> (8 * i));
		out8(ATA_COMMAND, ATA_READ_EXT);
		for (n = 0; n < count; n++) {
			unsigned long dwords = SECTOR_BYTES / 4;

			if (ata_wait())
				return -1;
			asm volatile("rep insl" : "+D"(to), "+c"(dwords) : "d"(ATA_DATA)
				     : "memory");
		}
		lba += count;
		sectors -= count;
	}
	return 0;
}

#endif /* __ASSEMBLER__ */

#endif
