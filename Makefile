# Everything a person or a pipeline does with this repository. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help testenv test lint image image-twice e2e crds rbac charts reference docs audit demo bench bench-scale bench-sessions bench-passwords

CARGO ?= cargo
# With PROFILE=dev the benchmark shows that it works, not how fast the operator is; and `make e2e` compiles for a shorter time.
PROFILE ?= release
# For whose processors `make image` builds.
ARCHITECTURES ?= amd64 arm64

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

testenv: ## build the real etcd, kube-apiserver, kube-controller-manager, kubectl, Helm and Kratos that tests and demo run on (once)
	@tests/components/build.sh

test: testenv ## run all tests, against the real components
	$(CARGO) test --locked --workspace

# What of the operator's tests a database can decide; any filters of `cargo test` do.
POSTGRESQL_TESTS ?= postgresql:: identifiers:: lifecycle:: links:: missing:: batches::
.PHONY: test-postgresql
test-postgresql: testenv ## the tests whose answer a database can change, on PostgreSQL (Debian: postgresql)
	KRATOS_DATABASE=postgresql $(CARGO) test --locked --test operator -- --include-ignored $(POSTGRESQL_TESTS)

lint: ## check formatting, that clippy has nothing to say, and the licences and sources of all crates
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --lib --bins --no-default-features -- -D warnings
	@tools/install.sh cargo-deny
	$(CARGO) fetch --locked
	PATH=$(CURDIR)/target/tools/bin:$$PATH $(CARGO) deny --locked --offline --workspace --log-level warn check bans licenses sources

image: ## pack the operator's image into target/image, without an engine (ARCHITECTURES="amd64 arm64")
	@image/make.sh $(ARCHITECTURES)

image-twice: ## the same, and once more elsewhere: is it the same, byte by byte? (DEPENDENCIES=kept: compile only ours again)
	@image/reproduce.sh $(ARCHITECTURES)

crds: ## write the custom resource definitions to crds/
	$(CARGO) run --quiet --locked -- crds --output crds

rbac: ## write the roles of an operator to examples/rbac/
	@mkdir -p examples/rbac
	$(CARGO) run --quiet --locked -- rbac --instance-namespaces identity > examples/rbac/cluster.yaml
	$(CARGO) run --quiet --locked -- rbac --namespaces identity,team-a --instance-namespaces identity > examples/rbac/namespaced.yaml

charts: testenv ## write what of the charts is generated, and deploy/install.yaml
	$(CARGO) run --quiet --locked --example charts

reference: ## write the reference of the kinds' fields to docs/reference/
	$(CARGO) run --quiet --locked --example reference

docs: ## make a site of docs/ in target/docs
	@tools/install.sh mdbook
	target/tools/bin/mdbook build

e2e: ## install and run it in real pods, as its users do (root, Linux, containerd and runc from the distribution)
	@PROFILE='$(PROFILE)' tests/e2e/run.sh

audit: testenv ## run the operator's tests, and check by the audit logs that each right is used and none lacks (OPERATOR_MODE=namespaced)
	@rm -rf target/audit && mkdir -p target/audit
	AUDIT_LOGS=$(CURDIR)/target/audit OPERATOR_MODE='$(OPERATOR_MODE)' $(CARGO) test --locked --test operator $(TESTS)
	@AUDIT_LOGS=$(CURDIR)/target/audit OPERATOR_MODE='$(OPERATOR_MODE)' $(CARGO) run --quiet --locked --example audit

.PHONY: monitoring
monitoring: testenv ## check the alerts by promtool, and alerts and dashboard by a Prometheus that scrapes a real operator (Debian: prometheus)
	@command -v promtool >/dev/null && command -v prometheus >/dev/null || { echo "make monitoring: promtool and prometheus are needed (Debian: apt-get install prometheus)" >&2; exit 1; }
	promtool check rules charts/kratos-operator/files/alerts.yaml
	promtool test rules tests/monitoring/*.test.yaml
	$(CARGO) test --locked --test operator monitoring:: -- --ignored

demo: testenv ## show it all at work on this machine, until Ctrl-C (ONCE=1: end after the tour)
	$(CARGO) build --locked --bin kratos-operator --example demo
	@ONCE='$(ONCE)' $(CARGO) run --quiet --locked --example demo

bench: testenv ## measure the operator beside what its servers do at best (N=1000: how many identities)
	$(CARGO) build --locked --profile $(PROFILE) --bin kratos-operator --example bench
	@N='$(N)' $(CARGO) run --quiet --locked --profile $(PROFILE) --example bench

bench-scale: testenv ## what very many cost one operator, or two that share them (N=100000 SHARDS=1)
	$(CARGO) build --locked --profile $(PROFILE) --bin kratos-operator --example bench
	@N='$(N)' SHARDS='$(SHARDS)' $(CARGO) run --quiet --locked --profile $(PROFILE) --example bench -- scale

bench-sessions: testenv ## the same of session policies (SIZES="10000 50000": how many sessions)
	$(CARGO) build --locked --profile $(PROFILE) --bin kratos-operator --example bench-sessions
	@SIZES='$(SIZES)' $(CARGO) run --quiet --locked --profile $(PROFILE) --example bench-sessions

bench-passwords: testenv ## how much longer a change of a password takes with others in flight (AT_ONCE="1 2 3": how many)
	@AT_ONCE='$(AT_ONCE)' $(CARGO) run --quiet --locked --profile $(PROFILE) --example bench-passwords
