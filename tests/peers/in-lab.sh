#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# in-lab.sh kvm|vitrine: runs the programs of the file "list" beside it
# (NAME, LIMIT in seconds of the emulated machine, COMMAND) on that device, for
# scripts/peers.sh, marking where each begins and ends.

cd "$(dirname "$0")" || exit 125
case $1 in
kvm)
	rmmod vitrine && modprobe kvm_intel || exit 125
	;;
vitrine)
	ln -s vitrine /dev/kvm
	# Where they ask the module and not the device. What is asked cannot be
	# otherwise on Vitrine.
	mount -t tmpfs none /sys/module
	mkdir -p /sys/module/kvm_intel/parameters
	echo Y >/sys/module/kvm_intel/parameters/ept
	echo Y >/sys/module/kvm_intel/parameters/unrestricted_guest
	;;
esac
while sleep 2; do echo @alive; done &

tab=$(printf '\t')
while IFS=$tab read -r name limit command; do
	echo "@begin $name"
	read -r begin _ </proc/uptime
	# A group of its own: some leave children behind.
	# shellcheck disable=SC2086 # it is words
	setsid timeout -s KILL "$limit" bin/$command </dev/null 2>&1 &
	pid=$!
	(sleep $((limit + 5)); echo "@stuck $name") &
	watch=$!
	wait "$pid"
	ret=$?
	kill "$watch"
	kill -KILL -- "-$pid" 2>/dev/null
	read -r end _ </proc/uptime
	printf '\n@end %s %s %s\n' "$name" "$ret" "$(awk "BEGIN { printf \"%.1f\", $end - $begin }")"
done <list
