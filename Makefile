# The README's commands. Everything is installed into .venv, from envs/requirements.lock.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: reproduce test bench chaos
.DEFAULT_GOAL := reproduce

reproduce: $(INSTALLED)
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores all
	@echo
	@echo "summary: results/default/summary.md    figures: results/default/figures/    verdicts: results/default/findings/"
	@echo "passages: results/default/explorer.html"
	@echo "report:  $(BIN)/snakemake --report results/default/report.zip"

test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint
	PATH="$(CURDIR)/$(BIN):$$PATH" pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# Every hot path against the usual way. Writes benchmarks/results.*.
bench: $(INSTALLED)
	PYTHONPATH=workflow $(BIN)/python -m benchmarks

# The smoke study, killed two hundred times. Writes results/chaos/.
chaos: $(INSTALLED)
	$(BIN)/python -m tests.workflow.chaos --kills 200 --output results/chaos

$(INSTALLED): envs/requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement envs/requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@
