#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh [off|auto]: "make bench". One boot of the emulated machine,
# Vitrine first and then KVM, the same program on both, side by side. A tick is an
# instruction of the emulated CPU: the figures count the software path and
# leave out what an exit costs in hardware.

. "$(dirname -- "$0")/common.sh"
drop_root "$@"
choose_cache
cd -- "$ROOT"

mitigations=${1:-off}
out=$(mktemp)
trap 'rm -f "$out"' EXIT
say "boots the emulated machine (20 s) and measures both devices (60 s), mitigations=$mitigations"
scripts/lab/run --cpus 1 --with-kvm --mitigations "$mitigations" --timeout 600 \
	--file build/tests/bench/ops -- \
	sh -c './ops && rmmod vitrine && modprobe kvm_intel && VITRINE_DEV=/dev/kvm ./ops' \
	</dev/null >"$out" || { cat "$out" >&2; exit 1; }
echo "median ticks of 7 runs (least to most), mitigations=$mitigations, $(date -u +%F)"
awk -F '  +' '
	/^# / { side++; next }
	{ name = substr($0, 1, 36); sub(/ +$/, "", name); split(substr($0, 37), f, " ") }
	side == 2 { kvm[name] = f[1] }
	side == 1 { order[++n] = name; ours[name] = f[1]; spread[name] = substr($0, 51) }
	END {
		printf "%-36s %10s %10s %6s\n", "operation", "KVM", "Vitrine", "ratio"
		for (i = 1; i <= n; i++) {
			name = order[i]
			printf "%-36s %10d %10d %6.2f  %s\n", name, kvm[name], ours[name],
			       kvm[name] ? ours[name] / kvm[name] : 0, spread[name]
		}
	}' "$out"
