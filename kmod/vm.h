/* SPDX-License-Identifier: GPL-2.0 */
/*
 * struct vitrine_vm: one virtual machine, behind one VM fd.
 *
 * Lock order, outermost first:
 *
 *	the VM's monitors (monitor/attach.h)
 *	the registry (registry.c)
 *	vm->lock
 *	  vcpu->mutex			inside vm->lock: of a vCPU that is being created
 *	    vm->slots_lock		memory slots and buses are changed
 *	      mm->mmap_lock
 *	        vm->mmu.lock		second-level tables; spinning, the mmu notifier's
 *	    vm->clock.lock		the VM's clock; also inside the registry's; a leaf
 *	    vm->irq.lock		interrupt routing is changed; also inside vm->slots_lock
 *	irqfds->mutex			irqfds come and go; of the above it is inside none
 *	  an eventfd's own lock		spinning, interrupts off; held in a wake-up
 *	    irqfds->lock		spinning; the lists
 *	    chip locks (pic, ioapic, pit, lapic timer; spinning, interrupts off)
 *
 * An eventfd is signalled with no spinning lock held, and never from the wake-up of another, which
 * the kernel warns of. vm->coalesced.lock, spinning, is a leaf; so are vcpu->calls.lock and the
 * lock of monitors->steer, but for wait queues.
 *
 * Monitors that wait, for a vCPU or for memory, have a reference to the VM and no lock: see
 * monitor/call.h and monitor/remote.h.
 *
 * vm->srcu protects readers of memory slots, buses, routing, irqfds that resample, the MSR filter
 * and the exit policy. It is taken by the handlers that read them and never held in the guest or
 * while a vCPU halts: a writer would wait for as long. But who needs memory of the VMM's waits for
 * it as a reader, which can be for as long as the VMM likes (userfaultfd). So a writer waits for
 * readers under no lock that other VMs want, nor the monitors', nor in a work item; and who is not
 * the VMM's lets itself be killed meanwhile.
 *
 * Tags on members: [I] immutable after creation, [m] vm->lock, [s] vm->slots_lock for writers and
 * vm->srcu for readers, [q] vm->irq.lock for writers and vm->srcu for readers, [v] vcpu->mutex, [n]
 * vm->mmu.lock and the mmu notifier sequence, [c] owning CPU with preemption off, [a] atomic.
 */
#ifndef VITRINE_VM_H
#define VITRINE_VM_H

#include <linux/kvm.h>
#include <linux/kvm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/ratelimit_types.h>
#include <linux/refcount.h>
#include <linux/srcu.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include "clock.h"
#include "coalesced.h"
#include "creator.h"
#include "irq/irq.h"
#include "memslot.h"
#include "mmu.h"
#include "tsc.h"

struct file;
struct vitrine_bus;
struct vitrine_monitors;
struct vitrine_vcpu;
struct vitrine_ioctl;
struct vitrine_policy_rules;

#define VITRINE_MAX_VCPUS	1024	/* KVM_CAP_MAX_VCPUS; ids run below VITRINE_MAX_VCPU_IDS */
#define VITRINE_MAX_VCPU_IDS	4096
#define VITRINE_NR_BUSES	2
enum { VITRINE_BUS_PIO, VITRINE_BUS_MMIO };

struct vitrine_vm {
	refcount_t users;		/* [a] the VM fd and each vCPU fd */
	u64 id;				/* [I] never reused */
	struct mm_struct *mm;		/* [I] the creator's; every ioctl must come from it */
	struct vitrine_creator creator;	/* [I] */
	struct ratelimit_state event_limit;	/* netlink_event.c; under its own lock */
	struct vitrine_monitors *monitors;	/* [I] control tools that are attached */
	struct mutex lock;
	struct mutex slots_lock;
	struct srcu_struct srcu;
	atomic_t nr_retired;	/* [a] left for call_srcu() to free since readers were waited for */

	struct xarray
		vcpus; /* [a] vCPU by index; entries are added under lock, removed at destruction */
	struct xarray vcpu_by_id;	/* [a] the same vCPUs by id, for who is addressed by it */
	unsigned int nr_vcpus;		/* [m] created, for the writer */
	atomic_t online_vcpus;		/* [a] visible in @vcpus; read by those who walk it */
	u32 bsp_id;			/* [m] vCPU id that boots; fixed at the first CREATE_VCPU */
	u32 max_vcpu_id;		/* [m] KVM_CAP_MAX_VCPU_ID, 0 = not set */

	struct vitrine_memslots __rcu
		*slots; /* [s] also stable under mmu.lock: publication takes it */
	struct vitrine_memslots
		*spare_slots; /* [s] writers only: the array that the next change edits */
	struct xarray slot_by_id;		/* [s] writers only */
	unsigned int nr_logged;			/* [s] slots with KVM_MEM_LOG_DIRTY_PAGES */
	u32 dirty_ring_bytes; /* [m], [s] KVM_CAP_DIRTY_LOG_RING: of each vCPU's; 0: bitmaps */
	u32 hw_log_entries; /* [I] pages that hardware logs before it exits; 0: logged by faults */
	u64 dirty_log_caps; /* [s] KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: KVM_DIRTY_LOG_* in force */
	struct vitrine_mmu mmu;		/* [n] */
	struct mmu_notifier notifier;	/* [I] */
	gpa_t tss_addr;			/* [m] KVM_SET_TSS_ADDR: three pages the VMM keeps free */
	gpa_t identity_map_addr;	/* [m] KVM_SET_IDENTITY_MAP_ADDR */

