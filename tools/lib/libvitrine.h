/* SPDX-License-Identifier: GPL-2.0 */
/*
 * libvitrine: write a virtual machine monitor of your own in forty lines.
 *
 * The library speaks the KVM ABI of <linux/kvm.h> to a device, /dev/vitrine unless told
 * otherwise. A program opens the device, creates a VM, gives it memory, loads something to
 * run, creates a vCPU and runs it with callbacks for the exits that it wants to see:
 *
 *	dev = vitrine_open(NULL, &err);
 *	vm = vitrine_vm_create(dev, &err);
 *	vitrine_vm_map_ram(vm, 16 << 20, &err);
 *	vitrine_load_bytes(vm, code, sizeof(code), 0x100000, VITRINE_MODE_LONG, &start, &err);
 *	vcpu = vitrine_vcpu_create(vm, 0, &err);
 *	vitrine_vcpu_start(vcpu, &start, &err);
 *	end = vitrine_vcpu_run(vcpu, &handlers, NULL, &err);
 *
 * tools/examples/hello.c is that program, whole.
 *
 * Rules that hold for every function:
 *  - A function that returns a pointer returns NULL on failure; one that returns int returns
 *    0 (or what its comment says) or a negative errno. In both cases *err says in one line what
 *    failed, with the name of the field or file; err may be NULL.
 *  - Sizes and addresses are in bytes, addresses in the guest are guest-physical (gpa).
 *  - The library keeps no state outside its objects, installs no signal handler, prints
 *    nothing and does not end the process. Objects of different VMs may be used from different
 *    threads at once; one vCPU belongs to one thread, except for vitrine_vcpu_kick().
 *  - Image files may be anything, but must not get shorter during vitrine_image_open(), which
 *    maps them: the kernel ends who reads what is gone (SIGBUS). Later that is an error (EIO).
 */
#ifndef LIBVITRINE_H
#define LIBVITRINE_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vitrine.h>
#include <vitrine_policy.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VITRINE_DEFAULT_DEVICE "/dev/vitrine"

/* Environment variable that names the device when the caller does not. */
#define VITRINE_DEVICE_ENV "VITRINE_DEV"

/**
 * struct vitrine_error - why a call failed
 * @code: the errno value, positive
 * @text: one line for a person, without a newline at its end
 */
struct vitrine_error {
	int code;
	char text[320];
};

struct vitrine;
struct vitrine_vm;
struct vitrine_vcpu;
struct vitrine_image;

/* ---- the device ------------------------------------------------------------------------- */

/**
 * vitrine_open() - open the hypervisor's device
 * @path: the device node; NULL takes $VITRINE_DEV, and /dev/vitrine if that is unset
 *
 * Fails with ENOENT (module not loaded), EACCES (no permission), ENOTTY or EPROTO (the node is
 * something else, or speaks another version of the KVM ABI), each with advice in the text.
 */
struct vitrine *vitrine_open(const char *path, struct vitrine_error *err);

/** vitrine_close() - close the device; its VMs must be destroyed first. NULL is fine. */
void vitrine_close(struct vitrine *dev);

/** vitrine_path() - the device node that was opened */
const char *vitrine_path(const struct vitrine *dev);

/** vitrine_fd() - the device's file descriptor, for ioctls that the library has no name for */
int vitrine_fd(const struct vitrine *dev);

/** vitrine_check() - KVM_CHECK_EXTENSION: the value for @cap (KVM_CAP_*), 0 if unsupported */
int vitrine_check(const struct vitrine *dev, int cap);

/* ---- virtual machines ------------------------------------------------------------------- */

/**
 * vitrine_vm_create() - create an empty VM
 *
 * Fails with EBUSY if another hypervisor holds VMX, ENODEV or EOPNOTSUPP if the CPU or the
 * firmware does not offer it, ENOMEM.
 */
struct vitrine_vm *vitrine_vm_create(struct vitrine *dev, struct vitrine_error *err);

