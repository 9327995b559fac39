#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# guest-initramfs.sh: build/guest/initramfs.cpio, what the Debian guest runs:
# busybox and the two files of tests/guest. Nothing when it is up to date.

. "$(dirname -- "$0")/common.sh"
drop_root "$@"
cd -- "$ROOT"

out=build/guest/initramfs.cpio
sources=(tests/guest/init.c tests/guest/smp.c tests/guest/subject.c tests/guest/init.sh scripts/guest-initramfs.sh)
busybox=$(command -v busybox) || die "there is no busybox: make setup"

stale=
for source in "${sources[@]}"; do
	[ "$out" -nt "$source" ] || stale=yes
done
[ -n "$stale" ] || exit 0

mkdir -p build/guest
# Of its own, as two may be at it.
tree=$(mktemp -d -p build/guest)
trap 'rm -rf "$tree" "$tree.cpio"' EXIT
mkdir -p "$tree"/{bin,dev,proc,sys,tmp}
chmod 755 "$tree"
cp "$busybox" "$tree/bin/busybox"
cp tests/guest/init.sh "$tree/init.sh"
gcc -static -Os -s -Wall -Wextra -o "$tree/init" tests/guest/init.c
gcc -static -Os -s -Wall -Wextra -pthread -o "$tree/bin/smp" tests/guest/smp.c
gcc -static -Os -s -Wall -Wextra -o "$tree/bin/subject" tests/guest/subject.c
(cd "$tree" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible) >"$tree.cpio"
mv "$tree.cpio" "$out"
say "$out"
