# The two commands that everybody needs are `make demo` and `make test`; each does all its own set-up.
PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
BIN := $(VENV)/bin

.PHONY: demo test env dev lint types layers check wheel-check bench screenshots pins clean help

help:            ## Show what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 16

demo: env        ## Install, make synthetic data, open the app on it (headless where there is no terminal)
	@if [ -t 0 ] && [ -t 1 ]; then \
	  $(BIN)/cellmap-tui --batch demo --make-only --dest $(DEMO) >/dev/null && \
	  exec $(BIN)/cellmap-tui --data-root $(DEMO)/data; \
	else \
	  exec $(BIN)/cellmap-tui --batch demo --dest $(DEMO); \
	fi

test: dev        ## Install and run the tests
	$(BIN)/pytest -q -n auto $(PYTEST_ARGS)

env:
	@$(PYTHON) scripts/setup_env.py --venv $(VENV)

dev:
	@$(PYTHON) scripts/setup_env.py --venv $(VENV) --dev

lint: dev        ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: dev       ## Types
	$(BIN)/mypy

layers: dev      ## Who may import whom
	$(BIN)/lint-imports --no-cache

check: lint types layers test  ## All of these

wheel-check: dev ## Build the wheel, install it into an empty environment, try it there
	scripts/check_wheel.sh $(VENV)

bench: dev       ## The measured ratios
	for script in bench/*.py; do $(BIN)/python $$script; done

screenshots: env ## Redraw the pictures of the README
	$(BIN)/python scripts/screenshots.py

pins: dev        ## Write the versions installed now into constraints.txt
	$(BIN)/python scripts/write_pins.py

clean:           ## Remove the environment and the demo data
	rm -rf $(VENV) $(DEMO) build dist
