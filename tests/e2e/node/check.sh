#!/usr/bin/env bash
# Says in one line what the node lacks on this machine, and fails; or says nothing.
set -euo pipefail

lacking=()
if [ "$(uname -s)" != Linux ]; then lacking+=(Linux); fi
if [ "$(id -u)" != 0 ]; then lacking+=(root); fi
for program in containerd ctr runc nft ip unshare setpriv openssl; do
	command -v "$program" >/dev/null || lacking+=("$program")
done
for file in /usr/lib/cni/bridge /usr/lib/cni/host-local /bin/busybox; do
	[ -x "$file" ] || lacking+=("$file")
done
if [ "${#lacking[@]}" != 0 ]; then
	printf 'e2e: this machine lacks %s (Debian: containerd runc containernetworking-plugins nftables iproute2 util-linux openssl busybox-static)\n' "${lacking[*]}" >&2
	exit 1
fi
