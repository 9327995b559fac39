# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Completion for vitrine(1). Options are those that "vitrine COMMAND --help" lists, so that
# none is listed twice; only what follows an option is known here.

_vitrine() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local commands options

	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		commands=$(vitrine help 2>/dev/null | sed -n 's/^  \([a-z]*\)  .*/\1/p')
		mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$current")
		return
	fi
	case $previous in
	-i | -n)
		# An initrd, or a number.
		[ "${COMP_WORDS[1]}" != run ] || mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	--kernel | --initrd | --flat | --device | --output | --file)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	--mode)
		mapfile -t COMPREPLY < <(compgen -W "real protected long" -- "$current")
		return
		;;
	help)
		commands=$(vitrine help 2>/dev/null | sed -n 's/^  \([a-z]*\)  .*/\1/p')
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
		return
		;;
	--memory | --cpus | --timeout | --append | --until | --interval | --count | --reason | --rip | \
		--cr3 | --time | --records | --vcpu | --answer | --script | --limit-ms | --set | --from | --to)
		return
		;;
	esac
	# The same letter is an option with a value for one command, and one without for another.
	case ${COMP_WORDS[1]}:$previous in
	run:--json | run:-k | trace:-o | mem:-f)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	run:-[mcat] | trace:-[vrt] | ask:-[as] | regs:-[vs] | mem:-v | nmi:-v)
		return
		;;
	esac
	# The VM, then rules.
	case ${COMP_WORDS[1]}:$previous:$COMP_CWORD:$current in
	ask:*:*:-* | ask:*:2:*) ;;
	trace:--rule:* | ask:*)
		options=$(vitrine ask --help 2>/dev/null |
			sed -n '/^classes:/,/^$/{s/^classes://;p}')
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
		return
		;;
	esac
	if [ "${COMP_WORDS[1]}" = mem ] && [ "$COMP_CWORD" -eq 3 ]; then
		mapfile -t COMPREPLY < <(compgen -W "dump search write" -- "$current")
		return
	fi
	case ${COMP_WORDS[1]}:$current in
	list:-* | stat:-* | events:-* | trace:-* | ask:-* | regs:-* | mem:-* | pause:-* | resume:-* | nmi:-*) ;;
	list:* | stat:* | events:* | trace:* | ask:* | regs:* | mem:* | pause:* | resume:* | nmi:*)
		options=$(vitrine list 2>/dev/null | awk 'NR > 1 { print $1 }')
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
		return
		;;
	esac
	options=$(vitrine "${COMP_WORDS[1]}" --help 2>/dev/null |
		grep -oE '^ {2,6}(-[a-z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+')
	mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
}

complete -F _vitrine vitrine
