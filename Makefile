# `make run` watches the bundled sample agent, or CMD="..."; `make test` runs the suite.
# Both do all set-up first. Capture needs root: sudo is used when you are not root.

UNDERGLASS = $(CURDIR)/.venv/bin/underglass
SUDO = $(shell [ "$$(id -u)" = 0 ] || echo sudo)
.DEFAULT_GOAL = help
.PHONY: help setup setup-dev run test lint bench clean

help: ## Show these targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## Install what is missing: BCC by apt, the rest into .venv.
	@packaging/setup.sh

setup-dev:
	@packaging/setup.sh --dev

run: setup ## Watch the sample agent; or yours: make run CMD="claude -p hi"
ifdef CMD
	@$(SUDO) $(UNDERGLASS) run -- $(CMD)
else
	@$(SUDO) $(UNDERGLASS) demo
endif

test: setup-dev ## Run the whole suite, with real probes when root.
	@$(SUDO) .venv/bin/python -m pytest -q $(ARGS)

lint: setup-dev ## ruff, mypy and the layers.
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports

bench: setup-dev ## Overhead of capture, as ratios within one run.
	@$(SUDO) .venv/bin/python -m benchmarks.overhead

clean: ## Remove .venv and caches.
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