	struct vitrine_bus __rcu *buses[VITRINE_NR_BUSES]; /* [s] in-kernel devices by address */
	struct list_head ioeventfds;	/* [s] */
	struct vitrine_coalesced coalesced;	/* [s] writes that wait for the VMM */
	struct vitrine_irq irq;		/* [q] controllers, routing, PIT */

	bool tpr_shadow;		/* [I] no exits by CR8 where there is a local APIC */
	bool apicv;			/* [I] the processor delivers interrupts: lapic.h */

	u64 default_tsc_khz;		/* [m] for vCPUs to come; 0: the host's */
	struct vitrine_tsc_sync tsc_sync;	/* under a lock of tsc.c */
	u32 exit_hypercalls;		/* [m] KVM_CAP_EXIT_HYPERCALL: a bit a number */
	struct vitrine_msr_filter __rcu
		*msr_filter; /* [m] for writers, srcu for readers; NULL: nothing is kept back */
	u32 user_msr_reasons;	/* [m] KVM_CAP_X86_USER_SPACE_MSR: KVM_MSR_EXIT_REASON_* */
	u64 disabled_quirks;	/* [m] KVM_CAP_DISABLE_QUIRKS(2); others look without the lock */
	u32 disabled_exits;	/* [m] KVM_X86_DISABLE_EXITS_*, for vCPUs to come */
	bool emulation_failure_exits; /* [m] KVM_CAP_EXIT_ON_EMULATION_FAILURE */
	struct vitrine_policy_rules __rcu
		*policy; /* the exit policy; under monitors->lock for writers, srcu for readers */
	struct vitrine_clock clock;	/* under its own lock */
	u32 halt_poll_ns;		/* [m] KVM_CAP_HALT_POLL, */
	bool halt_poll_is_set;		/* [m] if it was */
	bool exception_payload;		/* [m] KVM_CAP_EXCEPTION_PAYLOAD */
	bool triple_fault_event;	/* [m] KVM_CAP_X86_TRIPLE_FAULT_EVENT */
	bool platform_info_hidden;	/* [m] KVM_CAP_MSR_PLATFORM_INFO was turned off */
	bool paused;			/* [a] every RUN sleeps: monitor/pause.h */
	bool dead;			/* [a] a failed VMX instruction: every RUN answers -EIO */
};

/*
 * KVM_X86_QUIRK_*: a habit of KVM's that its first VMMs rely on, until one says that it does not.
 * Of those that this kernel's header names, KVM_X86_QUIRK_CD_NW_CLEARED has nothing to decide here:
 * memory types of guests do not follow CR0, as there are no devices that are not coherent.
 */
#define VITRINE_QUIRKS	(KVM_X86_QUIRK_LINT0_REENABLED | KVM_X86_QUIRK_CD_NW_CLEARED |	\
			 KVM_X86_QUIRK_LAPIC_MMIO_HOLE | KVM_X86_QUIRK_OUT_7E_INC_RIP |	\
			 KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT |				\
			 KVM_X86_QUIRK_FIX_HYPERCALL_INSN |				\
			 KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS)

static inline bool vitrine_vm_has_quirk(const struct vitrine_vm *vm, u64 quirk)
{
	return !(READ_ONCE(vm->disabled_quirks) & quirk);
}

struct vitrine_vm *vitrine_vm_create(void);
void vitrine_vm_get(struct vitrine_vm *vm);
void vitrine_vm_put(struct vitrine_vm *vm);
int vitrine_vm_open_fd(struct vitrine_vm *vm);
void vitrine_vm_mark_dead(struct vitrine_vm *vm, const char *why);
/* By APIC id; NULL if there is none. Any context. */
struct vitrine_vcpu *vitrine_vm_find_vcpu(struct vitrine_vm *vm, u64 id);
void vitrine_vm_kick_all(struct vitrine_vm *vm, unsigned int request);
/*
 * For each call_srcu() that an ioctl of the VM leads to: now and then it waits for the readers, of
 * whom the VMM can hold one up while it makes us retire more. Sleeps; not as a reader.
 */
void vitrine_vm_count_retired(struct vitrine_vm *vm);
/* For who is not the VMM's, before what will be retired comes into force: -EINTR if killed. */
int vitrine_vm_count_killable(struct vitrine_vm *vm);
/* All who read under vm->srcu now; with a reference and no lock. 0, or -EINTR if it is killed. */
int vitrine_vm_wait_for_readers(struct vitrine_vm *vm);
int vitrine_vm_init(void);
void vitrine_vm_exit(void);

/* KVM_CAP_X86_DISABLE_EXITS: what this host's guests may do without exits. */
u32 vitrine_vm_disable_exits(void);

#define vitrine_vm_for_each_vcpu(index, vcpu, vm)       \
	xa_for_each_range(&(vm)->vcpus, index, vcpu, 0, \
			  (unsigned int)atomic_read(&(vm)->online_vcpus) - 1)

#endif
