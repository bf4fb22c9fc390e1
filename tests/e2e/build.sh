#!/usr/bin/env bash
# Builds what `make e2e` runs: the components, what is in the operator's image (target/e2e/operator), and the test itself.
#
#   PROFILE   which operator: `release`, as it is released, or `dev`, as `make test` has compiled it already
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

case $(uname -m) in
x86_64) architecture=amd64 ;;
aarch64) architecture=arm64 ;;
*) echo "e2e: there is no image for $(uname -m)" >&2 && exit 1 ;;
esac
tests/components/build.sh e2e
operator=target/e2e/operator
if [ "${PROFILE:-release}" = dev ]; then
	# With any test, so that dependencies have the features that they have in tests: nothing is compiled twice.
	cargo build --locked --workspace --bins --test architecture
	mkdir -p "$operator"
	cp /etc/ssl/certs/ca-certificates.crt "$operator/"
	# What debuggers read is most of it, and it is packed three times.
	strip -o "$operator/kratos-operator" "${CARGO_TARGET_DIR:-target}/debug/kratos-operator"
else
	cargo build --locked --package e2e
	# Not where `make image` leaves what is released.
	image/build.sh "$architecture" "$operator"
fi
echo "$architecture" >target/e2e/architecture
