#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# setup.sh GROUP... (build lab test check debug)
#
# The Debian packages that a part of the project needs. Nothing happens, and
# neither root nor network is asked for, when all are there. Only apt-get runs
# as root. Kernels are no packages to install: kernel-get.sh keeps those.

. "$(dirname -- "$0")/common.sh"

packages()
{
	case $1 in
	build) echo gcc gcc-12 make libc6-dev binutils kmod pkg-config libelf1 libssl3 \
		libjson-c-dev libnl-3-dev libnl-genl-3-dev libncurses-dev libzydis-dev \
		xz-utils lz4 zstd ;;
	lab) echo bochs bochsbios vgabios busybox-static cpio ;;
	test) echo libzydis-dev ;;
	peers) echo qemu-system-x86 gdb ;;
	check) echo sparse shellcheck perl g++ ;;
	debug) echo flex bison bc libelf-dev ;;
	*) die "no such group '$1': build lab test check debug" ;;
	esac
}

installed()
{
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=2 "$@"
}

# apt-get waits for one of its locks in silence and for the other not at all.
apt_unlocked()
{
	local waited=0

	until apt "$@" >"$log" 2>&1; do
		grep -q 'Could not get lock' "$log" || return 1
		[ "$waited" -lt 600 ] || die "another package manager has been at work for 10 minutes: try again when it is done"
		[ "$waited" -gt 0 ] || say "another package manager is at work, waiting for it (up to 10 minutes)"
		sleep 5
		waited=$((waited + 5))
	done
}

complaint()
{
	grep -E '^(E|W|Err|sudo)\b' "$log" | head -n 1
}

# A third-party source that is broken need not concern us: what matters is
# whether the packages can be had.
apt_update()
{
	apt_unlocked update || warn "apt-get update: $(complaint)"
}

install_missing()
{
	local size

	size=$(apt -o Debug::NoLocking=1 --assume-no --no-install-recommends install "${missing[@]}" 2>/dev/null |
		grep -E '^(Need to get|After this)' | tr '\n' ' ') || true
	say "installing ${missing[*]}. ${size:-}"
	apt_unlocked --yes --no-install-recommends install "${missing[@]}"
}

[ $# -gt 0 ] || die "usage: $0 GROUP... (build lab test check debug)"
missing=()
for group; do
	for package in $(packages "$group"); do
		installed "$package" || missing+=("$package")
	done
done
[ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null || die "needs Debian 12: there is no apt-get to install ${missing[*]} with"
need_root
need_space /var/cache
log=$(mktemp)
trap 'rm -f "$log"' EXIT
say "packages missing: ${missing[*]}; reading the package lists (10 MB, a few seconds)"
apt_update
install_missing || { apt_update; install_missing; } ||
	die "apt-get could not install ${missing[*]}: $(complaint)"
