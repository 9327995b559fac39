// SPDX-License-Identifier: GPL-2.0
/*
 * Virtual CPUs: creation, reset, the vCPU fd and its run area, loading on a CPU.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/anon_inodes.h>
#include <linux/build_bug.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/percpu.h>
#include <asm/debugreg.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include <trace/events/ipi.h>

#include "coalesced.h"
#include "cpuid.h"
#include "fpu.h"
#include "ioctl.h"
#include "mce.h"
#include "monitor/steer.h"
#include "msr.h"
#include "netlink.h"
#include "regs.h"
#include "run.h"
#include "stats.h"
#include "tsc.h"
#include "guest.h"
#include "vm.h"

void vitrine_vcpu_reset(struct vitrine_vcpu *vcpu, bool init)
{
	memset(&vcpu->events, 0, sizeof(vcpu->events));
	memset(vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->regs[VITRINE_REG_RIP] = 0xfff0;
	vcpu->regs[VITRINE_REG_RFLAGS] = X86_EFLAGS_FIXED;
	vcpu->regs[VITRINE_REG_RDX] = 0x600;	/* family 6: what firmware finds after reset */
	vcpu->regs_avail = GENMASK(VITRINE_NR_REGS - 1, 0);
	vcpu->regs_dirty = vcpu->regs_avail;
	vcpu->cr2 = 0;
	vcpu->cr8 = 0;
	vcpu->complete_user_exit = NULL;
	vitrine_msr_reset(vcpu, init);
	vitrine_pv_reset(vcpu);
	vitrine_fpu_reset(vcpu, init);
	vitrine_backend->vcpu_reset(vcpu, init);
	vitrine_backend->set_efer(vcpu, 0);
	vitrine_backend->set_cr0(vcpu, X86_CR0_ET | (init ? vcpu->cr0 & (X86_CR0_CD | X86_CR0_NW) :
						     X86_CR0_CD | X86_CR0_NW));
	vitrine_backend->set_cr3(vcpu, 0);
	vitrine_backend->set_cr4(vcpu, 0);
	vitrine_debug_reset(vcpu);
	vitrine_lapic_reset(vcpu, init);
	vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
}

static void load_on_this_cpu(struct vitrine_vcpu *vcpu)
{
	int cpu = raw_smp_processor_id();

	vitrine_backend->vcpu_load(vcpu, cpu);
	WRITE_ONCE(vcpu->cpu, cpu);
	if (unlikely(vcpu->pv.steal_time & KVM_MSR_ENABLED))
		vitrine_steal_loaded(vcpu);
	if (unlikely(vcpu->pv.system_time & KVM_MSR_ENABLED))
		vitrine_kvmclock_loaded(vcpu);
}

static void sched_in(struct preempt_notifier *notifier, int cpu)
{
	struct vitrine_vcpu *vcpu = container_of(notifier, struct vitrine_vcpu, preempt_notifier);

	load_on_this_cpu(vcpu);
	vcpu->stats.preemptions++;
}

static void sched_out(struct preempt_notifier *notifier, struct task_struct *next)
{
	struct vitrine_vcpu *vcpu = container_of(notifier, struct vitrine_vcpu, preempt_notifier);

	if (unlikely(vcpu->pv.at_boundary) && vcpu->pv.steal_time & KVM_MSR_ENABLED)
		vitrine_steal_preempted(vcpu);
	vitrine_backend->vcpu_put(vcpu, false);
	WRITE_ONCE(vcpu->cpu, -1);
}

static struct preempt_ops preempt_ops = {
	.sched_in = sched_in,
	.sched_out = sched_out,
};

struct vitrine_vcpu *vitrine_vcpu_current(void)
{
	struct preempt_notifier *notifier;

	hlist_for_each_entry(notifier, &current->preempt_notifiers, link)
		if (notifier->ops == &preempt_ops)
			return container_of(notifier, struct vitrine_vcpu, preempt_notifier);
	return NULL;
}

/*
 * From here to the put this thread's CPU holds the vCPU's state, wherever the scheduler moves it.
 */
void vitrine_vcpu_load(struct vitrine_vcpu *vcpu)
{
	lockdep_assert_held(&vcpu->mutex);
	preempt_disable();
	preempt_notifier_register(&vcpu->preempt_notifier);
	load_on_this_cpu(vcpu);
	preempt_enable();
}

void vitrine_vcpu_put(struct vitrine_vcpu *vcpu)
{
	preempt_disable();
	vitrine_backend->vcpu_put(vcpu, true);
	WRITE_ONCE(vcpu->cpu, -1);
	preempt_notifier_unregister(&vcpu->preempt_notifier);
	preempt_enable();
}

