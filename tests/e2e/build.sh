#!/usr/bin/env bash
# Builds what `make e2e` runs: the components, what is in the operator's image (target/e2e/operator), and the test itself.
#
#   PROFILE   how the operator is compiled: `release`, as in what is released, or `dev`, which takes less time
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

case $(uname -m) in
x86_64) architecture=amd64 ;;
aarch64) architecture=arm64 ;;
*) echo "e2e: there is no image for $(uname -m)" >&2 && exit 1 ;;
esac
tests/components/build.sh e2e
# Not where `make image` leaves what is released.
image/build.sh "$architecture" target/e2e/operator
echo "$architecture" >target/e2e/architecture
cargo build --locked --package e2e
