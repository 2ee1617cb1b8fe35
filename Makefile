# Graftline. Every target sets up the environment first, where it is missing or outdated.

CONFIG ?= digits
ifdef DATA
ifneq ($(origin CONFIG),file)
$(error Give CONFIG or DATA, not both)
endif
# As it was typed, with spaces, quotes and dollars; PWD is where the user is, with `make -C` too
CONFIG = folder:$(if $(filter /% ~%,$(firstword $(value DATA))),,$(PWD)/)$(value DATA)
endif
export GRAFTLINE_CONFIG = $(CONFIG)
export TF_CPP_MIN_LOG_LEVEL ?= 2
export LOCAL_HOME = $(CURDIR)/output/tfx

PYTHON = .venv/bin/python
TFX = .venv/bin/tfx
READY = .venv/.ready

SHELL = /bin/bash
# TensorFlow says these on every machine without a GPU, before its own log level counts
QUIET = 2> >(grep --line-buffered -v -e cudart_stub -e absl::InitializeLog -e cuInit -e oneDNN >&2)

# How long a run waits for another one of the same pipeline
ifdef WAIT
export GRAFTLINE_RUN__WAIT_MINUTES = $(WAIT)
endif

# Whether a name, which belongs to the dataset it first ran with, is given to this one
ifdef ADOPT
export GRAFTLINE_RUN__ADOPT = true
endif

# What Kubernetes runs: the image of a configuration, or IMAGE, and changed run parameters
ifdef IMAGE
export GRAFTLINE_CLUSTER__IMAGE = $(IMAGE)
endif
ENGINE = $(or $(shell command -v podman),docker)
REVISION = $(shell git describe --always --dirty --abbrev=12)
SETS = $(foreach change,$(SET),--set $(change))

.PHONY: help run try rollback accept-data runs compare report tensorboard doctor test test-faults test-kubeflow \
	test-cluster test-stand-in test-flink \
	kubeflow-image kubeflow-compile kubeflow-run kubeflow-schedule kubeflow-unschedule \
	kubeflow-status kubeflow-put kubeflow-logs kubeflow-stop kubeflow-report kubeflow-rollback data schema weights fuzz bench bench-quick check docs lock clean
.DEFAULT_GOAL = help

help:  ## This list
	@sed -n 's/^\([a-z-]*\):.*##\(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

run: $(READY)  ## Train, evaluate and push a model: make run DATA=~/photos (a folder a class), or CONFIG=<name in configs/> [WAIT=<minutes>] [ADOPT=1]
	@name=$$($(PYTHON) -m graftline.cli name) && { \
	{ test -d "$(LOCAL_HOME)/$$name" || $(TFX) pipeline create --engine=local --pipeline_path=pipeline.py; } && \
	$(TFX) run create --engine=local --pipeline_name="$$name"; } $(QUIET)

rollback: $(READY)  ## Take the model in production back: make rollback CONFIG=digits WHY="calls dogs cats"
	@$(PYTHON) -m graftline.cli rollback "$(WHY)" $(QUIET)

accept-data: $(READY)  ## Let the next run go on with the data that the latest one stopped at: make accept-data CONFIG=digits WHY="a new camera"
	@$(PYTHON) -m graftline.cli accept_data "$(WHY)" $(QUIET)

runs: $(READY)  ## Past runs, latest first: make runs [ALL=1] [JSON=1]
	@$(PYTHON) -m graftline.cli runs $(if $(ALL),--all) $(if $(JSON),--json) $(QUIET)

compare: $(READY)  ## Two runs side by side: make compare A=production B=latest (the default), or numbers of `make runs`
	@$(PYTHON) -m graftline.cli compare "$(or $(A),production)" "$(or $(B),latest)" $(QUIET)

report: $(READY)  ## Open the report of the latest run in the browser, or of RUN=<number>
	@$(PYTHON) -m graftline.cli report $(RUN) $(QUIET)

tensorboard: $(READY)  ## Curves of all runs, on this machine alone: make tensorboard [PORT=6006]
	@$(PYTHON) -m graftline.cli tensorboard $(if $(PORT),--port $(PORT)) $(QUIET)

doctor:  ## What is wrong with this machine, and what to do about it
	@python=$(PYTHON); $$python -c pass 2> /dev/null || python=python3; $$python -m graftline.doctor

try: $(READY)  ## A page to try the model in production, and TF Serving's REST form: make try CONFIG=digits [PORT=8501]
	@$(PYTHON) -m graftline.cli try $(if $(PORT),--port $(PORT)) $(QUIET)

data: $(READY)  ## Prepare a dataset from a local copy of its archive: make data CONFIG=cats_vs_dogs ARCHIVE=<zip>
	@$(PYTHON) -m graftline.cli data "$(ARCHIVE)"

schema: $(READY)  ## Infer the schema of a dataset that has none, for you to review: make schema CONFIG=<name>
	@$(PYTHON) -m graftline.cli schema $(QUIET)

weights: $(READY)  ## Fetch the pretrained weights of a configuration's backbone
	@$(PYTHON) -m graftline.cli weights

test: $(READY)  ## All checks and tests
	@$(MAKE) --no-print-directory check
	@$(PYTHON) -m pytest -n 2 --dist loadfile

test-faults: $(READY)  ## The slow half of the tests: whole runs killed, or out of disk, again and again
	@$(PYTHON) -m pytest -m faults

test-kubeflow: $(READY)  ## The compiled pipeline, run in containers (podman) with metadata in MariaDB
	@$(PYTHON) -m pytest -m kubeflow

