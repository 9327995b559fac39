#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# "vitrine ask": a guest that prints its CPU's vendor again and again sees another one, by an
# answer on the command line and by a script, and its VMM knows nothing of it.

tmp=$(mktemp -d)
out=$tmp/out
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/lib/tap.sh"

# lines FILE TEXT: how often the guest has said so
lines()
{
	grep -c "^$2" "$1"
}

# vendor: the lines of the guest's after this moment, once there are two more
vendor()
{
	had=$(wc -l <"$tmp/guest.out")
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ "$(wc -l <"$tmp/guest.out")" -lt $((had + 3)) ] || break
		sleep 0.2
	done
	tail -n +$((had + 2)) "$tmp/guest.out" | tr -d '\r' | head -n 1
}

# sp = 0x7000; 10,000 times: cpuid of leaf 0; EBX, EDX, ECX and a newline to port 0x3f8; a pause
printf '\274\000\160\275\020\047\146\061\300\017\242\146\211\326\146\211\317\146\211\330\350\040\000\146\211\360\350\032\000\146\211\370\350\024\000\272\370\003\260\012\356\146\271\240\206\001\000\146\111\165\374\115\165\320\364\272\370\003\271\004\000\356\146\301\350\010\342\371\303' \
	>"$tmp/guest"
other=rbx=0x72746956,rdx=0x47656e69,rcx=0x7373616c	# "Vitr" "ineG" "lass"

echo "1..22"

ends 0 'usage: vitrine ask' "help" vitrine ask --help
ends 2 'no class .cpid.' "a class that is none" vitrine ask 1 cpid:0
ends 2 'number or range after the colon' "a key that is none" vitrine ask 1 cpuid:x
ends 2 'follow a rule' "an answer without a rule" vitrine ask 1 --answer skip
ends 2 'no register' "an answer that is none" vitrine ask 1 cpuid --answer rxx=1
ends 2 'a VM and a rule' "no rule" vitrine ask 1
ends 1 'no VM of this number' "no such VM" vitrine ask 999999 cpuid

vitrine run --flat "$tmp/guest" --no-stats >"$tmp/guest.out" 2>&1 </dev/null &
vmm=$!
sleep 0.5
vm=$(vitrine list | awk 'END { print $1 }')
vendor >"$out"
grep -q GenuineIntel "$out"
result $? "the vendor of the CPU"

vitrine ask "$vm" cpuid:0 --answer "$other" --quiet >"$tmp/ask" 2>&1 &
ask=$!
sleep 0.3
vendor >"$out"
grep -q VitrineGlass "$out"
result $? "an answer on the command line is what the guest sees"
ends 1 'another monitor steers' "one steers" vitrine ask "$vm" hlt
kill -TERM $ask
wait $ask
ask=$?
vendor >"$out"
[ $ask = 0 ] && grep -q GenuineIntel "$out"
result $? "and not after the tool has ended (exit code $ask)"

cat >"$tmp/script" <<'END'
while read -r event; do
	case $event in
	*'"on":"cpuid"'*) echo '{"answer": "rbx=0x72746956,rdx=0x47656e69,rcx=0x7373616c"}' ;;
	*) echo '{"answer": "go-on"}' ;;
	esac
done
END
had=$(lines "$tmp/guest.out" VitrineGlass)
ends 0 '"on":"cpuid".*"regs":\{"rax":"0x0",' "a script answers" \
	vitrine ask "$vm" cpuid:0 out:0x3f8,1 --script "sh $tmp/script" --json --count 30
sleep 0.2
[ "$(lines "$tmp/guest.out" VitrineGlass)" -gt "$had" ]
result $? "and the guest sees its answers"
# Or the script's input would be what is closed in it.
ends 0 'cpuid 0x0,0x0 .*: done' "standard input that is closed" sh -c \
	"vitrine ask $vm cpuid:0 --script 'sh $tmp/script' --count 2 <&-"
ends 0 '"verdict":"go-on"' "a verdict as JSON" vitrine ask "$vm" cpuid:0 -j --count 1
ends 0 'no answer that its vCPU can take.*dynamic_debug' "an answer that cannot be" \
	vitrine ask "$vm" cpuid:0 --answer inject=13,error=0 --count 3
[ "$(grep -c 'no answer' "$out")" = 1 ] && grep -q ': go-on$' "$out"
result $? "of which it tells once"
ends 0 'cpuid 0x0,0x0 .*: too late' "an answer that comes too late" \
	vitrine ask "$vm" cpuid:0 --script 'read -r event; sleep 0.2; echo "{\"answer\": \"skip\"}"; cat' \
	--limit-ms 50 --count 1
ends 0 'out 0x3f8,0x1 value' "a value is written in place of another" \
	vitrine ask "$vm" out:0x3f8 --answer value=0x58,go-on --count 30
sleep 0.2
# 0x58 is an X.
grep -q 'X\{6\}' "$tmp/guest.out"
result $? "and the VMM gets that one"
ends 1 'gave no answer' "a script that does not" vitrine ask "$vm" cpuid:0 --script true

# One that thinks for ever does not keep the tool from seeing the VM's end.
vitrine ask "$vm" cpuid:0 --script 'sleep 1000' >"$out" 2>&1 &
ask=$!
sleep 0.3
kill -KILL $vmm
wait $ask
ask=$?
[ $ask = 0 ] && grep -q 'is gone' "$out"
result $? "a VM that ends (exit code $ask)"
wait $vmm 2>/dev/null
rm -rf "$tmp"
