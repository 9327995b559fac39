// SPDX-License-Identifier: GPL-2.0
/*
 * Owns the ways between eventfds and GSIs: a wake-up of the eventfd raises the GSI, there and then,
 * because lines and messages can be set from any context; with KVM_IRQFD_FLAG_RESAMPLE the line
 * stays up until the guest ends the interrupt, which is told by a second eventfd. It must not know
 * what a GSI leads to: routing.c looks that up for each interrupt, so a table that changes
 * meanwhile needs no word here.
 *
 * Who takes an irqfd off a list, and nobody else, takes it down. The eventfd's own lock is held in
 * a wake-up; once the wait entry is off the eventfd's queue, none runs any more. Only the end of an
 * eventfd itself (EPOLLHUP) is heard under that lock: such an irqfd waits in a second list for a
 * work item, or for whoever comes first. Nothing of this waits for readers of vm->srcu, whom a VMM
 * can hold up, but for the one who asked to have an irqfd taken away.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "irq_glue.h"
#include "irqfd.h"
#include "routing.h"

/* All irqfds that resample one GSI share the line's level, as devices share a pin. */
struct resampler {
	u32 gsi;				/* [I] */
	struct list_head node;			/* irqfds->resamplers */
	struct list_head irqfds;		/* irqfds->mutex, and vm->srcu for readers */
	struct rcu_head rcu;
};

struct irqfd {
	struct vitrine_vm *vm;			/* [I] */
	u32 gsi;				/* [I] */
	struct eventfd_ctx *eventfd;		/* [I] */
	struct eventfd_ctx *resamplefd;		/* [I] NULL: an edge */
	struct resampler *resampler;		/* [I] likewise */
	struct list_head resampler_node;	/* resampler->irqfds */
	struct list_head node;			/* irqfds->lock; empty: somebody takes it down */
	wait_queue_entry_t wait;		/* the eventfd's lock */
	struct rcu_head rcu;
};

static struct vitrine_irqfds *irqfds_of(struct vitrine_vm *vm)
{
	return &vm->irq.irqfds;
}

static void raise(const struct irqfd *irqfd)
{
	if (irqfd->resampler) {
		vitrine_irq_set_line(irqfd->vm, irqfd->gsi, 1, VITRINE_IRQ_SOURCE_RESAMPLE);
		return;
	}
	vitrine_irq_set_line(irqfd->vm, irqfd->gsi, 1, VITRINE_IRQ_SOURCE_USER);
	vitrine_irq_set_line(irqfd->vm, irqfd->gsi, 0, VITRINE_IRQ_SOURCE_USER);
}

/* The eventfd's last file is closed: no more interrupts, and no more that could be asked for. */
static void hang_up(struct irqfd *irqfd)
{
	struct vitrine_irqfds *irqfds = irqfds_of(irqfd->vm);
	unsigned long flags;

	spin_lock_irqsave(&irqfds->lock, flags);
	if (!list_empty(&irqfd->node)) {
		list_move(&irqfd->node, &irqfds->hung_up);
		queue_work(system_unbound_wq, &irqfds->work);
	}
	spin_unlock_irqrestore(&irqfds->lock, flags);
}

/* Called by whoever signals the eventfd, in any context, under the eventfd's lock. */
static int woken(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct irqfd *irqfd = container_of(wait, struct irqfd, wait);
	__poll_t events = key_to_poll(key);
	int taken = 0;
	u64 count;

	if (events & EPOLLIN) {
		eventfd_ctx_do_read(irqfd->eventfd, &count);
		raise(irqfd);
		/* The count is used up: there is nothing for other waiters to see. */
		taken = 1;
	}
	if (events & EPOLLHUP)
		hang_up(irqfd);
	return taken;
}

static struct resampler *find_resampler(struct vitrine_irqfds *irqfds, u32 gsi)
{
	struct resampler *resampler;

	lockdep_assert_held(&irqfds->mutex);
	list_for_each_entry(resampler, &irqfds->resamplers, node)
		if (resampler->gsi == gsi)
			return resampler;
	return NULL;
}

static int join_resampler(struct irqfd *irqfd)
{
	struct vitrine_irqfds *irqfds = irqfds_of(irqfd->vm);
	struct resampler *resampler = find_resampler(irqfds, irqfd->gsi);

	if (!resampler) {
		resampler = kzalloc(sizeof(*resampler), GFP_KERNEL_ACCOUNT);
		if (!resampler)
			return -ENOMEM;
		resampler->gsi = irqfd->gsi;
		INIT_LIST_HEAD(&resampler->irqfds);
		list_add_rcu(&resampler->node, &irqfds->resamplers);
		vitrine_lapic_eoi_exits_changed(irqfd->vm);
	}
	irqfd->resampler = resampler;
	list_add_rcu(&irqfd->resampler_node, &resampler->irqfds);
	return 0;
}

static void free_resampler_rcu(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct resampler, rcu));
}

static void free_irqfd_rcu(struct rcu_head *rcu)
{
	struct irqfd *irqfd = container_of(rcu, struct irqfd, rcu);

	eventfd_ctx_put(irqfd->resamplefd);
	kfree(irqfd);
}

