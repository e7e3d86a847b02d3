# Everything sets itself up; nothing is done twice. `make help` lists the words.
SHELL := /bin/sh
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help setup browser run test conformance lint ruff mypy imports tsc eslint check bench soak pictures lock clean
MAKEFLAGS += --no-print-directory

help:  ## what there is
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r word text; do printf '  make %-11s %s\n' "$$word" "$$text"; done

setup:  ## Python environment, web client, everything `run` needs (done by the others too)
	@sh tools/setup.sh venv web

browser: setup
	@sh tools/setup.sh browser

run: setup  ## set up, then the whole desk with two demo counsellors (settings: MADOGUCHI_…; flags: ARGS=…)
	@exec $(BIN)/madoguchi up --demo $(ARGS)

test: browser  ## all tests: server, web client, browser stories (one part: PYTEST="tests/matrix -k sync")
	@echo "== web client" && sh tools/npm.sh run --silent test
	@echo "== server, desk, browsers" && sh tools/test.sh $(PYTEST)

conformance: browser  ## all tests, and of each chapter of the Matrix API: offered, refused, exercised, violations
	@$(BIN)/python -m pytest -m "not soak and not bench" --conformance -q $(PYTEST)

lint: ruff mypy imports tsc eslint  ## ruff, mypy --strict, import-linter, tsc, the web linter

ruff: setup
	@echo "== ruff" && $(BIN)/ruff check . && $(BIN)/ruff format --check .

mypy: setup
	@echo "== mypy --strict" && $(BIN)/mypy && $(BIN)/mypy tools/setup.py tools/hatch_web.py migrations/env.py

imports: setup
	@echo "== import-linter" && $(BIN)/lint-imports --no-logo

tsc: setup
	@echo "== tsc (svelte-check)" && sh tools/npm.sh run --silent check

eslint: setup
	@echo "== eslint" && sh tools/npm.sh run --silent lint

check: lint test  ## what CI runs: lint and test

bench: setup  ## compare with Synapse on this machine; prints a table, writes build/bench.json (PART=send, QUICK=1)
	@$(BIN)/python -m tests.bench $(if $(PART),--part $(PART)) $(if $(QUICK),--quick) $(ARGS)

soak: browser  ## the long runs; their figures are printed and kept in build/soak.json (PYTEST="-k rush", QUICK=1)
	@$(if $(QUICK),MADOGUCHI_TEST_QUICK=1) $(BIN)/python -m pytest -m soak --timeout 3600 $(PYTEST)

pictures: browser  ## the pictures of README.md anew
	@$(BIN)/python -m tests.browser.pictures

lock: setup  ## choose the newest versions of all Python packages again
	@sh tools/lock.sh --upgrade

clean:  ## remove what was built (.venv, node_modules, dist); data directories stay
	rm -rf .venv client-web/node_modules client-web/dist build dist artifacts