/** vitrine_vm_destroy() - destroy the VM, its vCPUs and its memory. NULL is fine. */
void vitrine_vm_destroy(struct vitrine_vm *vm);

/** vitrine_vm_fd() - the VM's file descriptor */
int vitrine_vm_fd(const struct vitrine_vm *vm);

/**
 * vitrine_vm_map() - give the VM zeroed memory
 * @gpa: where, a multiple of 4096
 * @size: how much, a multiple of 4096, not 0; @gpa + @size must not wrap or overlap a mapping
 *
 * Memory is reserved, not allocated: pages cost something once they are touched.
 * Returns the memory's address in this process, valid until vitrine_vm_destroy().
 * Fails with EINVAL (range), EEXIST (overlap), ENOMEM, ENOSPC (more than 32 mappings).
 */
void *vitrine_vm_map(struct vitrine_vm *vm, uint64_t gpa, uint64_t size,
		     struct vitrine_error *err);

/**
 * vitrine_vm_map_ram() - map RAM the way a PC has it
 * @size: 1 MiB or more, a multiple of 4096
 *
 * From 0 up to 3 GiB, what is left from 4 GiB on, so that the usual device addresses stay free.
 * Fails like vitrine_vm_map(), and with EINVAL if the device's guests cannot address that much;
 * then nothing is mapped.
 */
int vitrine_vm_map_ram(struct vitrine_vm *vm, uint64_t size, struct vitrine_error *err);

/** vitrine_vm_ram_size() - bytes given to vitrine_vm_map_ram(), 0 before */
uint64_t vitrine_vm_ram_size(const struct vitrine_vm *vm);

/**
 * vitrine_vm_ptr() - where guest memory is in this process
 *
 * NULL unless all of [@gpa, @gpa + @size) lies in one mapping.
 */
void *vitrine_vm_ptr(const struct vitrine_vm *vm, uint64_t gpa, uint64_t size);

/**
 * vitrine_vm_add_irqchip() - PICs, I/O APIC and local APICs in the kernel, and a PIT
 *
 * Before the first vCPU. With them a halted vCPU sleeps in the kernel instead of exiting.
 * Fails with ENOTTY or EINVAL where the device does not offer them.
 */
int vitrine_vm_add_irqchip(struct vitrine_vm *vm, struct vitrine_error *err);

/** vitrine_vm_irq() - set the level of interrupt line @gsi (0 to 23); needs the irqchip */
int vitrine_vm_irq(struct vitrine_vm *vm, unsigned int gsi, bool level);

/* ---- images ----------------------------------------------------------------------------- */

/** enum vitrine_mode - the mode a vCPU starts in */
enum vitrine_mode {
	VITRINE_MODE_REAL,	/* 16 bit, segments of 64 KiB at base 0 (or around the entry) */
	VITRINE_MODE_PROTECTED,	/* 32 bit, flat segments, no paging */
	VITRINE_MODE_LONG,	/* 64 bit, the first 4 GiB mapped one to one */
};

/**
 * struct vitrine_start - a vCPU's first registers
 *
 * Filled by the vitrine_load_*() functions; a caller may change it before vitrine_vcpu_start().
 */
struct vitrine_start {
	enum vitrine_mode mode;
	uint64_t rip;
	uint64_t rsp;
	uint64_t rax;
	uint64_t rbx;
	uint64_t rsi;
};

/**
 * vitrine_image_open() - open a kernel and check it, without a VM
 *
 * Takes a Linux bzImage (64-bit boot protocol), an ELF file with a PVH entry note, a
 * multiboot (version 1) image, or an x86-64 ELF vmlinux. Anything else, a truncated file and
 * a kernel for another machine fail with ENOEXEC or EINVAL and a text that says which, one with
 * more than 32 segments with E2BIG, what cannot be opened with open()'s errno; ENOMEM.
 */
struct vitrine_image *vitrine_image_open(const char *path, struct vitrine_error *err);

/** vitrine_image_close() - NULL is fine */
void vitrine_image_close(struct vitrine_image *image);

