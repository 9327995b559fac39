#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# setup.sh GROUP... (build lab test check)
#
# The Debian packages that a part of the project needs. Nothing happens, and
# neither root nor network is asked for, when all are there. Only apt-get runs
# as root. Kernels are no packages to install: kernel-get.sh keeps those.

. "$(dirname -- "$0")/common.sh"

packages()
{
	case $1 in
	build) echo gcc gcc-12 make libc6-dev binutils kmod pkg-config libelf1 libssl3 \
		libjson-c-dev libnl-3-dev libnl-genl-3-dev xz-utils lz4 zstd ;;
	lab) echo bochs bochsbios vgabios busybox-static cpio ;;
	test) echo libzydis-dev ;;
	check) echo sparse shellcheck perl ;;
	*) die "no such group '$1': build lab test check" ;;
	esac
}

installed()
{
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q \
		-o DPkg::Lock::Timeout=600 -o Acquire::Retries=2 "$@"
}

# apt-get waits for dpkg's lock as told above, but not for that of the lists.
apt_update()
{
	local log waited=0

	log=$(mktemp)
	until apt update >"$log" 2>&1; do
		if ! grep -q 'Could not get lock' "$log"; then
			# A broken third-party source need not concern us.
			warn "apt-get update: $(grep -E '^(E|W|sudo):' "$log" | head -n 1)"
			break
		elif [ "$waited" -ge 600 ]; then
			rm -f "$log"
			die "the package lists have been locked for 10 minutes by another package manager"
		fi
		[ "$waited" -gt 0 ] || say "the package lists are locked by another package manager, waiting up to 10 minutes"
		sleep 5
		waited=$((waited + 5))
	done
	rm -f "$log"
}

install_missing()
{
	local size

	size=$(apt --assume-no --no-install-recommends install "${missing[@]}" 2>/dev/null |
		grep -E '^(Need to get|After this)' | tr '\n' ' ') || true
	say "installing ${missing[*]}. ${size:-}"
	# A lock that is held is waited for, and apt-get says by whom.
	apt --yes --no-install-recommends install "${missing[@]}" 2>&1 |
		grep --line-buffered -E '^(E:|Waiting|Unpacking)|lock' || [ "${PIPESTATUS[0]}" = 0 ]
}

[ $# -gt 0 ] || die "usage: $0 GROUP... (build lab test check)"
missing=()
for group; do
	for package in $(packages "$group"); do
		installed "$package" || missing+=("$package")
	done
done
[ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null || die "needs Debian 12: there is no apt-get to install ${missing[*]} with"
need_space /var/cache
say "packages missing: ${missing[*]}; reading the package lists (10 MB, a few seconds)"
apt_update
install_missing || { apt_update; install_missing; } ||
	die "apt-get could not install ${missing[*]}: its message is above"
