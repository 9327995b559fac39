#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# scripts/bench-report.awk: medians, ratios, the two orders, verdicts, what one
# side does not offer, and that JSON and SVG are whole.

cd "$(dirname "$0")/../.." || exit 1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
out=$dir/out
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh

report()
{
	awk -F '\t' -v mitigations=off -v kernel=6.1-test -v date=2026-01-01 -v "json=$dir/json" \
		-v "svg=$dir/svg" -f scripts/bench-report.awk >"$dir/out" 2>&1
}

# rows PASS DEVICE CPUID-TICKS OUT-TICKS BOOT-TICKS, ticks being several numbers
rows()
{
	echo "@pass $2 $1"
	printf 'in-kernel exits\tCPUID exit\t%s\n' "${3// /$'\t'}"
	printf 'userspace exits\tOUT\t%s\n' "${4// /$'\t'}"
	printf 'ioeventfd\tby OUT\t%s\n' "$([ "$2" = kvm ] && echo 1000 || echo 'not offered')"
	# What was lost in the noise has no figure.
	printf 'life\tmemory%s\n' "$([ "$2" = kvm ] && printf '\t58')"
	printf 'boot\tboot\t%s\n' "${5// /$'\t'}"
	printf 'floor\tfloor\t%s\n' "$([ "$2" = kvm ] && echo 100 || echo 900)"
}

echo "1..14"
{
	rows 1 kvm "1000 1002 999" "4000 4000 4000" "500 500 500"
	rows 2 vitrine "500 501 502" "3200 3200 3200" "450 450 450"
	rows 3 vitrine "700 501" "3200 3200" "450 450"
	rows 4 kvm "1001 1000" "4000 4000" "500 500"
} | report
result $? "a report is made"
grep -Eq '^  CPUID exit +1000  999 to 1002 +501  500 to 700 +0\.50 +0\.50 +0\.60$' "$dir/out"
result $? "median, least and most, ratio, ratio of either order"
grep -q '^  by OUT .* 1000 .*not offered' "$dir/out"
result $? "one side does not offer it"
grep -q '^  memory .* 58 .*no figure' "$dir/out"
result $? "another has no figure there"
grep -q '^2 rows have no ratio' "$dir/out"
result $? "and that is said"
grep -q '^yes   every row at most 1.03: 0.90$' "$dir/out"
result $? "the floor is nobody's row"
grep -q '^NO    exits to userspace and back at most 0.60: 0.80; above it: OUT (0.80)$' "$dir/out"
result $? "a limit that is not kept, and who broke it"
grep -q '^yes   boot at most 0.95: 0.90$' "$dir/out"
result $? "a limit that is kept"
grep -q '^yes   geometric mean of 2 rows .*: 0.63$' "$dir/out"
result $? "geometric mean of the rows that both have"
tr -d ' \n' <"$dir/json" | grep -q '"operation":"CPUIDexit",.*"median":501,.*"runs":\[500,501,502,700,501\]},"ratio":0.5010'
result $? "JSON has the runs"
tr -d ' \n' <"$dir/json" | grep -q '^{.*"vitrine":null.*}$' && [ "$(tr -cd '{' <"$dir/json" | wc -c)" = "$(tr -cd '}' <"$dir/json" | wc -c)" ]
result $? "JSON is whole"
grep -q '^<svg' "$dir/svg" && [ "$(tail -n 1 "$dir/svg")" = '</svg>' ] && [ "$(grep -c '<rect' "$dir/svg")" -ge 12 ]
result $? "SVG is whole, with its bars"
{ rows 1 kvm 1000 1000 500; rows 2 vitrine 2000 500 500; } | report
grep -q '^NO    every row at most 1.03: 2.00; above it: CPUID exit (2.00)$' "$dir/out" && grep -q '>>' "$dir/svg"
result $? "a row that is slower"
! report </dev/null
result $? "no row is an error"
