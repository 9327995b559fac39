// SPDX-License-Identifier: GPL-2.0
/*
 * Virtual machines: creation, the VM fd, and the end when the last fd is gone.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/anon_inodes.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/srcu.h>

#include "backend.h"
#include "bus.h"
#include "dev.h"
#include "exit.h"
#include "halt.h"
#include "hardware.h"
#include "ioctl.h"
#include "irq/ioeventfd.h"
#include "monitor/attach.h"
#include "monitor/pause.h"
#include "monitor/steer.h"
#include "msr_filter.h"
#include "netlink.h"
#include "registry.h"
#include "stats.h"
#include "tsc.h"
#include "vcpu.h"
#include "vm.h"

struct vitrine_vm *vitrine_vm_create(void)
{
	struct vitrine_vm *vm;
	int ret;

	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return ERR_PTR(-ENOMEM);
	refcount_set(&vm->users, 1);
	mutex_init(&vm->lock);
	mutex_init(&vm->slots_lock);
	xa_init_flags(&vm->vcpus, XA_FLAGS_ACCOUNT);
	INIT_LIST_HEAD(&vm->ioeventfds);
	xa_init_flags(&vm->vcpu_by_id, XA_FLAGS_ACCOUNT);
	vm->mm = current->mm;
	mmgrab(vm->mm);
	vitrine_creator_init(&vm->creator);
	vitrine_netlink_event_init(vm);
	vitrine_irq_init(vm);
	vm->default_tsc_khz = tsc_khz;
	vitrine_backend->vm_init(vm);
	vitrine_clock_init(vm);
	if (vitrine_backend->dirty_log_entries)
		vm->hw_log_entries = vitrine_backend->dirty_log_entries();

	preempt_notifier_inc();
	ret = vitrine_hardware_get();
	if (ret)
		goto err_free_vm;
	ret = init_srcu_struct(&vm->srcu);
	if (ret)
		goto err_put_hardware;
	ret = vitrine_memslots_init(vm);
	if (ret)
		goto err_cleanup_srcu;
	ret = vitrine_mmu_init(vm);
	if (ret)
		goto err_destroy_slots;
	ret = vitrine_bus_init(vm);
	if (ret)
		goto err_destroy_mmu;
	vm->notifier.ops = &vitrine_mmu_notifier_ops;
	ret = vitrine_coalesced_init(vm);
	if (ret)
		goto err_destroy_bus;
	ret = -ENOMEM;
	vm->monitors = vitrine_monitors_create(vm);
	if (!vm->monitors)
		goto err_destroy_coalesced;
	ret = mmu_notifier_register(&vm->notifier, vm->mm);
	if (ret)
		goto err_put_monitors;
	ret = vitrine_registry_add(vm);
	if (ret)
		goto err_unregister_notifier;
	vitrine_netlink_event(vm, NULL, VITRINE_NL_EVENT_VM_CREATED, 0);
	return vm;

err_unregister_notifier:
	mmu_notifier_unregister(&vm->notifier, vm->mm);
err_put_monitors:
	vitrine_monitors_put(vm->monitors);
err_destroy_coalesced:
	vitrine_coalesced_destroy(vm);
err_destroy_bus:
	vitrine_bus_destroy(vm);
err_destroy_mmu:
	vitrine_mmu_destroy(vm);
err_destroy_slots:
	vitrine_memslots_destroy(vm);
err_cleanup_srcu:
	cleanup_srcu_struct(&vm->srcu);
err_put_hardware:
	vitrine_hardware_put();
err_free_vm:
	preempt_notifier_dec();
	vitrine_creator_free(&vm->creator);
	mmdrop(vm->mm);
	kfree(vm);
	return ERR_PTR(ret);
}

static void destroy_vm(struct vitrine_vm *vm)
{
	struct vitrine_vcpu *vcpu;
	unsigned long index;

	vitrine_registry_remove(vm);
	vitrine_monitors_end(vm->monitors);
	/* After this nobody changes the tables but us. */
	mmu_notifier_unregister(&vm->notifier, vm->mm);
	vitrine_bus_destroy(vm);
	vitrine_irq_destroy(vm);
	xa_for_each(&vm->vcpus, index, vcpu) {
		vitrine_netlink_event(vm, vcpu, VITRINE_NL_EVENT_VCPU_GONE, 0);
		vitrine_vcpu_destroy(vcpu);
	}
	xa_destroy(&vm->vcpus);
	vitrine_monitors_put(vm->monitors);
	vitrine_msr_filter_destroy(vm);
	vitrine_policy_destroy(vm);
	vitrine_coalesced_destroy(vm);
	xa_destroy(&vm->vcpu_by_id);
	vitrine_mmu_destroy(vm);
	vitrine_memslots_destroy(vm);
	cleanup_srcu_struct(&vm->srcu);
	vitrine_hardware_put();
	preempt_notifier_dec();
	vitrine_netlink_event(vm, NULL, VITRINE_NL_EVENT_VM_GONE, 0);
	vitrine_creator_free(&vm->creator);
	mmdrop(vm->mm);
	kfree(vm);
}