void vitrine_vcpu_kick(struct vitrine_vcpu *vcpu)
{
	int cpu;

	if (rcuwait_wake_up(&vcpu->wait))
		return;
	cpu = get_cpu();
	/* Pairs with run.c: the mode is set before the requests are looked at. */
	smp_mb();
	if (READ_ONCE(vcpu->mode) == VITRINE_IN_GUEST) {
		int target = READ_ONCE(vcpu->cpu);

		if (target >= 0 && target != cpu && cpu_online(target))
			smp_send_reschedule(target);
	}
	put_cpu();
}

static void queue(struct vitrine_vcpu *vcpu, const struct vitrine_exception *exception)
{
	vcpu->stats.exceptions_injected++;
	if (vitrine_events_queue_exception(&vcpu->events, exception))
		vitrine_vcpu_request(vcpu, VITRINE_REQ_TRIPLE_FAULT);
	else
		vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
}

void vitrine_vcpu_queue_exception(struct vitrine_vcpu *vcpu, u8 nr, bool has_error, u32 error_code)
{
	struct vitrine_exception exception = { .nr = nr,
					       .has_error = has_error,
					       .error_code = error_code };

	queue(vcpu, &exception);
}

void vitrine_vcpu_queue_page_fault(struct vitrine_vcpu *vcpu, u64 cr2, u32 error_code)
{
	struct vitrine_exception exception = { .nr = X86_TRAP_PF,
					       .has_error = true,
					       .error_code = error_code,
					       .has_payload = true,
					       .payload = cr2 };

	queue(vcpu, &exception);
}

void vitrine_vcpu_queue_debug(struct vitrine_vcpu *vcpu, u64 dr6_bits)
{
	struct vitrine_exception exception = { .nr = X86_TRAP_DB,
					       .has_payload = true,
					       .payload = dr6_bits };

	queue(vcpu, &exception);
}

void vitrine_vcpu_insn_done(struct vitrine_vcpu *vcpu)
{
	/* As with an instruction that hardware steps: the VMM takes the trap, for both. */
	if (unlikely(vcpu->db.guest_debug & KVM_GUESTDBG_SINGLESTEP)) {
		vcpu->db.exit_dr6 = DR_STEP;
		vitrine_vcpu_request(vcpu, VITRINE_REQ_DEBUG_EXIT);
	} else if (unlikely(vitrine_rflags_read(vcpu) & X86_EFLAGS_TF)) {
		vitrine_vcpu_queue_debug(vcpu, DR_STEP);
	}
}

static long vcpu_ioctl_set_signal_mask(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;
	struct kvm_signal_mask header;
	sigset_t set;

	if (!arg->value) {
		vcpu->sigset_active = false;
		return 0;
	}
	if (copy_from_user(&header, arg->user, sizeof(header)))
		return -EFAULT;
	if (header.len != sizeof(set)) {
		pr_debug_ratelimited("KVM_SET_SIGNAL_MASK: len is %u, must be %zu\n", header.len,
				     sizeof(set));
		return -EINVAL;
	}
	if (copy_from_user(&set, arg->user + sizeof(header), sizeof(set)))
		return -EFAULT;
	sigdelsetmask(&set, sigmask(SIGKILL) | sigmask(SIGSTOP));
	vcpu->sigset = set;
	vcpu->sigset_active = true;
	return 0;
}

static const struct vitrine_ioctl vcpu_ioctls[] = {
	{ KVM_SET_SIGNAL_MASK, VITRINE_IOCTL_LOCK | VITRINE_IOCTL_NO_LOAD | VITRINE_IOCTL_RAW,
	  vcpu_ioctl_set_signal_mask },
	{}
};

static const struct vitrine_ioctl *const vcpu_tables[] = {
	vcpu_ioctls,
	vitrine_regs_ioctls,
	vitrine_sregs_ioctls,
	vitrine_debug_ioctls,
	vitrine_vcpu_state_ioctls,
	vitrine_nested_ioctls,
	vitrine_fpu_ioctls,
	vitrine_cpuid_vcpu_ioctls,
	vitrine_msr_vcpu_ioctls,
	vitrine_mce_vcpu_ioctls,
	vitrine_tsc_vcpu_ioctls,
	vitrine_pv_vcpu_ioctls,
	vitrine_kvmclock_vcpu_ioctls,
	vitrine_irq_vcpu_ioctls,
	vitrine_vapic_vcpu_ioctls,
	vitrine_walk_vcpu_ioctls,
	vitrine_stats_vcpu_ioctls,
	vitrine_stats_fd_vcpu_ioctls,
	NULL
};

static struct vitrine_ioctl_set vcpu_set = { .tables = vcpu_tables };

