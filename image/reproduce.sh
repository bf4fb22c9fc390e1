#!/usr/bin/env bash
# `make image-twice`: builds the image once more, of the same files, in another folder and with nothing compiled before, and
# compares it with the one in target/image, file by file.
#
# usage: image/reproduce.sh ARCHITECTURE…
#
# With DEPENDENCIES=kept the second time takes less than half as long: the operator alone is compiled again, optimized together
# with everything else, and linked. What other crates were compiled to is used twice.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

image/make.sh "$@"
again=$(mktemp -d)
trap 'rm -rf "$again"' EXIT
# A path of another length: what has a path in it shows.
sources=$again/elsewhere/sources
mkdir -p "$sources/target"
git ls-files -z | xargs -0 cp --parents -t "$sources"
ln -s "$PWD/target/tools" "$sources/target/tools"
if [ "${DEPENDENCIES:-}" = kept ]; then
	CARGO_TARGET_DIR=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
	export CARGO_TARGET_DIR REMAPPED=$PWD
	cargo clean --quiet --release --package kratos-operator --target x86_64-unknown-linux-gnu --target aarch64-unknown-linux-gnu
else
	unset CARGO_TARGET_DIR
fi
REVISION=$(git rev-parse HEAD) SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)} "$sources/image/make.sh" "$@"
for built in oci $(printf 'kratos-operator-%s.tar ' "$@") $(printf '%s/sbom.cdx.json ' "$@"); do
	diff -r "target/image/$built" "$sources/target/image/$built" || { echo "image: $built isn't the same when it is built again"; exit 1; }
done
echo "image: built twice, and the same"