/** vitrine_image_kind() - "bzImage", "ELF by PVH", "multiboot" or "ELF by 64-bit entry" */
const char *vitrine_image_kind(const struct vitrine_image *image);

/**
 * struct vitrine_boot - what goes to the kernel beside its image
 * @cmdline: the command line, NULL for none
 * @initrd: file name of an initial RAM disk (multiboot: first module), NULL for none
 * @rsdp: gpa of the ACPI root pointer from vitrine_load_acpi(), 0 for none
 */
struct vitrine_boot {
	const char *cmdline;
	const char *initrd;
	uint64_t rsdp;
};

/**
 * vitrine_load_kernel() - put an image, its command line and its initrd into guest memory
 *
 * The VM needs its RAM by then (vitrine_vm_map_ram()). Low memory from 0x10000 to 0x40000 is
 * used for boot structures. Fails with ENOMEM or E2BIG if something does not fit, EIO if a file
 * got shorter, EINVAL for an initrd that is empty or no file, or with the errno of open() or
 * read().
 */
int vitrine_load_kernel(struct vitrine_vm *vm, const struct vitrine_image *image,
			const struct vitrine_boot *boot, struct vitrine_start *start,
			struct vitrine_error *err);

/**
 * vitrine_load_flat() - put a file into guest memory as it is and start at its first byte
 * @gpa: where; below 1 MiB for VITRINE_MODE_REAL, below 4 GiB for the others
 *
 * Fails with EINVAL (empty or no file, address), E2BIG (does not fit or meets the boot structures
 * of vitrine_load_kernel(), which the other modes use for page tables), EIO (the file got shorter),
 * or with the errno of open() or read().
 */
int vitrine_load_flat(struct vitrine_vm *vm, const char *path, uint64_t gpa,
		      enum vitrine_mode mode, struct vitrine_start *start,
		      struct vitrine_error *err);

/** vitrine_load_bytes() - as vitrine_load_flat(), from memory: EINVAL and E2BIG */
int vitrine_load_bytes(struct vitrine_vm *vm, const void *bytes, size_t size, uint64_t gpa,
		       enum vitrine_mode mode, struct vitrine_start *start,
		       struct vitrine_error *err);

/* I/O ports that the ACPI tables of vitrine_load_acpi() promise; the caller emulates them. */
#define VITRINE_ACPI_PM1_EVENT	0x600	/* 4 bytes: status, enable */
#define VITRINE_ACPI_PM1_CONTROL 0x604	/* 2 bytes */
#define VITRINE_ACPI_RESET	0xcf9	/* 1 byte */
#define VITRINE_ACPI_RESET_VALUE 0x06
#define VITRINE_ACPI_S5_TYPE	5	/* SLP_TYP of soft-off in PM1 control */

/**
 * vitrine_load_acpi() - build ACPI tables for a PC with @nr_cpus CPUs at 0xe0000
 *
 * RSDP, RSDT, XSDT, FADT, FACS, MADT and a DSDT with \_S5. Returns the RSDP's gpa in *@rsdp.
 * @nr_cpus is 1 to 254.
 */
int vitrine_load_acpi(struct vitrine_vm *vm, unsigned int nr_cpus, uint64_t *rsdp,
		      struct vitrine_error *err);

/* ---- virtual CPUs ----------------------------------------------------------------------- */

/**
 * vitrine_vcpu_create() - add a vCPU
 * @id: its number and APIC id, 0 to 253; 0 starts the machine, others wait for it to start them
 *
 * The VM owns it: vitrine_vm_destroy() frees it.
 */
struct vitrine_vcpu *vitrine_vcpu_create(struct vitrine_vm *vm, unsigned int id,
					 struct vitrine_error *err);

/** vitrine_vcpu_fd() - the vCPU's file descriptor */
int vitrine_vcpu_fd(const struct vitrine_vcpu *vcpu);

/** vitrine_vcpu_id() - the @id it was created with */
unsigned int vitrine_vcpu_id(const struct vitrine_vcpu *vcpu);

