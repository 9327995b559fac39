#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Unpacks the ELF vmlinux out of a bzImage (Linux boot protocol 2.08 and later), for the lab's loader,
# which cannot decompress. It must not guess: the header says where the payload is.
#
# usage: extract-vmlinux.sh VMLINUZ OUT
set -eu

die() {
	echo "extract-vmlinux: $*" >&2
	exit 1
}

[ $# -eq 2 ] || die "usage: extract-vmlinux.sh VMLINUZ OUT"
image=$1
out=$2
[ -r "$image" ] || die "$image: cannot be read"

# number OFFSET SIZE: the little-endian number there
number() {
	od -An -v -t "u$2" -j "$1" -N "$2" --endian=little "$image" | tr -d ' '
}

[ "$(dd if="$image" bs=1 skip=514 count=4 2>/dev/null)" = HdrS ] || die "$image: not a bzImage"
[ "$(number 518 2)" -ge 520 ] || die "$image: boot protocol older than 2.08"
sectors=$(number 497 1)
[ "$sectors" -ne 0 ] || sectors=4
start=$(((sectors + 1) * 512 + $(number 584 4)))
length=$(number 588 4)
[ $((start + length)) -le "$(stat -Lc %s "$image")" ] || die "$image: truncated"

payload() {
	tail -c +$((start + 1)) "$image" | head -c "$1"
}

magic=$(payload 6 | od -An -v -t x1 | tr -d ' ')
# All but gzip end in the unpacked size, which their tools take for rubbish.
case $magic in
7f454c46*) unpack='cat' size=$length ;;
1f8b*) unpack='gzip -dc' size=$length ;;
02214c18*) unpack='lz4 -dc' size=$((length - 4)) ;;
28b52ffd*) unpack='zstd -dc' size=$((length - 4)) ;;
fd377a585a00) unpack='xz -dc' size=$((length - 4)) ;;
425a68*) unpack='bzip2 -dc' size=$((length - 4)) ;;
*) die "$image: unknown compression (payload starts with $magic)" ;;
esac

tmp=$out.tmp.$$
trap 'rm -f "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
# shellcheck disable=SC2086 # a command and its option
payload "$size" | $unpack >"$tmp" || die "$image: ${unpack%% *} failed"
[ "$(head -c 4 "$tmp" | od -An -v -t x1 | tr -d ' ')" = 7f454c46 ] ||
	die "$image: the payload is no ELF file"
mv "$tmp" "$out"
