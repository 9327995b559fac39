#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# kernel-get.sh SERIES FLAVOUR [image] [headers] [source] [whole-source]
#
# Puts a Debian kernel into the cache without installing anything: the image
# with its modules, the headers moved so that they build out of tree from
# there, and the parts of the kernel's source that our tests and checks use.
# What is there already costs nothing and needs no network.
#
#   SERIES   6.1 or 6.12      FLAVOUR   cloud or generic
#
#   $CACHE/kernel/<series>-<flavour>/   release version vmlinuz vmlinux config
#                                       headers/build/
#                                       modules/<release>/ (modules/ serves modprobe -d)
#   $CACHE/source/<series>/             scripts/ tools/ include/ arch/x86/
#   $CACHE/whole-source/<series>/       all of it, to build a kernel from

. "$(dirname -- "$0")/common.sh"
drop_root "$@"
choose_cache

usage()
{
	die "usage: $0 6.1|6.12 cloud|generic [image] [headers] [source] [whole-source]"
}

# Package lists of our own: no root, no lock to wait for, and the system's
# stay as they are. apt checks the signatures with the system's keys.
APT=$CACHE/apt
apt_options=(-q -o "Dir::State::lists=$APT/lists" -o "Dir::Cache=$APT/cache"
	-o APT::Sandbox::User=root -o Acquire::Retries=2 -o Acquire::Languages=none
	-o APT::Get::List-Cleanup=false -o Debug::NoLocking=true)

apt_update()
{
	say "reading the package lists (10 MB, a few seconds)"
	mkdir -p "$APT/lists/partial" "$APT/cache/archives/partial"
	# One broken third-party source must not stop us: what matters is
	# whether the package can be had, and that shows next.
	apt-get "${apt_options[@]}" update >"$APT/update.log" 2>&1 || true
	touch "$APT/updated"
}

field()
{
	apt-cache "${apt_options[@]}" show --no-all-versions "$1" 2>/dev/null |
		sed -n "s/^$2: //p" | head -n 1
}

