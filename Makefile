# Needs make and a Python of 3.11 or newer; everything else comes from the lock file into .venv.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: screenshots help up demo demo-bulk test check check-python format bench capacity live-check chaos proof readme mutation fuzz sabotage size audit licences sbom assets clients lock clean

# Dozens of processes are started: each would compile all of its modules anew.
unexport PYTHONDONTWRITEBYTECODE

UV_VERSION := 0.13.9
# Another folder keeps another Python's environment beside this one: make VENV=.venv-3.13 PYTHON=python3.13 test
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV := $(VENV)/.uv-$(UV_VERSION)
UV_RUN := $(BIN)/uv
CODE := pipeline adapters config tests

# The first of these that is new enough; `make PYTHON=/path/to/python3` overrides.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; break; }; \
	done)

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

up: $(STAMP) ## start everything on this machine: engines, API, workers, Flower, sandbox
	@exec $(BIN)/slipway up

demo: $(STAMP) ## publish two posts to the sandbox and watch them arrive
	@exec $(BIN)/slipway demo

demo-bulk: $(STAMP) ## import 300 posts into the sandbox, publish the first 60, roll back the others
	@exec $(BIN)/slipway demo --bulk

TESTS ?= tests
test: $(STAMP) ## run the tests, on real engines and real workers
	@# in a fresh clone each of the six would compile all tests anew
	@test -d tests/__pycache__ || { $(BIN)/pytest --collect-only -qq tests/pipeline & $(BIN)/pytest --collect-only -qq tests --ignore tests/pipeline; wait; } >/dev/null
	$(BIN)/pytest -n 6 --dist loadscope --no-loadscope-reorder $(TESTS)

check: $(STAMP) ## lint, format, types, import rules, lock file: what has to hold before a commit
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/uv lock --check

check-python: $(STAMP) ## types and imports as this VENV's Python and its packages see them
	$(BIN)/mypy --python-version $$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

format: $(STAMP) ## rewrite the code as `make check` wants it, where that is possible
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

bench: $(STAMP) ## measure, beside a reference measured in the same run (ARGS="bulk": one of them; ARGS=--quick)
	@exec $(BIN)/python -m tests.bench $(ARGS)

capacity: $(STAMP) ## what saturates first, by a simulation held to this machine (ARGS="--html FILE"; ARGS="--costs FILE")
	@exec $(BIN)/python -m tests.capacity $(ARGS)

chaos: $(STAMP) ## kill and cut everything for two minutes, then judge (N=100000: a long run; ARGS="--seed 1 --html FILE")
	@exec $(BIN)/python -m tests.chaos --posts $(or $(N),300) $(ARGS)

proof: $(STAMP) ## kill a worker at every point of a post's way, on every platform: live once, or left to a person
	$(BIN)/pytest -n 4 --dist loadscope tests/proof --timeout 900 --durations=0

readme: $(STAMP) ## follow the README in a fresh checkout: spaces in its path, no terminal, LANG=C, as root and not
	$(BIN)/pytest -n 2 tests/readme --timeout 1800 --durations=0

mutation: $(STAMP) ## break the code in every small way, and see a test notice (ARGS="'pipeline.domain.retry_policy.*'": only those)
	@exec nice $(BIN)/python -m tests.mutation $(ARGS)

fuzz: $(STAMP) ## feed every reader of user bytes changed files, not in CI (ARGS="--minutes 10 --reader image json")
	@$(SYNC) --group fuzz
	@exec nice $(BIN)/python -m tests.fuzz $(ARGS)

sabotage: $(STAMP) ## break the code in each known way, and see every lane fail (ARGS="no-fence --lane chaos")
	@exec nice $(BIN)/python -m tests.sabotage $(ARGS)

size: $(STAMP) ## count code lines, files and Markdown words of every folder, and hold them to their ceilings
	@exec $(BIN)/python -m tests.size $(ARGS)

live-check: $(STAMP) ## would a post go out? asks the platforms, reading only; what only a live post can tell (PLATFORM=tiktok)
	@exec $(BIN)/slipway live-check $(PLATFORM) $(ARGS)

audit: $(STAMP) ## look the locked packages up in the vulnerability database (needs the network)
	@exec $(BIN)/python -m tests.audit $(ARGS)

licences: $(STAMP) ## list the packages of the image with their licences: config/IMAGE.md
	$(BIN)/python -m tests.image_packages > config/IMAGE.md.new
	mv config/IMAGE.md.new config/IMAGE.md

sbom: $(STAMP) ## write the image's bill of materials: sbom.cdx.json (CycloneDX)
	$(UV_RUN) export --frozen --no-dev --quiet --preview-features sbom-export --format cyclonedx1.5 --output-file sbom.cdx.json

screenshots: $(STAMP) ## pictures of every page of the dashboard, of a filled month, in screenshots
	mkdir -p screenshots
	DASHBOARD_SCREENSHOTS=$(CURDIR)/screenshots $(BIN)/pytest -q tests/pipeline/dashboard/test_pictures.py

assets: $(STAMP) ## fetch the dashboard's JavaScript and CSS with npm, and check the hashes (tests/assets.py)
	$(BIN)/python -m tests.assets

clients: $(STAMP) ## build the Python and the TypeScript client of the API from its document, in clients (needs npm)
	@exec $(BIN)/python -m pipeline.api.clients.build $(ARGS)

lock: $(STAMP) ## bring uv.lock up to date with pyproject.toml
	$(BIN)/uv lock

clean: ## remove the environment and caches; data in .slipway stays
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis mutants
	rm -rf tests/flow/clients/typescript/node_modules clients
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

$(UV):
	@test -n "$(PYTHON)" || { \
		echo "Slipway needs Python 3.11 or newer with its venv module, and found none on PATH." >&2; \
		echo "Install one (Debian, Ubuntu: apt install python3 python3-venv), or: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Making $(VENV) with $(PYTHON) …"
	@"$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $(UV)

# Where a proxy looks into TLS, only the machine's own certificates will do: that is the second try.
SYNC := VIRTUAL_ENV= UV_PROJECT_ENVIRONMENT=$(VENV) UV_PYTHON_DOWNLOADS=never \
	$(BIN)/uv sync --quiet --frozen --all-extras --inexact --compile-bytecode

# The stamp is newer than the lock file and pyproject.toml exactly when what they name is installed.
$(STAMP): pyproject.toml uv.lock | $(UV)
	@echo "Installing the locked packages …"
	@$(SYNC) 2>$(VENV)/sync.log || $(SYNC) --system-certs || { cat $(VENV)/sync.log >&2; exit 1; }
	@touch $(STAMP)
