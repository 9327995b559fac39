#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# vitrine info on a machine that can run guests, on one without the module's device, and misused.

tmp=$(mktemp -d)
out=$tmp/out
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/lib/tap.sh"

echo "1..9"
ends 0 '^ready' "a machine that is ready" vitrine info
said '^  usable  *yes, KVM ABI version 12' "says that its device works"
said '^  TPR shadow  *yes' "that the TPR shadow is used"
said '^  APIC virtualization  *no' "and APIC virtualization is not, as no parameter asks for it"
said '^    Use TPR shadow  *optional  *present' "and what the CPU has"
ends 0 '"APIC virtualization": *[{]' "the same for programs" vitrine info --json
ends 0 'NOT a character device' "a device that is none" vitrine info --device "$0"
ends 0 'No such file or directory' "no device" vitrine info --device "$tmp/none"
ends 2 "'more' is not an option" "a word too many" vitrine info more
rm -rf "$tmp"
