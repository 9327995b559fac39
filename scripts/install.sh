#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# install.sh install|uninstall DESTDIR PREFIX UDEVDIR MODDIR [KDIR]
#
# Copies what "make" built, or takes it away again; builds nothing. The module
# goes to the kernel it was built for, to updates/, which depmod prefers.

. "$(dirname -- "$0")/common.sh"
cd -- "$ROOT"

[ $# -ge 5 ] || die "usage: $0 install|uninstall DESTDIR PREFIX UDEVDIR MODDIR [KDIR]"
action=$1 destdir=$2 prefix=$3 udevdir=$4 moddir=$5 kdir=${6:-}

release=$(uname -r)
if [ -n "$kdir" ]; then
	release=$(sed -n 's/^#define UTS_RELEASE "\(.*\)"$/\1/p' "$kdir/include/generated/utsrelease.h")
fi
module=$moddir/$release/updates/vitrine.ko

# SOURCE, DESTINATION, mode; a line each.
files()
{
	local page

	echo "build/tools/vitrine|$prefix/bin/vitrine|755"
	echo "build/tools/libvitrine.a|$prefix/lib/libvitrine.a|644"
	echo "tools/lib/libvitrine.h|$prefix/include/libvitrine.h|644"
	echo "tools/lib/libvitrine_watch.h|$prefix/include/libvitrine_watch.h|644"
	echo "tools/lib/libvitrine_access.h|$prefix/include/libvitrine_access.h|644"
	echo "uapi/vitrine.h|$prefix/include/vitrine.h|644"
	echo "uapi/vitrine_netlink.h|$prefix/include/vitrine_netlink.h|644"
	echo "uapi/vitrine_policy.h|$prefix/include/vitrine_policy.h|644"
	echo "uapi/vitrine_access.h|$prefix/include/vitrine_access.h|644"
	echo "tools/udev/99-vitrine.rules|$udevdir/99-vitrine.rules|644"
	echo "tools/completion/vitrine.bash|$prefix/share/bash-completion/completions/vitrine|644"
	for page in tools/man/*.1; do
		[ -e "$page" ] || continue
		echo "$page|$prefix/share/man/man1/${page##*/}|644"
	done
	echo "build/module/$release/vitrine.ko|$module|644"
}

# What only the running system has: nothing of it in a DESTDIR.
after()
{
	[ -z "$destdir" ] || return 0
	if [ -d "$moddir/$release/kernel" ]; then
		depmod "$release"
	fi
	if [ "$action" = install ] && ! getent group vitrine >/dev/null; then
		groupadd --system vitrine
		say "the group vitrine is new: 'adduser USER vitrine' lets USER open /dev/vitrine"
	fi
	if command -v udevadm >/dev/null; then
		udevadm control --reload 2>/dev/null || true
	fi
}

case $action in
install)
	if [ ! -e "build/module/$release/vitrine.ko" ]; then
		die "there is no vitrine.ko for $release: install that kernel's headers (apt install linux-headers-$release), or give KDIR"
	fi
	while IFS='|' read -r from to mode; do
		[ -e "$from" ] || die "$from is missing: run make first"
		install -D -m "$mode" -- "$from" "$destdir$to"
		say "$destdir$to"
	done < <(files)
	after
	if [ -z "$destdir" ] && [ "$(cat /sys/module/module/parameters/sig_enforce 2>/dev/null)" = Y ]; then
		say "this kernel loads signed modules only: 'vitrine info' says how to sign"
	fi
	;;
uninstall)
	if [ -z "$destdir" ] && [ -e /sys/module/vitrine ]; then
		say "vitrine is loaded and stays so until 'modprobe -r vitrine'"
	fi
	while IFS='|' read -r from to mode; do
		if [ -e "$destdir$to" ]; then
			rm -f -- "$destdir$to"
			say "removed $destdir$to"
		fi
	done < <(files)
	after
	;;
*)
	die "install or uninstall, not '$action'"
	;;
esac
