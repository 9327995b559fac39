#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A few KVM selftests of Linux 6.1 on /dev/vitrine, as they are; "make test-peers" runs them all.
# bring: cpuid_test set_sregs_test userspace_io_test sync_regs_test state_test

dir=$(dirname "$0")/peers
[ -e /dev/kvm ] || ln -s "${VITRINE_DEV:-/dev/vitrine}" /dev/kvm
count=0
set -- "$dir"/*
echo "1..$#"
for program; do
	count=$((count + 1))
	if said=$("$program" 2>&1); then
		echo "ok $count - ${program##*/}"
	else
		echo "$said" | sed 's/^/# /'
		echo "not ok $count - ${program##*/}"
	fi
done