/**
 * vitrine_vcpu_prepare() - what firmware does before a CPU runs: CPUID and memory types
 * @nr_cpus: CPUs of the machine, for the topology leaves; 1 to 254
 *
 * CPUID is KVM_GET_SUPPORTED_CPUID with APIC id, topology and the TSC frequency (leaves 0x15
 * and 0x16, from KVM_GET_TSC_KHZ) put in. vitrine_vcpu_start() does it for a machine of one
 * CPU if nobody did; a vCPU that waits to be started needs it too.
 */
int vitrine_vcpu_prepare(struct vitrine_vcpu *vcpu, unsigned int nr_cpus,
			 struct vitrine_error *err);

/**
 * vitrine_vcpu_start() - set the first registers; they take effect at the next run
 *
 * Fails with EINVAL if the mode does not reach the entry (see vitrine_load_flat()), EFAULT if the
 * VM has no memory for the page tables.
 */
int vitrine_vcpu_start(struct vitrine_vcpu *vcpu, const struct vitrine_start *start,
		       struct vitrine_error *err);

/** vitrine_vcpu_get_regs() - KVM_GET_REGS and KVM_GET_SREGS; either pointer may be NULL */
int vitrine_vcpu_get_regs(struct vitrine_vcpu *vcpu, struct kvm_regs *regs,
			  struct kvm_sregs *sregs, struct vitrine_error *err);

/**
 * vitrine_vcpu_describe() - registers as text, for a person
 *
 * Writes at most @size bytes with the final NUL to @text, always terminated; 2048 are enough.
 * Only between runs.
 */
int vitrine_vcpu_describe(struct vitrine_vcpu *vcpu, char *text, size_t size,
			  struct vitrine_error *err);

/**
 * vitrine_vcpu_explain() - what the last run ended with, as text
 *
 * The exit by its name in <linux/kvm.h>, with the hardware's reason or the suberror and the
 * instruction bytes where there are any. 512 bytes are enough.
 */
void vitrine_vcpu_explain(const struct vitrine_vcpu *vcpu, char *text, size_t size);

/**
 * struct vitrine_io - a port access
 * @port: first port
 * @size: width, 1, 2 or 4 bytes
 * @out: the guest writes
 * @count: how many accesses (string instructions: more than 1)
 * @data: @size * @count bytes: what was written, or where the answer goes
 */
struct vitrine_io {
	uint16_t port;
	uint8_t size;
	bool out;
	uint32_t count;
	void *data;
};

/**
 * struct vitrine_mmio - an access to an address without memory
 * @gpa: the address
 * @size: 1 to 8 bytes
 * @write: the guest writes
 * @data: what was written, or where the answer goes
 */
struct vitrine_mmio {
	uint64_t gpa;
	uint32_t size;
	bool write;
	void *data;
};

/** enum vitrine_end - why vitrine_vcpu_run() returned */
enum vitrine_end {
	VITRINE_RESUME = 0,		/* a callback's answer only: go on */
	VITRINE_END_HALTED,		/* HLT, without an irqchip to wake it */
	VITRINE_END_SHUTDOWN,		/* triple fault */
	VITRINE_END_ENTRY_FAILURE,	/* the hardware refused the guest's state */
	VITRINE_END_INTERNAL_ERROR,	/* the hypervisor gave up on an instruction */
	VITRINE_END_INTERRUPTED,	/* a signal, or vitrine_vcpu_kick() */
	VITRINE_END_OTHER,		/* an exit that no callback took */
	VITRINE_END_CALLER = 64,	/* the first value for a callback's own use */
};

/**
 * struct vitrine_handlers - callbacks for the exits of one vCPU
 *
 * Each may be NULL. A callback returns VITRINE_RESUME to go on, or a value that
 * vitrine_vcpu_run() returns: one of enum vitrine_end, or VITRINE_END_CALLER and above.
 *
 * @io: port access; default: reads give all ones, writes are dropped
 * @mmio: likewise for addresses without memory
 * @hlt: default VITRINE_END_HALTED
 * @shutdown: default VITRINE_END_SHUTDOWN
 * @interrupted: RUN was interrupted by a signal or a kick; default VITRINE_END_INTERRUPTED
 * @other: any other exit, with the run page; default: the matching VITRINE_END_*
 */
