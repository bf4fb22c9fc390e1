#!/usr/bin/env bash
# The inside of run.sh: the first process in the node's namespaces. Starts all parts of the node, waits until pods can run,
# then runs the command with kubectl's configuration in KUBECONFIG and the components in PATH.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=${here%/tests/e2e/node}
: "${NODE_CGROUP:?run.sh starts this}" "${NODE_DIR:?}" "${IMAGES:?}" "${LOG:?}"
trap 'exit 130' INT
trap 'exit 143' TERM

# The addresses of the node, of the Service of the API server, and of the cluster's DNS.
node=10.95.0.1 kubernetes=10.96.0.1 dns=10.96.0.10 services=10.96.0.0/16
dir=$NODE_DIR

begin=$(date +%s.%N)
say() { awk -v from="$begin" -v to="$(date +%s.%N)" -v text="$*" 'BEGIN { printf "%7.1f s  node: %s\n", to - from, text }'; }
fail() {
	printf 'e2e: %s\n' "$*" >&2
	tail -n 5 "$LOG"/*.log >&2
	exit 1
}

# component NAME: its path.
component() {
	if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/$1" ]; then
		echo "$KUBEBUILDER_ASSETS/$1"
	else
		echo "$root/target/testenv/bin/$1"
	fi
}

# start NAME COMMAND…: in the background. NAME is what the log is called.
declare -A started=()
start() {
	local name=$1
	shift
	"$@" >"$LOG/$name.log" 2>&1 &
	started[$name]=$!
}

# wait_for WHAT COMMAND…: until the command succeeds. Whatever has ended meanwhile won't come. Each wait has its own time: on a
# busy machine what comes before it takes minutes.
wait_for() {
	local what=$1 name deadline=$((SECONDS + 120))
	shift
	until "$@" >/dev/null 2>&1; do
		for name in "${!started[@]}"; do
			kill -0 "${started[$name]}" 2>/dev/null || fail "$name has ended while this was waited for: $what"
		done
		if [ "$SECONDS" -gt "$deadline" ]; then fail "waited for in vain: $what"; fi
		sleep 0.1
	done
	say "$what"
}

# configuration FILE: one of ours, with what is known only now.
configuration() {
	sed -e "s|@DIR@|$dir|g" -e "s|@CGROUP@|$NODE_CGROUP|g" -e "s|@DNS@|$dns|g" "$here/files/$1" >"$dir/$1"
}

### The machine: addresses, folders and kernel settings that are the node's alone.
mount --make-rshared /
hostname e2e
ip link set lo up
for address in "$node" "$kubernetes" "$dns"; do ip address add "$address/32" dev lo; done
# There is no default route, so that nothing leaves; to Services there must be one, for kube-proxy to rewrite.
ip route add "$services" dev lo src "$node"
mount -t tmpfs -o size=6g,mode=755 tmpfs "$dir"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock "$dir"/{pki,etcd,containerd,kubelet,cni,kernel,var/upper,var/work}
mount -t overlay -o "lowerdir=/var,upperdir=$dir/var/upper,workdir=$dir/var/work" overlay /var
# The kubelet insists on these. They are the whole machine's: it is shown them, and nothing is changed.
while read -r setting value; do
	echo "$value" >"$dir/kernel/${setting//\//.}"
	mount --bind "$dir/kernel/${setting//\//.}" "/proc/sys/$setting"
done <<-END
	vm/overcommit_memory 1
	vm/panic_on_oom 0
	kernel/panic 10
	kernel/panic_on_oops 1
	kernel/keys/root_maxkeys 1000000
	kernel/keys/root_maxbytes 25000000
END

### Keys, and who may do what.
cd "$dir/pki"
key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
# certify NAME SUBJECT EXTENSION
certify() {
	openssl req -new "${key[@]}" -keyout "$1.key" -out "$1.csr" -subj "$2"
	openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out "$1.crt" -extfile <(echo "$3")
}
{
	openssl req -x509 "${key[@]}" -days 2 -keyout ca.key -out ca.crt -subj /CN=e2e
	certify apiserver /CN=kube-apiserver "subjectAltName=IP:$kubernetes,IP:$node,IP:127.0.0.1,DNS:kubernetes.default.svc"
	certify kubelet-client /O=system:masters/CN=kube-apiserver extendedKeyUsage=clientAuth
	openssl ecparam -name prime256v1 -genkey -noout -out accounts.key
	openssl ec -in accounts.key -pubout -out accounts.pub
} >"$LOG/keys.log" 2>&1 || fail "no keys"
# user FILE NAME [GROUP]: a token, and a configuration with it.
user() {
	local token
	token=$(openssl rand -hex 16)
	echo "$token,$2,$1${3:+,$3}" >>tokens.csv
	cat >"$1.kubeconfig" <<-END
		apiVersion: v1
		kind: Config
		current-context: e2e
		clusters: [{name: e2e, cluster: {server: "https://$kubernetes", certificate-authority: $dir/pki/ca.crt}}]
		users: [{name: e2e, user: {token: $token}}]
		contexts: [{name: e2e, context: {cluster: e2e, user: e2e}}]
	END
}
user admin admin system:masters
user kubelet system:node:e2e system:nodes
user controllers system:kube-controller-manager
user scheduler system:kube-scheduler
user proxy system:kube-proxy
user dns coredns system:masters

### The control plane.
start etcd "$(component etcd)" --data-dir "$dir/etcd" --unsafe-no-fsync \
	--listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
start kube-apiserver "$(component kube-apiserver)" \
	--etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 --secure-port=443 --advertise-address="$node" \
	--service-cluster-ip-range="$services" --tls-cert-file=apiserver.crt --tls-private-key-file=apiserver.key \
	--client-ca-file=ca.crt --token-auth-file=tokens.csv --authorization-mode=Node,RBAC \
	--enable-admission-plugins=NodeRestriction --disable-admission-plugins=TaintNodesByCondition \
	--service-account-issuer=https://kubernetes.default.svc --service-account-key-file=accounts.pub \
	--service-account-signing-key-file=accounts.key --kubelet-client-certificate=kubelet-client.crt \
	--kubelet-client-key=kubelet-client.key --kubelet-preferred-address-types=InternalIP
export KUBECONFIG=$dir/pki/admin.kubeconfig
kubectl=$(component kubectl)

### The images, while the API server starts.
configuration containerd.toml
configuration kubelet.yaml
configuration kube-proxy.yaml
configuration Corefile
cp "$here/files/pods.conflist" "$dir/cni/"
start containerd containerd --config "$dir/containerd.toml"
export CONTAINERD_ADDRESS=/run/containerd/containerd.sock CONTAINERD_NAMESPACE=k8s.io
wait_for "containerd answers" ctr version
say "importing the images"
for archive in "$IMAGES"/*.tar; do
	ctr images import "$archive" >>"$LOG/images.log" 2>&1 || fail "$archive can't be imported"
done
say "the images are there"

### What runs pods, and what makes Services of them.
wait_for "the API server is ready" "$kubectl" get --raw /readyz
start kubelet "$(component kubelet)" --config="$dir/kubelet.yaml" --kubeconfig=kubelet.kubeconfig --root-dir="$dir/kubelet" \
	--cert-dir="$dir/kubelet/pki" --hostname-override=e2e --node-ip="$node"
# The node is looked at each second, and many clients' worth of requests are allowed: either would take seconds otherwise.
start kube-controller-manager "$(component kube-controller-manager)" --kubeconfig=controllers.kubeconfig --leader-elect=false \
	--use-service-account-credentials --root-ca-file=ca.crt --service-account-private-key-file=accounts.key \
	--node-monitor-period=1s --kube-api-qps=500 --kube-api-burst=1000
start kube-scheduler "$(component kube-scheduler)" --kubeconfig=scheduler.kubeconfig --leader-elect=false
start kube-proxy "$(component kube-proxy)" --config="$dir/kube-proxy.yaml"
"$kubectl" create clusterrolebinding e2e-proxy --clusterrole=system:node-proxier --user=system:kube-proxy >/dev/null

is_ready() { "$kubectl" get node e2e | grep -q ' Ready'; }
has_no_taints() { [ -z "$("$kubectl" get node e2e -o 'jsonpath={.spec.taints}')" ]; }
wait_for "it is ready" is_ready
wait_for "pods may come" has_no_taints
# A pod is refused before its service account is there.
wait_for "the service account is there" "$kubectl" get serviceaccount/default configmap/kube-root-ca.crt
# Last: started early, it was seen not to know a new Service for 16 seconds.
start coredns "$(component coredns)" -conf "$dir/Corefile"
wait_for "names are answered" busybox wget -q -O - http://127.0.0.1:8181/ready

PATH=${KUBEBUILDER_ASSETS:+$KUBEBUILDER_ASSETS:}$root/target/testenv/bin:$PATH
export PATH
cd "$root"
"$@"
