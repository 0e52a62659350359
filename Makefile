# callsteward. On a fresh Debian with Python 3.11, git and make, as root: `make demo`, `make test`.
# Each target sets up what it needs; a second run starts at once.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.callsteward-setup

# What needs no Asterisk runs on all cores, a module's tests together.
PARALLEL := -n auto --dist loadscope
# Releases of PostgreSQL (tests/lab/postgresql.py): Debian's runs beside the live tests.
OLDEST := 13
NEWEST := 18
PROPERTIES := tests/property tests/fuzz
# The tests of the pure core, which look at no clock.
CORE := tests/replay tests/unit/calls tests/unit/standard
# Those that show how much of it is tested: coverage doubles what a test costs, and the others would add nothing.
COVERING := $(CORE) tests/unit/tags $(wildcard tests/unit/test_pump_*.py) \
	$(addprefix tests/unit/test_,check_trunks.py clock.py dates.py hostile_text.py parts.py places.py) \
	tests/unit/rating/test_report.py tests/unit/rating/test_rated.py tests/unit/ari/test_shedding.py
OTHERS := $(addprefix --ignore=,tests/unit tests/replay $(PROPERTIES))

# In CI a live test that cannot run is a failure; elsewhere it is skipped and says why.
ifneq ($(filter-out false 0,$(CI)),)
export CALLSTEWARD_REQUIRE_LIVE := 1
endif

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: $(STAMP) ## Virtual environment with callsteward and all development tools

$(STAMP): pyproject.toml constraints.txt scripts/bootstrap
	@scripts/bootstrap $(VENV)
	@touch $@

.PHONY: lab
lab: setup ## Root folders with a real Asterisk 22 and 16, and Mosquitto; espeak-ng (root, Debian; once, 2 minutes)
	@$(PY) -m tests.lab.roots

.PHONY: try
try: setup ## See it: nine recorded calls through the real daemon; no root, no Asterisk, no broker
	@$(VENV)/bin/callsteward demo

.PHONY: demo
demo: setup ## Real Asterisk, real phones, real broker: watch call records arrive over MQTT
	@$(PY) -m tests.demo

.PHONY: test
test: static test-roots test-units test-lowest test-together test-alone ## Everything: lint, types, all tests with the live ones, coverage of the pure core

# A type checker keeps one processor busy; the other one compiles meanwhile what test-compiled needs.
.PHONY: static
static: setup
	@$(PY) -m tests.compiled.build & core=$$!; \
		$(MAKE) lint types || { kill $$core; exit 1; }; wait $$core

.PHONY: test-roots
test-roots: setup
	@$(PY) -m tests.lab.roots || { test -z "$${CALLSTEWARD_REQUIRE_LIVE:-}" || exit 1; echo "==> no lab here: the live tests will be skipped"; }

.PHONY: test-units
test-units: setup
	@echo "==> tests of the pure core"
	@$(PY) -m pytest $(PARALLEL) --cov --cov-report= $(COVERING)
	@echo "==> other unit tests"
	@CALLSTEWARD_POSTGRESQL=$(NEWEST) $(PY) -m pytest $(PARALLEL) $(addprefix --ignore=,$(COVERING)) tests/unit
	@echo "==> how much of the pure core its tests cover"
	@$(PY) -m coverage report --include='*/callsteward/calls/*,*/callsteward/record/*,*/callsteward/standard/*' --fail-under=98

# What an older installation has: the bounds in pyproject.toml are of releases that these tests ran with.
LOWEST = PYTHONPATH=$(CURDIR)/daemon CALLSTEWARD_POSTGRESQL=$(OLDEST) "$$(scripts/lowest)" -m pytest $(PARALLEL)
.PHONY: test-lowest
test-lowest: setup ## Unit and PostgreSQL tests with the lowest releases that pyproject.toml allows
	@echo "==> unit and PostgreSQL tests with the lowest releases"
	@$(LOWEST) $(addprefix --ignore=,$(CORE)) tests/unit tests/postgresql

.PHONY: test-lowest-core
test-lowest-core: setup
	@echo "==> tests of the pure core with the lowest releases"
	@$(LOWEST) $(CORE)

.PHONY: test-properties
test-properties: setup
	@echo "==> property and fuzz tests"
	@$(PY) -m pytest $(PARALLEL) $(PROPERTIES)

# Most live tests wait for real phones: three lanes on two cores. A PBX and its phones go before the rest
# (tests/lab/priority.py), the lanes are filled by tests/conftest.py.
# Without the right to a real-time policy (it is root's) a third one would make phones late.
LANES ?= $(shell chrt -r 1 true 2>/dev/null && echo 3 || echo 2)
.PHONY: test-live
test-live: setup ## All other tests: real Asterisk, phones, brokers, databases, in three lanes (LANES=)
	@echo "==> all other tests, $(LANES) at once"
	@$(PY) -m pytest -n $(LANES) --dist loadfile --no-loadscope-reorder --durations=10 -m 'not alone' $(OTHERS)

# Here the question is what a crowd of calls and the daemon do to a PBX: it has no priority, and the machine.
.PHONY: test-alone
test-alone: setup
	@echo "==> the live tests that need the machine to themselves"
	@$(PY) -m pytest --durations=10 -m alone $(OTHERS)

.PHONY: test-compiled
test-compiled: setup
	@echo "==> the compiled core: replay, property and unit tests against it"
	@$(PY) -m tests.compiled