struct vitrine_handlers {
	int (*io)(struct vitrine_vcpu *vcpu, const struct vitrine_io *io, void *data);
	int (*mmio)(struct vitrine_vcpu *vcpu, const struct vitrine_mmio *mmio, void *data);
	int (*hlt)(struct vitrine_vcpu *vcpu, void *data);
	int (*shutdown)(struct vitrine_vcpu *vcpu, void *data);
	int (*interrupted)(struct vitrine_vcpu *vcpu, void *data);
	int (*other)(struct vitrine_vcpu *vcpu, const struct kvm_run *run, void *data);
};

/**
 * vitrine_vcpu_run() - run the guest until a callback or a default says otherwise
 * @data: handed to the callbacks
 *
 * Returns a positive value (see enum vitrine_end), or a negative errno when KVM_RUN failed.
 * May be called again after any value that left the guest able to go on.
 */
int vitrine_vcpu_run(struct vitrine_vcpu *vcpu, const struct vitrine_handlers *handlers,
		     void *data, struct vitrine_error *err);

/**
 * vitrine_vcpu_kick() - make a running vCPU come out with @interrupted, from any thread
 * @thread: the thread that runs it
 * @signo: a signal for which the caller has installed a handler (an empty one, without
 *	SA_RESTART)
 */
void vitrine_vcpu_kick(struct vitrine_vcpu *vcpu, pthread_t thread, int signo);

/**
 * vitrine_vcpu_exits() - how often RUN came back with @reason (KVM_EXIT_*)
 *
 * The last index, 63, counts everything above it.
 */
uint64_t vitrine_vcpu_exits(const struct vitrine_vcpu *vcpu, unsigned int reason);

/** vitrine_exit_name() - "IO" for KVM_EXIT_IO and so on; NULL for a number without a name */
const char *vitrine_exit_name(unsigned int reason);

/* ---- VMs of other processes ------------------------------------------------------------- */

struct vitrine_monitor;
struct vitrine_ring;

/**
 * vitrine_monitor_attach() - become a monitor of a VM, whatever process it is of
 * @vm_id: its number
 * @flags: VITRINE_ATTACH_*
 *
 * Fails with ESRCH (no such VM), EPERM (not allowed: see vitrine.h), EBUSY (another one steers, or
 * too many watch), ENOTTY (the module does not know monitors).
 */
struct vitrine_monitor *vitrine_monitor_attach(struct vitrine *dev, uint64_t vm_id,
					       uint32_t flags, struct vitrine_error *err);

/** vitrine_monitor_detach() - close its rings and let the VM go on unwatched. NULL is fine. */
void vitrine_monitor_detach(struct vitrine_monitor *monitor);

/** vitrine_monitor_fd() - to poll: POLLIN for a ring at its wakeup, POLLHUP for a VM gone */
int vitrine_monitor_fd(const struct vitrine_monitor *monitor);

/** vitrine_monitor_info() - about the VM. Fails with ESRCH when it is gone. */
int vitrine_monitor_info(const struct vitrine_monitor *monitor, struct vitrine_monitor_info *info,
			 struct vitrine_error *err);

/**
 * vitrine_monitor_wait() - sleep until a ring has its wakeup, the VM is gone or time is over
 *
 * Returns the POLL* that were seen, 0 for none. Fails with EINTR for a signal.
 */
int vitrine_monitor_wait(const struct vitrine_monitor *monitor, int timeout_ms,
			 struct vitrine_error *err);

