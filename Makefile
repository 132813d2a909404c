# Two commands for a reader: `make demo` and `make test`. Each makes .venv by itself and installs what it needs.
PY ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := -m pytest -n auto

.PHONY: demo test torture check coverage lint types format bench anyio-suite clean
.NOTPARALLEL:

demo: $(VENV)/.has-cli
	$(BIN)/aftertide demo

test: $(VENV)/.has-test
	$(BIN)/python $(PYTEST)

torture: $(VENV)/.has-test
	$(BIN)/python $(PYTEST) -m torture

check: lint types coverage

coverage: $(VENV)/.has-dev
	@mkdir -p out/coverage
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run $(PYTEST)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

lint: $(VENV)/.has-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports

types: $(VENV)/.has-dev
	$(BIN)/mypy

format: $(VENV)/.has-dev
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: $(VENV)/.has-bench
	@mkdir -p out
	$(BIN)/python -m benchmarks --json out/bench.json

# anyio's own tests on the simulation's loop. Fetches anyio's sources once.
anyio-suite: $(VENV)/.has-test
	$(BIN)/python -m tests.simulation.anyio_suite

clean:
	rm -rf $(VENV) out dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.has-%: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@touch $@

# Order-only, and on pip: Debian without python3-venv leaves a half-made venv that has a python and no pip.
$(BIN)/pip:
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Aftertide needs Python 3.11 or newer, and '$(PY)' is $$($(PY) -V 2>/dev/null || echo 'not there')." \
	    "Name another one: make PY=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PY) -m venv $(VENV) || { \
	  echo "'$(PY) -m venv' failed. On Debian and Ubuntu it is a package of its own:" \
	    "apt-get install python3-venv" >&2; exit 1; }
