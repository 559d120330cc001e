# Everything there is to run. `make demo` and `make test` set themselves up first: tests/setup/setup.sh
# installs what is missing and says so.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

setup := tests/setup/setup.sh
python := $(CURDIR)/.venv/bin/python
target := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)

# What is built, and where: the tests, the demo and the benchmarks find it by these names only.
export STARTTLS_CLI := $(target)/debug/starttls
wasm := $(target)/wasm32-wasip2/release
export STARTTLS_CLI_WASM := $(wasm)/starttls.wasm
export STARTTLS_COMPONENT := $(wasm)/starttls_component.wasm
export STARTTLS_COMPONENT_OVER_TRANSPORT := $(wasm)/starttls_component_over_transport.wasm
export STARTTLS_COMPONENT_CORE := $(wasm)/starttls_component_core.wasm
export STARTTLS_PLUGIN := $(wasm)/starttls-plugin.wasm
export STARTTLS_HOST := $(target)/debug/examples/host

# The extension module is built for this interpreter, whichever command builds it.
export PYO3_PYTHON := $(python)

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 16

## What people run

.PHONY: demo test lint bench wheel component
demo: setup-demo develop native component ## send mail and move files against local servers, from every face
	$(python) -m tests.demo.demo

test: test-rust test-python ## every test there is, real daemons included

lint: lint-rust lint-dependencies lint-python ## formatting, lints, documentation, licences, types

bench: setup-wasm ## our clients beside others, in one table; BENCH='--quick' for a small one
	python3 tests/bench/bench.py $(BENCH)

wheel: setup-demo ## the Python wheel and source distribution, into build/wheels
	.venv/bin/maturin build --release --sdist --out build/wheels

component: setup-wasm ## the components, the command line and an example of a plugin, for wasm32-wasip2
	cargo build --locked --release --target wasm32-wasip2 -p starttls-component --features over-transport
	cp $(wasm)/starttls_component.wasm $(STARTTLS_COMPONENT_OVER_TRANSPORT)
	cargo build --locked --release --target wasm32-wasip2 -p starttls-component --no-default-features
	cp $(wasm)/starttls_component.wasm $(STARTTLS_COMPONENT_CORE)
	cargo build --locked --release --target wasm32-wasip2 -p starttls-component
	cargo build --locked --release --target wasm32-wasip2 -p starttls --bin starttls
	cargo build --locked --release --target wasm32-wasip2 -p starttls-plugin
	@ls -l $(STARTTLS_COMPONENT) $(STARTTLS_COMPONENT_OVER_TRANSPORT) $(STARTTLS_COMPONENT_CORE) \
	    $(STARTTLS_CLI_WASM) $(STARTTLS_PLUGIN)

## Their parts

.PHONY: native develop test-rust test-python lint-rust lint-dependencies lint-python
# One selection of packages for every native build, so that features, and with them artefacts, are shared.
native:
	cargo build --locked --workspace --exclude starttls-python --exclude starttls-plugin --bins --examples

develop: setup-demo
	VIRTUAL_ENV=$(CURDIR)/.venv .venv/bin/maturin develop --release --locked

test-rust: setup-daemons setup-python component native
	cargo test --locked --workspace --exclude starttls-python
	cargo test --locked -p starttls --features tokio,aws-lc-rs --test tokio --test tls_settings

test-python: setup-daemons setup-python component native develop
	$(python) -m pytest -n 3 --dist loadfile # most of the time is waiting: for servers, and for deadlines that must pass

lint-rust: setup-lint setup-demo setup-wasm
	cargo fmt --all --check
	rustfmt --check --edition 2024 $$(find tests/bench -name '*.rs') # workspaces of their own
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked -p starttls --all-targets --features tokio,aws-lc-rs -- -D warnings # fips needs Go to be built
	cargo clippy --locked --release --target wasm32-wasip2 -p starttls-component -- -D warnings
	cargo clippy --locked --release --target wasm32-wasip2 -p starttls-component --features over-transport -- -D warnings
	cargo clippy --locked --release --target wasm32-wasip2 -p starttls-component --no-default-features -- -D warnings
	cargo clippy --locked --release --target wasm32-wasip2 -p starttls -p starttls-plugin -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps

deny := build/tools/bin/cargo-deny
lint-dependencies: setup-lint
	$(deny) check --hide-inclusion-graph bans licenses sources
	if GIT_TERMINAL_PROMPT=0 timeout 120 $(deny) fetch db; then \
	    $(deny) check --disable-fetch advisories; \
	else \
	    echo 'lint: NOT CHECKED: known advisories (their database cannot be reached from here)'; \
	fi

lint-python: setup-python develop
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	$(python) -c 'import starttls._native' # or stubtest would have nothing to compare, and be content
	.venv/bin/stubtest starttls._native

## What has to be there first

steps := wasm demo python lint daemons

.PHONY: setup $(steps:%=setup-%)
setup: ## install all that any target needs
	@$(setup) $(steps)

$(steps:%=setup-%): setup-%:
	@$(setup) $*
