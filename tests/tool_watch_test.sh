#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# "vitrine list", "stat" and "events": what they print of a guest that runs, to whom, and what
# they refuse.

tmp=$(mktemp -d)
chmod 755 "$tmp"
out=$tmp/out
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/lib/tap.sh"

nobody()
{
	su -s /bin/sh nobody -c "$*"
}

# jmp . : only the bound on a stay in the guest brings it out in the lab
printf '\353\376' >"$tmp/loop"
# lidt with limit 0; int3
printf '\017\001\036\020\174\314' >"$tmp/triple"

echo "1..27"

ends 0 'no VM' "nothing to list" vitrine list
ends 0 '^\]' "nothing to list as JSON" vitrine list --json

vitrine events -n 5 >"$tmp/events" 2>&1 &
events=$!
vitrine events --json -n 5 >"$tmp/events.json" 2>&1 &
json=$!
sleep 0.3
vitrine run --flat "$tmp/triple" >/dev/null 2>&1 </dev/null
wait $events $json
cp "$tmp/events" "$out"
[ "$(sed 's/.* \([a-z]*_[a-z]*\|shutdown\).*/\1/' "$out" | tr '\n' ' ')" = \
	"vm_created vcpu_created shutdown vcpu_gone vm_gone " ]
result $? "the life of a VM"
grep -q '^[0-9:.]* *VM [0-9]* *vitrine *pid [0-9]* *shutdown vcpu 0$' "$out"
result $? "whose it was"
cp "$tmp/events.json" "$out"
[ "$(grep -c '^{"time_ns":[0-9]*,"event":"[a-z_]*","vm":[0-9]*,.*}$' "$out")" = 5 ] &&
	grep -q '"event":"shutdown","vm":[0-9]*,"name":"vitrine","pid":[0-9]*,"uid":0,"vcpu":0}' "$out"
result $? "the same as JSON"

vitrine run --flat "$tmp/loop" --timeout 40 >/dev/null 2>&1 </dev/null &
vmm=$!
tries=0
until vitrine list 2>/dev/null | grep -q ' running ' || [ $tries = 50 ]; do
	tries=$((tries + 1))
	sleep 0.1
done
ends 0 "^ *[0-9]+ +vitrine +root +$vmm +running +1 +256M " "a guest that runs" vitrine list
id=$(awk 'NR == 2 { print $1 }' "$out")
! grep -q "$(printf '\033')" "$out"
result $? "no colours but on a terminal"
ends 0 '^ +vCPU 0 .* thread [0-9]+ +last exit [A-Z_]+$' "its vCPU" vitrine list --vcpus "$id"
ends 0 '"last_exit":"[A-Z_]+"' "as JSON" vitrine list --json
ends 0 "^ *$id +1 +vitrine +[0-9]+ +0 " "its rates" vitrine stat -i 0.1 -n 1
[ "$(awk 'NR == 2 { print ($4 > 100 && $9 > 20) }' "$out")" = 1 ]
result $? "which are plausible"
ends 0 '^ +PREEMPTION_TIMER +[0-9]+ +[0-9]+ ticks each' "by reason" \
	vitrine stat -i 0.1 -n 1 --reasons "$id"
ends 0 "^ *$id +0 +vitrine +[0-9]+" "totals of a vCPU" vitrine stat --total --vcpus "$id"
ends 0 '^\{"vm":.*"counters":\{"runs":1,.*"exits":\{.*"PREEMPTION_TIMER":\{"count":[0-9]+' \
	"all that is counted, as JSON" vitrine stat --total --json
ends 0 '^\{"vm":.*"counters":\{"runs":0,' "JSON of an interval" vitrine stat --json -n 1 -i 0.1

ends 0 'no VM' "another user sees none" nobody vitrine list
ends 1 'no VM [0-9]+, or it is not yours' "nor by id" nobody vitrine stat -n 1 "$id"
ends 1 'CAP_SYS_ADMIN' "nor events" nobody vitrine events -n 1

(vitrine stat -i 0.1 "$id"; echo $? >"$tmp/code") >"$out" 2>&1 &
stat=$!
sleep 0.3
{
	kill -9 $vmm
	wait $vmm $stat
} 2>/dev/null
[ "$(cat "$tmp/code")" = 1 ] && grep -q "no VM $id" "$out"
result $? "the end of a VM is the end of its rates"

ends 1 'no VM 999999,' "no such VM" vitrine list 999999
ends 2 'no VM.s id' "no number" vitrine list 1x
ends 2 'one too many' "two ids" vitrine stat 1 2
ends 2 '' "an unknown option" vitrine events --frobnicate
ends 2 'interval' "no interval" vitrine stat --interval 0
ends 2 'count' "no count" vitrine events --count -1
ends 0 'usage: vitrine stat' "--help" vitrine help stat
ends 1 'No space left' "a full disk" sh -c 'vitrine list --json >/dev/full'
rm -r "$tmp"
