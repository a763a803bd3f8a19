# The two commands of a fresh clone. Everything is installed into .venv; see README.md.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(wildcard pyproject.toml plugins/*/pyproject.toml examples/*/pyproject.toml)

# A deployment is many processes, and each would compile everything anew: a third of its start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: up test install

up: install
	@$(BIN)/marketplace up --demo $(ARGS)

test: install
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

install: .venv/.installed

# Core first and editable together with the plugins in one call: otherwise a plugin's dependency on core is looked up in
# the index, where the name may be a stranger's.
.venv/.installed: $(SOURCES)
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[embedded,dbos,otlp,testing,dev]' \
		$(foreach distribution,$(wildcard plugins/*/pyproject.toml examples/*/pyproject.toml),-e $(dir $(distribution))) >&2
	@touch $@
