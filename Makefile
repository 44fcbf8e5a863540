# Everything a checkout can do. `make` alone lists it. Needs only make and Python 3.11 to 3.14 with venv.
.DEFAULT_GOAL := help
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1
export CDK_DISABLE_CLI_TELEMETRY := 1
# Some images set it; then each process would compile all that it imports, for seconds: what pip installs is not compiled.
unexport PYTHONDONTWRITEBYTECODE
# node and npm come from the virtual environment too.
export PATH := $(CURDIR)/$(BIN):$(PATH)

CONFIG := config/example.toml
STACKS := --all
CDK := node_modules/.bin/cdk
# The largest set first: the smaller ones take its versions, so that one environment can hold all.
LOCK := $(BIN)/uv pip compile -q --universal --no-header --no-emit-index-url --generate-hashes --no-annotate

# Sets up .venv and node_modules for a command, or does nothing if they are as they should be. Any Python can start
# it, and it finds a suitable one; a version manager's shim may be there and not answer.
SET_UP = @for p in $(PYTHON) python3.12 python3 python3.13 python3.11 python3.14 python; do \
	"$$p" -c "" >/dev/null 2>&1 && exec "$$p" tools/set_up.py $(if $(PYTHON),--python $(PYTHON)) $(1); done; \
	echo "error: there is no Python. Install Python 3.11 to 3.14 with venv (Debian: apt-get install python3-venv)." >&2; exit 1

.PHONY: help wheel demo demo-local synth deploy destroy unit test faults attack fuzz check reference fix docs bench bench-full lock clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: set-up-demo ## rehearse all of it on this machine: deploy, publish, train, destroy; no AWS account
	@$(BIN)/python -m federation.rehearse

demo-local: set-up-demo-local ## only the training, across three clients on this machine; installs less
	@$(BIN)/python -m federation.local

synth: set-up-demo ## make the CloudFormation templates of CONFIG=config/example.toml in cdk.out
	@$(CDK) synth --quiet -c config=$(CONFIG)
	@$(CDK) list --app cdk.out

deploy: set-up-demo ## deploy the stacks of CONFIG=your.toml, or only STACKS="ClientStack --exclusively"
	@$(MUST_NAME_CONFIG)
	@$(CDK) deploy $(STACKS) -c config=$(CONFIG)

destroy: set-up-demo ## remove them again; see docs/how-to-clean-up.md
	@$(MUST_NAME_CONFIG)
	@$(CDK) destroy $(STACKS) -c config=$(CONFIG)

unit: set-up-test ## run the tests that start no process and do not wait, in under a minute
	@$(BIN)/python -m pytest --numprocesses 2 -m "not process" tests/unit tests/client_code tests/fuzz

test: set-up-test ## run all tests, two at a time
	@$(BIN)/python -m pytest --numprocesses 2

faults: set-up-test ## break a running federation in every way of docs/faults.md, and write that page
	@$(BIN)/python -m pytest tests/faults --fault-page docs/faults.md

attack: set-up-test ## attack a federation in every way of docs/attacks.md, on this machine, and write that page
	@$(BIN)/python -m pytest --numprocesses 2 -m fault tests/attacks tests/security tests/unit/test_grid.py tests/unit/test_messages.py \
		tests/fuzz --fault-page docs/attacks.md

fuzz: set-up-test ## feed a million damaged messages to everything that parses a peer's bytes
	@$(BIN)/python -m tests.fuzz

check: set-up-test ## lint, types and import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@cd client_code && ../$(BIN)/mypy --config-file ../pyproject.toml .
	@$(BIN)/lint-imports
	@$(BIN)/shellcheck stacks/lifecycle/*.sh

reference: set-up-test ## write docs/reference-commands.md and docs/reference-configuration.md
	@$(BIN)/python -m tools.reference

fix: set-up-test ## format, and repair what the linter can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

wheel: set-up-test ## build the Python package, dist/federation-*.whl, to be installed with pip anywhere
	@$(BIN)/python -m hatchling build --target wheel

docs: set-up-test ## build the documentation as a site in site/; a dead link fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Where the reference data are; what needs them is left out where they are not there.
HEART := ../shared/data/heart
ARTICLE := ../shared/data/cms_improper_payments/processed_data_classification_v2.csv

bench: set-up-test ## measure beside peers, 10 minutes on a quiet machine; writes benchmarks/RESULTS.md
	@$(BIN)/python -m benchmarks.overhead
	@$(BIN)/python -m benchmarks.start --times 1
	@$(BIN)/python -m benchmarks.peers --quick
	@$(BIN)/python -m benchmarks.growth --quick
	@[ ! -d $(HEART) ] || $(BIN)/python -m benchmarks.heart $(HEART)

bench-full: set-up-test ## the same with more rounds and sizes, about an hour
	@$(BIN)/python -m benchmarks.overhead
	@$(BIN)/python -m benchmarks.start
	@$(BIN)/python -m benchmarks.peers
	@$(BIN)/python -m benchmarks.growth
	@$(BIN)/python -m benchmarks.storm
	@$(BIN)/python -m benchmarks.large_client
	@$(BIN)/python -m benchmarks.preprocessing
	@$(BIN)/python -m benchmarks.cms_preparation
	@$(BIN)/python -m benchmarks.poisoning
	@$(BIN)/python -m benchmarks.statistics $(wildcard $(ARTICLE))
	@[ ! -d $(HEART) ] || $(BIN)/python -m benchmarks.heart $(HEART)

lock: set-up-test ## pin every dependency of pyproject.toml in requirements*.txt
	@$(LOCK) --extra aws --extra rehearsal --extra formats --extra dev pyproject.toml -o requirements-dev.txt
	@$(LOCK) --extra aws --extra rehearsal -c requirements-dev.txt pyproject.toml -o requirements-aws.txt
	@$(LOCK) -c requirements-dev.txt pyproject.toml -o requirements.txt
	@$(BIN)/python -m tools.make_locks
	@cd benchmarks/peers && for peer in flower nvflare; do ../../$(LOCK) --python-version 3.11 \
		-c ../../requirements-dev.txt $$peer.in -o $$peer.txt || exit 1; done
	@cd benchmarks/peers && ../../$(LOCK) --python-version 3.11 flower-1.3.0.in -o flower-1.3.0.txt
	@$(LOCK) --python-version 3.11 federation/rehearse/machine/image/training_image.in -o federation/rehearse/machine/image/training_image.txt
	@$(BIN)/python tools/lock_wheels.py
	@npm install --silent --package-lock-only --omit-lockfile-registry-resolved

clean: ## remove the environments, the templates and every run
	@rm -rf $(VENV) .bench node_modules cdk.out runs rehearsals site dist

# Whoever deploys says which federation; the example is nobody's.
MUST_NAME_CONFIG = [ "$(CONFIG)" != config/example.toml ] || \
	{ echo "error: name your configuration: make $@ CONFIG=config/your.toml" >&2; exit 1; }

set-up-%:
	$(call SET_UP,$*)