/**
 * vitrine_ring_open() - have the exits of a vCPU recorded
 * @vcpu: its index, from 0 in the order of creation
 * @nr_records: a power of two, from 16 to VITRINE_RING_MAX_RECORDS, of VITRINE_RECORD_BYTES each
 * @flags: VITRINE_RING_*
 * @wakeup: so many unread records wake vitrine_monitor_wait(); 0: none do
 * @reasons: two words, a bit for each basic exit reason to record; NULL: all
 *
 * Fails with ENOENT (no such vCPU yet), EEXIST, EINVAL, ENOSPC, ENOMEM, ESRCH.
 */
struct vitrine_ring *vitrine_ring_open(struct vitrine_monitor *monitor, uint32_t vcpu,
				       uint32_t nr_records, uint32_t flags, uint32_t wakeup,
				       const uint64_t *reasons, struct vitrine_error *err);

/** vitrine_ring_close() - read no more of it; until the detach it is written. NULL is fine. */
void vitrine_ring_close(struct vitrine_ring *ring);

/** vitrine_ring_vcpu() - index of the vCPU; *id, unless NULL, is what its VMM calls it */
uint32_t vitrine_ring_vcpu(const struct vitrine_ring *ring, uint32_t *id);

/** vitrine_ring_filter() - record other exits from now on; as @reasons above, but not NULL */
int vitrine_ring_filter(struct vitrine_ring *ring, const uint64_t *reasons,
			struct vitrine_error *err);

/**
 * vitrine_ring_read() - take the oldest record that was not read, without a system call
 *
 * Returns whether there was one. What was overwritten before it could be read is skipped.
 */
bool vitrine_ring_read(struct vitrine_ring *ring, struct vitrine_record *record);

/** vitrine_ring_lost() - records so far that the ring had no room for, or that were overwritten */
uint64_t vitrine_ring_lost(const struct vitrine_ring *ring);

/* ---- helpers ---------------------------------------------------------------------------- */

/**
 * vitrine_parse_size() - "512", "64K", "256M", "4G", "1T" (powers of 1024) to bytes
 *
 * A number may be decimal or hexadecimal (0x). Fails with EINVAL (not a size) or ERANGE (does
 * not fit 64 bits).
 */
int vitrine_parse_size(const char *text, uint64_t *bytes, struct vitrine_error *err);

/* ---- steering: vitrine_policy.h ------------------------------------------------------------ */

/**
 * vitrine_policy_set() - which exits become events from now on, and which do not
 * @monitor: attached with VITRINE_ATTACH_STEER
 * @rules: tried in this order; @nr 0 to @VITRINE_MAX_RULES of them, 0 ends the policy
 *
 * Fails with EINVAL (a rule that cannot be) or EOPNOTSUPP (this CPU cannot let its class exit), of
 * which the kernel log at debug level says more, E2BIG, ENOMEM, EPERM (the monitor does not steer),
 * ESRCH (the VM is gone).
 */
int vitrine_policy_set(struct vitrine_monitor *monitor, const struct vitrine_rule *rules,
		       uint32_t nr, struct vitrine_error *err);

/**
 * vitrine_event_next() - the event that waits longest and was not fetched yet
 *
 * Its vCPU stands still until it is answered, or its time is over. Returns 1, 0 if there is none
 * (poll vitrine_monitor_fd() for POLLIN), or fails: with EPERM if the monitor does not steer, or as
 * ioctl(2) does.
 */
int vitrine_event_next(struct vitrine_monitor *monitor, struct vitrine_exit_event *event,
		       struct vitrine_error *err);

/**
 * vitrine_event_answer() - let its vCPU go on, as @answer says
 *
 * Fails with ENOENT if the event does not wait any more, EINVAL for what the guest cannot take, of
 * which the kernel log at debug level says more: it still waits then.
 */
int vitrine_event_answer(struct vitrine_monitor *monitor, const struct vitrine_answer *answer,
			 struct vitrine_error *err);

/** vitrine_event_limit() - for how long, in milliseconds (1 to 3,600,000), events wait */
int vitrine_event_limit(struct vitrine_monitor *monitor, uint32_t ms, struct vitrine_error *err);

#ifdef __cplusplus
}
#endif

#endif /* LIBVITRINE_H */
