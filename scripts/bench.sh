#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh [--kernel SERIES] [--mitigations off|auto] [--json FILE] [GLOB]
#
# "make bench": one boot of the emulated machine, in it the rows (tests/bench)
# whose names match on KVM and on Vitrine by the same program, as a table, with
# --json for programs too, and as build/bench/ops.svg. A tick is an instruction
# slot of the emulated CPU: the figures count the software path and leave out what an
# exit costs in hardware.

. "$(dirname -- "$0")/common.sh"
drop_root "$@"
choose_cache
cd -- "$ROOT"

kernel=6.1 mitigations=off json='' glob='*'
while [ $# -gt 0 ]; do
	case $1 in
	--kernel) kernel=${2:?}; shift 2 ;;
	--mitigations) mitigations=${2:?}; shift 2 ;;
	--json) json=${2:?}; shift 2 ;;
	-*) die "no such option: $1" ;;
	*) glob=$1; shift ;;
	esac
done

progress()
{
	local first second rest

	while IFS=$'\t' read -r first second rest; do
		case $first in
		@pass*) read -r _ second rest <<<"$first" && say "pass $rest of 4: /dev/$second" ;;
		*) [ -z "$rest" ] || say "  $second" ;;
		esac
	done
}

out=build/bench
mkdir -p "$out"
guest=$CACHE/kernel/$kernel-cloud
release=$(<"$guest/release")
say "boots the emulated machine (20 s), then KVM, Vitrine, Vitrine, KVM: all rows take 6 minutes on an idle machine"
started=$SECONDS
ret=0
scripts/lab/run --kernel "$kernel" --cpus 2 --with-kvm --mitigations "$mitigations" --timeout 3600 \
	--file build/tests/bench/ops --file tests/bench/in-lab.sh \
	--file "$guest/vmlinuz:/root/guest/vmlinuz" \
	--file build/guest/initramfs.cpio:/root/guest/initramfs.cpio \
	-- sh /root/in-lab.sh "$glob" </dev/null |
	tee "$out/ops.log" | progress >&2 || ret=$?
[ "$ret" = 0 ] || { grep -v '	' "$out/ops.log" >&2 || true; die "the measurement did not come to its end"; }

awk -F '\t' -v "mitigations=$mitigations" -v "kernel=$release" -v "date=$(date -u +%F)" \
	-v "json=$out/ops.json" -v "svg=$out/ops.svg" -f scripts/bench-report.awk "$out/ops.log"
[ -z "$json" ] || cp "$out/ops.json" "$json"
say "$((SECONDS - started)) s; the same in $out/ops.json, the chart in $out/ops.svg"
