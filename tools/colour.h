/* SPDX-License-Identifier: GPL-2.0 */
/* Colours of the output, and none where it is no terminal. */
#ifndef VITRINE_COLOUR_H
#define VITRINE_COLOUR_H

/* Escape sequences, all empty where there shall be no colours. */
struct colours {
	const char *ok, *note, *bad, *strong, *end;
};

/* For standard output, by what it is, $TERM and $NO_COLOR. */
struct colours colours_choose(void);

#endif