/* The last one that leaves lets the line go. Readers may still see both. */
static void leave_resampler(struct irqfd *irqfd)
{
	struct resampler *resampler = irqfd->resampler;
	struct vitrine_vm *vm = irqfd->vm;

	lockdep_assert_held(&irqfds_of(vm)->mutex);
	list_del_rcu(&irqfd->resampler_node);
	if (!list_empty(&resampler->irqfds))
		return;
	list_del_rcu(&resampler->node);
	vitrine_lapic_eoi_exits_changed(vm);
	vitrine_irq_set_line(vm, resampler->gsi, 0, VITRINE_IRQ_SOURCE_RESAMPLE);
	call_srcu(&vm->srcu, &resampler->rcu, free_resampler_rcu);
}

/* Off its list by the caller; the eventfd may be signalled, or hang up, at the same time. */
static void take_down(struct irqfd *irqfd)
{
	u64 count;

	/* The eventfd's lock is taken: a wake-up on its way is over afterwards. */
	eventfd_ctx_remove_wait_queue(irqfd->eventfd, &irqfd->wait, &count);
	eventfd_ctx_put(irqfd->eventfd);
	if (!irqfd->resampler) {
		kfree(irqfd);
		return;
	}
	leave_resampler(irqfd);
	call_srcu(&irqfd->vm->srcu, &irqfd->rcu, free_irqfd_rcu);
}

/*
 * The next one in @list that raises @gsi from @eventfd (NULL: any of both), off that list; or
 * NULL.
 */
static struct irqfd *remove_next(struct vitrine_irqfds *irqfds, struct list_head *list,
				 const struct eventfd_ctx *eventfd, u32 gsi)
{
	struct irqfd *irqfd, *found = NULL;

	spin_lock_irq(&irqfds->lock);
	list_for_each_entry(irqfd, list, node) {
		if (eventfd && (irqfd->eventfd != eventfd || irqfd->gsi != gsi))
			continue;
		list_del_init(&irqfd->node);
		found = irqfd;
		break;
	}
	spin_unlock_irq(&irqfds->lock);
	return found;
}

static void take_down_hung_up(struct vitrine_irqfds *irqfds)
{
	struct irqfd *irqfd;

	lockdep_assert_held(&irqfds->mutex);
	while ((irqfd = remove_next(irqfds, &irqfds->hung_up, NULL, 0)))
		take_down(irqfd);
}

/* Those that hung up are taken down as well, if they were not yet. */
static void take_down_armed(struct vitrine_irqfds *irqfds, const struct eventfd_ctx *eventfd,
			    u32 gsi)
{
	struct irqfd *irqfd;

	mutex_lock(&irqfds->mutex);
	while ((irqfd = remove_next(irqfds, &irqfds->list, eventfd, gsi)))
		take_down(irqfd);
	take_down_hung_up(irqfds);
	mutex_unlock(&irqfds->mutex);
}

static void hung_up_work(struct work_struct *work)
{
	struct vitrine_irqfds *irqfds = container_of(work, struct vitrine_irqfds, work);

	mutex_lock(&irqfds->mutex);
	take_down_hung_up(irqfds);
	mutex_unlock(&irqfds->mutex);
}

/* How an irqfd gets into the queue of an eventfd that it knows only as a file. */
struct poll_entry {
	poll_table table;
	struct irqfd *irqfd;
};

static void enqueue(struct file *file, wait_queue_head_t *head, poll_table *table)
{
	struct irqfd *irqfd = container_of(table, struct poll_entry, table)->irqfd;

	/* Before those who poll the file: a count that we take is none that they should see. */
	add_wait_queue_priority(head, &irqfd->wait);
}

static bool is_armed(struct vitrine_irqfds *irqfds, const struct eventfd_ctx *eventfd)
{
	struct irqfd *irqfd;
	bool found = false;

	spin_lock_irq(&irqfds->lock);
	list_for_each_entry(irqfd, &irqfds->list, node)
		found |= irqfd->eventfd == eventfd;
	spin_unlock_irq(&irqfds->lock);
	return found;
}

/* @file is irqfd->eventfd's, which cannot hang up meanwhile. */
static int arm(struct irqfd *irqfd, struct file *file)
{
	struct vitrine_irqfds *irqfds = irqfds_of(irqfd->vm);
	struct poll_entry entry = { .irqfd = irqfd };
	int ret;

	lockdep_assert_held(&irqfds->mutex);
	if (is_armed(irqfds, irqfd->eventfd)) {
		pr_debug_ratelimited("KVM_IRQFD: field fd is an eventfd that raises a GSI already\n");
		return -EBUSY;
	}
	/* First, as a wake-up reads irqfd->resampler. */
	if (irqfd->resamplefd) {
		ret = join_resampler(irqfd);
		if (ret)
			return ret;
	}
	spin_lock_irq(&irqfds->lock);
	list_add_tail(&irqfd->node, &irqfds->list);
	spin_unlock_irq(&irqfds->lock);
	init_poll_funcptr(&entry.table, enqueue);
	if (vfs_poll(file, &entry.table) & EPOLLIN)
		raise(irqfd);
	return 0;
}

