// SPDX-License-Identifier: GPL-2.0
/* The same for two minutes of the emulated machine. */
#define STRESS_DEFAULT_SECONDS	100
#include "../stress_test.c"
