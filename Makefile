# Everything runs in .venv, which every target makes first where it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test lint check docs site data browser screenshots bench bench-full

setup: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	touch $@

demo: setup
	$(BIN)/hrembed demo

# One process for each processor, with one thread: most of the time goes into imports and tiny models. Compiled modules
# are kept even where the environment says otherwise, since a hundred tests start Python anew.
test: setup
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow' -n logical --maxprocesses 8 --dist worksteal

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What can be known in a minute: pure functions, readers, contracts. Commands are run by `make test`.
QUICK := $(addprefix tests/,audit config contract metrics records reports selection data test_files.py test_titles.py)
check: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m 'not slow and not long and not model and not torch and not mteb' -n logical --dist worksteal $(QUICK) --ignore tests/contract/test_fuzz.py

docs: setup
	$(BIN)/python tools/write_docs.py

# Strict: a page without a place, or a link or an anchor that leads nowhere, ends it.
site: docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

data: setup
	$(BIN)/python tools/build_hr_core.py data/hr-core
	$(BIN)/python tools/build_general_core.py data/general-core
	$(BIN)/python tools/build_ats_example.py data/ats-example data/hr-core

# What the tests of pages need, and nothing else does: Chromium from the system's packages, axe-core from npm.
browser:
	command -v chromium || (apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium)
	npm install --no-save --no-audit --no-fund --prefix .tools axe-core@4.14.1

# Pages of a demo as pictures in docs/images; RUNS may name a folder of its runs, ALL one for dark and printed pictures.
screenshots: setup browser
	$(BIN)/python tools/screenshots.py $(RUNS) $(if $(ALL),--all $(ALL))

# Sees that every benchmark runs; numbers worth reading come from `bench-full` on a machine that does nothing else.
# DATA may name a folder of more tasks in BEIR layout.
BENCHMARKS := startup statistics_speed encode encode_million operations audit_speed evaluate train_speed titles sentence_scoring index_million layers

bench: setup
	for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py --short || exit 1; done
	$(BIN)/python benchmarks/report.py

bench-full: setup
	for name in startup statistics_speed operations audit_speed train_speed encode_million; do $(BIN)/python benchmarks/$$name.py || exit 1; done
	for name in encode evaluate; do $(BIN)/python benchmarks/$$name.py $(if $(DATA),--data $(DATA)) || exit 1; done
	$(BIN)/python benchmarks/report.py
