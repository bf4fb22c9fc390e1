#!/usr/bin/env bash
# Says in one line what the node lacks on this machine, and fails; or says nothing. What nobody can install comes with exit code
# 3: Linux, root, and what the kernel lets this process do, each tried in namespaces of its own that end with it. Programs and
# files that lack come with exit code 1.
set -euo pipefail

lacking=()
packages='containerd runc containernetworking-plugins nftables iproute2 util-linux openssl busybox-static'
# say HINT CODE
say() {
	if [ "${#lacking[@]}" = 0 ]; then return; fi
	local list
	list=$(printf ', %s' "${lacking[@]}")
	printf 'e2e: this machine lacks %s%s\n' "${list#, }" "$1" >&2
	exit "$2"
}

if [ "$(uname -s)" != Linux ]; then lacking+=(Linux); fi
if [ "$(id -u)" != 0 ]; then lacking+=(root); fi
say '' 3
for program in containerd ctr runc nft ip unshare setpriv openssl; do
	command -v "$program" >/dev/null || lacking+=("$program")
done
for file in /usr/lib/cni/bridge /usr/lib/cni/host-local /bin/busybox; do
	[ -x "$file" ] || lacking+=("$file")
done
# It holds a pod's namespaces, in an image with nothing beside it.
if [ -x /bin/busybox ] && ldd /bin/busybox >/dev/null 2>&1; then lacking+=("a static busybox"); fi
say " (Debian: $packages)" 1

# needs WHAT COMMAND…
needs() {
	local what=$1
	shift
	"$@" >/dev/null 2>&1 || lacking+=("$what")
}
alone() { unshare --net --mount --pid --uts --ipc --fork --kill-child --mount-proc "$@"; }
overlay='mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work && mount -t overlay -o lowerdir=/var,upperdir=/mnt/upper,workdir=/mnt/work overlay /var'
translation='add table ip a; add chain ip a b { type nat hook postrouting priority 100; }; add rule ip a b ct state new masquerade'

needs "the right to make namespaces" alone true
say '' 3
needs "other users than root" setpriv --reuid 65532 --clear-groups true
needs "overlay mounts" alone sh -c "$overlay"
needs "mounts in /proc/sys" alone mount --bind /proc/self/comm /proc/sys/vm/panic_on_oom
needs "network bridges" alone ip link add bridge0 type bridge
needs "pairs of virtual networks" alone ip link add pair0 type veth peer name pair1
needs "translation of addresses by nftables" alone nft "$translation"
if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
	for controller in cpu cpuset memory pids; do
		needs "the cgroup controller $controller" grep -qw "$controller" /sys/fs/cgroup/cgroup.subtree_control
	done
	hierarchies=(/sys/fs/cgroup)
else
	hierarchies=(/sys/fs/cgroup/{cpu,cpuacct,cpuset,memory,pids})
fi
for hierarchy in "${hierarchies[@]}"; do
	probe=$hierarchy/kratos-e2e-probe-$$
	needs "the right to make cgroups in $hierarchy" sh -c "[ -e '$hierarchy/cgroup.procs' ] && mkdir '$probe' && rmdir '$probe'"
done
say '' 3
