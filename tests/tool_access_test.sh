#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# "vitrine regs" on a guest that counts in EBX.

tmp=$(mktemp -d)
out=$tmp/out
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/lib/tap.sh"

# sp = 0x7000; esi = 0x12345678; sti; 1: inc ebx; cpuid of leaf 0 with ebx kept; jmp 1b
printf '\274\000\160\146\276\170\126\064\022\373\146\103\146\123\146\061\300\017\242\146\133\353\363' >"$tmp/guest"

echo "1..11"

ends 0 'usage: vitrine regs' "help" vitrine regs --help
ends 2 'which VM' "no VM named" vitrine regs
ends 2 "no register 'rxx'" "a register that is none" vitrine regs 1 --set rxx=1
ends 2 'no number after' "a value that is none" vitrine regs 1 --set rax=x
ends 2 'has 16 bits' "a value that is too large" vitrine regs 1 --set cs=0x10000
ends 1 'no VM of this number' "no such VM" vitrine regs 999999

vitrine run --flat "$tmp/guest" --no-stats >"$tmp/guest.out" 2>&1 </dev/null &
vmm=$!
sleep 0.5
vm=$(vitrine list | awk 'END { print $1 }')
ends 0 'rsi    0000000012345678.*rdi' "registers of a guest that runs" vitrine regs "$vm"
ends 0 '"rsi": *305419896' "as JSON" vitrine regs "$vm" --all --json
vitrine regs "$vm" --set rdi=0x77 --set rsi=1 >"$out" 2>&1
result $? "two are set"
vitrine regs "$vm" >"$out"
grep -q 'rsi    0000000000000001 *rdi    0000000000000077' "$out"
result $? "and the guest has it"
ends 1 'would not take' "what cannot be" vitrine regs "$vm" --set cr0=0x80000000
kill -KILL $vmm
wait $vmm 2>/dev/null
rm -rf "$tmp"
