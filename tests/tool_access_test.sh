#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# "vitrine regs", "mem", "pause", "resume" and "nmi" on a guest that counts in EBP, and tools that
# are there from a guest's first instruction.

tmp=$(mktemp -d)
out=$tmp/out
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/lib/tap.sh"

# sp = 0x7000; esi = 0x12345678; sti; 1: inc ebp; is it less than at 0x7b00? one more at 0x7b04;
# it to 0x7b00; cpuid of leaf 0; jmp 1b
printf '\274\000\160\146\276\170\126\064\022\373\146\105\146\073\056\000\173\146\211\056\000\173\163\005\146\377\006\004\173\146\061\300\017\242\353\346' \
	>"$tmp/guest"

echo "1..53"

ends 0 'usage: vitrine regs' "help" vitrine regs --help
ends 2 'which VM' "no VM named" vitrine regs
ends 2 "no register 'rxx'" "a register that is none" vitrine regs 1 --set rxx=1
ends 2 'no number after' "a value that is none" vitrine regs 1 --set rax=x
ends 2 'has 16 bits' "a value that is too large" vitrine regs 1 --set cs=0x10000
ends 1 'no VM of this number' "no such VM" vitrine regs 999999

# As little memory as can be: it is searched.
vitrine run --flat "$tmp/guest" --memory 1M --no-stats >"$tmp/guest.out" 2>&1 </dev/null &
vmm=$!
sleep 0.5
vm=$(vitrine list | awk 'END { print $1 }')
ends 0 'rsi    0000000012345678.*rdi' "registers of a guest that runs" vitrine regs "$vm"
ends 0 '"rsi": *"0x12345678"' "as JSON" vitrine regs "$vm" --all --json
timeout 5 vitrine events --json --count 4 "$vm" >"$tmp/events" 2>&1 &
events=$!
sleep 0.3
vitrine regs "$vm" --set rdi=0x77 --set rsi=1 >"$out" 2>&1
result $? "two are set"
wait $events
cp "$tmp/events" "$out"
[ "$(grep -c '"access":"controlling"' "$out")" = 2 ] && grep -q '"event":"paused"' "$out"
result $? "for which it is paused"
said '"event":"resumed"' "and resumed"
vitrine regs "$vm" >"$out"
grep -q 'rsi    0000000000000001 *rdi    0000000000000077' "$out"
result $? "and the guest has it"
for value in 2 3 4 5; do
	vitrine regs "$vm" --set "rdi=$value" || break
done >"$out" 2>&1
ends 0 '^00007b04  00 00 00 00 ' "it goes on where it was" vitrine mem "$vm" dump 0x7b04 4
ends 1 'no processor takes' "what cannot be" vitrine regs "$vm" --set cr0=0x80000000

# counter: the guest's
counter()
{
	vitrine regs "$vm" | sed -n 's/.*rbp *\([0-9a-f]*\).*/\1/p'
}

# stands NAME, goes_on NAME: that of the guest
stands()
{
	before=$(counter)
	sleep 0.1
	counter >"$out"
	[ "$(cat "$out")" = "$before" ]
	result $? "$1"
}

goes_on()
{
	before=$(counter)
	sleep 0.1
	counter >"$out"
	[ "$(cat "$out")" != "$before" ]
	result $? "$1"
}

# Its virtual addresses are physical ones.
ends 0 'usage: vitrine mem' "help of mem" vitrine mem --help
ends 2 'a VM, then dump' "no verb" vitrine mem 1
ends 2 "address 'x'" "an address that is none" vitrine mem 1 dump x
ends 2 'text, or hex:' "bytes that are none" vitrine mem 1 write 0 hex:1
ends 2 'wants --to' "a search without an end" vitrine mem 1 search x --vcpu 0
ends 1 'no VM of this number' "no such VM" vitrine mem 999999 dump 0
vitrine mem "$vm" write 0x7d00 'Hello, guest' >"$out" 2>&1
result $? "text is written"
vitrine mem "$vm" write 0x8ffd hex:fe00fd01fc02 --physical >"$out" 2>&1
result $? "and bytes"
vitrine mem "$vm" dump 0x7d00 0x40 >"$tmp/shown" 2>&1
cat >"$tmp/wanted" <<'END'
00007d00  48 65 6c 6c 6f 2c 20 67  75 65 73 74 00 00 00 00  |Hello, guest....|
00007d10  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|
*
00007d40
END
diff "$tmp/shown" "$tmp/wanted" >"$out" 2>&1
result $? "as hexdump -C shows it"
ends 0 '"address":"0x8ffd","bytes":"fe00fd01fc02"' "as JSON" \
	vitrine mem "$vm" dump 0x8ffd 6 --vcpu 0 --json