void vitrine_vm_get(struct vitrine_vm *vm)
{
	refcount_inc(&vm->users);
}

void vitrine_vm_put(struct vitrine_vm *vm)
{
	if (refcount_dec_and_test(&vm->users))
		destroy_vm(vm);
}

/* Routing tables are the largest: some MiB of them. */
#define MAX_RETIRED	64

void vitrine_vm_count_retired(struct vitrine_vm *vm)
{
	if (atomic_inc_return(&vm->nr_retired) <= MAX_RETIRED)
		return;
	/* Whoever comes meanwhile waits as well, so that threads of the VMM do not multiply it. */
	synchronize_srcu_expedited(&vm->srcu);
	atomic_set(&vm->nr_retired, 0);
}

int vitrine_vm_wait_for_readers(struct vitrine_vm *vm)
{
	unsigned long cookie = start_poll_synchronize_srcu(&vm->srcu);

	while (!poll_state_synchronize_srcu(&vm->srcu, cookie)) {
		if (fatal_signal_pending(current))
			return -EINTR;
		schedule_timeout_killable(1);
	}
	return 0;
}

int vitrine_vm_count_killable(struct vitrine_vm *vm)
{
	int ret;

	if (atomic_inc_return(&vm->nr_retired) <= MAX_RETIRED)
		return 0;
	ret = vitrine_vm_wait_for_readers(vm);
	if (!ret)
		atomic_set(&vm->nr_retired, 0);
	return ret;
}

void vitrine_vm_mark_dead(struct vitrine_vm *vm, const char *why)
{
	struct vitrine_vcpu *vcpu;
	unsigned long index;

	if (xchg(&vm->dead, true))
		return;
	pr_warn_ratelimited("VM %llu ended: %s\n", vm->id, why);
	/*
	 * Those that sleep must come out to hear of it; each by itself, as interrupts may be off.
	 */
	vitrine_vm_for_each_vcpu(index, vcpu, vm) {
		vitrine_vcpu_request_and_kick(vcpu, VITRINE_REQ_KICK);
		vitrine_steer_wake(vcpu);
	}
}

struct vitrine_vcpu *vitrine_vm_find_vcpu(struct vitrine_vm *vm, u64 id)
{
	return id < VITRINE_MAX_VCPU_IDS ? xa_load(&vm->vcpu_by_id, id) : NULL;
}

static void nothing(void *unused)
{
}

/*
 * Sets @request on every vCPU and returns only when none of them is in the guest still ignorant of
 * it: those in the guest are interrupted, those outside find it before they enter.
 */
