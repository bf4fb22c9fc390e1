#!/usr/bin/env bash
# `make image`: builds and packs the operator's image into target/image, without an engine.
#
# usage: image/make.sh ARCHITECTURE…
#
#   target/image/oci/                         an OCI layout of all architectures, for `skopeo copy` to a registry
#   target/image/kratos-operator-amd64.tar    an archive of one, for `docker load` and `ctr images import`
#   target/image/amd64/sbom.cdx.json          what the binary is made of (CycloneDX)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=$(awk -F '"' '/^version = /{print $2; exit}' Cargo.toml)
revision=${REVISION:-$(git rev-parse HEAD)}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
# Not beside what the compiler keeps, which may be elsewhere.
out=target/image
for arch in "$@"; do
	image/build.sh "$arch" "$out/$arch"
done
cargo run --quiet --locked --package image -- "$out" "$version" "$revision" "$@"
