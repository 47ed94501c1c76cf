# Builds, tests and shows Wharfinger. `make` alone lists the targets.

CARGO ?= cargo
DOCKER ?= docker
# The name that `make image` gives to the image, and more arguments for the build.
IMAGE ?= wharfinger
IMAGE_ARGS ?=

# Cargo.toml says what the two profiles are for: `release` is what is worked and tested with, `bench` what
# is shipped. Both build to this file, so that each is copied to its place at once.
BINARY := $(or $(CARGO_TARGET_DIR),target)/release/wharfinger
# What is worked with; tests that run on what is shipped are given dist/wharfinger instead.
QUICK := $(or $(CARGO_TARGET_DIR),target)/quick/wharfinger
# The tests that run on what is shipped: a container's whole way, every recorded case of the original on
# real daemons, the image, and the program's own shape.
SHIPPED_TESTS := e2e:: live:: image:: shipped::
# And of those that need nothing, the one that asks for a pipeline a second on 500 containers, of which a program that is
# not optimised takes two and a half times as long.
SHIPPED_ALONE := reload::no_service_is_missing_or_stale_while_plugins_and_settings_change

# The programs of tests beside the library's own, and the file that says where they are.
TESTS := alone guests consul docker
PROGRAMS := target/test-programs
# Run one of them as Cargo does, on what is worked with or on the program that is named.
run = CARGO_MANIFEST_DIR="$(CURDIR)" WHARFINGER_BIN=$(or $(2),$(QUICK)) $$(grep '/$(1)-[0-9a-f]*$$' $(PROGRAMS) || echo there-is-no-program-$(1))

# The policies that packages and the image bring along.
LIBRARY := allow checks connect dns_safe environment expire hardened naming require tags traefik
# What makes packages of it, in a private place.
PACKAGERS := $(or $(WHARFINGER_CACHE),target/test-env)/cargo/bin

