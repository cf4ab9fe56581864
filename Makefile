# `make run` watches the bundled sample agent, or CMD="..."; `make test` runs the suite.
# Both do all set-up first. Capture needs root: sudo is used when you are not root.

UNDERGLASS = $(CURDIR)/.venv/bin/underglass
SUDO = $(shell [ "$$(id -u)" = 0 ] || echo sudo)
AGENTS = $(or $(UNDERGLASS_AGENTS_DIR),$(CURDIR)/.venv/npm-agents)
.DEFAULT_GOAL = help
.PHONY: help setup setup-dev run test test-agents soak lint man bench bench-stacks detectors fuzz clean

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

test: setup-dev ## Run the whole suite, with real probes when root; or a part: ARGS=tests/tui.
ifdef ARGS
	@$(SUDO) .venv/bin/python -m pytest -q $(ARGS)
else
	@$(SUDO) .venv/bin/python -m pytest -q -n auto --dist loadfile --ignore tests/e2e --ignore tests/probes
	@$(SUDO) .venv/bin/python -m pytest -q -n 2 --dist loadfile -m "not alone" tests/e2e tests/probes
	@$(SUDO) .venv/bin/python -m pytest -q -m alone tests/e2e
endif

test-agents: setup-dev ## Real agents (npm, 2 GB): one prompt, one tool call each.
	@packaging/agents.sh
	@$(SUDO) env UNDERGLASS_AGENTS_DIR="$(AGENTS)" .venv/bin/python -m pytest -q tests/agents $(ARGS)

lint: setup-dev ## ruff, mypy and the layers.
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports

man: setup ## Manual pages of every command, in build/man/man1.
	@.venv/bin/python -m underglass.man_pages build/man/man1

soak: setup-dev ## Long variants: process storms, attach cycles, a probe process that hangs.
	@$(SUDO) env UNDERGLASS_SOAK=1 .venv/bin/python -m pytest -q --timeout 1800 tests/e2e/test_leaks.py tests/e2e/test_freeze.py $(ARGS)

bench-stacks: setup-dev ## Cost of capture per call, by TLS stack.
	@$(SUDO) .venv/bin/python -m benchmarks.stacks $(ARGS)

bench: setup-dev ## Overhead of capture, as ratios within one run.
	@$(SUDO) .venv/bin/python -m benchmarks.overhead

detectors: setup-dev ## Recorded runs (../shared/data): detectors against labels, then replayed under probes.
	@.venv/bin/python -m benchmarks.detectors
	@$(SUDO) .venv/bin/python -m benchmarks.replay_runs

fuzz: setup-dev ## Fuzz the decoders: make fuzz [DECODER="sse http*"] [SECONDS=1800]
	@.venv/bin/pip install --quiet --disable-pip-version-check -r packaging/requirements-fuzz.lock
	@nice -n 19 .venv/bin/python -m tests.fuzz --seconds $(or $(SECONDS),1800) $(foreach name,$(DECODER),'$(name)')

clean: ## Remove .venv and caches.
	@rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
