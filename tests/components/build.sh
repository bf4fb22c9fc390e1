#!/usr/bin/env bash
# Builds the real components that tests and the demo run on, into target/testenv/bin:
# etcd, kube-apiserver, kube-controller-manager, kubectl, Helm, Kratos, Prometheus' linter, one for the objects of Prometheus
# Operator, and what GitOps tools judge by, from the Go modules beside this file; and the definitions of Argo CD's and Flux'
# kinds, into target/testenv/definitions.
#
# usage: build.sh [GROUP…], where a group (`e2e`: what else a node with pods takes) is built besides what all need
#
# What is there already, built from the same module files with the same flags and the same Go, is kept:
# a second run costs a few milliseconds. A build that fails or is interrupted leaves nothing behind that
# looks like a binary. Where KUBEBUILDER_ASSETS is set, what lies there is used and not built.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${here%/tests/components}/target/testenv
mkdir -p "$out/bin" "$out/keys" "$out/log"

# What a person has set for their own Go work must not decide what is built here.
export GOFLAGS='-mod=readonly -buildvcs=false' GOTOOLCHAIN=local GOWORK=off
unset GOOS GOARCH

fail() { printf 'testenv: %s\n' "$*" >&2; exit 1; }
say() { printf 'testenv: %s\n' "$*"; }
elapsed() { printf '%dm%02ds' $(($1 / 60)) $(($1 % 60)); }
digest() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d' ' -f1; }

# version MODULE PATH: the version that the module's go.mod pins.
version() {
	awk -v path="$2" '($1 == path && $2 ~ /^v/) { print $2; exit } ($1 == "require" && $2 == path) { print $3; exit }' "$here/$1/go.mod"
}

