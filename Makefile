# Every target sets up its own Python environment first: a minute or two the first time, nothing afterwards.
# Versions stand in requirements.txt only; `make lock` writes that file from pyproject.toml.
.DEFAULT_GOAL := help
.PHONY: help course test test-all lab site lite bench outputs widgets links assignments release grade lock clean

# tensorflow-cpu and the GPU build of tensorflow both own the folder tensorflow/, so one environment cannot
# hold both: `make course GPU=1` works in an environment of its own.
VENV := $(if $(GPU),.venv-gpu,.venv)
RUN := $(VENV)/bin/python
READY := $(VENV)/.installed

# The first Python that runs and fits. A name on the path is not enough: a version manager's shim may fail.
# The upper end is TensorFlow's: it has no wheels for a newer one yet.
FITS := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for name in python3.12 python3.11 python3.13 python3; do \
	if $$name -c '$(FITS)' >/dev/null 2>&1; then echo $$name; break; fi; done)
NO_PYTHON = Python 3.11, 3.12 or 3.13 with its venv module is needed and was not found: install one, \
	or name it with `make PYTHON=/path/to/python3.12`
NO_ROOM = This folder may not be written, and the environment goes into it: copy the folder, or let its owner run \
	`make $@` once

# Notebooks run in a folder of their own, so a relative folder given here must become an absolute one.
# (make's abspath would split a name that holds a space: that one is left as it is.)
ifeq ($(words $(VAELIB_DATA)),1)
export override VAELIB_DATA := $(abspath $(VAELIB_DATA))
endif
ifeq ($(words $(VAELIB_CACHE)),1)
export override VAELIB_CACHE := $(abspath $(VAELIB_CACHE))
endif

# What to test (`make test TESTS=tests/model`), and on how many cores.
TESTS ?=
JOBS ?= 2

# The libraries of the labs stand in build/, out of the package; the sources find them through NODE_PATH.
BUNDLE := NODE_PATH=build/js/node_modules build/js/node_modules/.bin/esbuild \
	$(addprefix vaelib/widgets/js/,labs.js pads/latent_pad.js pads/draw_digit.js pads/epoch_scrubber.js) \
	--bundle --minify --format=esm --charset=utf8 --target=es2022 --legal-comments=eof --log-level=warning \
	--entry-names=[name]
BUNDLES ?= vaelib/widgets/bundles
# MiniSearch for the site's pages, as a script that works from file:// too.
SEARCH := build/js/node_modules/.bin/esbuild build/js/node_modules/minisearch/dist/es/index.js \
	--bundle --minify --format=iife --global-name=bundled --footer:js='window.MiniSearch = bundled.default;' \
	--charset=utf8 --target=es2022 --log-level=warning
SEARCHED ?= vaelib/tools/site/assets/minisearch.js

define STYLE_AND_TYPES
$(RUN) -m ruff check .
$(RUN) -m ruff format --check .
$(RUN) -m mypy vaelib
endef

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'ARGS="..." goes to the command behind each of them; GPU=1 uses a GPU.'

course: $(READY) ## Run the notebooks headless and report in build/course (ARGS="--help" for its options)
	$(RUN) -m vaelib.tools.runner $(ARGS)

# Pytest comes last, so its closing line is the last word. A core that is done takes tests from another; only where
# whole notebooks run does each of them, and each file of tests, stay on one core.
test: $(READY) ## Check style and types, run the quick tests and every notebook in small: minutes
	$(STYLE_AND_TYPES)
	$(RUN) -m pytest -n $(JOBS) --dist worksteal -m "not slow" $(or $(TESTS),tests) $(ARGS)

test-all: $(READY) $(if $(shell command -v npm),build/js/.installed) ## Run all tests and every notebook as it stands (ARGS="-m slow": what `make test` leaves out)
	$(STYLE_AND_TYPES)
	$(RUN) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder \
		--nbval-lax --nbval-cell-timeout=3600 --nbval-kernel-startup-timeout=600 $(or $(TESTS),tests notebooks) $(ARGS)

