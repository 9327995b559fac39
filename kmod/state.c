// SPDX-License-Identifier: GPL-2.0
/*
 * State of a vCPU beside its registers: KVM_GET/SET_VCPU_EVENTS and KVM_GET/SET_MP_STATE. The rules
 * of what is injected when are event.c's.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kvm.h>
#include <linux/printk.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <asm/traps.h>

#include "ioctl.h"
#include "regs.h"
#include "vm.h"

#define EVENTS_FLAGS	(KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR | \
			 KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM)
#define SHADOW_ALL	(KVM_X86_SHADOW_INT_MOV_SS | KVM_X86_SHADOW_INT_STI)
#define NR_EXCEPTIONS	32

/* NMIs that others sent while this vCPU was busy, made part of its state. */
static void collect_nmis(struct vitrine_vcpu *vcpu)
{
	int nr = atomic_xchg(&vcpu->nmi_queued, 0);

	while (nr-- > 0)
		vitrine_events_queue_nmi(&vcpu->events);
}

/*
 * The payload of a pending exception is written to CR2 or DR6 when the exception is injected. A VMM
 * that did not ask for payloads must find it there already.
 */
static void deliver_payload(struct vitrine_vcpu *vcpu)
{
	if (!vcpu->events.exception.pending || !vcpu->events.exception.has_payload)
		return;
	if (vcpu->events.exception.nr == X86_TRAP_PF)
		vcpu->cr2 = vcpu->events.exception.payload;
	else if (vcpu->events.exception.nr == X86_TRAP_DB)
		vcpu->db.dr6 |= vcpu->events.exception.payload;
	vcpu->events.exception.has_payload = false;
}

void vitrine_vcpu_events_get(struct vitrine_vcpu *vcpu, struct kvm_vcpu_events *out)
{
	const struct vitrine_events *events = &vcpu->events;

	collect_nmis(vcpu);
	memset(out, 0, sizeof(*out));
	out->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
		     KVM_VCPUEVENT_VALID_SMM;

	if (vcpu->vm->exception_payload) {
		out->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
		out->exception.injected = events->exception.injected;
		out->exception.pending = events->exception.pending;
		out->exception_has_payload = events->exception.has_payload;
		out->exception_payload = events->exception.has_payload ? events->exception.payload :
									 0;
	} else {
		deliver_payload(vcpu);
		/* Without the capability there is one word for both. */
		out->exception.injected = events->exception.injected || events->exception.pending;
	}
	out->exception.nr = events->exception.nr;
	out->exception.has_error_code = events->exception.has_error;
	out->exception.error_code = events->exception.error_code;

	out->interrupt.injected = events->interrupt.injected && !events->interrupt.soft;
	out->interrupt.nr = events->interrupt.nr;
	out->interrupt.shadow = vitrine_backend->interrupt_shadow(vcpu);
	out->nmi.injected = events->nmi.injected;
	out->nmi.pending = events->nmi.pending != 0;
	out->nmi.masked = vitrine_backend->nmi_masked(vcpu);
	if (vcpu->vm->triple_fault_event) {
		out->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
		out->triple_fault.pending = test_bit(VITRINE_REQ_TRIPLE_FAULT, &vcpu->requests);
	}
}

#define REFUSE(field, value, rule) ({						\
	pr_debug_ratelimited("KVM_SET_VCPU_EVENTS: field %s is %#x, must " rule "\n",	\
			     field, (u32)(value));				\
	-EINVAL;								\
})

static int events_check(struct vitrine_vcpu *vcpu, const struct kvm_vcpu_events *in)
{
	u32 flags = EVENTS_FLAGS;

	if (vcpu->vm->exception_payload)
		flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	if (vcpu->vm->triple_fault_event)
		flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	if (in->flags & ~flags)
		return REFUSE("flags", in->flags, "only have flags of enabled capabilities");
	if ((in->exception.injected ||
	     (in->exception.pending && (in->flags & KVM_VCPUEVENT_VALID_PAYLOAD))) &&
	    (in->exception.nr >= NR_EXCEPTIONS || in->exception.nr == X86_TRAP_NMI))
		return REFUSE("exception.nr", in->exception.nr, "be below 32 and not 2");
	if ((in->flags & KVM_VCPUEVENT_VALID_SHADOW) && (in->interrupt.shadow & ~SHADOW_ALL))
		return REFUSE("interrupt.shadow", in->interrupt.shadow, "be KVM_X86_SHADOW_INT_*");
	if ((in->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR) && in->sipi_vector > 0xff)
		return REFUSE("sipi_vector", in->sipi_vector, "be below 256");
	if ((in->flags & KVM_VCPUEVENT_VALID_SMM) &&
	    (in->smi.smm || in->smi.pending || in->smi.smm_inside_nmi || in->smi.latched_init))
		return REFUSE("smi", 1, "be zero: there is no system-management mode");
	return 0;
}

