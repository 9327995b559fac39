#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What the tool says of command lines that are wrong, before it opens anything; and what bash
# completes.

cd "$(dirname "$0")/../.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
out=$tmp/out
PATH=$PWD/build/tools:$PATH
# None of these may come so far as to have a device, whatever this machine has.
export VITRINE_DEV=/nonexistent
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh

# refuses COMMAND PATTERN NAME ARGS
refuses()
{
	command=$1 words=$2 name=$3
	shift 3
	ends 2 "^vitrine: $words" "$name" vitrine "$command" "$@"
}

echo "1..60"

for command in list stat top events info regs mem pause nmi ask trace; do
	refuses $command "($command: )?no option --nonsense; 'vitrine $command --help' lists the options\$" \
		"$command: an option that is none" 1 --nonsense
done
refuses stat 'stat: no option -x;' "a letter among others" --json -xv
refuses stat 'stat: --count wants a value;' "no value" --count
refuses mem 'mem: -n wants a value;' "none for a letter" 1 search x -n
refuses list 'list: --json takes no value;' "one too many" --json=yes
refuses regs "--vcpu '4294967295': 0 to 4294967294 are possible" "a vCPU too far" 1 -v 4294967295

ends 1 'nonexistent' "a number that begins with 0 is decimal" vitrine regs 1 --set rax=08
refuses mem "address '0xg': a number is wanted" "no number after 0x" 1 dump 0xg
refuses mem "address '0x': a number is wanted" "nothing after 0x" 1 dump 0x
refuses mem "address '0xffffffffffffff01': the length goes" "an end beyond all addresses" \
	1 dump 0xffffffffffffff01
refuses regs "--vcpu and --all exclude" "one and all" 1 --all --vcpu 0
refuses trace "'0x1' is no VM's id" "a VM's id after 0x" 0x1
refuses trace "'0' is no VM's id" "VM 0" 0
refuses trace '--count: 1 is the least' "no records" --count 0 1

refuses ask "rule 'cr-write:9': cr-write goes from 0 to 8" "a key that is none" 1 cr-write:9
refuses ask "rule 'exception:2': there is no such exception" "one between others" 1 exception:2
refuses ask "rule 'cpuid:1/1': cpuid has no value" "a mask of nothing" 1 cpuid:1/1
refuses ask "rule 'rdmsr:1,2': rdmsr has nothing after" "a second key of none" 1 rdmsr:1,2
refuses ask 'cpuid: reads no value' "a value where none is read" 1 cpuid --answer value=1
refuses ask 'out: reads no value; to write' "where one is written" 1 out:1 --answer value=1
refuses ask 'in: writes no value' "the other way round" 1 in:1 --answer value=1,go-on
refuses ask 'rdmsr: slow= is for rdtsc' "another clock" 1 rdmsr:16 --answer slow=2
refuses ask 'step: no instruction' "nothing to skip" 1 step --answer skip
refuses ask "answer '': nothing" "an answer without words" 1 cpuid --answer ''
refuses ask '--answer and --script exclude' "two who answer" 1 cpuid --answer skip --script cat
refuses ask 'cpuid: what is told' "an answer too late" 1 cpuid --tell --answer skip
refuses ask "rule 'cpid': no class" "a rule behind --" 1 hlt -- cpid
refuses trace '--rule: an interrupt is no exit' "a record of none" --rule interrupt 1
ends 1 'nonexistent' "rules that can be" vitrine ask 1 exception:0-3 cr-read:8 in:1,4 wrmsr:1/3=1 \
	cr-write:4/0x80 -- rdtsc:0

ends 1 'Bad file descriptor' "standard output that is closed" sh -c 'vitrine help >&-'

# completes WORDS PATTERN NAME: what follows the words; with a ! before the pattern it must not.
completes()
{
	bash -c '. tools/completion/vitrine.bash
		read -ra COMP_WORDS <<<"$1"
		COMP_WORDS+=("${2-}")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
		_vitrine 2>&1
		echo ":${COMPREPLY[*]}:"' - "$1" "$4" >"$out" 2>&1
	if [ "${2#!}" = "$2" ]; then
		grep -q -- "$2" "$out"
	else
		! grep -q -- "${2#!}" "$out"
	fi
	result $? "completion: $3"
}

for words in 'list -v' 'stat -v' 'stat -r' 'stat -t' 'top -v' 'regs -a' 'trace -s' 'ask 1 hlt -t'; do
	completes "vitrine $words" '--help' "an option follows $words" --
done
for words in 'trace -v' 'trace -r' 'trace -t' 'regs -v' 'regs -s' 'mem 1 dump 0 -v' 'nmi -v' 'run -m' 'run -c' \
	'ask 1 hlt -a'; do
	completes "vitrine $words" '!--help' "a value follows $words" --
done
completes 'vitrine trace -o' 'Makefile' "a file" Make
completes 'vitrine mem 1 write 0 -f' 'Makefile' "another" Make
