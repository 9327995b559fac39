// SPDX-License-Identifier: GPL-2.0
/* build: kmod/vmx/mitigation_plan.c */
/*
 * The plan against side channels, over every combination of what it depends on. What is expected is
 * written as tables and rules that hold for all of them, not as the function again.
 */
#include <string.h>

#include <linux/kernel.h>
#include <vitrine.h>

#include "tap.h"
#include "vmx/mitigation_plan.h"

#define NR_FLAGS	21
#define NR_COMBINATIONS	(1u << NR_FLAGS)

_Static_assert(offsetof(struct vmx_mitigation_input, nx_huge_pages) == NR_FLAGS - 1,
	       "all flags come first");

static const char *const flag_names[NR_FLAGS] = {
	"bug_itlb_multihit", "bug_l1tf", "bug_buffers", "bug_spectre_v2", "bug_bhi", "bug_vmscape",
	"flush_l1d",
	"skip_l1d_flush", "spec_ctrl", "mitigations_off", "verw", "verw_mmio", "rsb_fill",
	"rsb_one", "bhb_loop",
	"bhb_hardware", "ibpb", "ibpb_to_user", "can_tell_vmscape", "smt", "nx_huge_pages",
};

static void fill(struct vmx_mitigation_input *in, unsigned int flags, unsigned int l1tf,
		 unsigned int want)
{
	bool *flag = (bool *)in;
	unsigned int i;

	memset(in, 0, sizeof(*in));
	for (i = 0; i < NR_FLAGS; i++)
		flag[i] = flags >> i & 1;
	in->l1tf = l1tf;
	in->want_l1d_flush = want;
}

static void tell(const struct vmx_mitigation_input *in, const struct vmx_mitigation_plan *plan,
		 const char *rule)
{
	const bool *flag = (const bool *)in;
	unsigned int i;

	tap_diag("broken: %s", rule);
	for (i = 0; i < NR_FLAGS; i++)
		if (flag[i])
			tap_diag("  %s", flag_names[i]);
	tap_diag("  l1tf %d, asked for %d: needed %llx, active %llx, open %llx, flush %d", in->l1tf,
		 in->want_l1d_flush, (unsigned long long)plan->needed,
		 (unsigned long long)plan->active, (unsigned long long)plan->open, plan->l1d_flush);
}

/*
 * Documentation/admin-guide/hw-vuln/l1tf.rst: the kernel's choice, and vmentry_l1d_flush= on top of
 * it.
 */
static const enum vmx_l1d_flush l1d_flush_table[VMX_NR_L1TF_CHOICES][VMX_NR_L1D_FLUSH] = {
	[VMX_L1TF_OFF] = { VMX_L1D_FLUSH_NEVER, VMX_L1D_FLUSH_NEVER, VMX_L1D_FLUSH_COND,
			   VMX_L1D_FLUSH_ALWAYS },
	[VMX_L1TF_FLUSH] = { VMX_L1D_FLUSH_COND, VMX_L1D_FLUSH_NEVER, VMX_L1D_FLUSH_COND,
			     VMX_L1D_FLUSH_ALWAYS },
	[VMX_L1TF_FULL] = { VMX_L1D_FLUSH_ALWAYS, VMX_L1D_FLUSH_NEVER, VMX_L1D_FLUSH_COND,
			    VMX_L1D_FLUSH_ALWAYS },
	[VMX_L1TF_FULL_FORCE] = { VMX_L1D_FLUSH_ALWAYS, VMX_L1D_FLUSH_ALWAYS, VMX_L1D_FLUSH_ALWAYS,
				  VMX_L1D_FLUSH_ALWAYS },
};

