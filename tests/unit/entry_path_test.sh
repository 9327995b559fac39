#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The defences against side channels stand in the entry path of each module
# that is built, and check-entry.sh sees it when one of them is taken out.

. "$(dirname -- "$0")/../../scripts/common.sh"
cd -- "$ROOT"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
nr=0
bad=0

result()
{
	nr=$((nr + 1))
	if [ "$1" = 0 ]; then
		echo "ok $nr - $2"
	else
		echo "not ok $nr - $2"
		bad=1
	fi
}

# section MODULE NAME: where it begins in the file, and its length
section()
{
	objdump -h "$1" | awk -v "name=$2" '$2 == name { print "0x" $6, "0x" $3 }'
}

# spoil MODULE SECTION NUMBER HEX: the NUMBER-th such bytes become NOPs.
spoil()
{
	local start length at offset found=0 bytes=$4

	cp "$1" "$work/spoilt.ko"
	read -r start length < <(section "$1" "$2")
	start=$((start)) length=$((length))
	while IFS=: read -r at _; do
		found=$((found + 1))
		[ "$found" = "$3" ] || continue
		offset=$((start + at))
		while [ -n "$bytes" ]; do
			printf '\x90' | dd of="$work/spoilt.ko" bs=1 seek="$offset" conv=notrunc status=none
			bytes=${bytes#????}
			offset=$((offset + 1))
		done
		return 0
	done < <(tail -c +"$((start + 1))" "$1" | head -c "$length" | LC_ALL=C grep -obUaP -- "$4")
	return 1
}

# must_notice MODULE WHAT SECTION NUMBER BYTES
must_notice()
{
	# Some kernels' macros have it in place, behind a jump, and others among the replacements.
	if ! spoil "$1" "$3" "$4" "$5" && ! spoil "$1" .noinstr.text "$4" "$5"; then
		echo "# no such bytes: $2"
		result 1 "$2 can be taken out"
	elif scripts/check-entry.sh "$work/spoilt.ko" >"$work/log" 2>&1; then
		result 1 "without $2 the check fails"
	else
		# That it could not do its work would be no proof.
		result "$(grep -q '^not ok' "$work/log"; echo $?)" "without $2 the check fails"
	fi
}

check_module()
{
	if scripts/check-entry.sh "$1" >"$work/log" 2>&1; then
		result 0 "the entry path"
	else
		grep -v '^ok' "$work/log" | sed 's/^/# /'
		result 1 "the entry path"
	fi
	must_notice "$1" "VERW" .altinstr_replacement 1 '\x0f\x00\x2d....'
	must_notice "$1" "the cleared R15" .noinstr.text 1 '\x45\x31\xff'
	must_notice "$1" "the filled return stack" .altinstr_replacement 1 '\x48\xc7\xc1\x10\x00\x00\x00'
	must_notice "$1" "the read of IA32_SPEC_CTRL" .noinstr.text 1 '\x0f\x32'
	must_notice "$1" "the write of IA32_SPEC_CTRL before the entry" .noinstr.text 1 '\x0f\x30'
	must_notice "$1" "the write of IA32_SPEC_CTRL after the exit" .noinstr.text 2 '\x0f\x30'
	must_notice "$1" "the answer kept from the clearing of the branch history" .noinstr.text 1 '\x89\xd8\x5b'
}

shopt -s nullglob
modules=(build/module/*/vitrine.ko)
echo "TAP version 13"
if [ "${#modules[@]}" = 0 ]; then
	echo "1..0 # SKIP no module is built"
	exit 0
fi
for module in "${modules[@]}"; do
	echo "# $module"
	objcopy --strip-debug "$module" "$work/whole.ko"
	check_module "$work/whole.ko"
done
echo "1..$nr"
exit "$bad"