[ "$(vitrine mem "$vm" dump 0x7d07 5 --raw)" = guest ]
result $? "as it is"
ends 0 '^0x7d00$' "text is found" vitrine mem "$vm" search 'Hello, guest' --to 0x10000
ends 0 '^\["0x8ffd"\]$' "bytes are found" \
	vitrine mem "$vm" search hex:fe00fd01fc02 --from 0x8000 --to 0x10000 --json
ends 0 'it is not there' "what is not there is not" \
	vitrine mem "$vm" search 'Hello, ghost' --from 0x7000 --to 0x10000
ends 0 '^0x7d00$' "all of its memory is searched" vitrine mem "$vm" search 'Hello, guest'
ends 1 'from 0x200000 to 0x210000 there is no memory' "none of it" vitrine mem "$vm" search x --from 0x200000 --to 0x210000
ends 1 'no such memory' "the end of memory" vitrine mem "$vm" dump 0xffff0 0x20
said '^000ffff0  00 00' "and what is before it"
ends 1 'no such memory' "no memory to write to" vitrine mem "$vm" write 0x100000 x
printf 'from a file' >"$tmp/file"
vitrine mem "$vm" write 0x7e00 --file "$tmp/file" >"$out" 2>&1
[ "$(vitrine mem "$vm" dump 0x7e00 11 --raw)" = 'from a file' ]
result $? "a file is written"
ends 2 'exclude each other' "both kinds of addresses" vitrine mem "$vm" dump 0 --vcpu 0 --physical

ends 0 'usage: vitrine pause' "help of pause" vitrine pause --help
ends 0 'usage: vitrine resume' "help of resume" vitrine resume --help
ends 2 'which VM' "no VM named" vitrine pause
ends 1 'no VM of this number' "no such VM" vitrine resume 999999
vitrine pause "$vm" >"$out" 2>&1
result $? "a pause"
stands "stops the guest"
ends 0 "^ *$vm .* paused " "which can be seen" vitrine list "$vm"
vitrine resume "$vm" >"$out" 2>&1
result $? "and resuming"
goes_on "lets it go on"
ends 0 'usage: vitrine nmi' "help of nmi" vitrine nmi --help
ends 1 'no such vCPU' "an NMI to nobody" vitrine nmi "$vm" --vcpu 9
ends 2 'all of a VM' "half a pause" vitrine pause "$vm" --vcpu 0
vitrine pause "$vm"
kill -TERM $vmm
wait $vmm
got=$?
[ $got = 143 ]
result $? "a paused VM can be ended (exit code $got)"

vitrine run --flat "$tmp/guest" --no-stats --paused >"$tmp/guest.out" 2>&1 </dev/null &
vmm=$!
sleep 0.5
vm=$(sed -n "s/^vitrine: VM \([0-9]*\) is paused; 'vitrine resume .*/\1/p" "$tmp/guest.out")
ends 0 'rip    0000000000007c00' "before the first instruction" vitrine regs "$vm"
vitrine trace "$vm" --reason CPUID --count 1 >"$tmp/trace" 2>&1 &
trace=$!
sleep 0.3
vitrine resume "$vm"
wait $trace
cp "$tmp/trace" "$out"
grep -q ' CPUID .*7c20' "$out" && [ "$(counter)" != 0 ]
result $? "its first CPUID is traced"
kill -KILL $vmm
wait $vmm 2>/dev/null

ends 2 'in the place of a VM' "--next and a VM" vitrine trace --next 1
vitrine ask --next cpuid:0 --count 1 >"$tmp/ask" 2>&1 &
ask=$!
vitrine trace --next --reason CPUID --count 1 >"$tmp/trace" 2>&1 &
trace=$!
sleep 0.5
vitrine run --flat "$tmp/guest" --no-stats >"$tmp/guest.out" 2>&1 </dev/null &
vmm=$!
wait $ask
got=$?
cp "$tmp/ask" "$out"
[ $got = 0 ] && grep -q 'cpuid 0x0' "$out"
result $? "ask --next (exit code $got)"
wait $trace
got=$?
cp "$tmp/trace" "$out"
[ $got = 0 ] && grep -q CPUID "$out"
result $? "trace --next (exit code $got)"
kill -KILL $vmm
wait $vmm 2>/dev/null
rm -rf "$tmp"
