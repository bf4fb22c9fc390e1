#!/usr/bin/env bash
# Installs the tools that the Makefile uses and that are Rust programs into target/tools/bin, each at the version pinned here.
#
# usage: tools/install.sh NAME…
#
# A tool that is there at its version is kept. They are built without optimization: they run for seconds, and compiling them
# is what takes time.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=${here%/tools}/target/tools

version() {
	case $1 in
	cargo-auditable) echo 0.7.7 ;;
	cargo-cyclonedx) echo 0.5.9 ;;
	cargo-deny) echo 0.20.2 ;;
	mdbook) echo 0.5.4 ;;
	*) echo "tools: $1 isn't one of ours" >&2 && return 1 ;;
	esac
}

mkdir -p "$root"
# Two at once would compile the same thing twice.
if command -v flock >/dev/null; then
	exec 9>"$root/lock"
	flock 9
fi
for name in "$@"; do
	version=$(version "$name")
	if [ -x "$root/bin/$name" ] && [ "$(cat "$root/$name.version" 2>/dev/null)" = "$version" ]; then continue; fi
	echo "tools: installing $name $version (some minutes, once)"
	# What somebody has set for the operator's own build must not decide how a tool is built.
	env -u RUSTFLAGS -u CARGO_BUILD_TARGET -u CARGO_ENCODED_RUSTFLAGS \
		cargo install --quiet --locked --debug --force --root "$root" --target-dir "$root/build" "$name@$version"
	rm -rf "$root/build"
	echo "$version" >"$root/$name.version"
done
