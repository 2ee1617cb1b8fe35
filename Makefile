# Graftline. Users need only `make run` and `make test`: each sets up the environment first if it is missing or outdated.
# The command does everything else: `.venv/bin/graftline --help`.

export TF_CPP_MIN_LOG_LEVEL ?= 2
export LOCAL_HOME = $(CURDIR)/output/tfx

PYTHON = .venv/bin/python
GRAFTLINE = $(PYTHON) -m graftline.cli
READY = .venv/.ready
SHELL = /bin/bash

# Refuses what it does not know, because `make run data=/x` and `make run /x` would run something else
GIVEN = $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
KNOWN = DATA CONFIG WAIT ADOPT ARGS ENDPOINT NAMESPACE IMAGE SHELL MAKEFLAGS PYTHON GRAFTLINE_% TF_% LOCAL_HOME
ifneq ($(filter-out $(KNOWN),$(GIVEN)),)
$(error $(firstword $(filter-out $(KNOWN),$(GIVEN))) is not a variable of this Makefile: give DATA=<folder, TFDS name or configuration>, or ARGS="<options of graftline>")
endif
ifneq ($(filter run,$(MAKECMDGOALS)),)
ifneq ($(filter-out run,$(MAKECMDGOALS)),)
$(error $(firstword $(filter-out run,$(MAKECMDGOALS))) is not a target: give data as in `make run DATA=~/photos`)
endif
endif
ifneq ($(and $(DATA),$(CONFIG)),)
$(error Give DATA or CONFIG, not both: they mean the same)
endif
ifneq ($(filter DATA CONFIG,$(GIVEN)),)
ifeq ($(strip $(value DATA)$(value CONFIG)),)
$(error $(filter DATA CONFIG,$(GIVEN)) is empty: give a folder of photos, the name of a TFDS set or a configuration)
endif
endif
# As typed, with spaces, quotes and dollars
export DATA_GIVEN = $(or $(value DATA),$(value CONFIG))
ABOUT = $(if $(DATA_GIVEN),--data "$$DATA_GIVEN")

.PHONY: help run clean test test-faults test-kubeflow test-cluster test-stand-in test-flink fuzz bench bench-quick check docs lock
.DEFAULT_GOAL = help

help:  ## Print this list
	@echo "For everyone:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18
	@echo "  The command does everything else: .venv/bin/graftline --help"
	@echo
	@echo "For those who work on Graftline:"
	@sed -n 's/^\([a-z-]*\):.*#: \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

# The command runs in the user's folder, also with `make -C`, so that relative paths work
run: $(READY)  ## Train, evaluate and push a model: make run [DATA=~/photos, a TFDS name or a configuration] [ARGS="--dry-run"]
	@cd "$(PWD)" && PYTHONPATH="$(CURDIR)" "$(CURDIR)/$(PYTHON)" -m graftline.cli run $(ABOUT) $(if $(WAIT),--wait $(WAIT)) $(if $(ADOPT),--adopt) $(ARGS)

clean: $(READY)  ## Remove all runs; keep datasets, weights and pushed models
	@$(GRAFTLINE) clean --yes $(ABOUT)

SPREAD = -n 2 --dist loadfile --no-loadscope-reorder

test: $(READY)  ## All checks and tests
	@$(MAKE) --no-print-directory check
	@$(PYTHON) -m pytest $(SPREAD)

test-faults: $(READY)  #: The slow half of the tests: whole runs, killed or out of disk space again and again
	@$(PYTHON) -m pytest $(SPREAD) -m faults

test-kubeflow: $(READY)  #: The compiled pipeline, run in containers (podman) with metadata in MariaDB
	@$(PYTHON) -m pytest -m kubeflow

test-cluster: $(READY)  #: Tests on a real Kubeflow: make test-cluster ENDPOINT=http://localhost:8888 IMAGE=<image> [NAMESPACE=<profile>]
	@$(if $(ENDPOINT),GRAFTLINE_CLUSTER__ENDPOINT="$(ENDPOINT)") $(if $(IMAGE),GRAFTLINE_CLUSTER__IMAGE="$(IMAGE)") \
		$(if $(filter command line,$(origin NAMESPACE)),GRAFTLINE_CLUSTER__NAMESPACE="$(NAMESPACE)") \
		$(PYTHON) -m pytest -m cluster tests/cluster

test-stand-in: $(READY)  #: test-cluster against a stand-in for a cluster, which executes runs in containers here
	@$(PYTHON) -m pytest -m stand_in -rP

test-flink: $(READY)  #: Beam's work in other processes, and on an Apache Flink cluster: needs Java 17 and Maven
	@$(PYTHON) -m pytest -m flink

fuzz: $(READY)  #: Decode 10,000 mutated photos: none may crash, hang or take much memory
	@$(PYTHON) -m tests.fuzz

bench: $(READY)  #: All benchmarks on a whole prepared cats_vs_dogs, which takes hours: benchmarks/results.jsonl
	@for program in engines predict cache pipeline "tutorial --epochs 2" "tutorial --epochs 2 --tuned" time_to_accuracy; do \
		$(PYTHON) -m benchmarks.$$program || exit; done

bench-quick: $(READY)  #: Speed compared with the tutorial's own code, on 2,000 images of a prepared cats_vs_dogs
	@$(PYTHON) -m benchmarks.engines --images 2000
	@$(PYTHON) -m benchmarks.tutorial --images 2000

check: $(READY)  #: Linter, formatter, layers of imports, type checker, and links in the documentation
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/lint-imports --no-logo && .venv/bin/mypy
	@$(SITE)

SITE = $(PYTHON) -m sphinx --quiet --fail-on-warning --keep-going -c docs . output/docs

docs: $(READY)  #: Write the settings reference and the picture of the DAG from the code, and build the site in output/docs
	@$(PYTHON) -m graftline.settings.reference
	@$(PYTHON) -m docs.dag
	@$(SITE) && echo "The site: output/docs/docs/index.html"

LOCK = .setup/tools/bin/uv pip compile --quiet setup.py --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock"

lock:  #: Pin setup.py's dependencies again, in requirements.lock and, for pods, in kubeflow/image/requirements.lock
	@$(LOCK) --universal --all-extras -o requirements.lock
	@$(LOCK) --python-platform x86_64-manylinux_2_39 --constraints requirements.lock --no-annotate \
		-o kubeflow/image/requirements.lock

$(READY): bootstrap.py requirements.lock
	@python3 bootstrap.py
	@set -o pipefail; $(GRAFTLINE) weights --data digits 2>&1 | sed '/^Data: /d'
	@touch $@
