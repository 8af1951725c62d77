# The commands for developers and for CI. `make help` lists them.

CARGO ?= cargo

# The programs that the tests run. To use a program at another path, set its variable.
# CONTRIBUTING.md lists the required versions.
export PROMETHEUS ?= prometheus
export PROMTOOL ?= promtool
export PROMETHEUS3 ?= $(CURDIR)/target/prometheus3/usr/bin/prometheus
export PROMTOOL3 ?= $(CURDIR)/target/prometheus3/usr/bin/promtool
export BLACKBOX_EXPORTER ?= $(CURDIR)/target/blackbox/usr/bin/prometheus-blackbox-exporter
export ALERTMANAGER ?= prometheus-alertmanager
export AMTOOL ?= amtool
export OPENMETRICS_PYTHON ?= $(CURDIR)/target/venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup build test test-slow test-container week pages reports attack fuzz fuzz-planted check golden bench perf scaling deny demo demo-stack package derive dashboards page-images shellcheck clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install the missing programs that the tests need
	@scripts/setup.sh test

build: ## Build the release binary: target/release/vobiz-exporter
	$(CARGO) build --release --locked

# The attacks compare times of one run, so no other test runs beside them.
test: setup ## Run the tests for every change; first install missing programs
	$(CARGO) test --workspace --locked -- --skip attacks::stories
	$(CARGO) test --locked --test it -- attacks::stories

# These tests check the complete chain from the simulated vendor to a notification, then the
# dashboards with 10,000 endpoints, that a hundred kills change no loss time, that a thousand
# reloads disturb nothing, and that reports are right in spring, too. The chains mostly wait, so they run together.
test-slow: setup ## Run the tests that take minutes each
	$(CARGO) test --locked --test it -- --ignored --test-threads=8 chain::cases
	$(CARGO) test --locked --test it -- --ignored dashboards::limit
	$(CARGO) test --locked --test it -- --ignored state::kill reload::campaign report::thirty_days

# A debug build is enough for these tests, and a release build would take minutes longer.
test-container: HOST = $(shell rustc --print host-tuple)
test-container: export STATIC_BINARY = $(abspath $(or $(CARGO_TARGET_DIR),target)/$(HOST)/debug/vobiz-exporter)
test-container: ## Test the image, the unit and the package in containers, and bad disks; needs root
	@scripts/setup.sh container
	RUSTFLAGS="-C target-feature=+crt-static" \
		$(CARGO) build --locked --target $(HOST) --config profile.dev.debug=false
	$(CARGO) test --locked --test it -- --ignored deploy:: state::disk::

# The simulation needs an optimized build to be fast.
week: setup ## Simulate a week of 500 phones without and with ten faults, and print all alerts; takes 12 minutes
	$(CARGO) test --release --locked --test it -- --ignored --nocapture week::

# The times need an optimized build and an idle machine, so one test runs after the other.
pages: setup ## Measure the pages and the HTTP API with 100,000 endpoints, and find the longest missed one in Chromium
	$(CARGO) test --release --locked --test it -- --ignored --nocapture --test-threads=1 pages::limit web_api::limit
	$(CARGO) test --release --locked --test it -- --ignored pages::browser::a_person

# The time needs an optimized build and an idle machine.
reports: ## Measure a report about 100,000 endpoints with 1,000,000 events
	$(CARGO) test --release --locked --test it -- --ignored --nocapture report::limit

# The good clients measure times, so the machine must be idle, and the build optimized.
attack: ## Attack an exporter with 10,000 endpoints, as in docs/security.md; takes four minutes
	$(CARGO) test --release --locked --test it -- --ignored --nocapture attacks::stories

fuzz: ## Run each fuzz target for FUZZ_SECONDS, 600 by default
	@scripts/setup.sh fuzz
	scripts/fuzz.sh run

fuzz-planted: ## Check that each fuzz target finds a planted bug
	@scripts/setup.sh fuzz
	scripts/fuzz.sh planted

check: ## Check formatting, imports, words and sizes, run clippy and rustdoc; warnings are errors
	$(CARGO) fmt --all --check
	scripts/imports.py
	scripts/vocabulary.py
	scripts/size.py
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked

golden: setup ## Run the tests and rewrite the golden expositions; check the diff afterwards
	UPDATE_GOLDEN=1 $(CARGO) test --locked

bench: ## Run the benchmarks of rendering, publishing and scraping
	$(CARGO) bench --locked

perf: ## Measure speed and memory, as in docs/performance.md
	@scripts/setup.sh perf
	scripts/perf.sh

scaling: ## Measure many accounts and details, as in docs/scaling.md
	@scripts/setup.sh perf
	scripts/scaling.sh

deny: ## Check licences, banned crates and sources with cargo-deny
	@$(CARGO) deny --version >/dev/null 2>&1 || \
		{ echo "cargo-deny is missing: cargo install cargo-deny --locked" >&2; exit 1; }
	$(CARGO) deny --locked check licenses bans sources

demo: ## Run the exporter with a simulated vendor
	$(CARGO) run --release --locked -- demo

demo-stack: ## Run the whole chain: simulated vendor, exporter, Prometheus, Alertmanager
	@scripts/setup.sh demo
	$(CARGO) test --locked --test it -- --ignored --exact --nocapture \
		chain::demonstration::the_whole_chain_runs_until_ctrl_c

package: build ## Build the Debian package: target/debian/
	@scripts/setup.sh package
	scripts/package.sh

derive: ## Write the derived files of deploy/ (Compose, Kubernetes)
	scripts/derive.sh

dashboards: setup ## Generate the dashboards of grafana/
	target/venv/bin/python grafana/generate

page-images: setup ## Write the screenshots of docs/pages.md
	$(CARGO) test --locked --test it -- --ignored --exact \
		pages::browser::the_screenshots_of_the_documentation_are_written

shellcheck: ## Check the shell scripts
	shellcheck scripts/*.sh .ci/run

clean: ## Remove everything that was built or installed under target/
	$(CARGO) clean
