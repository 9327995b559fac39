# SPDX-License-Identifier: GPL-2.0
#
# One function of a module's .noinstr.text as an affected CPU executes it: the
# kernel's alternatives are patched in, the PICK-th of each place ("first" or
# "last"). Input, one after the other and told apart by the variable PART:
# the relocations of .altinstructions (readelf -rW), its bytes (objdump -s),
# the code that replaces (objdump -dr of .altinstr_replacement), the function
# (objdump -dr of .noinstr.text). Output: one instruction a line, with the
# symbol it refers to.

function hex(text,   i, n)
{
	n = 0
	text = tolower(text)
	for (i = 1; i <= length(text); i++)
		n = n * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
	return n
}

# "  1d:\tf3 0f 1e fa \tendbr64" to text; empty for a continuation of bytes.
function insn(line,   parts, text)
{
	if (split(line, parts, "\t") < 3)
		return ""
	text = parts[3]
	sub(/ *<.*$/, "", text)
	sub(/ *#.*$/, "", text)
	gsub(/ +/, " ", text)
	sub(/ $/, "", text)
	return text
}

function address(line)
{
	sub(/:.*/, "", line)
	gsub(/ /, "", line)
	return hex(line)
}

PART == "relocations" && $1 ~ /^[0-9a-f]+$/ && $3 == "R_X86_64_PC32" {
	where = hex($1)
	addend = hex($7)
	if ($5 == ".altinstr_replacement") {
		replacement[entry] = addend
	} else {
		if (nr_entries == 1)
			stride = where - entry_at[0]
		entry = nr_entries++
		entry_at[entry] = where
		place[entry] = $5 == ".noinstr.text" ? addend : -1
	}
}

PART == "bytes" && $1 ~ /^[0-9a-f]+$/ {
	# Hex digits in up to four groups, then the same as text.
	line = substr($0, index($0, $1) + length($1) + 1, 35)
	gsub(/ /, "", line)
	bytes = bytes line
}

PART == "replacements" && /^ *[0-9a-f]+:\t/ {
	text = insn($0)
	if (text != "") {
		last = address($0)
		replaces[last] = text
	}
}

# A relocation belongs to the instruction before it.
PART == "replacements" && /R_X86_64/ {
	symbol = $3
	sub(/[-+]0x.*/, "", symbol)
	replaces[last] = replaces[last] " {" symbol "}"
}

PART == "code" && FNR == 1 {
	for (i = 0; i < nr_entries; i++) {
		if (place[i] < 0)
			continue
		old_len = hex(substr(bytes, 2 * (i * stride + stride - 2) + 1, 2))
		new_len = hex(substr(bytes, 2 * (i * stride + stride - 1) + 1, 2))
		if (PICK == "first" && place[i] in patched)
			continue
		patched[place[i]] = ""
		until[place[i]] = place[i] + old_len
		for (at = replacement[i]; at < replacement[i] + new_len; at++)
			if (at in replaces)
				patched[place[i]] = patched[place[i]] replaces[at] "\n"
	}
}

PART == "code" && /^[0-9a-f]+ </ {
	name = $2
	gsub(/[<>:]/, "", name)
	# vmx_exit_point is a label inside of vmx_enter.
	inside = name == FUNCTION || (FUNCTION == "vmx_enter" && name == "vmx_exit_point")
	if (inside)
		print name ":"
}

PART == "code" && inside && /^ *[0-9a-f]+:\t/ {
	text = insn($0)
	if (text == "")
		next
	at = address($0)
	if (at in patched) {
		printf "%s", patched[at]
		skip_to = until[at]
	}
	if (at < skip_to || text ~ /^(nop|cs nopw|data16|xchg %ax,%ax|int3)/) {
		dropped = 1
		next
	}
	dropped = 0
	print text
}

PART == "code" && inside && /R_X86_64/ && !dropped {
	symbol = $3
	sub(/[-+]0x.*/, "", symbol)
	print "  {" symbol "}"
}
