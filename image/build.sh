#!/usr/bin/env bash
# Builds what goes into the image, for one architecture: the static binary, the certificate authorities, and the list of what
# the binary is made of (SBOM, CycloneDX).
#
# usage: image/build.sh amd64|arm64 OUT
#
# The same sources give the same bytes, wherever they lie: paths don't get into the binary. SOURCE_DATE_EPOCH is what time
# it is. CARGO_TARGET_DIR may say where to compile, and REMAPPED where the sources lay when what is in there was compiled: it is
# taken as it is if the flags are the same.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
arch=${1:?usage: image/build.sh amd64|arm64 OUT}
mkdir -p "${2:?usage: image/build.sh amd64|arm64 OUT}"
out=$(cd "$2" && pwd)
cd "$root"

fail() { printf 'image: %s\n' "$*" >&2; exit 1; }

case $arch in
amd64) target=x86_64-unknown-linux-gnu gnu=x86_64-linux-gnu package=gcc-x86-64-linux-gnu ;;
arm64) target=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu package=gcc-aarch64-linux-gnu ;;
*) fail "$arch isn't amd64 or arm64" ;;
esac

authorities=/etc/ssl/certs/ca-certificates.crt
[ -s "$authorities" ] || fail "$authorities is missing (Debian's package ca-certificates)"
command -v "$gnu-gcc" >/dev/null || fail "$gnu-gcc is missing (Debian's packages $package and libc6-dev-$arch-cross)"
# Rust's standard library for the architecture: rustup brings it, where it isn't installed yet.
if ! [ -d "$(rustc --print target-libdir --target "$target")" ]; then
	printf "image: fetching Rust's standard library for %s\n" "$target"
	timeout 300 rustup target add "$target" || fail "Rust's standard library for $target is missing (rustup target add $target)"
fi

tools/install.sh cargo-auditable cargo-cyclonedx
PATH=$root/target/tools/bin:$PATH
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-0}

cargo_home=${CARGO_HOME:-$HOME/.cargo}
build=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)
variable=${target//-/_}
# With --target these flags don't reach build scripts and procedural macros, which can't be static.
export RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=${REMAPPED:-$root}=/src --remap-path-prefix=$build=/build --remap-path-prefix=$cargo_home=/cargo"
# For what is written in C.
export "CFLAGS_$variable=-ffile-prefix-map=$build=/build -ffile-prefix-map=$cargo_home=/cargo"
export "CC_$variable=$gnu-gcc"
# For both, whichever is built: what runs while compiling is linked for this machine, and would be built again, with all that depends
# on it, whenever the architecture changes.
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# The list of crates, with their versions, is also a section of the binary: scanners find it there.
cargo auditable build --locked --release --target "$target" --bin kratos-operator --target-dir "$build"
unset RUSTFLAGS

binary=$build/$target/release/kratos-operator
if LC_ALL=C readelf --wide --program-headers --dynamic "$binary" | grep -E 'INTERP|NEEDED'; then
	fail "$binary needs other files to run: it isn't static"
fi
for path in "$root/" "${REMAPPED:-$root}/" "$build/" "$cargo_home/"; do
	# In the Dockerfile's first stage the sources do lie where they are said to lie.
	if [ "$path" = /src/ ]; then continue; fi
	if grep -qF "$path" "$binary"; then fail "$binary has $path in it: elsewhere it would be another one"; fi
done
install -m 755 "$binary" "$out/kratos-operator"
install -m 644 "$authorities" "$out/ca-certificates.crt"

# It writes a list beside the manifest of each crate here, of which one is the operator's.
lists=(sbom.cdx.json image/sbom.cdx.json tests/e2e/sbom.cdx.json)
trap 'rm -f "${lists[@]}"' EXIT
cargo cyclonedx --quiet --no-build-deps --format json --spec-version 1.5 --target "$target" --override-filename sbom.cdx
# Where the sources lay is nobody's business.
sed "s|$root|/src|g" sbom.cdx.json >"$out/sbom.cdx.json"
