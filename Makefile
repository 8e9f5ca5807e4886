# Everything that needs thought is in scripts/setup.py: it makes .venv ready, installs the system
# libraries of Qt where it may, and runs the command. A second run starts at once.

PYTHON ?= python3
RUN     = @$(PYTHON) scripts/setup.py
SCREEN  = $(RUN) --display

# The plugins of pytest that would import napari or Qt before anything can forbid it.
WITHOUT_NAPARI = --no-napari -p no:napari -p no:pytest-qt -p no:xvfb -p no:napari-plugin-engine

# One test process a core, each with one thread of PyTorch and BLAS: a network that is as small
# as those of most tests gains nothing from a second thread and loses much where two processes
# ask for all cores. The suite takes a third of its time so.
IN_PARALLEL = -n logical --maxprocesses 8 --dist worksteal
test: export OMP_NUM_THREADS = 1

.PHONY: help demo test lint format bench docs docs-check pictures lock clean

help: ## these targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

demo: ## the whole story on a sample slide; results in demo-output/
	$(RUN) --window napari-pathfm demo --out demo-output

test: lint ## every check and every test; what CI runs
	$(RUN) pytest $(WITHOUT_NAPARI) $(IN_PARALLEL)
	$(SCREEN) pytest --only-napari $(IN_PARALLEL)

lint: docs-check ## layers, style, types, the plugin's manifest
	$(RUN) lint-imports
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) npe2 validate src/napari_pathfm/napari.yaml

format: ## mend style where that can be done by machine
	$(RUN) ruff check --fix
	$(RUN) ruff format

bench: ## measure the embedding run: make bench SLIDE=path.svs
	$(RUN) python benchmarks/run.py $(SLIDE)

docs: ## the guide, into site/index.html; a warning is an error
	$(RUN) python -m sphinx --fail-on-warning --keep-going --quiet \
	  --doctree-dir .cache/sphinx docs site

pictures: ## the guide's pictures, made anew by the real window: make pictures [ONLY=NAME]
	$(SCREEN) python scripts/pictures.py $(ONLY)

docs-check: ## links and Python blocks of the documents
	$(RUN) python scripts/check_docs.py

lock: ## resolve pyproject.toml anew into constraints.txt
	$(RUN) --lock

clean: ## remove what the tools and the demo left; .venv stays
	rm -rf demo-output site dist build htmlcov .coverage .cache .pytest_cache .mypy_cache \
	  .ruff_cache .import_linter_cache
