#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# check-entry.sh MODULE...
#
# Disassembles vitrine.ko and checks that what the entry path does against side
# channels stands in it, in the right order: in vmx_enter() as a CPU executes
# it that needs all of it, with the kernel's alternatives patched in. Prints
# TAP; the status is 0 if everything is there. Builds and loads nothing.

. "$(dirname -- "$0")/common.sh"

[ $# -gt 0 ] || die "usage: check-entry.sh MODULE..."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
nr=0
bad=0

# dump MODULE: what entry-view.awk reads
dump()
{
	# The relocations of what a debugger reads are a hundred times more.
	objcopy --strip-debug "$1" "$work/module.ko"
	readelf -rW "$work/module.ko" | sed -n '/\.rela\.altinstructions/,/^$/p' >"$work/relocations"
	objdump -s -j .altinstructions "$work/module.ko" >"$work/bytes"
	objdump -dr -j .altinstr_replacement "$work/module.ko" >"$work/replacements"
	objdump -dr -j .noinstr.text "$work/module.ko" >"$work/code"
}

# view FUNCTION first|last
view()
{
	awk -v "FUNCTION=$1" -v "PICK=$2" -f "$ROOT/scripts/entry-view.awk" \
		PART=relocations "$work/relocations" PART=bytes "$work/bytes" \
		PART=replacements "$work/replacements" PART=code "$work/code"
}

# steps FUNCTION first|last, a step a line on stdin
steps()
{
	local count

	cat >"$work/steps"
	view "$@" >"$work/view" || bad=1
	count=$(grep -c $'\t' "$work/steps")
	awk -v "FIRST=$((nr + 1))" -f "$ROOT/scripts/entry-order.awk" "$work/steps" "$work/view" || bad=1
	nr=$((nr + count))
}

# What, regular expression, and what may not stand between the step before and this one.
branch='^(ret|call|jmp +\*|.*__x86_return_thunk)'
memory='\(%|\(,|%gs:|^(push|pop|call|ret)'

check()
{
	local reg clear=''

	for reg in eax ecx edx ebp esi edi r8d r9d r10d r11d r12d r13d r14d r15d; do
		clear+="%$reg is cleared after the exit"$'\t'"^xor +%$reg,%$reg\$"$'\t'"$branch"$'\n'
	done
	steps vmx_enter first <<-END
		IA32_SPEC_CTRL is chosen	^mov +\\\$0x48,%ecx\$	^vm(resume|launch)
		and written before the entry	^wrmsr\$	^vm(resume|launch)
		the guest's registers are loaded, with no branch after the write	^mov +0x78\\(%rdi\\),%r15\$	$branch
		RDI is loaded last	^mov +0x38\\(%rdi\\),%rdi\$	$branch
		VERW comes after the last register	^verw .*\\(%rip\\)	$branch
		VMRESUME, with no memory access after VERW	^vmresume\$	$memory
		VMLAUNCH likewise	^vmlaunch\$	$memory
		the exit point	^vmx_exit_point:\$	-
		all registers are stored	^mov +%r15,0x78\\(%rax\\)\$	$branch
		RAX too, which was on the stack	^pop +\\(%rax\\)\$	$branch
		RBX holds the answer	^mov +\\\$0x0,%ebx\$	$branch
		${clear}the return stack is filled before any return	^mov +\\\$0x10,%rcx\$	$branch
		the first of two calls	^call	^(ret|pop)
		the second	^call	^(ret|pop)
		thirty-two in all	^jne	^(ret|pop)
		LFENCE ends the filling	^lfence\$	^(ret|pop)
		the guest's IA32_SPEC_CTRL is kept	^rdmsr\$	$branch
		the host's is written	^wrmsr\$	$branch
		LFENCE after it	^lfence\$	$branch
		the branch history is cleared	^call.*clear_bhb_loop	^(ret|.*__x86_return_thunk)
		the answer survived that	^mov +%ebx,%eax\$	^(ret|.*__x86_return_thunk)
		vmx_enter returns	^ret|__x86_return_thunk	-
	END
	# The smaller remedy for the return stack: one call retires.
	steps vmx_enter last <<-END
		the last register is cleared	^xor +%r15d,%r15d\$	-
		one call retires before any return	^call	^(ret|pop)
		LFENCE after that call	^lfence\$	^(ret|pop|call)
	END
	steps enter_guest first <<-END
		enter_guest() enters	vmx_enter	-
		and has a VERW of its own for MMIO stale data	^verw .*\\(%rip\\)	-
	END
	steps vmx_mitigate_l1d first <<-END
		L1D is flushed by IA32_FLUSH_CMD	^mov +\\\$0x10b,%ecx\$	-
		which is written	^wrmsr\$	^(ret|.*__x86_return_thunk)
	END
	steps fill_l1d first <<-END
		or filled: first the TLB	^add +\\\$0x1000,	-
		then CPUID serializes	^cpuid\$	-
		then every cache line, from the second	^movzbl? +0x40\\(%	-
		on to the last that one turn of the loop reads	^movzbl? +0x7[48c]0\\(%	-
		LFENCE waits for them	^lfence\$	-
	END
}

echo "TAP version 13"
for module; do
	[ -r "$module" ] || die "$module is not there"
	[[ $(nm "$module") == *" vmx_enter"* ]] || die "$module has no vmx_enter()"
	echo "# $module"
	dump "$module"
	check
done
echo "1..$nr"
exit "$bad"