void vitrine_vm_kick_all(struct vitrine_vm *vm, unsigned int request)
{
	struct vitrine_vcpu *vcpu;
	unsigned long index;
	cpumask_var_t cpus;
	bool have_mask, any = false;
	int self;

	/* Called under mmu.lock; without memory for a mask everybody is interrupted. */
	have_mask = zalloc_cpumask_var(&cpus, GFP_ATOMIC);
	self = get_cpu();
	vitrine_vm_for_each_vcpu(index, vcpu, vm) {
		int cpu;

		vitrine_vcpu_request(vcpu, request);
		/* Pairs with run.c: the mode is set before the requests are looked at. */
		smp_mb__after_atomic();
		cpu = READ_ONCE(vcpu->cpu);
		if (READ_ONCE(vcpu->mode) != VITRINE_IN_GUEST || cpu < 0 || cpu == self)
			continue;
		any = true;
		if (have_mask)
			cpumask_set_cpu(cpu, cpus);
	}
	if (any)
		smp_call_function_many(have_mask ? cpus : cpu_online_mask, nothing, NULL, true);
	put_cpu();
	if (have_mask)
		free_cpumask_var(cpus);
}

static long vm_ioctl_create_vcpu(void *obj, struct vitrine_ioctl_arg *arg)
{
	if (arg->value >= VITRINE_MAX_VCPU_IDS) {
		pr_debug_ratelimited("KVM_CREATE_VCPU: id is %lu, must be below %u\n", arg->value,
				     VITRINE_MAX_VCPU_IDS);
		return -EINVAL;
	}
	return vitrine_vcpu_create(obj, arg->value);
}

static long vm_ioctl_check_extension(void *obj, struct vitrine_ioctl_arg *arg)
{
	return vitrine_dev_extension(obj, arg->value);
}

static long vm_ioctl_set_tss_addr(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vm *vm = obj;

	if (arg->value > U32_MAX - 3 * PAGE_SIZE) {
		pr_debug_ratelimited("KVM_SET_TSS_ADDR: address is 0x%lx, its three pages must end below 4 GiB\n",
				     arg->value);
		return -EINVAL;
	}
	/* Unrestricted guests need none of it; kept so that VMMs find their rules unchanged. */
	vm->tss_addr = arg->value;
	return 0;
}

static long vm_ioctl_set_identity_map_addr(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vm *vm = obj;

	if (vm->nr_vcpus) {
		pr_debug_ratelimited("KVM_SET_IDENTITY_MAP_ADDR: too late, a vCPU exists\n");
		return -EINVAL;
	}
	vm->identity_map_addr = *(u64 *)arg->data;
	return 0;
}

static long vm_ioctl_set_boot_cpu_id(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vm *vm = obj;

	if (vm->nr_vcpus)
		return -EBUSY;
	if (arg->value >= VITRINE_MAX_VCPU_IDS)
		return -EINVAL;
	vm->bsp_id = arg->value;
	return 0;
}

#define USER_MSR_REASONS	(KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | \
				 KVM_MSR_EXIT_REASON_FILTER)

static long refuse_args(const struct kvm_enable_cap *cap, u64 valid)
{
	pr_debug_ratelimited("KVM_ENABLE_CAP: cap %u, args[0] is 0x%llx, must be within 0x%llx\n",
			     cap->cap, cap->args[0], valid);
	return -EINVAL;
}

/* Which exceptions and accesses exit depends on some of them. */
static long set_disabled_quirks(struct vitrine_vm *vm, u64 quirks)
{
	WRITE_ONCE(vm->disabled_quirks, quirks);
	vitrine_vm_kick_all(vm, VITRINE_REQ_EXCEPTIONS);
	return 0;
}

#define KNOWN_DISABLE_EXITS	(KVM_X86_DISABLE_EXITS_MWAIT | KVM_X86_DISABLE_EXITS_HLT | \
				 KVM_X86_DISABLE_EXITS_PAUSE | KVM_X86_DISABLE_EXITS_CSTATE)