test-cluster: $(READY)  ## What holds on a real Kubeflow: make test-cluster ENDPOINT=http://localhost:8888 IMAGE=<image> [NAMESPACE=<profile>]
	@$(if $(ENDPOINT),GRAFTLINE_CLUSTER__ENDPOINT="$(ENDPOINT)") \
		$(if $(filter command line,$(origin NAMESPACE)),GRAFTLINE_CLUSTER__NAMESPACE="$(NAMESPACE)") \
		$(PYTHON) -m pytest -m cluster tests/cluster

test-stand-in: $(READY)  ## test-cluster against a stand-in for a cluster, whose runs are executed in containers here
	@$(PYTHON) -m pytest -m stand_in

test-flink: $(READY)  ## Beam's work in other processes, and on an Apache Flink cluster: needs Java 17 and Maven
	@$(PYTHON) -m pytest -m flink

kubeflow-image: ## Build the image that pods run: make kubeflow-image IMAGE=<registry>/graftline [VARIANT=gpu] [BASE=<image>] [CONFIGS="a b"]
	$(ENGINE) build --file kubeflow/image/Containerfile --tag $(IMAGE):$(REVISION) --build-arg REVISION=$(REVISION) \
		--build-arg VARIANT=$(or $(VARIANT),cpu) $(if $(BASE),--build-arg BASE=$(BASE)) \
		$(if $(CONFIGS),--build-arg CONFIGS="$(CONFIGS)") .

kubeflow-compile: $(READY)  ## Compile the DAG for Kubeflow Pipelines into output/kubeflow: CONFIG=digits IMAGE=<image>
	@$(PYTHON) -m kubeflow.compile $(QUIET)

kubeflow-run: $(READY)  ## Run it on the cluster: make kubeflow-run CONFIG=digits IMAGE=<image> [SET="span=3 force_retrain=true"]
	@$(PYTHON) -m kubeflow run $(SETS) $(QUIET)

kubeflow-schedule: $(READY)  ## Run it again and again: make kubeflow-schedule CRON='0 0 3 * * *' (seconds first)
	@$(PYTHON) -m kubeflow schedule --cron "$(CRON)" $(SETS) $(QUIET)

kubeflow-unschedule: $(READY)  ## End that
	@$(PYTHON) -m kubeflow unschedule

kubeflow-status: $(READY)  ## Show the latest runs and the schedule
	@$(PYTHON) -m kubeflow status

kubeflow-put: $(READY)  ## Copy photos onto the volume: make kubeflow-put PHOTOS=~/photos IMAGE=<image> [TO=<name there>]
	@cd "$(PWD)" && PYTHONPATH="$(CURDIR)" "$(abspath $(PYTHON))" -m kubeflow put "$$PHOTOS" --to "$$TO"

kubeflow-logs: $(READY)  ## Print the logs of the latest run, or of RUN=<id>; FOLLOW=1 goes on until it ends
	@$(PYTHON) -m kubeflow logs "$$RUN" $(if $(FOLLOW),--follow)

kubeflow-stop: $(READY)  ## End a run: make kubeflow-stop RUN=<id>
	@$(PYTHON) -m kubeflow stop "$$RUN"

kubeflow-report: $(READY)  ## Fetch the report of the latest run, or of RUN=<id>, into output/kubeflow/reports: IMAGE=<image>
	@$(PYTHON) -m kubeflow report "$$RUN"

kubeflow-rollback: $(READY)  ## Take the model in production there back: make kubeflow-rollback IMAGE=<image> WHY="calls dogs cats"
	@$(PYTHON) -m kubeflow rollback "$$WHY"

fuzz: $(READY)  ## Decode 10,000 mutated photos: none may crash, hang or take much memory
	@$(PYTHON) -m tests.fuzz $(QUIET)

bench: $(READY)  ## Every benchmark on all of a prepared cats_vs_dogs, some two hours: benchmarks/results.jsonl
	@for program in engines predict scale pipeline "tutorial --epochs 2" "tutorial --epochs 2 --tuned" time_to_accuracy; do \
		$(PYTHON) -m benchmarks.$$program $(QUIET) || exit; done

bench-quick: $(READY)  ## Speed against the tutorial's own code, on 2,000 images of a prepared cats_vs_dogs
	@$(PYTHON) -m benchmarks.engines --images 2000 $(QUIET)
	@$(PYTHON) -m benchmarks.tutorial --images 2000 $(QUIET)

check: $(READY)  ## Linter, formatter, floors of imports and type checker
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/lint-imports --no-logo && .venv/bin/mypy

docs: $(READY)  ## Write docs/settings.md anew: every setting, from graftline/settings/
	@$(PYTHON) -m graftline.cli docs

LOCK = .setup/tools/bin/uv pip compile --quiet setup.py --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock"

lock:  ## Pin setup.py's dependencies anew, in requirements.lock and, for pods, in kubeflow/image/requirements.lock
	@$(LOCK) --universal --all-extras -o requirements.lock
	@$(LOCK) --python-platform x86_64-manylinux_2_39 --constraints requirements.lock --no-annotate \
		-o kubeflow/image/requirements.lock

clean:  ## Forget all runs: artifacts, metadata and cached features; datasets, weights and pushed models stay
	rm -rf output/pipelines output/metadata output/work output/tfx

$(READY): bootstrap.py requirements.lock
	@python3 bootstrap.py
	@$(PYTHON) -m graftline.cli weights
	@touch $@
