# Needs Python 3.11 or newer, git and make; everything else goes into a virtual environment of its own.

VENV ?= .venv
# What `make test` and the checks install; the demo needs the plots only.
EXTRAS ?= dev,all
PYTEST_ARGS ?=
INPUTS ?= 1000000

# The first Python that runs and can make environments: one that CI tests (3.11 to 3.13), else any newer one.
# It is tried, not looked up: a version manager's shim may be there for a Python that is not.
PYTHON ?= $(shell for newest in 13 99; do for python in python3 python3.13 python3.12 python3.11; do \
  $$python -c "import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $$newest))" \
  2>/dev/null && echo $$python && exit; done; done)

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable
CREATED := $(VENV)/.created
FOR_DEMO := $(VENV)/.installed-for-demo
FOR_WORK := $(VENV)/.installed-for-work
FOR_PEERS := .venv-dacapo/.installed .venv-formats/.installed .venv-editor/node_modules/.installed
SERVERS := $(addprefix tests/editor/,.npmrc package.json package-lock.json taplo.mjs)

.DEFAULT_GOAL := help
.PHONY: help demo test peers lint format types docs fuzz bench schema clean

help:  ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(FOR_DEMO)  ## Compose a real MRI: verify, show, materialize, draw
	$(BIN)/python configs/make_data.py
	$(BIN)/dacapo-like verify configs/quickstart.yaml
	$(BIN)/dacapo-like show configs/quickstart.yaml composed
	$(BIN)/dacapo-like materialize configs/quickstart.yaml composed demo_output/composed.zarr --overwrite
	$(BIN)/dacapo-like show configs/quickstart.yaml composed --png demo_output/quickstart.png --beside raw
	@echo "Written: demo_output/composed.zarr and demo_output/quickstart.png"

test: $(FOR_WORK)  ## Run all tests, the examples in the docs included
	@$(MAKE) --no-print-directory --keep-going peers || echo "Tests that compare with programs of others will be skipped" >&2
	$(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

peers: $(FOR_PEERS)  ## Install DaCapo, ZarrNii, CloudVolume, CAREamics, BiaPy and language servers beside, for what is compared or tried with them

lint: $(FOR_WORK)  ## Check format, lint and floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

format: $(FOR_WORK)  ## Format, and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(FOR_WORK)  ## Check types
	$(BIN)/mypy

docs: $(FOR_WORK)  ## Build the documentation into docs/_build/html; a warning is an error
	$(BIN)/sphinx-build --fail-on-warning --keep-going -q -b html docs docs/_build/html

fuzz: $(FOR_WORK)  ## Read a million hostile documents (INPUTS=1000000), for half an hour or more; what is found is in .fuzz
	@$(INSTALL) '.[$(EXTRAS)]' atheris || echo "No atheris here: no input is guided by coverage" >&2
	$(BIN)/python -m tests.fuzz --inputs $(INPUTS)

bench: $(FOR_WORK) $(if $(PEERS),$(FOR_PEERS))  ## Run the benchmarks and write docs/performance.md; with PEERS=1 beside programs of others
	$(BIN)/python -m benchmarks --page docs/performance.md

schema: $(FOR_WORK)  ## Write the JSON Schemas anew
	$(BIN)/dacapo-like schema --write schemas

clean:  ## Remove everything that was made here, the environments too
	rm -rf .venv* build dist docs/_build demo_output configs/data \
	  .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .fuzz
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(CREATED):
	@python="$(PYTHON)"; test -n "$$python" || { \
	  echo "No Python 3.11 or newer with the venv module was found; name one: make PYTHON=/path/to/python" >&2; exit 1; }; \
	echo "Making $(VENV) with $$python"; $$python -m venv $(VENV)
	@touch $@

$(FOR_DEMO): $(CREATED) pyproject.toml
	@echo "Installing the package and matplotlib into $(VENV); the first time takes a minute or two"
	@$(INSTALL) '.[plots]'
	@touch $@

.venv-%/.installed: tests/peers/requirements-%.txt | $(CREATED)
	@echo "Installing programs to compare with into .venv-$*; it takes half a minute"
	@$(BIN)/python -m venv --clear .venv-$*
	@.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --requirement $<
	@touch $@

.venv-editor/node_modules/.installed: .venv-editor/.installed $(SERVERS)
	@echo "Installing language servers into .venv-editor"
	@cp $(SERVERS) .venv-editor
	@cd .venv-editor && PATH="$$PWD/bin:$$PATH" npm ci --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

$(FOR_WORK): $(CREATED) pyproject.toml
	@echo "Installing the package, tests and tools into $(VENV); the first time takes some minutes"
	@$(INSTALL) '.[$(EXTRAS)]'
	@touch $(FOR_DEMO) $@
