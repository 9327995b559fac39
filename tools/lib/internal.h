/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the library's files share and nobody else sees: the objects' insides, the guest's
 * address map and the parsed form of an image.
 */
#ifndef VITRINE_INTERNAL_H
#define VITRINE_INTERNAL_H

#include <asm/bootparam.h>

#include "libvitrine.h"

#define KIB (1ULL << 10)
#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#endif

/* The guest's address map. Boot structures stay clear of a boot sector at 0x7c00. */
#define BOOT_AREA_START		0x10000ULL
#define BOOT_PARAMS_GPA		0x10000ULL
#define BOOT_GDT_GPA		0x11000ULL
#define BOOT_PML4_GPA		0x12000ULL
#define BOOT_PDPT_GPA		0x13000ULL
#define BOOT_PD_GPA		0x14000ULL	/* four pages: 4 GiB in 2 MiB steps */
#define BOOT_LISTS_GPA		0x18000ULL	/* memory map and module list, two pages */
#define BOOT_CMDLINE_GPA	0x20000ULL
#define BOOT_CMDLINE_MAX	0x10000ULL
#define BOOT_AREA_END		0x40000ULL
#define LOW_RAM_END		0x9fc00ULL	/* below it RAM, above it what a BIOS would keep */
#define ACPI_GPA		0xe0000ULL
#define ACPI_MAX		0x10000ULL
#define HIGH_RAM_START		0x100000ULL
#define PCI_HOLE_START		(3 * GIB)
#define PCI_HOLE_END		(4 * GIB)
#define ENTRY_END		(4 * GIB)	/* what 32 bits and the first page tables reach */
#define TSS_GPA			0xfffbd000ULL	/* three pages that KVM may want for real mode */
#define IDENTITY_MAP_GPA	0xfffbc000ULL
#define IOAPIC_GPA		0xfec00000U
#define LAPIC_GPA		0xfee00000U

#define VM_MAPPINGS_MAX		32
#define VM_CPUS_MAX		254
#define VCPU_EXIT_COUNTERS	64

struct vitrine {
	int fd;
	char *path;
};

struct vm_mapping {
	uint64_t gpa;
	uint64_t size;
	uint8_t *hva;
};

struct vitrine_vm {
	struct vitrine *dev;
	int fd;
	bool irqchip;
	uint64_t ram_size;
	unsigned int nr_mappings;
	struct vm_mapping mappings[VM_MAPPINGS_MAX];
	struct vitrine_vcpu *vcpus;	/* a list, for vitrine_vm_destroy() */
};

struct vitrine_vcpu {
	struct vitrine_vm *vm;
	struct vitrine_vcpu *next;
	int fd;
	unsigned int id;
	bool prepared;
	struct kvm_run *run;
	size_t run_size;
	uint64_t exits[VCPU_EXIT_COUNTERS];
};

/* Image files */

enum image_kind {
	IMAGE_BZIMAGE,
	IMAGE_ELF_PVH,
	IMAGE_MULTIBOOT,
	IMAGE_ELF_LINUX,
};

#define IMAGE_SEGMENTS_MAX 32

struct image_segment {
	uint64_t offset;	/* in the file */
	uint64_t file_size;
	uint64_t gpa;
	uint64_t memory_size;	/* at least file_size; the rest is zero */
};

struct image_info {
	enum image_kind kind;
	uint64_t entry;
	unsigned int nr_segments;
	struct image_segment segments[IMAGE_SEGMENTS_MAX];
	struct setup_header setup;	/* bzImage only */
	uint32_t multiboot_flags;
};

struct vitrine_image {
	int fd;
	char *path;
	struct image_info info;
};

/* The module says why it refuses something with EINVAL, to who has asked to hear of it. */
#define LOG_ADVICE							\
	"the kernel log says why, after "				\
	"\"echo 'module vitrine +p' >/sys/kernel/debug/dynamic_debug/control\""

/* error.c */
__attribute__((format(printf, 3, 4)))
int vitrine_fail(struct vitrine_error *err, int code, const char *format, ...);

/* image.c: pure; elf.c and multiboot.c are its rooms */
int vitrine_image_parse(const void *bytes, size_t size, struct image_info *info,
			struct vitrine_error *err);
int vitrine_bzimage_parse(const uint8_t *bytes, size_t size, struct image_info *info,
			  struct vitrine_error *err);
int vitrine_elf_parse(const uint8_t *bytes, size_t size, struct image_info *info,
		      struct vitrine_error *err);
const uint8_t *vitrine_multiboot_find(const uint8_t *bytes, size_t size);
int vitrine_multiboot_parse(const uint8_t *bytes, size_t size, const uint8_t *header,
			    struct image_info *info, struct vitrine_error *err);

/* memmap.c: pure */
unsigned int vitrine_memmap_fill(uint64_t ram_size, struct boot_e820_entry *entries,
				 unsigned int max);

/* acpi.c: pure */
size_t vitrine_acpi_build(uint8_t *area, size_t size, uint32_t gpa, unsigned int nr_cpus);

/* cpuid.c; patch is pure */
unsigned int vitrine_cpuid_gpa_bits(struct vitrine *dev);
int vitrine_cpuid_set(struct vitrine_vcpu *vcpu, unsigned int nr_cpus, struct vitrine_error *err);
void vitrine_cpuid_patch(struct kvm_cpuid2 *cpuid, unsigned int max_entries, unsigned int id,
			 unsigned int nr_cpus, uint32_t tsc_khz, bool tsc_deadline);

/* load.c */
int vitrine_load_check_range(struct vitrine_vm *vm, uint64_t gpa, uint64_t size,
			     const char *what, struct vitrine_error *err);
int vitrine_load_file(struct vitrine_vm *vm, int fd, uint64_t offset, uint64_t gpa,
		      uint64_t size, const char *path, struct vitrine_error *err);

/* handover.c: what each boot protocol wants to find in memory and registers */
struct handover {
	uint64_t initrd_gpa;
	uint64_t initrd_size;
	uint64_t rsdp;
};

void vitrine_handover_linux(struct vitrine_vm *vm, const struct image_info *info,
			    const struct handover *handover, struct vitrine_start *start);
void vitrine_handover_pvh(struct vitrine_vm *vm, const struct handover *handover,
			  struct vitrine_start *start);
void vitrine_handover_multiboot(struct vitrine_vm *vm, const struct handover *handover,
				struct vitrine_start *start);

#endif /* VITRINE_INTERNAL_H */
