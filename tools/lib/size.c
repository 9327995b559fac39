// SPDX-License-Identifier: GPL-2.0
/*
 * Sizes as people write them. Pure: no state, no system call.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

int vitrine_parse_size(const char *text, uint64_t *bytes, struct vitrine_error *err)
{
	static const char suffixes[] = "KMGT";
	unsigned long long number;
	unsigned int shift = 0;
	const char *suffix;
	char *end;

	/* strtoull() would take a sign and leading blanks; a size has neither. */
	if (!isdigit((unsigned char)text[0]))
		return vitrine_fail(err, EINVAL, "'%s' is not a size (like 512K, 256M, 4G)", text);
	errno = 0;
	number = strtoull(text, &end, strncasecmp(text, "0x", 2) ? 10 : 16);
	if (errno == ERANGE)
		return vitrine_fail(err, ERANGE, "'%s' is too large", text);
	if (*end) {
		suffix = strchr(suffixes, toupper((unsigned char)*end));
		if (!suffix)
			return vitrine_fail(err, EINVAL,
					    "'%s' is not a size (like 512K, 256M, 4G)", text);
		shift = 10 * (unsigned int)(suffix - suffixes + 1);
		end++;
		if (!strcasecmp(end, "iB") || !strcasecmp(end, "B"))
			end += strlen(end);
	}
	if (*end)
		return vitrine_fail(err, EINVAL, "'%s' is not a size (like 512K, 256M, 4G)", text);
	if (number > UINT64_MAX >> shift)
		return vitrine_fail(err, ERANGE, "'%s' is too large", text);
	*bytes = (uint64_t)number << shift;
	return 0;
}