u32 vitrine_vm_disable_exits(void)
{
	u32 exits = KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_PAUSE;

	/* As KVM: a guest may wait for memory where that works and does not stop the APIC timer. */
	if (boot_cpu_has(X86_FEATURE_MWAIT) && !boot_cpu_has_bug(X86_BUG_MONITOR) &&
	    boot_cpu_has(X86_FEATURE_ARAT))
		exits |= KVM_X86_DISABLE_EXITS_MWAIT;
	return exits;
}

/* Once: what was sized by it stays. */
static long set_max_vcpu_id(struct vitrine_vm *vm, u64 max)
{
	if (max > VITRINE_MAX_VCPU_IDS || (vm->max_vcpu_id && vm->max_vcpu_id != max)) {
		pr_debug_ratelimited("KVM_ENABLE_CAP: KVM_CAP_MAX_VCPU_ID is 0x%llx, must be at most %u and stay the same\n",
				     max, VITRINE_MAX_VCPU_IDS);
		return -EINVAL;
	}
	vm->max_vcpu_id = max;
	return 0;
}

static long vm_ioctl_enable_cap(void *obj, struct vitrine_ioctl_arg *arg)
{
	const struct kvm_enable_cap *cap = arg->data;
	struct vitrine_vm *vm = obj;

	if (cap->flags) {
		pr_debug_ratelimited("KVM_ENABLE_CAP: flags is 0x%x, must be 0\n", cap->flags);
		return -EINVAL;
	}
	switch (cap->cap) {
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return vitrine_dirty_set_manual(vm, cap->args[0]);
	case KVM_CAP_DIRTY_LOG_RING:
	case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
		return vitrine_dirty_ring_enable(vm, cap->args[0]);
	case KVM_CAP_EXCEPTION_PAYLOAD:
		vm->exception_payload = cap->args[0];
		return 0;
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
		vm->triple_fault_event = cap->args[0];
		return 0;
	case KVM_CAP_DISABLE_QUIRKS2:
		if (cap->args[0] & ~(u64)VITRINE_QUIRKS)
			return refuse_args(cap, VITRINE_QUIRKS);
		fallthrough;
	case KVM_CAP_DISABLE_QUIRKS:
		return set_disabled_quirks(vm, cap->args[0]);
	case KVM_CAP_X86_DISABLE_EXITS:
		/* As KVM: what this host cannot do without exits goes on with them. */
		if (cap->args[0] & ~(u64)KNOWN_DISABLE_EXITS)
			return refuse_args(cap, KNOWN_DISABLE_EXITS);
		vm->disabled_exits |= cap->args[0] & vitrine_vm_disable_exits();
		return 0;
	case KVM_CAP_EXIT_ON_EMULATION_FAILURE:
		if (cap->args[0] & ~1ULL)
			return refuse_args(cap, 1);
		WRITE_ONCE(vm->emulation_failure_exits, cap->args[0]);
		return 0;
	case KVM_CAP_EXIT_HYPERCALL:
		if (cap->args[0] & ~(u64)VITRINE_EXIT_HYPERCALLS)
			return refuse_args(cap, VITRINE_EXIT_HYPERCALLS);
		WRITE_ONCE(vm->exit_hypercalls, cap->args[0]);
		return 0;
	case KVM_CAP_MAX_VCPU_ID:
		return set_max_vcpu_id(vm, cap->args[0]);
	case KVM_CAP_X86_USER_SPACE_MSR:
		if (cap->args[0] & ~(u64)USER_MSR_REASONS)
			return refuse_args(cap, USER_MSR_REASONS);
		WRITE_ONCE(vm->user_msr_reasons, cap->args[0]);
		return 0;
	case KVM_CAP_MSR_PLATFORM_INFO:
		vm->platform_info_hidden = !cap->args[0];
		return 0;
	case KVM_CAP_SPLIT_IRQCHIP:
		return vitrine_irq_enable_split(vm, cap->args[0]);
	case KVM_CAP_HALT_POLL:
		return vitrine_halt_set_poll(vm, cap->args[0]);
	case KVM_CAP_VM_DISABLE_NX_HUGE_PAGES:
		/* The guest can then bring down the host, namespaces or not. */
		if (!capable(CAP_SYS_BOOT))
			return -EPERM;
		if (cap->args[0])
			return refuse_args(cap, 0);
		return vitrine_mmu_disable_nx_huge_pages(vm);
	case KVM_CAP_X2APIC_API:
		return vitrine_irq_enable_x2apic_api(vm, cap->args[0]);
	default:
		pr_debug_ratelimited("KVM_ENABLE_CAP: cap %u cannot be enabled on a VM\n",
				     cap->cap);
		return -EINVAL;
	}
}