static int assign(struct vitrine_vm *vm, const struct kvm_irqfd *args)
{
	enum vitrine_irqchip_mode mode = vitrine_irq_mode(vm);
	bool resample = args->flags & KVM_IRQFD_FLAG_RESAMPLE;
	struct irqfd *irqfd;
	struct file *file;
	int ret;

	if (mode == VITRINE_IRQCHIP_NONE || (resample && mode != VITRINE_IRQCHIP_KERNEL)) {
		pr_debug_ratelimited("KVM_IRQFD: there is no irqchip in the kernel; for field flags %#x all of it must be\n",
				     args->flags);
		return -EINVAL;
	}
	/* Counted here: it may be taken down where nobody may wait. */
	if (resample)
		vitrine_vm_count_retired(vm);
	irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);
	if (!irqfd)
		return -ENOMEM;
	irqfd->vm = vm;
	irqfd->gsi = args->gsi;
	init_waitqueue_func_entry(&irqfd->wait, woken);

	file = fget(args->fd);
	if (!file) {
		ret = -EBADF;
		goto err_free;
	}
	irqfd->eventfd = eventfd_ctx_fileget(file);
	if (IS_ERR(irqfd->eventfd)) {
		ret = PTR_ERR(irqfd->eventfd);
		goto err_put_file;
	}
	if (resample) {
		irqfd->resamplefd = eventfd_ctx_fdget(args->resamplefd);
		if (IS_ERR(irqfd->resamplefd)) {
			ret = PTR_ERR(irqfd->resamplefd);
			goto err_put_eventfd;
		}
	}
	mutex_lock(&irqfds_of(vm)->mutex);
	ret = arm(irqfd, file);
	mutex_unlock(&irqfds_of(vm)->mutex);
	if (ret)
		goto err_put_resamplefd;
	/* If this is the file's last user, it hangs up here. */
	fput(file);
	return 0;

err_put_resamplefd:
	if (irqfd->resamplefd)
		eventfd_ctx_put(irqfd->resamplefd);
err_put_eventfd:
	eventfd_ctx_put(irqfd->eventfd);
err_put_file:
	fput(file);
err_free:
	kfree(irqfd);
	return ret;
}

/* As in KVM, to find none is no error, and no interrupt comes from them after the return. */
static int deassign(struct vitrine_vm *vm, const struct kvm_irqfd *args)
{
	struct eventfd_ctx *eventfd = eventfd_ctx_fdget(args->fd);

	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	take_down_armed(irqfds_of(vm), eventfd, args->gsi);
	eventfd_ctx_put(eventfd);
	/* Until those are gone who may still tell it of an end. */
	if (args->flags & KVM_IRQFD_FLAG_RESAMPLE)
		synchronize_srcu_expedited(&vm->srcu);
	return 0;
}

int vitrine_irqfd_set(struct vitrine_vm *vm, const struct kvm_irqfd *args)
{
	const u32 known = KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE;

	if (args->flags & ~known) {
		pr_debug_ratelimited("KVM_IRQFD: field flags is %#x, must be within %#x\n",
				     args->flags, known);
		return -EINVAL;
	}
	return args->flags & KVM_IRQFD_FLAG_DEASSIGN ? deassign(vm, args) : assign(vm, args);
}

void vitrine_irqfd_resample(struct vitrine_vm *vm, u32 chip, u32 pins)
{
	struct vitrine_irqfds *irqfds = irqfds_of(vm);
	struct resampler *resampler;
	struct irqfd *irqfd;
	int idx;

	if (likely(list_empty(&irqfds->resamplers)))
		return;
	idx = srcu_read_lock(&vm->srcu);
	list_for_each_entry_srcu(resampler, &irqfds->resamplers, node,
				 srcu_read_lock_held(&vm->srcu)) {
		if (!vitrine_routing_pins_have_gsi(vm, chip, pins, resampler->gsi))
			continue;
		/* Down first: the answer may be that it is up again. */
		vitrine_irq_set_line(vm, resampler->gsi, 0, VITRINE_IRQ_SOURCE_RESAMPLE);
		list_for_each_entry_srcu(irqfd, &resampler->irqfds, resampler_node,
					 srcu_read_lock_held(&vm->srcu))
			vitrine_eventfd_signal(irqfd->resamplefd);
	}
	srcu_read_unlock(&vm->srcu, idx);
}

void vitrine_irqfd_init(struct vitrine_vm *vm)
{
	struct vitrine_irqfds *irqfds = irqfds_of(vm);

	mutex_init(&irqfds->mutex);
	spin_lock_init(&irqfds->lock);
	INIT_LIST_HEAD(&irqfds->list);
	INIT_LIST_HEAD(&irqfds->hung_up);
	INIT_WORK(&irqfds->work, hung_up_work);
	INIT_LIST_HEAD(&irqfds->resamplers);
}

void vitrine_irqfd_release(struct vitrine_vm *vm)
{
	struct vitrine_irqfds *irqfds = irqfds_of(vm);

	take_down_armed(irqfds, NULL, 0);
	cancel_work_sync(&irqfds->work);
}
