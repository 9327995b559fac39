// SPDX-License-Identifier: GPL-2.0
/*
 * The one file that includes KVM's header: xfer_to_guest_mode_handle_work() is the kernel's only
 * exported way to do this work, and for a signal it writes into the struct kvm_vcpu that it is
 * given.
 */
#include <linux/entry-kvm.h>
#include <linux/kvm_host.h>

#include "work.h"

/*
 * What it writes is an exit reason and a statistic, the same for all, and nobody reads them: one
 * pair serves every thread at once.
 */
static struct kvm_run work_run;
static struct kvm_vcpu work_vcpu = { .run = &work_run };

int vitrine_guest_work(void)
{
	return xfer_to_guest_mode_handle_work(&work_vcpu);
}
