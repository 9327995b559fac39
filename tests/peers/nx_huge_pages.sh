#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# nx_huge_pages.sh: KVM's nx_huge_pages_test, with what its own wrapper sets up: three huge pages, and
# large translations that are not executable, those that were split for code dropped each 100 ms.
# Vitrine takes the first of these at its loading only, so that it is loaded anew. Afterwards all is
# as it was.

period=100
pages=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
kvm=/sys/module/kvm/parameters

fail()
{
	echo "$*"
	exit 1
}

# load PARAMETER...: the emulated machine's module, once the programs before this one are gone.
load()
{
	tries=0
	until rmmod vitrine 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 50 ] || fail "vitrine.ko cannot be removed"
		sleep 0.1
	done
	# shellcheck disable=SC2046 # it is words
	insmod /lab/module.ko $(cat /lab/module-args) "$@" || fail "vitrine.ko cannot be inserted"
}

# set_kvm NX RATIO PERIOD
set_kvm()
{
	if ! { echo "$1" >$kvm/nx_huge_pages && echo "$2" >$kvm/nx_huge_pages_recovery_ratio &&
		echo "$3" >$kvm/nx_huge_pages_recovery_period_ms; }; then
		fail "$kvm cannot be written"
	fi
}

if [ -L /dev/kvm ]; then
	load nx_huge_pages=on nx_huge_pages_recovery_ratio=1 \
		"nx_huge_pages_recovery_period_ms=$period"
	trap 'echo 0 >$pages; load' EXIT
else
	on=$(cat $kvm/nx_huge_pages)
	ratio=$(cat $kvm/nx_huge_pages_recovery_ratio)
	was_period=$(cat $kvm/nx_huge_pages_recovery_period_ms)
	set_kvm 1 1 $period
	trap 'echo 0 >$pages; set_kvm "$on" "$ratio" "$was_period"' EXIT
fi
echo 3 >$pages
[ "$(cat $pages)" -ge 3 ] || fail "no three huge pages are to be had"
bin/nx_huge_pages_test -t 887563923 -p $period -r