static const struct vitrine_ioctl vm_ioctls[] = {
	{ KVM_CREATE_VCPU, VITRINE_IOCTL_LOCK, vm_ioctl_create_vcpu },
	{ KVM_CHECK_EXTENSION, 0, vm_ioctl_check_extension },
	{ KVM_SET_TSS_ADDR, VITRINE_IOCTL_LOCK, vm_ioctl_set_tss_addr },
	{ KVM_SET_IDENTITY_MAP_ADDR, VITRINE_IOCTL_LOCK, vm_ioctl_set_identity_map_addr },
	{ KVM_SET_BOOT_CPU_ID, VITRINE_IOCTL_LOCK, vm_ioctl_set_boot_cpu_id },
	{ KVM_ENABLE_CAP, VITRINE_IOCTL_LOCK, vm_ioctl_enable_cap },
	{}
};

static const struct vitrine_ioctl *const vm_tables[] = {
	vm_ioctls,
	vitrine_memslot_ioctls,
	vitrine_mmu_ioctls,
	vitrine_dirty_ioctls,
	vitrine_dirty_ring_ioctls,
	vitrine_irq_vm_ioctls,
	vitrine_ioeventfd_ioctls,
	vitrine_coalesced_ioctls,
	vitrine_tsc_vm_ioctls,
	vitrine_msr_filter_ioctls,
	vitrine_stats_fd_vm_ioctls,
	vitrine_clock_vm_ioctls,
	vitrine_attach_vm_ioctls,
	vitrine_pause_vm_ioctls,
	NULL
};

static struct vitrine_ioctl_set vm_set = { .tables = vm_tables };

static long vm_fd_ioctl(struct file *file, unsigned int cmd, unsigned long value)
{
	const struct vitrine_ioctl *row = vitrine_ioctl_find(&vm_set, cmd);
	struct vitrine_vm *vm = file->private_data;
	long ret;

	/*
	 * Its memory is the creator's address space; from another one every address would mean
	 * something else.
	 */
	if (vm->mm != current->mm || READ_ONCE(vm->dead))
		return -EIO;
	if (!row)
		return -ENOTTY;
	if (!(row->flags & VITRINE_IOCTL_LOCK))
		return vitrine_ioctl_call(row, vm, value);
	if (mutex_lock_killable(&vm->lock))
		return -EINTR;
	ret = vitrine_ioctl_call(row, vm, value);
	mutex_unlock(&vm->lock);
	return ret;
}

static int vm_fd_release(struct inode *inode, struct file *file)
{
	struct vitrine_vm *vm = file->private_data;

	/* Eventfds hold no reference to the VM. Nobody can arm another one any more. */
	vitrine_irqfd_release(vm);
	vitrine_vm_put(vm);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.release = vm_fd_release,
	.unlocked_ioctl = vm_fd_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

int vitrine_vm_open_fd(struct vitrine_vm *vm)
{
	return anon_inode_getfd("vitrine-vm", &vm_fops, vm, O_RDWR | O_CLOEXEC);
}

int vitrine_vm_init(void)
{
	return vitrine_ioctl_set_build(&vm_set);
}

void vitrine_vm_exit(void)
{
	vitrine_registry_exit();
}
