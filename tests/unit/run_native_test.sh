#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# "make run" with LAB=native: nothing is started where the module is not
# loaded, and one line says what to do.

cd "$(dirname "$0")/../.." || exit 1
out=$(mktemp)
trap 'rm -f "$out"' EXIT

echo 1..3
LAB=native VITRINE_DEV=/nonexistent scripts/run-guest.sh 6.1 >"$out" 2>&1 </dev/null
[ $? -eq 1 ] || printf 'not '
echo "ok 1 - is refused without the device"
[ "$(wc -l <"$out")" = 1 ] || printf 'not '
echo "ok 2 - in one line"
grep -q 'modprobe vitrine' "$out" || printf 'not '
echo "ok 3 - that says what to do"
