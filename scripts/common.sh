# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What every script of the project shares: where the checkout and the cache
# are, how a message looks, and who runs what. It is sourced, runs nothing by
# itself and changes nothing outside its own variables.

set -euo pipefail

export ROOT=
ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
ME=${0##*/}
ME=${ME%.sh}

say()
{
	printf '%s: %s\n' "$ME" "$*"
}

warn()
{
	printf '%s: %s\n' "$ME" "$*" >&2
}

die()
{
	warn "$*"
	exit 1
}

# Under sudo only the package manager runs as root: what we build and keep
# belongs to the user who called sudo. Call this first: drop_root "$@"
drop_root()
{
	if [ "$(id -u)" = 0 ] && [ "${SUDO_USER:-root}" != root ]; then
		local home

		home=$(getent passwd "$SUDO_USER" | cut -d: -f6)
		exec runuser -u "$SUDO_USER" -- env -u SUDO_USER HOME="$home" \
			USER="$SUDO_USER" LOGNAME="$SUDO_USER" bash "$0" "$@"
	fi
}

# Kbuild and most things that take a path from make cannot live with blanks,
# and the cache is ours to place. Sets CACHE.
choose_cache()
{
	local home=${HOME:-}

	if [ -n "${VITRINE_CACHE:-}" ]; then
		CACHE=$VITRINE_CACHE
		case $CACHE in
		*[[:space:]]*) die "VITRINE_CACHE='$CACHE' has a blank in it: choose a path without" ;;
		/*) ;;
		*) die "VITRINE_CACHE='$CACHE' is not an absolute path" ;;
		esac
	elif [ -n "$home" ] && [[ $home != *[[:space:]]* ]]; then
		CACHE=$home/.cache/vitrine
	else
		CACHE=/var/tmp/vitrine-$(id -u)
	fi
	if ! mkdir -p -- "$CACHE" 2>/dev/null || [ ! -O "$CACHE" ] || [ ! -w "$CACHE" ]; then
		die "the cache $CACHE is not a directory that $(id -un) owns: set VITRINE_CACHE to another"
	fi
	export VITRINE_CACHE=$CACHE
}

# need_space DIRECTORY: the whole project stays well below this.
need_space()
{
	local avail_kib

	avail_kib=$(df --output=avail -k -- "$1" | tail -n 1)
	[ "$avail_kib" -ge $((2 * 1024 * 1024)) ] ||
		die "$((avail_kib / 1024)) MiB free on the disk of $1, 2 GiB are needed: make room or set VITRINE_CACHE"
}

# Ends the script, in words, where as_root() would not get far.
need_root()
{
	if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
		die "root is needed to install packages and there is no sudo: run 'make setup' as root first"
	fi
}

# as_root COMMAND ARGS: for the package manager and for nothing else.
as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif [ -t 0 ]; then
		sudo -- "$@"
	else
		sudo -n -- "$@"
	fi
}

# Each job becomes a process group of its own, so that an interrupted script can take its machines
# with it; as background jobs they would ignore Ctrl-C.
own_jobs()
{
	set -m
	trap stop_jobs INT TERM HUP
}

stop_jobs()
{
	local job

	for job in $(jobs -p); do
		kill -TERM -- "-$job" 2>/dev/null || true
	done
	wait
	die "interrupted"
}