# The phones of the live tests wait half of the time for each other. What computes alone, and looks at no clock,
# has the processors then: the idle policy gives it nothing that anybody else wants.
IDLE := $(shell chrt -i 0 true 2>/dev/null && echo chrt -i 0 || echo nice -n 19)
.PHONY: test-together
test-together: setup
	@echo "==> beside the next tests, shown after them: property and fuzz tests, the core compiled and on lowest releases"
	@beside=$$(mktemp); trap 'trap - TERM; kill 0' INT TERM; failed=0; \
		$(IDLE) $(MAKE) -k test-properties test-compiled test-lowest-core >"$$beside" 2>&1 & other=$$!; \
		$(MAKE) test-live || failed=1; \
		wait $$other || failed=1; cat "$$beside"; rm "$$beside"; exit $$failed

.PHONY: test-fast
test-fast: setup ## Tests without Asterisk (some minutes)
	@$(PY) -m pytest $(PARALLEL) -m 'not live'

.PHONY: lint
lint: setup ## Style
	@echo "==> lint"
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

.PHONY: types
types: setup ## Types (mypy strict)
	@echo "==> types"
	@$(PY) -m mypy

.PHONY: format
format: setup ## Bring all files into form
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

.PHONY: contract
contract: setup ## After a change of a message: write the shipped schemas and the snapshots they are held against
	@$(VENV)/bin/callsteward schema --folder daemon/callsteward/contract
	@$(PY) -m tests.contract

.PHONY: bench
bench: setup ## Events per second beside the bare floor, memory per live call; plain Python and compiled
	@$(PY) -m tests.bench

.PHONY: latency
latency: lab ## From an ARI event to its MQTT message, p50 and p99 at 50 and 200 calls/s (3 minutes)
	@$(PY) -m tests.bench.latency

.PHONY: delivery
delivery: lab ## 2,000 calls while broker and daemon are killed ten times each: does every message arrive?
	@$(PY) -m tests.bench.delivery

.PHONY: soak
soak: setup ## 10 minutes at the highest rate this machine carries: nothing lost, doubled or leaked (MINUTES=, RATE=)
	@$(PY) -m tests.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(RATE),--rate $(RATE))

.PHONY: cost
cost: lab ## What a call costs beside Asterisk, and where it goes: 25, 50, 100 calls/s (5 minutes; COST='--compiled')
	@$(PY) -m pip install --quiet --constraint constraints.txt --group cost
	@$(PY) -m tests.cost $(COST)

.PHONY: year
year: setup ## A store with a year of calls: disk a call, what reports and questions take (CALLS=10000000 for the whole, YEAR='--engine sqlite')
	@$(PY) -m tests.bench.year $(YEAR)

.PHONY: fuzz
fuzz: setup ## A million hostile inputs for every reader of what comes from outside (some minutes)
	@$(PY) -m pip install --quiet --constraint constraints.txt --group fuzz
	@$(PY) -m tests.fuzz $(if $(INPUTS),--inputs $(INPUTS))

.PHONY: explore
explore: setup ## The property tests with inputs that nobody has tried yet (`make test` tries the same ones each time)
	@$(PY) -m pytest $(PARALLEL) --hypothesis-profile=explore -m hypothesis tests/property tests/unit

.PHONY: wheel
wheel: setup ## The wheel with the compiled core, for this Python and machine, into dist/
	@scripts/compiler $(PY)
	@CALLSTEWARD_COMPILE=1 $(PY) -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

.PHONY: chaos
chaos: setup ## Every fault in every phase of a callback, about 15 minutes; CHAOS='--matrix records', '--help' …
	@$(PY) -m tests.lab.roots
	@$(PY) -m tests.chaos --runs 120 $(CHAOS)

.PHONY: standby
standby: setup ## The other daemon takes over within 3 s of each fault, in each direction, at each step (25 minutes)
	@$(PY) -m tests.lab.roots
	@CALLSTEWARD_STANDBY=all $(PY) -m pytest -s -q tests/live/test_standby.py tests/live/test_standby_points.py

.PHONY: harm
harm: setup ## The PBX is never harmed: disk and broker frozen under 100 calls a second, 60 stops, 45 kills (root)
	@$(PY) -m tests.lab.roots
	@CALLSTEWARD_HARM_STALL_S=60 CALLSTEWARD_HARM_RATE=100 CALLSTEWARD_HANDOVER_STOPS=60 \
		CALLSTEWARD_HANDOVER_RATE=25 CALLSTEWARD_KEPT_KILLS=45 CALLSTEWARD_KEPT_RATE=25 \
		$(PY) -m pytest -s -q tests/live/test_harm.py tests/live/test_handover.py tests/live/test_kept_connection.py

.PHONY: pins
pins: setup ## After new releases: install the newest of everything, and write down what the tests run with
	@$(PY) -m pip install --quiet --upgrade --upgrade-strategy eager --editable . --group dev --group cost --group fuzz --group pins
	@{ sed -n '/^#/p' constraints.txt; $(PY) -m pip freeze --exclude-editable --exclude pip --exclude setuptools --exclude uv; } > $(VENV)/pins
	@mv $(VENV)/pins constraints.txt
	@scripts/lowest --write
	@git diff --stat constraints.txt constraints-lowest.txt

.PHONY: audit
audit: setup ## Known vulnerabilities in the dependencies, where the service can be reached
	@scripts/audit $(VENV)

.PHONY: clean
clean: ## Remove everything made here but the lab's cached root folders
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