static void set_exception(struct vitrine_vcpu *vcpu, const struct kvm_vcpu_events *in)
{
	struct vitrine_events *events = &vcpu->events;
	bool payload = in->flags & KVM_VCPUEVENT_VALID_PAYLOAD;

	events->exception.pending = payload && in->exception.pending && !in->exception.injected;
	events->exception.injected = in->exception.injected;
	events->exception.nr = in->exception.nr;
	events->exception.type = vitrine_event_exception_type(in->exception.nr);
	events->exception.has_error = in->exception.has_error_code;
	events->exception.error_code = in->exception.error_code;
	events->exception.has_payload = events->exception.pending && in->exception_has_payload;
	events->exception.payload = in->exception_payload;
	/* #BP and #OF come from one-byte instructions; the length says where the guest goes on. */
	if (events->exception.type == VITRINE_EVENT_SOFT_EXCEPTION && in->exception.injected)
		events->insn_len = 1;
}

int vitrine_vcpu_events_set(struct vitrine_vcpu *vcpu, const struct kvm_vcpu_events *in)
{
	struct vitrine_events *events = &vcpu->events;
	int ret = events_check(vcpu, in);

	if (ret)
		return ret;
	collect_nmis(vcpu);
	set_exception(vcpu, in);

	vcpu->irq_from = VITRINE_IRQ_FROM_STATE;
	events->interrupt.injected = in->interrupt.injected;
	events->interrupt.nr = in->interrupt.nr;
	events->interrupt.soft = in->interrupt.soft;
	if (in->flags & KVM_VCPUEVENT_VALID_SHADOW) {
		vitrine_backend->set_interrupt_shadow(vcpu, in->interrupt.shadow);
		events->shadow = in->interrupt.shadow;
	}

	events->nmi.injected = in->nmi.injected;
	if (in->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		events->nmi.pending = min_t(u8, in->nmi.pending, VITRINE_NMI_PENDING_MAX);
	vitrine_backend->set_nmi_masked(vcpu, in->nmi.masked);
	events->nmi.masked = in->nmi.masked;

	if ((in->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR) && vcpu->lapic)
		vitrine_lapic_set_sipi_vector(vcpu, in->sipi_vector);
	if (in->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) {
		if (in->triple_fault.pending)
			set_bit(VITRINE_REQ_TRIPLE_FAULT, &vcpu->requests);
		else
			clear_bit(VITRINE_REQ_TRIPLE_FAULT, &vcpu->requests);
	}
	vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
	return 0;
}

static long state_ioctl_get_events(void *obj, struct vitrine_ioctl_arg *arg)
{
	vitrine_vcpu_events_get(obj, arg->data);
	return 0;
}

static long state_ioctl_set_events(void *obj, struct vitrine_ioctl_arg *arg)
{
	return vitrine_vcpu_events_set(obj, arg->data);
}

static long state_ioctl_get_mp_state(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;
	struct kvm_mp_state *state = arg->data;
	int idx;

	/* An INIT or SIPI that arrived is part of the state. */
	if (vcpu->lapic && vitrine_lapic_has_events(vcpu)) {
		idx = srcu_read_lock(&vcpu->vm->srcu);
		vitrine_lapic_accept_events(vcpu);
		srcu_read_unlock(&vcpu->vm->srcu, idx);
	}
	state->mp_state = vcpu->mp_state;
	/* Kicked, and only not yet awake. */
	if (vcpu->mp_state == KVM_MP_STATE_HALTED && READ_ONCE(vcpu->pv.unhalted))
		state->mp_state = KVM_MP_STATE_RUNNABLE;
	return 0;
}

static long state_ioctl_set_mp_state(void *obj, struct vitrine_ioctl_arg *arg)
{
	struct vitrine_vcpu *vcpu = obj;
	const struct kvm_mp_state *state = arg->data;

	switch (state->mp_state) {
	case KVM_MP_STATE_RUNNABLE:
		break;
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_SIPI_RECEIVED:
	case KVM_MP_STATE_HALTED:
		if (vcpu->lapic)
			break;
		pr_debug_ratelimited("KVM_SET_MP_STATE: field mp_state is %u, must be 0 without a local APIC in the kernel\n",
				     state->mp_state);
		return -EINVAL;
	default:
		pr_debug_ratelimited("KVM_SET_MP_STATE: field mp_state is %u, must be 0 to 4\n",
				     state->mp_state);
		return -EINVAL;
	}
	vcpu->mp_state = state->mp_state;
	if (state->mp_state == KVM_MP_STATE_SIPI_RECEIVED) {
		vcpu->mp_state = KVM_MP_STATE_INIT_RECEIVED;
		vitrine_lapic_set_sipi(vcpu);
	}
	vitrine_vcpu_request(vcpu, VITRINE_REQ_EVENT);
	return 0;
}

const struct vitrine_ioctl vitrine_vcpu_state_ioctls[] = {
	{ KVM_GET_VCPU_EVENTS, VITRINE_IOCTL_LOCK, state_ioctl_get_events },
	{ KVM_SET_VCPU_EVENTS, VITRINE_IOCTL_LOCK, state_ioctl_set_events },
	{ KVM_GET_MP_STATE, VITRINE_IOCTL_LOCK, state_ioctl_get_mp_state },
	{ KVM_SET_MP_STATE, VITRINE_IOCTL_LOCK, state_ioctl_set_mp_state },
	{}
};
