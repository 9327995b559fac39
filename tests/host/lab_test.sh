#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The emulated machine itself, by its one entry point: what comes out of it is
# what the command said and how it ended, and its boot stays within budget.

cd "$(dirname "$0")/../.." || exit 1
# The lab's own test promises more, and takes minutes.
[ -z "$LONG" ] || exec scripts/lab/selftest

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
out=$dir/out
count=0

# lab OPTIONS: without the module, which is not the subject.
lab()
{
	scripts/lab/run --kernel "${LAB_KERNEL:-6.1}" --no-module --memory 512 "$@" >"$out" 2>"$dir/err" </dev/null
}

# result GOT WANTED NAME
result()
{
	count=$((count + 1))
	if [ "$1" = "$2" ]; then
		echo "ok $count - $3"
	else
		sed 's/^/# /' "$out" "$dir/err"
		echo "# got $1, not $2"
		echo "not ok $count - $3"
	fi
}

echo 1..5
lab --cpus 2 --check-budget --file tests/host/lab_test.sh:/root/copy -- \
	sh -c 'nproc; sha256sum </root/copy; exit 7'
result $? 7 "the command's exit code, within the budget of ticks"
result "$(head -n 1 "$out")" 2 "as many CPUs as asked for"
result "$(sed -n 2p "$out")" "$(sha256sum <tests/host/lab_test.sh)" "a file put into it arrives whole"
# Busy: the emulated machine's clock runs ahead of this one while it is idle.
lab --cpus 1 --timeout 60 -- sh -c 'while :; do :; done'
result $? 124 "a time-out"
lab --no-such-option -- true
result $? 125 "an option that it does not know"
