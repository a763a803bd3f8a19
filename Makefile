# The two commands of a fresh clone. Everything is installed into .venv; see README.md.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(wildcard pyproject.toml plugins/*/pyproject.toml examples/*/pyproject.toml)

# A deployment is many processes, and each would compile everything anew: a third of its start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: up test install servers

up: install
	@$(BIN)/marketplace up --demo $(ARGS)

test: install servers
	@$(BIN)/python -m pytest -n 3 --dist loadgroup $(ARGS)

install: .venv/.installed

# What no wheel brings, into a cache outside: once, some minutes. Tests of a server that cannot be had are skipped, but for CI.
servers: install
	-@$(BIN)/python -m marketplace_core.adapters.native

# What is others' comes as it is locked, by its hashes; ours is the working copy, built without a look into the index, where
# a plugin's name may be a stranger's.
.venv/.installed: requirements.lock $(SOURCES)
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . \
		$(foreach distribution,$(wildcard plugins/*/pyproject.toml examples/*/pyproject.toml),-e $(dir $(distribution))) >&2
	@touch $@
