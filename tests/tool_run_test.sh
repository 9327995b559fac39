#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# "vitrine run" with guests of a few bytes: each mode they start in, each way a run ends with
# its exit code, what goes in and out, and what is refused before there is a VM.

tmp=$(mktemp -d)
out=$tmp/out
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/lib/tap.sh"

# code NAME OCTAL-BYTES: a guest
code()
{
	# shellcheck disable=SC2059 # the bytes are meant as a format
	printf "$2" >"$tmp/$1"
}

# guest_ends CODE WORD NAME ARGS: runs a guest; it must end with the code and the word
guest_ends()
{
	want=$1 word=$2 name=$3
	shift 3
	vitrine run "$@" >"$out" 2>&1 </dev/null
	got=$?
	[ $got = "$want" ] && grep -q -- "$word" "$out"
	result $? "$name (exit code $got)"
}

# mov dx, 0x3f8; out 'A'; out '\n'; hlt
code hello '\272\370\003\260\101\356\260\012\356\364'
# 32 and 64 bits: mov edx, 0x3f8; mov eax, 'A'; then inc rax, or dec eax and inc eax; as above
code wide '\272\370\003\000\000\270\101\000\000\000\110\377\300\356\260\012\356\364'
# lidt with limit 0; int3
code triple '\017\001\036\020\174\314'
# out 0x64, 0xfe
code reset '\260\376\346\144\364'
# SLP_EN with type 5 to PM1 control
code poweroff '\272\004\006\270\000\064\357\364'
# in al, 0x1234; hlt
code unknown '\272\064\022\354\364'
# mov al, [0xc0000] by ds = 0xc000; hlt
code hole '\270\000\300\216\330\240\000\000\364'
# sti; jmp .
code loop '\373\353\376'
# out 'A', '\n' for ever
code chatter '\272\370\003\260\101\356\260\012\356\353\370'
# echo from the serial port to it until a newline
code echo '\272\375\003\354\250\001\164\373\272\370\003\354\356\074\012\165\357\364'
# multiboot header with addresses; if eax is the magic: out 'M', '\n'; hlt
code multiboot '\002\260\255\033\000\000\001\000\376\117\121\344\000\000\040\000\000\000\040\000\000\000\000\000\000\000\000\000\040\000\040\000\075\002\260\255\053\165\014\272\370\003\000\000\260\115\356\260\012\356\364'

echo "1..40"

guest_ends 0 '^A' "real mode, halted" --flat "$tmp/hello"
guest_ends 0 '^A' "real mode above 64 KiB" --flat "$tmp/hello@0x20000"
guest_ends 0 '^A' "protected mode" --flat "$tmp/wide" --mode protected
guest_ends 0 '^B' "long mode" --flat "$tmp/wide" --mode long
guest_ends 0 '^M' "multiboot" --kernel "$tmp/multiboot" --no-irqchip
guest_ends 0 'powered off' "power-off by ACPI" --flat "$tmp/poweroff"
guest_ends 3 'reset' "reset" --flat "$tmp/reset"
guest_ends 4 'triple fault' "triple fault" --flat "$tmp/triple"
grep -q '^rip ' "$out" && grep -q '^cs ' "$out"
result $? "and its registers are shown"
guest_ends 7 'port 0x1234' "--strict and an unknown port" --flat "$tmp/unknown" --strict
guest_ends 0 'nothing answered: 1 ports' "without --strict it is counted" --flat "$tmp/unknown"
guest_ends 124 'time-out' "--timeout" --flat "$tmp/loop" --timeout 0.5
guest_ends 0 'until' "--until" --flat "$tmp/chatter" --until A
guest_ends 124 'time-out' "--reboot starts again" --flat "$tmp/reset" --reboot --timeout 1 \
	--json "$tmp/json"
grep -c 'asked for a reset' "$out" | grep -q '[2-9]'
result $? "more than once"
[ "$(grep '"end"' "$tmp/json" | tr -d ' ')" = '"end":"timeout",' ]
result $? "and as JSON tells of the last"
guest_ends 0 'halted' "one MiB of memory" --flat "$tmp/hello" --memory 1M
guest_ends 0 'halted' "memory beyond 4 GiB" --flat "$tmp/hello" --memory 6G

printf 'ping\n' | vitrine run --flat "$tmp/echo" --timeout 20 >"$out" 2>&1 &&
	grep -q '^ping' "$out"
result $? "input reaches the guest"

vitrine run --flat "$tmp/hello" --json "$tmp/json" --no-stats >"$out" 2>&1 </dev/null
grep -q '"end": *"halted"' "$tmp/json" && grep -q '"IO": *2' "$tmp/json" &&
	grep -q '"cpu_user_ns": *[0-9]' "$tmp/json" && grep -q '"cpu_system_ns": *[0-9]' "$tmp/json"
result $? "the result as JSON"
grep -q 'exits' "$out"
[ $? = 1 ]
result $? "and no statistics with --no-stats"

vitrine run --flat "$tmp/chatter" >/dev/full 2>"$out" </dev/null
[ $? = 1 ] && grep -q 'No space left' "$out"
result $? "a full disk ends the run"
vitrine run --flat "$tmp/hello" --json /dev/full >"$out" 2>&1 </dev/null
[ $? = 1 ]
result $? "so it does for --json"
guest_ends 1 'none/json: No such file' "a place for JSON that is none" --flat "$tmp/hello" \
	--json "$tmp/none/json" --device /dev/null
guest_ends 1 'not a hypervisor' "no VM" --flat "$tmp/hello" --json "$tmp/json" --device /dev/null
[ -e "$tmp/json" ] && [ ! -s "$tmp/json" ]
result $? "and no JSON of an earlier one"
(vitrine run --flat "$tmp/chatter" --timeout 20 2>"$out" </dev/null; echo $? >"$tmp/code") |
	head -n 1 >/dev/null
[ "$(cat "$tmp/code")" = 141 ]
result $? "a closed pipe ends the run"

for signal in TERM HUP; do
	vitrine run --flat "$tmp/loop" --timeout 20 >"$out" 2>&1 </dev/null &
	sleep 1
	kill -$signal $!
	wait $!
	[ $? = $((128 + $(kill -l $signal))) ]
	result $? "SIG$signal ends the run"
done

hello >"$out" 2>&1 && grep -q '^Hello from inside' "$out" && grep -q 'after 28 port exits' "$out"
result $? "the example of a VMM of one's own"

guest_ends 2 'nothing to run' "no guest"
guest_ends 2 'unknown option' "an unknown option" --flat "$tmp/hello" --frobnicate
guest_ends 2 'memory' "no memory" --flat "$tmp/hello" --memory 0
guest_ends 1 'No such file' "no such file" --flat "$tmp/none"
: >"$tmp/empty"
guest_ends 1 'is empty' "an empty file" --flat "$tmp/empty" --device /dev/none
guest_ends 1 'not a regular file' "a directory" --kernel "$tmp" --device /dev/none
guest_ends 1 'No such file' "no such device" --flat "$tmp/hello" --device /dev/none
guest_ends 1 'not a hypervisor' "a device that is no hypervisor's" --flat "$tmp/hello" --device /dev/null
guest_ends 1 'real mode' "code out of reach of real mode" --flat "$tmp/hello@1M"
guest_ends 1 'out of reach' "and of the first page tables" --flat "$tmp/wide@5G" --mode long --memory 6G
rm -r "$tmp"
