#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# as-user.sh COMMAND ARGS: as the user who called sudo, or as we are.

. "$(dirname -- "$0")/common.sh"
drop_root "$@"
exec "$@"