static long call_locked(const struct vitrine_ioctl *row, struct vitrine_vcpu *vcpu,
			unsigned long value)
{
	long ret;

	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	if (row->flags & VITRINE_IOCTL_NO_LOAD) {
		ret = vitrine_ioctl_call(row, vcpu, value);
	} else {
		vitrine_vcpu_load(vcpu);
		ret = vitrine_ioctl_call(row, vcpu, value);
		vitrine_vcpu_put(vcpu);
	}
	mutex_unlock(&vcpu->mutex);
	return ret;
}

static long vcpu_fd_ioctl(struct file *file, unsigned int cmd, unsigned long value)
{
	struct vitrine_vcpu *vcpu = file->private_data;
	const struct vitrine_ioctl *row;
	long ret;

	if (vcpu->vm->mm != current->mm || READ_ONCE(vcpu->vm->dead))
		return -EIO;
	if (likely(cmd == KVM_RUN)) {
		if (mutex_lock_killable(&vcpu->mutex))
			return -EINTR;
		ret = vitrine_vcpu_run(vcpu, value);
		mutex_unlock(&vcpu->mutex);
		return ret;
	}
	row = vitrine_ioctl_find(&vcpu_set, cmd);
	if (!row)
		return -ENOTTY;
	if (!(row->flags & VITRINE_IOCTL_LOCK))
		return vitrine_ioctl_call(row, vcpu, value);
	return call_locked(row, vcpu, value);
}

static vm_fault_t vcpu_fd_fault(struct vm_fault *vmf)
{
	struct vitrine_vcpu *vcpu = vmf->vma->vm_file->private_data;
	struct page *page;

	if (vmf->pgoff < ARRAY_SIZE(vcpu->run_pages))
		page = vcpu->run_pages[vmf->pgoff];
	else
		page = vitrine_dirty_ring_page(vcpu, vmf->pgoff);
	if (!page)
		return VM_FAULT_SIGBUS;
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = { .fault = vcpu_fd_fault };

static int vcpu_fd_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vitrine_vcpu *vcpu = file->private_data;

	/* A private copy of the ring would be a log that nobody writes. */
	if ((vitrine_dirty_ring_page(vcpu, vma->vm_pgoff) ||
	     vitrine_dirty_ring_page(vcpu, vma->vm_pgoff + vma_pages(vma) - 1)) &&
	    (vma->vm_flags & VM_EXEC || !(vma->vm_flags & VM_SHARED))) {
		pr_debug_ratelimited("mmap: the dirty ring must be shared and not executable\n");
		return -EINVAL;
	}
	vma->vm_ops = &vcpu_vm_ops;
	return 0;
}

static int vcpu_fd_release(struct inode *inode, struct file *file)
{
	struct vitrine_vcpu *vcpu = file->private_data;

	vitrine_vm_put(vcpu->vm);
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.release = vcpu_fd_release,
	.unlocked_ioctl = vcpu_fd_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = vcpu_fd_mmap,
	.llseek = noop_llseek,
};

static void free_run_area(struct vitrine_vcpu *vcpu)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vcpu->run_pages); i++)
		if (vcpu->run_pages[i])
			__free_page(vcpu->run_pages[i]);
}

static int alloc_run_area(struct vitrine_vcpu *vcpu)
{
	unsigned int i;

	BUILD_BUG_ON(KVM_COALESCED_MMIO_PAGE_OFFSET + 1 != VITRINE_RUN_PAGES);
	vcpu->run_pages[KVM_COALESCED_MMIO_PAGE_OFFSET] = vitrine_coalesced_get_page(vcpu->vm);
	for (i = 0; i < KVM_COALESCED_MMIO_PAGE_OFFSET; i++) {
		vcpu->run_pages[i] = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!vcpu->run_pages[i]) {
			free_run_area(vcpu);
			return -ENOMEM;
		}
	}
	vcpu->run = page_address(vcpu->run_pages[0]);
	vcpu->pio_data = page_address(vcpu->run_pages[KVM_PIO_PAGE_OFFSET]);
	return 0;
}

/* Not visible to anybody yet, or not any more. */
static struct vitrine_vcpu *alloc_vcpu(struct vitrine_vm *vm, u32 id)
{
	struct vitrine_vcpu *vcpu = vitrine_backend->vcpu_create(vm);
	int ret;