# The ABI number in a package's name changes with each security update, and
# old ones leave the mirrors: the meta package knows the present one.
resolve_image()
{
	local meta dep suffix=amd64

	[ "$flavour" = generic ] || suffix=$flavour-amd64
	for meta in "linux-image-$series-$suffix" "linux-image-$suffix"; do
		dep=$(field "$meta" Depends | grep -oE "linux-image-${series}[.+][^ ,]*-$suffix" | head -n 1) || true
		if [ -n "$dep" ]; then
			version=$(field "$dep" Version)
			release=${dep#linux-image-}
			return 0
		fi
	done
	return 1
}

# fetch PACKAGE=VERSION...: download to $work/deb and unpack to $work/root.
fetch()
{
	local uris bytes

	uris=$(apt-get "${apt_options[@]}" --print-uris download "$@" 2>"$APT/error.log") || return 1
	bytes=$(awk '{ sum += $3 } END { print sum + 0 }' <<<"$uris")
	say "downloading $((bytes / 1000000 + 1)) MB, about $((bytes * ${disk_factor:-5} / 1000000 + 1)) MB on disk: $*"
	mkdir -p "$work/deb" "$work/root"
	(cd "$work/deb" && apt-get "${apt_options[@]}" download "$@" >"$APT/download.log" 2>&1) ||
		{ cp "$APT/download.log" "$APT/error.log"; return 1; }
}

unpack()
{
	local deb

	for deb in "$work"/deb/*.deb; do
		dpkg-deb -x "$deb" "$work/root"
	done
	rm -rf "$work/deb"
}

get_image()
{
	resolve_image || return 1
	fetch "linux-image-$release=$version" || return 1
	unpack
	mkdir "$work/out"
	mv "$work/root/boot/vmlinuz-$release" "$work/out/vmlinuz"
	mv "$work/root/boot/config-$release" "$work/out/config"
	mkdir -p "$work/out/modules/lib/modules"
	if [ -d "$work/root/usr/lib/modules/$release" ]; then
		mv "$work/root/usr/lib/modules/$release" "$work/out/modules/lib/modules/"
	else
		mv "$work/root/lib/modules/$release" "$work/out/modules/lib/modules/"
	fi
	ln -s "lib/modules/$release" "$work/out/modules/$release"
	"$ROOT/scripts/lab/extract-vmlinux.sh" "$work/out/vmlinuz" "$work/out/vmlinux" ||
		die "vmlinux cannot be taken out of the image of $release"
	echo "$version" >"$work/out/version"
	echo "$release" >"$work/out/release"
	rm -rf "$dir"
	mkdir -p "$(dirname "$dir")"
	mv "$work/out" "$dir"
	say "$release: image and modules are in $dir"
}

# The packages of one headers package that the build really reads; all are of
# one version, and none has a maintainer script that we would miss.
get_headers()
{
	local package=linux-headers-$release want depends name

	depends=$(apt-cache "${apt_options[@]}" show "$package=$version" 2>/dev/null | sed -n 's/^Depends: //p' | head -n 1)
	[ -n "$depends" ] || return 1
	want=("$package=$version")
	while read -r name; do
		want+=("$name=$version")
	done < <(grep -oE 'linux-(headers-[^ ,]*-common|kbuild-[^ ,]*)' <<<"$depends")
	fetch "${want[@]}" || return 1
	unpack
	# The two places that know absolute paths.
	sed -i "s|^include /usr/src/|include $dir/headers/usr/src/|" "$work/root/usr/src/$package/Makefile"
	ln -s "usr/src/$package" "$work/root/build"
	rm -rf "$work/root/lib" "$dir/headers"
	mv "$work/root" "$dir/headers"
	say "$release: headers are in $dir/headers/build"
}

get_source()
{
	local out=$CACHE/source/$series tree=linux-source-$series

	disk_factor=2 fetch "linux-source-$series" || return 1
	say "unpacking the parts of linux-source-$series we use (20 s)"
	mkdir -p "$work/out" "$CACHE/source"
	dpkg-deb --fsys-tarfile "$work"/deb/*.deb | tar -xO "./usr/src/$tree.tar.xz" |
		tar -xJ --strip-components=1 -C "$work/out" --wildcards "$tree/scripts/*" "$tree/tools/*" \
			"$tree/include/*" "$tree/arch/x86/*" "$tree/Makefile" "$tree/lib/*" \
			"$tree/.clang-format"
	rm -rf "$work/deb" "$out"
	mv "$work/out" "$out"
	say "linux-source-$series: unpacked in $out"
}

get_whole_source()
{
	local out=$CACHE/whole-source/$series

	disk_factor=10 fetch "linux-source-$series" || return 1
	say "unpacking linux-source-$series (30 s)"
	mkdir -p "$work/out" "$CACHE/whole-source"
	dpkg-deb --fsys-tarfile "$work"/deb/*.deb | tar -xO "./usr/src/linux-source-$series.tar.xz" |
		tar -xJ --strip-components=1 -C "$work/out"
	rm -rf "$work/deb" "$out"
	mv "$work/out" "$out"
	say "linux-source-$series: all of it is in $out"
}

have()
{
	case $1 in
	image) [ -s "$dir/version" ] ;;
	headers) [ -s "$dir/headers/build/Makefile" ] ;;
	source) [ -f "$CACHE/source/$series/Makefile" ] ;;
	whole-source) [ -f "$CACHE/whole-source/$series/Makefile" ] ;;
	esac
}

# get PART: twice, the second time with fresh lists.
get()
{
	local attempt

	[ -n "$(find "$APT/updated" -mmin -60 2>/dev/null)" ] || apt_update
	for attempt in 1 2; do
		if [ -s "$dir/version" ]; then
			release=$(<"$dir/release")
			version=$(<"$dir/version")
		fi
		rm -rf "$work" && mkdir -p "$work"
		"get_${1//-/_}" && return
		[ "$attempt" = 2 ] || apt_update
	done
	if [ "$1" = headers ]; then
		# The mirror has moved on: image and headers must match.
		say "no headers of $release ($version) any more, taking the present kernel of $series"
		rm -rf "$work" && mkdir -p "$work"
		get_image && rm -rf "$work" && mkdir -p "$work" && get_headers && return
	fi
	die "the $1 of Linux $series ($flavour) cannot be had from apt's sources (is there a network?): $(grep -hE '^(E|Err)' "$APT/error.log" "$APT/update.log" 2>/dev/null | head -n 1)"
}

[ $# -ge 2 ] || usage
series=$1
flavour=$2
shift 2
[[ $series =~ ^[0-9]+\.[0-9]+$ ]] || usage
case $flavour in cloud | generic) ;; *) usage ;; esac
[ $# -gt 0 ] || set -- image
for part; do
	case $part in image | headers | source | whole-source) ;; *) usage ;; esac
done

dir=$CACHE/kernel/$series-$flavour
missing=()
for part; do
	have "$part" || missing+=("$part")
done
[ ${#missing[@]} -gt 0 ] || exit 0

[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || die "needs a Debian of the amd64 architecture"
need_space "$CACHE"
mkdir -p "$APT"
exec 9>"$APT/lock"
flock -n 9 || { say "waiting for another run of this script"; flock 9; }
work=$CACHE/tmp.$$
trap 'rm -rf "$work"' EXIT
# Headers follow the image's version, so the image comes first.
case " ${missing[*]} " in *" headers "*) have image || get image ;; esac
for part in "${missing[@]}"; do
	have "$part" || get "$part"
done
