#!/usr/bin/env bash
# Runs a command beside a Kubernetes of one node that runs real pods, and takes everything away when the command ends.
#
# usage: tests/e2e/node/run.sh COMMAND…
#
#   IMAGES   a folder of archives that containerd imports
#   LOG      a folder for the logs of all parts
#
# It takes root and Linux; containerd, runc and the rest are the distribution's. The node has network, mounts, processes and
# a host name of its own: no port clashes, nothing leaves this machine, and the kernel ends all of it with the command, however
# that ends. Only its cgroups outlive it, and are removed here. The exit code is the command's.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${IMAGES:?}" "${LOG:?}"

"$here/check.sh"
# The node works in a folder of its own.
if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then KUBEBUILDER_ASSETS=$(cd "$KUBEBUILDER_ASSETS" && pwd); fi

# Under cgroup v1 a folder in each hierarchy that this process is in, under v2 one in all.
cgroup=kratos-e2e-$$
is_v2=$([ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] && echo yes || echo no)
hierarchies() {
	if [ "$is_v2" = yes ]; then echo /sys/fs/cgroup; return; fi
	local name
	for name in $(cut -d: -f2 /proc/self/cgroup | tr ',' '\n' | sed 's/^name=//'); do
		if [ -d "/sys/fs/cgroup/$name" ]; then echo "/sys/fs/cgroup/$name"; fi
	done
}
make_cgroups() {
	local hierarchy file
	for hierarchy in $(hierarchies); do mkdir -p "$hierarchy/$cgroup"; done
	if [ "$is_v2" = yes ]; then
		sed 's/[a-z]*/+&/g' /sys/fs/cgroup/cgroup.controllers >"/sys/fs/cgroup/$cgroup/cgroup.subtree_control"
		return
	fi
	# A new one of these holds no processor and no memory.
	for file in cpuset.cpus cpuset.mems; do cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset/$cgroup/$file"; done
}
remove_cgroups() {
	local folder folders=()
	# runc makes one in the hierarchy without controllers too.
	for folder in "/sys/fs/cgroup/$cgroup" /sys/fs/cgroup/*/"$cgroup"; do
		if [ -d "$folder" ]; then folders+=("$folder"); fi
	done
	# The kernel is still ending what was in them.
	for _ in $(seq 100); do
		if [ -z "$(find "${folders[@]}" -name cgroup.procs -exec cat {} + 2>/dev/null)" ]; then break; fi
		sleep 0.1
	done
	find "${folders[@]}" -depth -type d -exec rmdir {} + || true
}

work=$(mktemp -d)
mkdir -p "$LOG"
make_cgroups
end() { remove_cgroups; rmdir "$work"; }
trap end EXIT

# In the background, or a signal to this process alone would wait until the command ends. The command takes signals and reads as if
# it were in the foreground.
NODE_CGROUP=$cgroup NODE_DIR=$work \
	env --default-signal=INT,QUIT setpriv --pdeathsig KILL \
	unshare --net --mount --pid --uts --ipc --fork --kill-child --mount-proc "$here/boot.sh" "$@" <&0 &
node=$!
trap 'kill -KILL "$node" 2>/dev/null || true' INT TERM HUP
rc=0
wait "$node" || rc=$?
# A signal ends the wait before it has ended the node.
while kill -0 "$node" 2>/dev/null; do wait "$node" || rc=$?; done
exit "$rc"
