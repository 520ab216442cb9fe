.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FUNCTIONS := proxy usage_sink log_view
DEPLOY := PYTHONPATH=src $(BIN)/python deploy/deploy.py
ACCESS_FILE ?= access.toml

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z_%\/-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.run ## Set up .venv with what `make run` needs

run: $(VENV)/.run ## Serve on http://localhost:8080 (PORT, DATA_DIR, OPENAI_API_KEY, OPENAI_BASE_URL)
	@exec $(BIN)/openai-proxy serve

test: $(VENV)/.dev ## Run the tests
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

build: $(FUNCTIONS:%=build/%) ## Assemble build/<function>/: main.py, requirements.txt, the package

check: $(VENV)/.dev ## Look: lint, format, types, arrows; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Change: format and fix what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.dev ## Write the tables of endpoints in README.md and docs/endpoints.md anew
	$(BIN)/python docs/endpoint_tables.py

bench: $(VENV)/.dev ## Measure every figure that the README states
	$(BIN)/python benchmarks/bench.py
	$(BIN)/python benchmarks/sink.py
	$(BIN)/python benchmarks/pubsub.py
	$(BIN)/python benchmarks/cold_start.py
	$(BIN)/python benchmarks/page.py
	$(BIN)/python benchmarks/ledger_writes.py
	$(BIN)/python benchmarks/fairness.py
	$(BIN)/python benchmarks/access.py

lock: $(VENV)/.dev ## Write requirements/*.txt and tests/clients/*.txt anew
	$(BIN)/python requirements/lock.py

plan-check: $(VENV)/.dev ## Look: Terraform and make deploy, without a cloud; changes nothing
	@OPENAI_PROXY_TERRAFORM=1 $(BIN)/python -m pytest tests/terraform tests/deploy $(PYTEST_ARGS)

deploy: build $(VENV)/bin/python ## Ship all functions to Google Cloud, after `terraform apply`
	@$(DEPLOY) deploy

deploy-%: build/% $(VENV)/bin/python ## Ship one: deploy-proxy, deploy-usage_sink, deploy-log_view
	@$(DEPLOY) deploy $*

secrets: $(VENV)/bin/python ## Send OpenAI's key (OPENAI_API_KEY, a pipe or a prompt), or a team's (KEY=name), to its secret
	@$(DEPLOY) secrets $(KEY)

redis: $(VENV)/bin/python ## Send the address of Redis or Valkey (RATE_LIMIT_URL, a pipe or a prompt) to its secret
	@$(DEPLOY) redis

access: $(VENV)/bin/python ## Send the access file (ACCESS_FILE, default access.toml) to its secret
	@$(DEPLOY) access $(ACCESS_FILE)

clean: ## Remove what the other targets made; keeps data/
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "make: Python 3.11 or newer is needed, and '$(PYTHON)' is not found; install it, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or newer is needed, and '$(PYTHON)' is older; name another: make $(MAKECMDGOALS) PYTHON=python3.13" >&2; exit 1; }
	@echo "Setting up $(VENV), once ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing what is needed to run ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	@echo "Installing what is needed to test ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

build/%: FORCE
	@rm -rf $@ && mkdir -p $@
	@cp -R functions/$*/. $@/
	@{ echo "-c constraints.txt"; cat functions/$*/requirements.txt; } >$@/requirements.txt
	@cp requirements/constraints.txt $@/
	@cp -R src/openai_proxy $@/
	@find $@ -name __pycache__ -prune -exec rm -rf {} +

FORCE:
.PHONY: help install run test build check format docs bench lock plan-check deploy secrets redis access clean FORCE