SH_SCRIPTS := plugins/build.sh packaging/check.sh packaging/contents.sh packaging/deb/postrm $(wildcard plugins/examples/*.sh plugins/examples/*/*.sh tests/env/*.sh tests/common/*.sh)
BASH_SCRIPTS := .ci/run $(wildcard tests/demo/*.sh)

# Cargo uses all processors by itself.
.NOTPARALLEL:
.PHONY: help build plugins reference dist image deb rpm packages-check package-contents packagers demo check test page pictures bench sim fuzz fuzz-gate lint clean
.PHONY: quick environment components check-format check-scripts check-clippy check-clippy-daemon
.PHONY: check-clippy-plugins test-unit test-plugins test-programs test-documents test-library test-alone test-guests
.PHONY: test-consul test-docker test-shipped

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | \
		while IFS='|' read -r target text; do printf '  %-10s %s\n' "$$target" "$$text"; done

build: ## Build the daemon for trying and testing, target/release/wharfinger
	$(CARGO) build --release --locked

# A copy that stays what it is when the other profile is built.
quick: build
	@install -D -m 755 $(BINARY) $(QUICK).new && mv $(QUICK).new $(QUICK)

plugins: components ## Build the plugins to components in every language, plugins/dist/*.wasm
	tests/env/install.sh languages
	plugins/examples/build.sh

# The workspace's, in Rust, without which the demo and the tests cannot be.
components: environment
	plugins/build.sh

reference: ## Write the references anew: plugins/README.md, docs/metrics.md, docs/configuration.md and its schema
	WHARFINGER_WRITE_REFERENCE=1 $(CARGO) test --release --locked --test alone reference::
	WHARFINGER_WRITE_REFERENCE=1 $(CARGO) test --release --locked --lib metrics::tests::the_document
	WHARFINGER_WRITE_REFERENCE=1 $(CARGO) test --release --locked --lib schema::tests::the_committed
	WHARFINGER_WRITE_REFERENCE=1 $(CARGO) test --release --locked --lib config::reference::

# What the machine lacks for the building.
environment:
	tests/env/install.sh build wasm

# The Dockerfile builds this target where dist/ is empty, in an image that has
# Rust and make and nothing more.
dist: ## Build the daemon as it is shipped, dist/wharfinger
	$(CARGO) build --profile bench --locked
	@install -D -m 755 $(BINARY) dist/wharfinger.new && mv dist/wharfinger.new dist/wharfinger

# Docker alone is enough: where the policies cannot be built, the image has none, and says so.
image: ## Build the Docker image (IMAGE=wharfinger, DOCKER=docker, IMAGE_ARGS); uses dist/wharfinger if there is one
	@rm -rf dist/plugins && mkdir -p dist/plugins
	@if $(MAKE) --no-print-directory components; then \
		cp $(LIBRARY:%=plugins/dist/wharfinger_%.wasm) dist/plugins/; \
	else \
		echo 'make image: the policies could not be built (see above); the image has none' >&2; \
	fi
	$(DOCKER) build -t $(IMAGE) $(IMAGE_ARGS) .

deb: package-contents packagers ## Build the Debian package, dist/wharfinger_*.deb
	rm -f dist/wharfinger_*.deb
	PATH="$(abspath $(PACKAGERS)):$$PATH" $(CARGO) deb --no-build --no-strip --locked --output dist/

rpm: package-contents packagers ## Build the RPM package, dist/wharfinger-*.rpm
	rm -f dist/wharfinger-*.rpm
	PATH="$(abspath $(PACKAGERS)):$$PATH" $(CARGO) generate-rpm --output dist/

packages-check: deb rpm ## Install the packages into roots of their own, and look at them
	tests/env/install.sh packages
	packaging/check.sh

# The man pages are made by a test, so that nothing is shipped that makes them.
package-contents: dist components
	rm -rf target/packaging/man
	WHARFINGER_MAN=$(abspath target/packaging/man) $(CARGO) test --release --locked --lib man::
	packaging/contents.sh $(LIBRARY)

packagers:
	tests/env/install.sh packagers

demo: ## Show the daemon at work, with a Docker daemon and a Consul agent of its own
	@tests/demo/prepare.sh
	@WHARFINGER_BIN=$(QUICK) tests/demo/demo.sh

check: check-format check-clippy-daemon test-unit ## What a change has to pass before anything else: format, Clippy, unit tests

# Everything is run even if something before it failed. Two processors are to have work throughout: the examples in all languages
# are built and the plugins tested beside the building of all programs of tests, of which compilers do a third in one thread; then
# tests that wait for servers more than they compute run beside those that compute, and what is shipped is compiled meanwhile, for
# the last of them. No more than that at once: a component is compiled with less weight than anything else, and within minutes.
# The words of what ran beside the first row come after that row's.
test: ## Install what is missing, build and run all tests
	tests/env/install.sh
	@mkdir -p target; rm -f target/dist.done; \
	row() { \
		failed=; \
		for part in $$1; do $(MAKE) --no-print-directory $$part || failed="$$failed $$part"; done; \
		[ -z "$$failed" ] || { echo "make test: failed:$$failed" >&2; false; }; \
	}; \
	row components || exit 1; \
	row "plugins check-format check-scripts test-plugins" >target/plugins.log 2>&1 & plugins=$$!; \
	row "test-programs test-documents"; programs=$$?; \
	wait $$plugins; plugins=$$?; cat target/plugins.log; \
	{ row dist; touch target/dist.done; } >target/dist.log 2>&1 & \
	{ \
		row "test-consul test-docker"; before=$$?; \
		until [ -e target/dist.done ]; do sleep 1; done; \
		row "dist test-shipped" && [ $$before = 0 ]; \
	} >target/servers.log 2>&1 & servers=$$!; \
	row "test-library test-alone test-guests"; own=$$?; \
	wait $$servers; servers=$$?; cat target/servers.log; \
	[ "$$programs $$plugins $$own $$servers" = "0 0 0 0" ] || { echo "make test: failed, as said above" >&2; exit 1; }

page: components ## Try the page in a real browser (CHECK=part of a check's name); `make test` does so, too
	tests/env/install.sh page
	PAGE_CHECK="$(CHECK)" $(CARGO) test --release --locked --test guests page:: -- --nocapture

pictures: components ## Make the pictures of the documents anew, docs/images
	tests/env/install.sh page
	PAGE_PICTURES=docs/images PAGE_CHECK=pictures $(CARGO) test --release --locked --test guests page::

# Many worlds want optimised code: it is that of what is shipped.
sim: ## Simulate the loop in many worlds (SEEDS=10000), or in one and show it (SEED=n)
	SEED=$(SEED) SEEDS=$(or $(SEEDS),$(if $(SEED),,10000)) \
		$(CARGO) test --profile bench --locked --lib sim::every_seed -- --nocapture

# What is shipped is what is measured. Nothing else should run meanwhile.
bench: components ## Measure what the daemon takes, beside what it takes at the least (QUICK=1 for a short run)
	QUICK=$(filter 1,$(QUICK)) $(CARGO) bench --locked --bench figures
	$(CARGO) bench --locked --bench micro

# The tests feed the loader with the same generator, ten thousand files of one seed.
fuzz: ## Feed the loader with random and mutated components (FUZZ_SECONDS=600, FUZZ_SEED=the time)
	WHARFINGER_FUZZ_SECONDS=$(or $(FUZZ_SECONDS),600) WHARFINGER_FUZZ_SEED=$(or $(FUZZ_SEED),$(shell date +%s)) \
		$(CARGO) test --release --locked --test alone -- --nocapture random_and_mutated

fuzz-gate: ## Feed the pipeline with hostile labels (FUZZ_SECONDS=600, FUZZ_SEED=the time)
	WHARFINGER_GATE_SECONDS=$(or $(FUZZ_SECONDS),600) WHARFINGER_GATE_SEED=$(or $(FUZZ_SEED),$(shell date +%s)) \
		$(CARGO) test --release --locked --test alone gate:: -- --nocapture

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

check-clippy: check-clippy-daemon check-clippy-plugins

# With the release profile, Clippy shares build scripts and macros with the build.
check-clippy-daemon:
	@if $(CARGO) clippy --version >/dev/null 2>&1; then \
		set -ex; \
		$(CARGO) clippy --release --locked --all-targets -- -D warnings; \
	else \
		echo "Clippy is not installed: the code is not linted (rustup component add clippy)"; \
	fi

check-clippy-plugins:
	@if $(CARGO) clippy --version >/dev/null 2>&1; then \
		set -ex; \
		cd plugins && $(CARGO) clippy --locked --workspace --all-targets -- -D warnings; \
	fi

# The plugins are ordinary Rust, too: here they are tested on this machine, and
# as components by the daemon's tests.
# The tests of the examples are those that an author's project begins with.
test-plugins:
	cd plugins && $(CARGO) test --locked --workspace --no-fail-fast
	plugins/examples/test.sh

# Those of the library, the shape of the code among them. They need nothing but Cargo. The simulation is a
# taste here; `make test` has the rest.
test-unit:
	SEEDS=100 $(CARGO) test --release --locked --lib

# All programs of tests at once, on both processors. They are run without Cargo, which would wait for the building of
# what is shipped.
test-programs: quick
	@mkdir -p target; rm -f $(PROGRAMS)
	@$(CARGO) test --release --locked --no-run --lib $(TESTS:%=--test %) 2>$(PROGRAMS).log; \
		status=$$?; cat $(PROGRAMS).log >&2; exit $$status
	@sed -n 's/^ *Executable .*(\(.*\))$$/\1/p' $(PROGRAMS).log >$(PROGRAMS)

test-documents:
	$(CARGO) test --release --locked --doc

# The following run what `test-programs` has built.
test-library:
	$(call run,wharfinger)

test-alone:
	$(call run,alone) --skip $(SHIPPED_ALONE)

test-guests:
	$(call run,guests)

# They wait for Consul more than they compute.
test-consul:
	RUST_TEST_THREADS=$(or $(RUST_TEST_THREADS),4) $(call run,consul)

test-docker:
	$(call run,docker) $(SHIPPED_TESTS:%=--skip %)

# On what is shipped.
test-shipped:
	$(call run,docker,dist/wharfinger) $(SHIPPED_TESTS)
	$(call run,alone,dist/wharfinger) $(SHIPPED_ALONE)

clean: ## Remove what was built, and what tests/env/install.sh has put into target/
	$(CARGO) clean
	cd plugins && $(CARGO) clean
	rm -rf dist tests/page/node_modules plugins/dist plugins/examples/*/dist plugins/examples/*/target \
		plugins/examples/*/node_modules plugins/examples/*/.venv