	if (IS_ERR(vcpu))
		return vcpu;
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->cpu = -1;
	vcpu->rcu_noted_jiffies = jiffies;
	mutex_init(&vcpu->mutex);
	rcuwait_init(&vcpu->wait);
	spin_lock_init(&vcpu->calls.lock);
	INIT_LIST_HEAD(&vcpu->calls.list);
	vitrine_pv_init(vcpu);
	preempt_notifier_init(&vcpu->preempt_notifier, &preempt_ops);
	/* There may be a policy already, and a pause. */
	vitrine_vcpu_request(vcpu, VITRINE_REQ_POLICY);
	vitrine_vcpu_request(vcpu, VITRINE_REQ_PAUSE);
	ret = alloc_run_area(vcpu);
	if (ret)
		goto err_free_vcpu;
	ret = vitrine_dirty_ring_create(vcpu);
	if (ret)
		goto err_free_run;
	ret = vitrine_fpu_create(vcpu);
	if (ret)
		goto err_free_ring;
	if (vm->irq.mode != VITRINE_IRQCHIP_NONE) {
		ret = vitrine_lapic_create(vcpu);
		if (ret)
			goto err_free_fpu;
	}
	vcpu->mp_state = vm->irq.mode == VITRINE_IRQCHIP_NONE || id == vm->bsp_id ?
			 KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED;
	return vcpu;

err_free_fpu:
	vitrine_fpu_free(vcpu);
err_free_ring:
	vitrine_dirty_ring_free(vcpu);
err_free_run:
	free_run_area(vcpu);
err_free_vcpu:
	vitrine_backend->vcpu_free(vcpu);
	return ERR_PTR(ret);
}

void vitrine_vcpu_destroy(struct vitrine_vcpu *vcpu)
{
	if (vcpu->lapic)
		vitrine_lapic_free(vcpu);
	vitrine_pv_free(vcpu);
	vitrine_cpuid_free(vcpu);
	vitrine_fpu_free(vcpu);
	vitrine_mmu_cache_free(vcpu);
	vitrine_ask_free(vcpu);
	vitrine_dirty_ring_free(vcpu);
	free_run_area(vcpu);
	vitrine_backend->vcpu_free(vcpu);
}

/* vm->lock is held. Returns the new fd. */
int vitrine_vcpu_create(struct vitrine_vm *vm, u32 id)
{
	struct vitrine_vcpu *vcpu;
	struct file *file;
	int fd, ret;

	if (vm->nr_vcpus >= VITRINE_MAX_VCPUS || id >= (vm->max_vcpu_id ?: VITRINE_MAX_VCPU_IDS))
		return -EINVAL;
	if (xa_load(&vm->vcpu_by_id, id))
		return -EEXIST;
	/* Nobody finds it, by id or index, before it is sure to stay; then there must be room. */
	ret = xa_reserve(&vm->vcpu_by_id, id, GFP_KERNEL_ACCOUNT);
	if (ret)
		return ret;
	vcpu = alloc_vcpu(vm, id);
	if (IS_ERR(vcpu)) {
		ret = PTR_ERR(vcpu);
		goto err_release_id;
	}
	mutex_lock(&vcpu->mutex);
	vitrine_vcpu_load(vcpu);
	vitrine_vcpu_reset(vcpu, false);
	vitrine_tsc_init_vcpu(vcpu);
	vitrine_vcpu_put(vcpu);
	mutex_unlock(&vcpu->mutex);

	vcpu->index = vm->nr_vcpus;
	ret = xa_reserve(&vm->vcpus, vcpu->index, GFP_KERNEL_ACCOUNT);
	if (ret)
		goto err_destroy;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		ret = fd;
		goto err_release_index;
	}
	vitrine_vm_get(vm);
	file = anon_inode_getfile("vitrine-vcpu", &vcpu_fops, vcpu, O_RDWR);
	if (IS_ERR(file)) {
		ret = PTR_ERR(file);
		goto err_put_fd;
	}
	vm->nr_vcpus++;
	xa_store(&vm->vcpus, vcpu->index, vcpu, GFP_KERNEL_ACCOUNT);
	xa_store(&vm->vcpu_by_id, id, vcpu, GFP_KERNEL_ACCOUNT);
	/* Pairs with those who walk the vCPUs: what the count covers is whole. */
	smp_wmb();
	atomic_inc(&vm->online_vcpus);
	vitrine_clock_add_vcpu(vcpu);
	/* Last: whoever guesses the number must not run a vCPU that nobody would kick. */
	fd_install(fd, file);
	vitrine_netlink_event(vm, vcpu, VITRINE_NL_EVENT_VCPU_CREATED, 0);
	return fd;

err_put_fd:
	put_unused_fd(fd);
	vitrine_vm_put(vm);
err_release_index:
	xa_release(&vm->vcpus, vcpu->index);
err_destroy:
	vitrine_vcpu_destroy(vcpu);
err_release_id:
	xa_release(&vm->vcpu_by_id, id);
	return ret;
}

int vitrine_vcpu_module_init(void)
{
	return vitrine_ioctl_set_build(&vcpu_set);
}

void vitrine_vcpu_module_exit(void)
{
}