lab: $(READY) ## Open JupyterLab on the first notebook
	$(RUN) -m jupyter lab --ServerApp.root_dir=. $(ARGS) $(firstword $(sort $(wildcard notebooks/*.ipynb)))

site: $(READY) ## Write the course as web pages that need no network, build/site (ARGS="--help" for its options)
	$(RUN) -m vaelib.tools.site $(ARGS)

lite: $(READY) build/jupyterlite/.installed ## Write lessons 00 to 06 as build/lite, where they run in the browser (needs Node.js)
	$(RUN) -m vaelib.tools.lite $(ARGS)

bench: $(READY) ## Time training and exploring against their peers (ARGS="--only epoch --rounds 3")
	$(RUN) benchmarks/bench.py $(ARGS)

outputs: $(READY) ## Run the notebooks and keep their outputs in notebooks/
	$(RUN) -m vaelib.tools.runner save $(ARGS)

widgets: build/js/.installed ## Bundle the JavaScript of labs and pads into vaelib/widgets/bundles, and the site's search (needs Node.js)
	$(BUNDLE) --outdir=$(BUNDLES)
	$(SEARCH) --outfile=$(SEARCHED)
	cp build/js/node_modules/minisearch/LICENSE.txt $(dir $(SEARCHED))minisearch.LICENSE.txt

links: $(READY) ## Write every Binder and Colab link again from the address of the clone's origin
	$(RUN) -m vaelib.tools.links $(ARGS)

assignments: $(READY) ## Write the student versions of the assignments to build/assignments/release
	$(RUN) -m vaelib.tools.grader release $(ARGS)

release: $(READY) ## Write the students' repository, without solutions, to REPO=folder (ARGS="--address https://github.com/OWNER/NAME")
	@$(if $(REPO),,$(error name the folder of the students' repository: make release REPO=folder))
	$(RUN) -m vaelib.tools.grader repository "$(REPO)" $(ARGS)

# The gradebook keeps the marks given by hand: a teacher's GRADES lies where `make clean` does not reach.
GRADES ?= build/assignments/grades
grade: $(READY) ## Grade SUBMITTED=folder, one sub-folder per student; scores go to GRADES=folder (ARGS="--roster FILE --term FILE")
	@$(if $(SUBMITTED),,$(error name what the students handed in: make grade SUBMITTED=folder))
	$(RUN) -m vaelib.tools.grader grade "$(SUBMITTED)" --output "$(GRADES)" $(ARGS)

lock: build/uv/bin/uv ## Write requirements.txt from pyproject.toml (ARGS="--upgrade" for the newest versions)
	build/uv/bin/uv pip compile pyproject.toml --output-file requirements.txt --quiet \
		--universal --python-version 3.11 --extra cpu --extra course --extra classroom --extra cluster --extra site --extra test \
		--no-annotate --custom-compile-command 'make lock' $(ARGS)

clean: ## Remove build/ and the caches (the environment stays: rm -rf .venv for that)
	rm -rf build .pytest_cache .ruff_cache .hypothesis
	find . -path './.venv*' -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -print \
		| while IFS= read -r folder; do rm -rf "$$folder"; done

# Into the environment of the target, by uv where it is on the path and by pip elsewhere. uv does not read pip's settings,
# such as a mirror: where it cannot have the packages, pip is asked after all. uv leaves bytecode to the first import:
# that is a fifth of what compiling every file costs (UV_COMPILE_BYTECODE=1 compiles them).
UV = $(shell uv --version >/dev/null 2>&1 && echo uv)
INSTALL = $(if $(UV),uv pip install --quiet --python $(@D)/bin/python $(1) ||) \
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check $(1)

# The stamp is written last: an interrupted installation is taken up again by the next call.
.venv/.installed: requirements.txt pyproject.toml
	@$(if $(PYTHON),,$(error $(NO_PYTHON)))
	@test -w . || { echo '$(NO_ROOM)' >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(call INSTALL,-r requirements.txt -e .)
	@touch $@

build/js/.installed: vaelib/widgets/js/package.json vaelib/widgets/js/package-lock.json
	@mkdir -p build/js
	cp $^ build/js/
	npm ci --prefix build/js --no-fund --no-audit --loglevel=error
	@touch $@

# The same versions, with the GPU build of tensorflow in place of tensorflow-cpu.
.venv-gpu/.installed: requirements.txt pyproject.toml
	@$(if $(PYTHON),,$(error $(NO_PYTHON)))
	@test -w . || { echo '$(NO_ROOM)' >&2; exit 1; }
	$(PYTHON) -m venv .venv-gpu
	sed -e '/^tensorflow-cpu==/d' -e 's/^tensorflow==\([^ ;]*\).*/tensorflow[and-cuda]==\1/' requirements.txt \
		> .venv-gpu/requirements.txt
	$(call INSTALL,-r .venv-gpu/requirements.txt -e .)
	@touch $@

# JupyterLite, in an environment of its own: beside JupyterLab its kernel would put itself into every reader's.
LITE := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["lite"])
build/jupyterlite/.installed: pyproject.toml $(READY)
	$(RUN) -m venv --clear build/jupyterlite
	build/jupyterlite/bin/python -m pip install --quiet --disable-pip-version-check $$($(RUN) -c '$(LITE)')
	@touch $@

build/uv/bin/uv:
	@$(if $(PYTHON),,$(error $(NO_PYTHON)))
	$(PYTHON) -m venv build/uv
	build/uv/bin/python -m pip install --quiet --disable-pip-version-check uv