/* The first rule that @plan breaks, or NULL. */
static const char *broken_rule(const struct vmx_mitigation_input *in,
			       const struct vmx_mitigation_plan *plan)
{
	bool l1tf_here = in->bug_l1tf && !in->skip_l1d_flush;
	bool flushes = plan->l1d_flush != VMX_L1D_FLUSH_NEVER;
	u64 excuse = 0;

	if (plan->l1d_flush !=
	    (l1tf_here ? l1d_flush_table[in->l1tf][in->want_l1d_flush] : VMX_L1D_FLUSH_NEVER))
		return "the L1D flush is what the kernel's documentation says";
	if (flushes != !!(plan->active & VITRINE_MIT_L1TF))
		return "L1TF counts as active exactly if something is flushed";
	if (plan->l1d_flush_by_reading != (flushes && !in->flush_l1d))
		return "the cache is filled by reading exactly where the MSR is missing";
	if ((plan->needed | plan->active | plan->open) >> VITRINE_NR_MITIGATIONS)
		return "no bit beyond the ABI's";
	if (plan->open & (plan->needed | plan->active))
		return "what is defended is not open";
	if (in->mitigations_off && plan->open)
		return "nobody is told of holes that the command line asked for";

	/* What may be missing, and why; nothing else may. */
	if (!in->nx_huge_pages)
		excuse |= VITRINE_MIT_ITLB_MULTIHIT;
	if (in->want_l1d_flush == VMX_L1D_FLUSH_NEVER && in->l1tf != VMX_L1TF_FULL_FORCE)
		excuse |= VITRINE_MIT_L1TF;
	if (!in->can_tell_vmscape)
		excuse |= VITRINE_MIT_VMSCAPE;
	if (!in->spec_ctrl && !in->bhb_loop)
		excuse |= VITRINE_MIT_BHI;
	if ((plan->needed & ~plan->active) != (plan->needed & excuse))
		return "what is needed is active unless a parameter or the kernel is in the way";

	if (in->bug_itlb_multihit && !in->mitigations_off &&
	    !(plan->needed & VITRINE_MIT_ITLB_MULTIHIT))
		return "ITLB multihit is needed on a CPU that has it";
	if (l1tf_here && in->l1tf != VMX_L1TF_OFF && !(plan->needed & VITRINE_MIT_L1TF))
		return "an L1D flush is needed where the kernel flushes";
	if ((in->verw || in->verw_mmio) && !(plan->needed & VITRINE_MIT_MDS))
		return "VERW is needed where the kernel has one";
	if (in->verw && plan->verw_in_c)
		return "one VERW is enough";
	if (in->verw_mmio && !in->verw && !plan->verw_in_c)
		return "MMIO stale data alone is cleared in C";
	if ((in->bhb_loop || in->bhb_hardware) && !(plan->needed & VITRINE_MIT_BHI))
		return "BHI is needed where the kernel clears the branch history";
	if (plan->tell_vmscape != !!(plan->active & VITRINE_MIT_VMSCAPE))
		return "VMSCAPE is active exactly if the kernel is told";
	if (plan->warn_smt && !(in->smt && l1tf_here && in->l1tf != VMX_L1TF_OFF))
		return "a sibling thread is warned of only if there is one and L1TF matters";
	return NULL;
}

static bool test_all(void)
{
	unsigned int flags, l1tf, want;

	for (flags = 0; flags < NR_COMBINATIONS; flags++) {
		for (l1tf = 0; l1tf < VMX_NR_L1TF_CHOICES; l1tf++) {
			for (want = 0; want < VMX_NR_L1D_FLUSH; want++) {
				struct vmx_mitigation_input in;
				struct vmx_mitigation_plan plan;
				const char *rule;

				fill(&in, flags, l1tf, want);
				vmx_mitigation_plan(&in, &plan);
				rule = broken_rule(&in, &plan);
				if (rule) {
					tell(&in, &plan, rule);
					return false;
				}
			}
		}
	}
	return true;
}

