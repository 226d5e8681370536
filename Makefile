# Each target is a line; `make` alone prints them.
STORE ?= sentinel
KIT ?= sentinel
OVERLAYS ?=
KIT_ARGS ?=
RUN_ARGS ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
DRILL_ARGS ?=
DRILL_ALL_ARGS ?= --all --repeat 3
FAULTS ?= 300
AGENTS_ARGS ?= --repeat 20 --durability balanced
KIT_DRILL_ARGS ?= --rate 100 --duration 60 --repeat 5
RIVALS_ARGS ?= --rounds 30 --tickets 100000 --durability balanced
BIN := .venv/bin
LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
SCRIPTS := deploy/scripts

.DEFAULT_GOAL := help
.PHONY: help setup python run test crowd test-drills test-containers test-chart test-kubernetes bench drill drill-all drill-kit rivals agents lint types format lock clean model model-short image up down ps logs

help: ## Print these lines
	@sed -n 's/^\([a-z-]*\):.*## /  make \1@/p' Makefile | awk -F@ '{ printf "%-22s %s\n", $$1, $$2 }'

setup: python ## Install what is missing: .venv with locked dependencies, a Valkey or Redis server
	@$(SCRIPTS)/setup_redis.sh || true

python: ## Make .venv, without a server
	@$(SCRIPTS)/setup_python.sh

run: python ## Run a highly available installation here; STORE=standalone, cluster, memory: another one
	@$(if $(filter memory,$(STORE)),,$(SCRIPTS)/setup_redis.sh &&) exec $(BIN)/guarita local run --store $(STORE) $(RUN_ARGS)

image: ## Make the container images guarita and guarita-proxy (needs Docker)
	@python3 deploy/kit.py image

up: ## Start a kit of containers; KIT=sentinel (highly available, behind TLS), cluster or standalone; OVERLAYS=tls, dev
	@python3 deploy/kit.py --overlays '$(OVERLAYS)' up $(KIT)

down: ## Stop the kit and keep its data; KIT_ARGS=--volumes removes that too
	@python3 deploy/kit.py down $(KIT) -- $(KIT_ARGS)

ps: ## Show the containers of the kit
	@python3 deploy/kit.py ps $(KIT) -- $(KIT_ARGS)

logs: ## Show what the kit logs; KIT_ARGS='--follow service-1'
	@python3 deploy/kit.py logs $(KIT) -- $(KIT_ARGS)

test: setup ## Run every test that needs no containers; PYTEST_ARGS='-k name' chooses some
	@$(BIN)/pytest --numprocesses 6 --no-loadscope-reorder -m 'not container and not chart and not kubernetes and not played' $(PYTEST_ARGS)

crowd: setup ## Let 11000 callers wait at once while the primary is replaced, with nothing beside it
	@$(BIN)/pytest tests/failover/test_crowd.py --callers 11000 $(PYTEST_ARGS)

test-drills: setup ## Run the tests that play a whole drill, one after another
	@$(BIN)/pytest -m played tests/drill $(PYTEST_ARGS)

test-containers: setup ## Run the tests of kits and installations in containers (needs Docker)
	@$(BIN)/pytest --numprocesses 2 --no-loadscope-reorder -m container tests/containers $(PYTEST_ARGS)

test-chart: python ## Render the Helm chart in every way that it knows (needs helm)
	@$(BIN)/pytest --numprocesses 2 -m chart tests/chart $(PYTEST_ARGS)

test-kubernetes: python ## Install the chart on the cluster of KUBECONFIG, break it and change it (needs helm, kubectl)
	@$(BIN)/pytest -m kubernetes tests/cluster $(PYTEST_ARGS)

bench: python ## Measure Guarita beside its peers (needs wrk, Node and Go) and write docs/performance.md
	@$(SCRIPTS)/setup_redis.sh && $(BIN)/python -m bench $(BENCH_ARGS)

drill: python ## Break a local installation in ten short ways and judge it, with two negative controls
	@$(SCRIPTS)/setup_redis.sh && $(BIN)/guarita drill run --short $(DRILL_ARGS)

drill-all: python ## Every drill that this machine can play, and FAULTS=300 faults in turns; with either durability
	@$(SCRIPTS)/setup_redis.sh && for each in balanced strict; do $(BIN)/guarita drill run $(DRILL_ALL_ARGS) --durability $$each && $(BIN)/guarita drill run --faults $(FAULTS) --rate 100 --durability $$each || exit; done

drill-kit: python ## Break the Sentinel kit that runs (make up) in five ways, five times each, under load through its proxy
	@$(BIN)/python deploy/kit_drill.py play -- $(KIT_DRILL_ARGS)

rivals: python ## Redeem 100000 tickets by three rivals each through 30 faults; needs Linux and root, or user namespaces
	@$(BIN)/python -m tests.exactly_once $(RIVALS_ARGS)

agents: python ## Play failures of nodes that run under agents, 20 times each; AGENTS_ARGS=--help lists them
	@$(BIN)/python -m tests.agents $(AGENTS_ARGS)

lint: python ## Check style, imports between modules, and shell scripts
	@$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/lint-imports && $(BIN)/shellcheck $(SCRIPTS)/*.sh

types: python ## Check types
	@$(BIN)/mypy

format: python ## Put the code into its format
	@$(BIN)/ruff check --fix && $(BIN)/ruff format

lock: python ## Write the lock files anew from pyproject.toml
	$(LOCK) pyproject.toml --group dev -o requirements.lock
	$(LOCK) pyproject.toml --extra certs --extra granian -c requirements.lock -o service/requirements.lock
	$(LOCK) --group build -c requirements.lock -o service/build.lock

clean: ## Remove .venv, caches and build results; not .guarita, which holds data
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .schemathesis

model: python ## Check the model of the exactly-once promise: every configuration (needs Java and Maven)
	@$(BIN)/python spec/run.py

model-short: python ## The same, the short set, in a few minutes
	@$(BIN)/python spec/run.py --short --workers 2
