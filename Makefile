# Two commands are all you need: `make serve` and `make test`. They need Python 3.11+ and make.
#
#   make serve            set up and start the service (PORT=8000)
#   make test             set up and run the tests
#   make check            formatting, lint, types, OpenAPI, docs
#   make test-stress      tests under load and faults, some ten minutes; QUICK=1 for a tenth
#   make mutants          change the core in many places; do its tests notice? MUTANTS_MINUTES=20
#   make test-interop     the service against real clients: torch, JAX, Keras, Node, curl, aria2 …
#   make lint-openapi     openapi/openapi.json by Redocly's linter; needs Node
#   make bench            measure side by side with torch, JAX, NumPy, nginx
#   make study            train the networks behind docs/normal-vs-uniform.md anew; half an hour
#   make audit            known vulnerabilities of the pinned versions; needs a network
#   make sbom             build/sbom.cdx.json: what is installed, as CycloneDX
#   make generate         all that is made from the code: OpenAPI, generated pages, new digests
#   make dist             wheel and sdist in dist/, their metadata checked
#   make docs             the documentation as a site, in build/guide
#   make fix              format and mend what ruff can
#   make constraints      pin the versions that are installed now, and lock the image's with hashes
#   make clean            remove environments and caches
#
# Another Python: `make test PYTHON=python3.13 VENV=.venv-3.13`.

PYTHON ?= python3
PORT ?= 8000
VENV ?= .venv
INTEROP ?= .venv-interop
BIN := $(VENV)/bin

# A process a core, each with whole files: what a file starts, it starts once. `make test PARALLEL=`
# runs all in one, as a debugger wants it.
PARALLEL ?= -n logical --maxprocesses 8 --dist loadfile

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: dist docs mutants serve test test-stress check audit sbom test-interop lint-openapi bench fix constraints generate openapi clean study catalogue-report

serve: $(VENV)/.serve
	SEEDBED_PORT=$(PORT) $(BIN)/seedbed serve

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(PARALLEL) -m "not interop and not stress" --ignore tests/interop $(PYTEST)

test-stress: $(VENV)/.dev
	$(BIN)/python -m pytest -m stress --ignore tests/interop $(PYTEST)

# `make mutants MUTANTS_MINUTES=5 MUTANTS_SEED=3 MUTANTS='init web.keys'`.
MUTANTS_MINUTES ?= 20
MUTANTS_SEED ?= 0
mutants: $(VENV)/.mutants
	$(BIN)/python -m scripts.mutants --minutes $(MUTANTS_MINUTES) --seed $(MUTANTS_SEED) $(MUTANTS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/python -m scripts.generate --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	$(BIN)/python -m scripts.audit --if-possible

audit: $(VENV)/.dev
	$(BIN)/python -m scripts.audit $(AUDIT)

sbom: $(VENV)/.dev
	mkdir -p build
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible --validate -o build/sbom.cdx.json $(BIN)/python

test-interop: $(INTEROP)/.interop $(INTEROP)/.torchvision $(INTEROP)/.recorded
	$(INTEROP)/bin/python -m pytest -m interop $(PYTEST)

catalogue-report: $(VENV)/.dev
	$(BIN)/python scripts/catalogue_doc.py

study: $(INTEROP)/.interop
	$(INTEROP)/bin/python -m study $(STUDY)
	$(INTEROP)/bin/python -m scripts.study_doc

lint-openapi:
	scripts/lint_openapi.sh

bench: $(INTEROP)/.interop
	$(INTEROP)/bin/python -m benchmarks

dist: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m hatchling build
	$(BIN)/uvx --from 'twine>=6,<8' twine check --strict dist/*

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo 'open build/guide/index.html'

fix: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generate: $(VENV)/.dev
	INTEROP=$(INTEROP) $(BIN)/python -m scripts.generate

openapi: $(VENV)/.dev
	$(BIN)/python scripts/openapi.py

constraints: $(VENV)/.dev $(INTEROP)/.interop
	$(BIN)/python scripts/constraints.py $(BIN)/python $(INTEROP)/bin/python > constraints.txt
	$(BIN)/python -m scripts.locks

clean:
	rm -rf $(VENV) $(INTEROP) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -prune -exec rm -rf {} +

# Each environment is made anew when what it holds changes. Kernels are compiled here, not at the
# first request.
$(VENV)/.serve: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	$(BIN)/seedbed compile
	touch $@

$(VENV)/.dev: $(VENV)/.serve
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/seedbed compile --all  # else each process of the tests compiles them
	touch $@

$(VENV)/.mutants: $(VENV)/.dev
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,mutants]'
	touch $@

$(INTEROP)/.interop: pyproject.toml constraints.txt tests/interop/old-clients.txt \
		tests/interop/client-generator.txt tests/interop/s3-clients.txt
	$(PYTHON) -m venv $(INTEROP)
	$(INTEROP)/bin/pip install --quiet --constraint constraints.txt --editable '.[dev,interop]'
	rm -rf $(INTEROP)/old-clients $(INTEROP)/client-generator $(INTEROP)/s3-clients
	$(INTEROP)/bin/pip install --quiet --no-deps --target $(INTEROP)/old-clients \
		--requirement tests/interop/old-clients.txt
	$(INTEROP)/bin/pip install --quiet --no-deps --target $(INTEROP)/client-generator \
		--requirement tests/interop/client-generator.txt
	$(INTEROP)/bin/pip install --quiet --no-deps --target $(INTEROP)/s3-clients \
		--requirement tests/interop/s3-clients.txt
	$(INTEROP)/bin/seedbed compile
	touch $@

# Apart from the other packages: transformers would import it, and beside a CPU torch its wheel for
# CUDA fails. The tests that ask it give it a process of its own.
$(INTEROP)/.torchvision: $(INTEROP)/.interop
	$(INTEROP)/bin/pip install --quiet --no-deps --upgrade --target $(INTEROP)/torchvision \
	    'torchvision==0.28.0' 'pillow>=11,<13'
	touch $@

# They need torchvision, so they are apart too; what is recorded of them is compared with them.
$(INTEROP)/.recorded: $(INTEROP)/.torchvision tests/interop/recorded.txt
	rm -rf $(INTEROP)/recorded
	$(INTEROP)/bin/pip install --quiet --no-deps --target $(INTEROP)/recorded \
	    --requirement tests/interop/recorded.txt
	touch $@
