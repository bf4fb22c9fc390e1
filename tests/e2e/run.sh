#!/usr/bin/env bash
# `make e2e`: builds what runs in the pods, starts a node, and goes through the operator's life there (src/).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tests/e2e/node/check.sh
tests/components/build.sh e2e
case $(uname -m) in
x86_64) architecture=amd64 ;;
aarch64) architecture=arm64 ;;
*) echo "e2e: there is no image for $(uname -m)" >&2 && exit 1 ;;
esac
image/build.sh "$architecture" "target/image/$architecture"
cargo build --quiet --locked --package e2e

rm -rf target/e2e
export IMAGES=$PWD/target/e2e/images LOG=$PWD/target/e2e/log
target/debug/e2e images "$IMAGES" "$architecture"
tests/e2e/node/run.sh "$PWD/target/debug/e2e" run