kubernetes=$(version controlplane k8s.io/kubernetes)
# Without its version set at link time the server calls itself v0.0.0, and kubectl refuses to compare it.
kubernetes_minor=${kubernetes#v*.}
kubernetes_version="-X k8s.io/component-base/version.gitVersion=$kubernetes"
kubernetes_version+=" -X k8s.io/component-base/version.gitMajor=1"
kubernetes_version+=" -X k8s.io/component-base/version.gitMinor=${kubernetes_minor%%.*}"

# name | module beside this file | package | the Go module that its version is read from | cgo | tags | minutes, cold, two cores
# and, where only a group needs it: | group
components=(
	"kratos|kratos|github.com/ory/kratos|github.com/ory/kratos|1|sqlite,json1|3"
	"etcd|controlplane|go.etcd.io/etcd/server/v3|go.etcd.io/etcd/server/v3|0||1"
	"kube-apiserver|controlplane|k8s.io/kubernetes/cmd/kube-apiserver|k8s.io/kubernetes|0||10"
	"kube-controller-manager|controlplane|k8s.io/kubernetes/cmd/kube-controller-manager|k8s.io/kubernetes|0||4"
	"promlint|promlint|.|github.com/prometheus/client_golang|0||1"
	"gitops|gitops|.|github.com/fluxcd/pkg/runtime|0||2"
	"kubectl|controlplane|k8s.io/kubernetes/cmd/kubectl|k8s.io/kubernetes|0||1"
	"monitorlint|monitorlint|.|github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring|0||1"
	"helm|helm|helm.sh/helm/v4/cmd/helm|helm.sh/helm/v4|0||5"
	"kubelet|controlplane|k8s.io/kubernetes/cmd/kubelet|k8s.io/kubernetes|0||3|e2e"
	"kube-scheduler|controlplane|k8s.io/kubernetes/cmd/kube-scheduler|k8s.io/kubernetes|0||1|e2e"
	"kube-proxy|controlplane|k8s.io/kubernetes/cmd/kube-proxy|k8s.io/kubernetes|0||1|e2e"
	"coredns|coredns|.|github.com/coredns/coredns|0||2|e2e"
)

groups=("$@")

# wanted: is the component for all, or of a group that was asked for?
wanted() {
	local asked
	if [ -z "$group" ]; then return 0; fi
	for asked in ${groups[@]+"${groups[@]}"}; do
		if [ "$asked" = "$group" ]; then return 0; fi
	done
	return 1
}

# read_component LINE: sets name, module, package, source, cgo, tags, minutes, group, ldflags.
read_component() {
	IFS='|' read -r name module package source cgo tags minutes group <<<"$1"
	ldflags="-s -w"
	if [ "$module" = controlplane ]; then ldflags+=" $kubernetes_version"; fi
}

given() { [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/$name" ]; }

# The module's own program, if it has one.
sources() { find "$here/$module" -maxdepth 1 -name '*.go' -exec cat {} +; }

go_version=
key() {
	# The Go version is asked for once, and only when something may have to be built.
	if [ -z "$go_version" ]; then
		command -v go >/dev/null || fail "Go is needed to build $name (https://go.dev/dl), and there is no 'go' in PATH"
		go_version=$(go version)
	fi
	{ printf '%s\n' "$go_version" "$package" "$cgo" "$tags" "$ldflags"; cat "$here/$module/go.mod" "$here/$module/go.sum"; sources; } | digest
}

fresh() { [ -x "$out/bin/$name" ] && [ "$(cat "$out/keys/$name" 2>/dev/null)" = "$(key)" ]; }

missing=()
find_missing() {
	missing=()
	local line
	for line in "${components[@]}"; do
		read_component "$line"
		# Not in one condition with `fresh`: what fails inside of one doesn't end the script.
		if ! wanted || given; then continue; fi
		key >/dev/null
		if ! fresh; then missing+=("$line"); fi
	done
}

builder='' half=''
clean_up() {
	if [ -n "$builder" ]; then kill "$builder" 2>/dev/null || true; wait "$builder" 2>/dev/null || true; fi
	if [ -n "$half" ]; then rm -f "$half"; fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# watch LOG: while the builder runs, says every ten seconds (on a terminal every second, on one line) where it is.
watch() {
	local begin=$SECONDS every=10 said=0 now steps
	if [ -t 1 ]; then every=1; fi
	while kill -0 "$builder" 2>/dev/null; do
		sleep 1
		now=$((SECONDS - begin))
		if [ $((now - said)) -lt "$every" ]; then continue; fi
		said=$now
		steps=$(wc -l <"$1" | tr -d ' ')
		now="  $(elapsed "$now"): "
		# Go names each package that it downloads or compiles; what it links, or has in its cache, it doesn't name.
		if [ "$steps" = 0 ]; then now+="taking what is in Go's build cache"; else now+="$steps packages so far, last $(tail -n 1 "$1" | cut -c 1-70)"; fi
		if [ -t 1 ]; then printf '\r\033[K%s' "$now"; else printf '%s\n' "$now"; fi
	done
	if [ -t 1 ]; then printf '\r\033[K'; fi
}

# build NUMBER OF
build() {
	local log=$out/log/$name.log begin=$SECONDS rc=0
	local args=(build -v -ldflags "$ldflags")
	if [ -n "$tags" ]; then args+=(-tags "$tags"); fi
	if [ "$cgo" = 1 ]; then
		# Go looks for gcc by itself; elsewhere the C compiler is just `cc`.
		if [ -z "${CC:-}" ] && ! command -v gcc >/dev/null; then export CC=cc; fi
		command -v "${CC:-gcc}" >/dev/null || fail "a C compiler is needed to build $name (for SQLite), and there is no gcc or cc in PATH"
	fi
	say "building $name $(version "$module" "$source") ($1 of $2): up to $minutes min where nothing of it is in Go's build cache"
	half=$out/bin/.$name.half.$$
	: >"$log"
	(cd "$here/$module" && CGO_ENABLED=$cgo exec go "${args[@]}" -o "$half" "$package") >"$log" 2>&1 &
	builder=$!
	watch "$log"
	wait "$builder" || rc=$?
	builder=''
	if [ "$rc" != 0 ]; then
		tail -n 20 "$log" >&2
		fail "$name was not built (exit code $rc, log in $log)"
	fi
	# The key goes first out, last in: there is never a binary beside a key that isn't its own.
	rm -f "$out/keys/$name"
	mv -f "$half" "$out/bin/$name"
	half=''
	key >"$out/keys/$name"
	say "built $name in $(elapsed $((SECONDS - begin)))"
}

has_definitions() { cmp -s "$here/gitops/definitions" "$out/definitions/.list"; }

# fetch_definitions: copies what gitops/definitions lists into target/testenv/definitions, out of Go's module cache. Each module
# is of the checksum that is pinned there, or nothing is copied.
fetch_definitions() {
	local list=$here/gitops/definitions into=$out/definitions half=$out/.definitions.half.$$
	if has_definitions; then return; fi
	say "fetching the definitions of GitOps tools"
	rm -rf "$half" && mkdir -p "$half"
	local path pinned sum files answer dir file
	while read -r path pinned sum files; do
		case $path in '#'* | '') continue ;; esac
		# Outside of any module: nothing there says what else it takes.
		answer=$(cd "$half" && GOFLAGS=-mod=mod go mod download -json "$path@$pinned") || fail "$path $pinned can't be had: $answer"
		case $answer in *"\"Sum\": \"$sum\""*) ;; *) fail "$path $pinned isn't what was pinned: $answer" ;; esac
		dir=$(printf '%s\n' "$answer" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
		for file in $files; do cp "$dir/$file" "$half/"; done
	done <"$list"
	chmod -R u+w "$half"
	cp "$list" "$half/.list"
	rm -rf "$into" && mv "$half" "$into"
}

find_missing
if [ "${#missing[@]}" = 0 ] && has_definitions; then exit 0; fi

# Two at once would only take each other's processors and memory.
if command -v flock >/dev/null; then
	exec 9>"$out/lock"
	if ! flock -n 9; then
		say "another build of the components is running: waiting for it to end"
		flock 9
	fi
	find_missing
fi

fetch_definitions
number=0
for line in ${missing[@]+"${missing[@]}"}; do
	number=$((number + 1))
	read_component "$line"
	build "$number" "${#missing[@]}"
done
say "the components are in $out/bin"
