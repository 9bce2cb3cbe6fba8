# Thin: each target is one or two lines. A missing or outdated .venv is made first, from requirements.lock.

.DEFAULT_GOAL := help
.PHONY: help up test check lint types contracts wire house bench bench-desk bench-leasing bounds chaos fuzz mutants simulate replay-alerts protos fmt lock clean

BIN := .venv/bin
READY := .venv/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

# The first interpreter that is new enough and can make a working virtual environment.
PYTHON ?= $(shell for candidate in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { echo $$candidate; break; }; done)

help: ## show these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

up: $(READY) ## bring up the control plane, a sidecar and a provider to talk to
	@$(BIN)/bursar up

# It starts hundreds of processes: compiled once, they begin sooner, whoever forbids that elsewhere.
test: $(READY) ## run every test, on all cores
	@$(BIN)/python -m tests.e2e.chromium
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder

check: lint types contracts wire house ## format, lint, strict types, import contracts, protos, house rules

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

contracts: $(READY)
	$(BIN)/lint-imports

wire: $(READY)
	$(BIN)/buf lint . --config protos/buf.yaml
	$(BIN)/python -m protos.generate --check

house: $(READY)
	$(BIN)/python -m pytest tests/house

bench: $(READY) ## measure the sidecar next to a bare pass-through
	@$(BIN)/python -m tests.bench

chaos: $(READY) ## kill, cut and fill up real processes: ROUNDS=n [SEED=s]
	@$(BIN)/python -m tests.chaos $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SEED),--seed $(SEED))

fuzz: $(READY) ## fuzz every reader of foreign bytes, guided by coverage: RUNS=n [TARGET=name]
	@$(BIN)/python -m tests.fuzz $(if $(TARGET),"$(TARGET)") $(if $(RUNS),--runs $(RUNS))

simulate: $(READY) ## play worlds with every fault from seeds: SEEDS=n [SEED=s]
	@$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),1000) $(if $(SEED),--seed $(SEED))

mutants: $(READY) ## plant bugs in the lease protocol, and let the simulation find each
	@$(BIN)/python -m tests.mutants

bounds: $(READY) ## hold generated requests against their dearest legal bills: COUNT=n [SEED=s]
	@$(BIN)/python -m tests.bounds $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

replay-alerts: $(READY) ## replay the rules of alerts over quiet months and runaways: SEEDS=n
	@$(BIN)/python -m tests.alerts --seeds $(or $(SEEDS),20)

bench-desk: $(READY) ## time each page of the desk: CLIENTS=n CALLS=n
	@$(BIN)/python -m tests.bench.pages $(if $(CLIENTS),--clients $(CLIENTS)) $(if $(CALLS),--calls $(CALLS))

bench-leasing: $(READY) ## measure leasing: a simulated fleet against the cap, and the hot row
	@$(BIN)/python -m tests.leasing

protos: $(READY) ## make the generated code again
	$(BIN)/python -m protos.generate

fmt: $(READY) ## format, and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(READY) ## write the versions in .venv down as the ones to install
	@{ sed -n '/^#/p' requirements.lock; $(BIN)/python -m pip freeze --all --exclude pip --exclude-editable; } > .venv/lock
	@mv .venv/lock requirements.lock

clean: ## remove .venv and every cache
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { \
	echo "Bursar needs Python 3.11 or newer with its venv module." >&2; \
	echo "Found: $$(python3 --version 2>&1 || true)" >&2; \
	echo "On Debian or Ubuntu: apt-get install python3 python3-venv." >&2; \
	echo "Elsewhere: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Making .venv with $(PYTHON); the first time takes a minute or two."
	@$(PYTHON) -m venv .venv
	@$(PIP) install --progress-bar off --requirement requirements.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)
