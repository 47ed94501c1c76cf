# Builds, tests and shows Wharfinger. `make` alone lists the targets.

CARGO ?= cargo
DOCKER ?= docker
# The name that `make image` gives to the image, and more arguments for the build.
IMAGE ?= wharfinger
IMAGE_ARGS ?=

# The release profile serves the tests, the demo and the image on purpose: what is
# tested is what is shipped, and the dependencies are compiled once.
BINARY := $(or $(CARGO_TARGET_DIR),target)/release/wharfinger

SH_SCRIPTS := plugins/build.sh $(wildcard plugins/examples/*.sh plugins/examples/*/*.sh tests/env/*.sh tests/common/*.sh)
BASH_SCRIPTS := .ci/run $(wildcard tests/demo/*.sh)

# Cargo uses all processors by itself.
.NOTPARALLEL:
.PHONY: help build plugins reference dist image demo test sim fuzz lint clean
.PHONY: environment components check-format check-scripts check-clippy test-plugins test-daemon

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | \
		while IFS='|' read -r target text; do printf '  %-10s %s\n' "$$target" "$$text"; done

build: ## Build the daemon
	$(CARGO) build --release --locked

plugins: components ## Build the plugins to components in every language, plugins/dist/*.wasm
	tests/env/install.sh languages
	plugins/examples/build.sh

# The workspace's, in Rust, without which the demo and the tests cannot be.
components: environment
	plugins/build.sh

reference: ## Write the reference in plugins/README.md anew, from the contract
	WHARFINGER_WRITE_REFERENCE=1 $(CARGO) test --release --locked --test reference

# What the machine lacks for the building.
environment:
	tests/env/install.sh build wasm

# The Dockerfile builds this target where dist/ is empty, in an image that has
# Rust and make and nothing more.
dist: build ## Build the daemon and put the binary into dist/
	install -D -m 755 $(BINARY) dist/wharfinger

image: ## Build the Docker image (IMAGE=wharfinger, DOCKER=docker); uses dist/wharfinger if there is one
	$(DOCKER) build -t $(IMAGE) $(IMAGE_ARGS) .

demo: environment dist components ## Show the daemon at work, with a Docker daemon and a Consul agent of its own
	tests/demo/demo.sh

# Everything is run even if something before it failed; the tests' own words
# come last.
test: ## Install what is missing, build and run all tests
	tests/env/install.sh
	$(MAKE) --no-print-directory plugins
	@failed=; \
	for part in check-format check-scripts test-plugins test-daemon; do \
		$(MAKE) --no-print-directory $$part || failed="$$failed $$part"; \
	done; \
	if [ -n "$$failed" ]; then echo "make test: failed:$$failed" >&2; exit 1; fi

sim: ## Simulate the loop in many worlds (SEEDS=10000), or in one and show it (SEED=n)
	SEED=$(SEED) SEEDS=$(or $(SEEDS),$(if $(SEED),,10000)) \
		$(CARGO) test --release --locked --lib sim::every_seed -- --nocapture
# The tests feed the loader with the same generator, ten thousand files of one seed.
fuzz: ## Feed the loader with random and mutated components (FUZZ_SECONDS=600, FUZZ_SEED=the time)
	WHARFINGER_FUZZ_SECONDS=$(or $(FUZZ_SECONDS),600) WHARFINGER_FUZZ_SEED=$(or $(FUZZ_SEED),$(shell date +%s)) \
		$(CARGO) test --release --locked --test code_cache -- --nocapture random_and_mutated

lint: check-format check-scripts check-clippy ## Check the format, the scripts and, with Clippy, the code

check-format:
	@if $(CARGO) fmt --version >/dev/null 2>&1; then \
		set -ex; \
		$(CARGO) fmt --check; \
		cd plugins && $(CARGO) fmt --all --check; \
		cd examples/rust && $(CARGO) fmt --check; \
	else \
		echo "rustfmt is not installed: the format is not checked (rustup component add rustfmt)"; \
	fi

check-scripts:
	@set -e; \
	for script in $(SH_SCRIPTS); do sh -n $$script; done; \
	for script in $(BASH_SCRIPTS); do bash -n $$script; done
	@if command -v shellcheck >/dev/null 2>&1; then \
		set -ex; \
		shellcheck -S warning -s sh $(SH_SCRIPTS); \
		shellcheck -S warning -x $(BASH_SCRIPTS); \
	fi

# With the release profile, Clippy shares build scripts and macros with the build.
check-clippy:
	@if $(CARGO) clippy --version >/dev/null 2>&1; then \
		set -ex; \
		$(CARGO) clippy --release --locked --all-targets -- -D warnings; \
		cd plugins && $(CARGO) clippy --locked --workspace --all-targets -- -D warnings; \
	else \
		echo "Clippy is not installed: the code is not linted (rustup component add clippy)"; \
	fi

# The plugins are ordinary Rust, too: here they are tested on this machine, and
# as components by the daemon's tests.
# The tests of the examples are those that an author's project begins with.
test-plugins:
	cd plugins && $(CARGO) test --locked --workspace --no-fail-fast
	plugins/examples/test.sh

# Needs plugins/dist.
test-daemon:
	$(CARGO) test --release --locked --no-fail-fast

clean: ## Remove what was built, and what tests/env/install.sh has put into target/
	$(CARGO) clean
	cd plugins && $(CARGO) clean
	rm -rf dist plugins/dist plugins/examples/*/dist plugins/examples/*/target \
		plugins/examples/*/node_modules plugins/examples/*/.venv