/* Which mitigations an input may have a say in. */
static const u64 say[NR_FLAGS] = {
	VITRINE_MIT_ITLB_MULTIHIT,			/* bug_itlb_multihit */
	VITRINE_MIT_L1TF,				/* bug_l1tf */
	VITRINE_MIT_MDS,				/* bug_buffers */
	VITRINE_MIT_RSB | VITRINE_MIT_IBPB,		/* bug_spectre_v2 */
	VITRINE_MIT_BHI,				/* bug_bhi */
	VITRINE_MIT_VMSCAPE,				/* bug_vmscape */
	0,						/* flush_l1d: only how */
	VITRINE_MIT_L1TF,				/* skip_l1d_flush */
	VITRINE_MIT_SPEC_CTRL | VITRINE_MIT_BHI,	/* spec_ctrl */
	~0ull,						/* mitigations_off */
	VITRINE_MIT_MDS,				/* verw */
	VITRINE_MIT_MDS,				/* verw_mmio */
	VITRINE_MIT_RSB,				/* rsb_fill */
	VITRINE_MIT_RSB,				/* rsb_one */
	VITRINE_MIT_BHI,				/* bhb_loop */
	VITRINE_MIT_BHI,				/* bhb_hardware */
	VITRINE_MIT_IBPB,				/* ibpb */
	VITRINE_MIT_VMSCAPE,				/* ibpb_to_user */
	VITRINE_MIT_VMSCAPE,				/* can_tell_vmscape */
	0,						/* smt: only a warning */
	VITRINE_MIT_ITLB_MULTIHIT,			/* nx_huge_pages */
};

static bool test_say(void)
{
	bool heard[NR_FLAGS] = {};
	unsigned int n, i;

	for (n = 0; n < 200000; n++) {
		unsigned int flags = tap_random() % NR_COMBINATIONS;
		unsigned int l1tf = tap_random() % VMX_NR_L1TF_CHOICES,
			     want = tap_random() % VMX_NR_L1D_FLUSH;
		struct vmx_mitigation_input in, other_in;
		struct vmx_mitigation_plan plan, other;

		fill(&in, flags, l1tf, want);
		vmx_mitigation_plan(&in, &plan);
		for (i = 0; i < NR_FLAGS; i++) {
			u64 changed;

			fill(&other_in, flags ^ 1u << i, l1tf, want);
			vmx_mitigation_plan(&other_in, &other);
			changed = (plan.needed ^ other.needed) | (plan.active ^ other.active) |
				  (plan.open ^ other.open);
			if (changed & ~say[i]) {
				tap_diag("%s changes %llx", flag_names[i],
					 (unsigned long long)changed);
				tell(&in, &plan, "an input has a say in its own mitigation only");
				return false;
			}
			heard[i] |= changed || memcmp(&plan, &other, sizeof(plan));
		}
	}
	for (i = 0; i < NR_FLAGS; i++) {
		if (!heard[i]) {
			tap_diag("%s changes nothing, ever", flag_names[i]);
			return false;
		}
	}
	return true;
}

enum {
	ITLB = VITRINE_MIT_ITLB_MULTIHIT,
	L1TF = VITRINE_MIT_L1TF,
	MDS = VITRINE_MIT_MDS,
	RSB = VITRINE_MIT_RSB,
	BHI = VITRINE_MIT_BHI,
	SPEC_CTRL = VITRINE_MIT_SPEC_CTRL,
	IBPB = VITRINE_MIT_IBPB,
	VMSCAPE = VITRINE_MIT_VMSCAPE,
};

