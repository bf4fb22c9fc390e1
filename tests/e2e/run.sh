#!/usr/bin/env bash
# `make e2e`: builds what runs in the pods, starts a node, and goes through the operator's life there (src/).
#
#   PROFILE   which operator: `release`, as it is released, or `dev`, as `make test` has compiled it already
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tests/e2e/node/check.sh
tests/e2e/build.sh
program=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/debug/e2e
export IMAGES=$PWD/target/e2e/images LOG=$PWD/target/e2e/log
rm -rf "$IMAGES" "$LOG"
"$program" images target/e2e/operator "$(cat target/e2e/architecture)" "$IMAGES"
tests/e2e/node/run.sh "$program" run
