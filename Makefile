# Everything a newcomer or CI runs. `make` alone lists it.
#
#   PYTHON=python3.12 make test      another interpreter for .venv
#   make test ARGS="-k poisson -x"   arguments for pytest, which runs on all cores (-n 0: on one)
#   make bench NAME=mixture          one benchmark by name; ARGS=--quick for a short one

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
NAME   ?=

PY  := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help run test slow lint format types imports docs bench clean

help: ## this list
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 12

run: $(VENV)/.installed-cli ## install into .venv and fit models to real data
	@$(VENV)/bin/latentem tour

test: $(VENV)/.installed-test $(VENV)/.tried-peers ## run the tests (the slow ones apart)
	@cat $(VENV)/.tried-peers
	@$(PY) -m pytest -n auto $(ARGS)

slow: $(VENV)/.installed-test $(VENV)/.tried-peers ## run the slow tests
	@$(PY) -m pytest -n auto -m slow $(ARGS)

lint: $(VENV)/.installed-dev ## ruff: format and rules
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .

format: $(VENV)/.installed-dev ## let ruff rewrite what it can
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

types: $(VENV)/.installed-dev ## mypy
	@$(PY) -m mypy

imports: $(VENV)/.installed-dev ## which room may import which (import-linter)
	@$(VENV)/bin/lint-imports --no-logo

docs: $(VENV)/.installed-docs ## the documentation, in docs/_build/html
	@$(PY) -m sphinx -W --keep-going -b html docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

bench: $(VENV)/.installed-test $(VENV)/.tried-peers ## latentem and its peers side by side
	@cat $(VENV)/.tried-peers
	@$(PY) -m benchmarks $(NAME) $(ARGS)

clean: ## remove what these targets made, .venv too (reports in tour/ stay)
	rm -rf .venv build dist docs/_build docs/gallery docs/api/generated docs/sg_execution_times.rst
	rm -rf .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find latentem tests benchmarks examples docs -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# ---------------------------------------------------------------------------------------- .venv
# A stamp per extra: a second run installs nothing, a changed pyproject.toml installs again.

$(VENV)/.installed-%: pyproject.toml $(VENV)/.made
	@echo "Installing latentem[$*] into $(VENV) (the first time: $(SAYS_$*)) ..."
	@$(PIP) -e ".[$*]" || { echo "pip could not install latentem[$*]: its lines above say why."; exit 1; }
	@touch $@

# Measured on two cores; what another target has already installed is not fetched again.
SAYS_cli  = about 2 minutes, 210 MB to download, 870 MB of disk
SAYS_test = about 2 minutes, 220 MB to download, 890 MB of disk
SAYS_dev  = about 2 minutes, 240 MB to download, 950 MB of disk
SAYS_docs = about 2 minutes, 240 MB to download, 970 MB of disk

# Peers are other libraries that some tests compare with. Where one does not install, its tests
# skip; the stamp holds the sentence that says so.
$(VENV)/.tried-peers: pyproject.toml $(VENV)/.installed-test
	@: > $@.new
	@for peer in $$($(PY) -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['peers'])"); do \
	    $(PIP) --prefer-binary "$$peer" > $(VENV)/peers.log 2>&1 || \
	        echo "The peer $$peer does not install here: its tests will be skipped." >> $@.new; \
	done
	@mv $@.new $@

$(VENV)/.made:
	@if ! $(PY) -m pip --version > /dev/null 2>&1; then \
	    command -v "$(PYTHON)" > /dev/null || { \
	        echo "There is no '$(PYTHON)' on this machine. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3 ..."; exit 1; }; \
	    "$(PYTHON)" -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
	        echo "latentem needs Python 3.11 or newer, and '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1). Name a newer one: make PYTHON=python3.12 ..."; exit 1; }; \
	    "$(PYTHON)" -c "import ensurepip, venv" 2> /dev/null || { \
	        echo "'$(PYTHON)' cannot make virtual environments: its venv package is missing. On Debian and Ubuntu: apt-get install python3-venv (as root), then run make again."; exit 1; }; \
	    "$(PYTHON)" -m venv "$(VENV)" && $(PY) -m pip --version > /dev/null 2>&1 || { \
	        echo "'$(PYTHON) -m venv $(VENV)' made no working environment. If an old $(VENV) stands in the way, remove it (make clean) and run make again."; exit 1; }; \
	fi
	@$(PY) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
	    echo "$(VENV) holds $$($(PY) --version), and latentem needs Python 3.11 or newer. Remove it (make clean) and run: make PYTHON=python3.12 ..."; exit 1; }
	@touch $@