/* Machines as their kernels describe them, and the plan typed in by hand. */
static const struct machine {
	const char *name;
	struct vmx_mitigation_input in;
	u64 needed, active, open;
	enum vmx_l1d_flush l1d_flush;
} machines[] = {
	{
		.name = "Skylake client, microcode of 2024, SMT",
		.in = {
			.bug_itlb_multihit = true, .bug_l1tf = true, .bug_buffers = true,
			.bug_spectre_v2 = true, .bug_vmscape = true, .flush_l1d = true,
			.spec_ctrl = true, .verw = true, .rsb_fill = true, .ibpb = true,
			.ibpb_to_user = true, .can_tell_vmscape = true, .smt = true,
			.nx_huge_pages = true, .l1tf = VMX_L1TF_FLUSH,
		},
		.needed = ITLB | L1TF | MDS | RSB | SPEC_CTRL | IBPB | VMSCAPE,
		.active = ITLB | L1TF | MDS | RSB | SPEC_CTRL | IBPB | VMSCAPE,
		.l1d_flush = VMX_L1D_FLUSH_COND,
	}, {
		.name = "the same with microcode of 2017 (and as an emulator shows it)",
		.in = {
			.bug_itlb_multihit = true, .bug_l1tf = true, .bug_buffers = true,
			.bug_spectre_v2 = true, .verw = true, .rsb_fill = true,
			.nx_huge_pages = true, .l1tf = VMX_L1TF_FLUSH,
		},
		.needed = ITLB | L1TF | MDS | RSB,
		.active = ITLB | L1TF | MDS | RSB,
		.open = IBPB,
		.l1d_flush = VMX_L1D_FLUSH_COND,
	}, {
		.name = "Sapphire Rapids",
		.in = {
			.bug_spectre_v2 = true, .bug_bhi = true, .flush_l1d = true,
			.spec_ctrl = true, .rsb_one = true, .bhb_hardware = true, .ibpb = true,
			.smt = true, .can_tell_vmscape = true, .l1tf = VMX_L1TF_FLUSH,
		},
		.needed = RSB | BHI | SPEC_CTRL | IBPB,
		.active = RSB | BHI | SPEC_CTRL | IBPB,
		.l1d_flush = VMX_L1D_FLUSH_NEVER,
	}, {
		.name = "Skylake with mitigations=off",
		.in = {
			.bug_itlb_multihit = true, .bug_l1tf = true, .bug_buffers = true,
			.bug_spectre_v2 = true, .bug_vmscape = true, .flush_l1d = true,
			.spec_ctrl = true, .mitigations_off = true, .can_tell_vmscape = true,
			.smt = true, .l1tf = VMX_L1TF_OFF,
		},
		.needed = SPEC_CTRL,
		.active = SPEC_CTRL,
		.l1d_flush = VMX_L1D_FLUSH_NEVER,
	}, {
		.name = "Skylake whose administrator turned two defences off",
		.in = {
			.bug_itlb_multihit = true, .bug_l1tf = true, .bug_spectre_v2 = true,
			.flush_l1d = true, .rsb_fill = true, .ibpb = true, .l1tf = VMX_L1TF_FULL,
			.want_l1d_flush = VMX_L1D_FLUSH_NEVER,
		},
		.needed = ITLB | L1TF | RSB | IBPB,
		.active = RSB | IBPB,
		.l1d_flush = VMX_L1D_FLUSH_NEVER,
	}, {
		.name = "a guest whose hypervisor flushes at its own entries",
		.in = {
			.bug_l1tf = true, .skip_l1d_flush = true, .flush_l1d = true,
			.l1tf = VMX_L1TF_FULL,
		},
		.l1d_flush = VMX_L1D_FLUSH_NEVER,
	},
};

static bool test_machines(void)
{
	struct vmx_mitigation_plan plan;
	bool ok = true;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(machines); i++) {
		const struct machine *m = &machines[i];

		vmx_mitigation_plan(&m->in, &plan);
		if (plan.needed == m->needed && plan.active == m->active && plan.open == m->open &&
		    plan.l1d_flush == m->l1d_flush)
			continue;
		tell(&m->in, &plan, m->name);
		ok = false;
	}
	return ok;
}

int main(void)
{
	static const struct tap_test tests[] = {
		{ "rules hold in every combination", test_all },
		{ "each input has a say in its own mitigation and in no other", test_say },
		{ "known machines", test_machines },
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
