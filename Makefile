# make demo · run · test · lint · check · format          (needs Python 3.11+, make and git; no root)
# make demo SANDBOX_PORT=8601 and HUB_PORT=8502 make demo choose other ports

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
JOBS   ?= 3

.PHONY: help install run demo test test-quick lint check conformance security crash nightly bench bench-quick bench-peers format clean

help:
	@echo "make demo    the hub with sample records and a sandbox, at http://127.0.0.1:8501"
	@echo "make run     the hub alone, for your own records; it shares data/ with the demo"
	@echo "make test    all tests but the longest attacks (test-quick: two minutes of them)"
	@echo "make security the attacks that were tried, and that they are repelled"
	@echo "make check   format, lint, types and tests: what CI runs"
	@echo "make bench   what the hub promises about time, beside others (30 minutes; bench-quick: one)"
	@echo "make format  put the code in shape"

install: $(VENV)/.run

run: $(VENV)/.run
	@$(BIN)/hub up

demo: $(VENV)/.run
	@$(BIN)/hub up --demo $(if $(SANDBOX_PORT),--sandbox-port $(SANDBOX_PORT))

# the long attacks are left to `make security`: what CI runs of them is to end within a minute
test: $(VENV)/.dev
	@$(BIN)/python -m pytest -n $(JOBS) -m "not long"

# what one runs between two edits: the rooms, without PostgreSQL, browsers and real processes
test-quick: $(VENV)/.dev
	@$(BIN)/python -m pytest -n $(JOBS) -m "not postgres and not slow" tests/test_architecture.py tests/platform tests/storage \
	  tests/http tests/access tests/integrations tests/records tests/delivery tests/health

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/mypy --strict core sandbox dashboard.py scheduler.py pages/*.py

check: $(VENV)/.dev
	@$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory lint test

conformance: $(VENV)/.dev
	@$(BIN)/python -m pytest -n $(JOBS) tests/integrations/test_conformance.py

# every attack that has a test: those of the house, and the long ones that make their own processes
security: $(VENV)/.dev
	@$(BIN)/python -m pytest -n $(JOBS) -m security

crash: $(VENV)/.dev
	@NIGHTLY=1 CRASH_FIGURES=docs/reliability.md $(BIN)/python -m pytest -s tests/crash/test_crash.py

nightly: $(VENV)/.dev
	@NIGHTLY=1 $(BIN)/python -m pytest -s tests/crash/test_crash.py tests/delivery/test_outbox_machine.py tests/delivery/test_wanted_machine.py \
	  tests/flow/test_soak.py

# the table of docs/performance.md, then what has no peer; bench-quick: a minute
bench: $(VENV)/.dev bench-peers
	@$(BIN)/hub bench
	@$(BIN)/python -m bench.realtime
	@$(BIN)/python -m bench.neighbours
	@$(BIN)/python -m bench.health
	@$(BIN)/python -m bench.clock --postgres

bench-quick: $(VENV)/.run
	@$(BIN)/hub bench --quick

# who else sends the same: into the virtual environment, nothing on the system
bench-peers: $(VENV)/.run
	@$(PIP) -e '.[bench]'
	@-$(BIN)/python -m bench.peers --unpack

format: $(VENV)/.dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A stamp per set of packages: nothing is installed again until the lists change.
$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing the hub into $(VENV) (about a minute, once) …"
	@$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "Installing what the tests need …"
	@$(PIP) -e '.[dev]'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "The hub needs Python 3.11 or newer; $(PYTHON) is older or missing. Name another: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make virtual environments here (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }
