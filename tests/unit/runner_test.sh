#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# scripts/tap.awk, by which every other test is judged: what did not pass must
# never count as passed.

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
judge=$(dirname "$0")/../../scripts/tap.awk
count=0

# judged PASSED FAILED SKIPPED WORDS NAME: the output on stdin is worth that.
judged()
{
	count=$((count + 1))
	: >"$dir/result"
	awk -v "RESULT=$dir/result" -f "$judge" >"$dir/out"
	if grep -q "^@counts $1 $2 $3\$" "$dir/result" && { [ -z "$4" ] || grep -q -- "$4" "$dir/out"; }; then
		echo "ok $count - $5"
	else
		sed 's/^/# /' "$dir/out" "$dir/result"
		echo "not ok $count - $5"
	fi
}

echo 1..11
printf '@begin t\n1..2\nok 1 - a\nnot ok 2 - b\n@end t 0\n' |
	judged 1 1 0 '^FAIL  t b' "a case that is not ok"
printf '@begin t\n1..1\n#  RUN           global.x ...\nok 1 # SKIP no such CPU\n@end t 0\n' |
	judged 0 0 1 '^SKIP  t global.x: no such CPU' "a skip, with name and reason"
printf '@begin t\n1..3\nok 1 - a\nok 2 - b\n@end t 0\n' |
	judged 2 1 0 'promised 3 results, gave 2' "fewer results than promised"
printf '@begin t\n1..1\nok 1 - a\n@end t 139\n' |
	judged 1 1 0 'ended with status 139' "a crash after the last case"
printf '@begin t\n1..2\nok 1 - a\n@end t 137\n' |
	judged 1 1 0 'did not end in time' "a time-out"
printf '@begin t\n1..2\nok 1 - a\n#  RUN           global.y ...\n' |
	judged 1 1 0 '^FAIL  t global.y did not end' "a machine that went down"
printf '@begin t\nwords\n@end t 1\n' |
	judged 0 1 0 '| words' "no TAP and a bad status, with what it said"
printf '@begin t\nno nesting here\n@end t 4\n' |
	judged 0 0 1 '^SKIP  t: no nesting here' "no TAP and a skip"
printf '@begin t\r\n1..1\r\nok 1 - a\r\n@end t 0\r\n@begin u\nok 1 - b\n@end u 0\n' |
	judged 2 0 0 '^PASS  u b' "two tests, one behind a terminal"
printf 'ok 1 - nobody asked\n' |
	judged 0 0 0 '' "results outside of a test"
printf '@begin t\nok 1 - a\n@end t 0 2.5\n' |
	judged 1 0 0 '' "a test that says how long it took"
grep -q "^t	2.5\$" "$dir/result" || echo "not ok 12 - its seconds"
