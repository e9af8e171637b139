# Two commands on a fresh Debian 12 or any Linux with Python 3.11+: `make demo` and `make test`.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PY := .venv/bin/python
STAMP := .venv/.installed
.PHONY: help install demo test check bench fit tools coverage lock clean

help:
	@echo "make install  a virtual environment, the sandbox and its tools"
	@echo "make demo     install, then agents on call for five incidents, and a report"
	@echo "make test     install, then every check"
	@echo "make check    prove every scenario of the suites lite and sre; takes hours on few processors"
	@echo "make bench    the figures of the documentation, measured on this machine"
	@echo "make tools    a kubectl of 1.30 or newer and a Prometheus to test against, into tools/"
	@echo "make fit      fit the investigator's weights again; needs FIREDRILL_SHARED"

install: $(STAMP)

$(STAMP): requirements/dev.lock pyproject.toml scripts/setup
	@scripts/setup
	@touch $@

demo: install
	.venv/bin/firedrill demo

test: install
	@ls -d tools/prometheus-*/bin >/dev/null 2>&1 || scripts/prometheus || echo "no Prometheus here: its tests skip" >&2
	scripts/check

# what was checked before and has not changed since is not checked again
check: install
	told=0; for suite in lite sre; do \
	  $(PY) -m firedrill check $$suite -n $$(nproc) --out runs/checked/$$suite || told=$$?; \
	done; exit $$told

bench: install
	scripts/bench

fit: install
	scripts/fit

tools: install
	scripts/tools
	scripts/prometheus

coverage: install
	scripts/coverage

# needs uv; the lock files name no registry
lock:
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header pyproject.toml -o requirements/default.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --extra host --extra hub --extra plots --extra mcp --group dev pyproject.toml -o requirements/dev.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis demo
