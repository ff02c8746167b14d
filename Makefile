# The README's commands, and those that keep the project. `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --override override.txt \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

.DEFAULT_GOAL := help
.PHONY: help demo sandbox pictures test coverage histories faults fuzz storm mutants bench lint format image zipapp audit sbom digests registry lock clean

help:  ## this list
	@grep -hE '^[a-z]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*  ## /  \1\t/' | expand -t 14

demo: $(VENV)/ready  ## the main job against the sandbox: builds break and are fixed, incidents open and close
	$(BIN)/python -m sandbox.demo $(if $(LIVE),--live $(LIVE))

sandbox: $(VENV)/ready  ## a local stand-in for PagerDuty to look at, on http://127.0.0.1:8026
	$(BIN)/python -m sandbox $(OPTIONS)

pictures: $(VENV)/ready  ## the sandbox's page for docs/pictures; needs chromium and chromium-driver
	$(BIN)/python -m tests.browser.pictures

test: $(VENV)/ready  ## all tests; the container tests too where a Docker engine answers
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(OPTIONS)

coverage: $(VENV)/ready  ## which branches of pipe/ the tests that need no process of its own have not taken
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --cov=pipe tests/unit tests/histories tests/check $(OPTIONS)

histories: $(VENV)/ready  ## 10,000 generated histories of builds (HISTORIES=n): no lost page, no false resolve
	$(BIN)/python -m tests.histories

faults: $(VENV)/ready  ## what becomes of a page when network, proxy or server fail; writes docs/faults.md
	$(BIN)/python -m tests.faults

fuzz: $(VENV)/ready  ## 20,000 runs (FUZZ=n) on any environment, file, report and answer: no traceback, leak or false resolve
	$(BIN)/python -m tests.fuzz

storm: $(VENV)/ready  ## 100 and 300 pipes at once against PagerDuty's rate limit: each page gets through
	$(BIN)/python -m tests.storm

mutants: $(VENV)/ready  ## changes the rules in small ways and lists the changes that no test notices
	$(BIN)/python -m tests.mutants $(ONLY)

bench: $(VENV)/ready  ## speed, memory and size beside what they are compared with
	$(BIN)/python -m bench

lint: $(VENV)/ready  ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/ready  ## put the format right
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --quiet .

image:  ## the image, for `docker run`
	docker build --tag pagerduty-events:dev .

zipapp: $(VENV)/ready  ## the pipe as one file that any Python from 3.11 on runs, where there is no Docker
	$(BIN)/python image/zipapp.py pagerduty-events.pyz

audit: .cache/audit/ready  ## known vulnerabilities of what the image and a release install; 2: it could not be asked
	PATH="$$PWD/.cache/audit/bin:$$PATH" ci/audit

sbom: .cache/audit/ready image  ## what is in the image, as CycloneDX: sbom.json
	PATH="$$PWD/.cache/audit/bin:$$PATH" .cache/audit/bin/python image/sbom.py pagerduty-events:dev >sbom.json

digests:  ## name the Dockerfile's base images by the digests that their tags have today
	ci/digests

registry:  ## Debian's docker-registry into .cache, for the tests of a release and the benchmark's cold start
	mkdir -p .cache
	cd .cache && apt-get download --quiet docker-registry && dpkg --extract docker-registry_*.deb docker-registry

lock:  ## the locked requirements anew (needs uv); `make lock UPGRADE=--upgrade` takes newer versions
	cd requirements && printf 'docker\nGitPython\n' | $(LOCK) $(UPGRADE) --excludes /dev/stdin image.in --output-file image.txt
	cd requirements && for name in release audit; do $(LOCK) $(UPGRADE) $$name.in --output-file $$name.txt; done
	cd requirements && printf 'GitPython\nPySocks\n' | $(LOCK) $(UPGRADE) --excludes /dev/stdin dev.in --output-file dev.txt

$(VENV)/ready: requirements/dev.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	touch $@

.cache/audit/ready: requirements/audit.txt
	$(PYTHON) -m venv --clear .cache/audit
	.cache/audit/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/audit.txt
	touch $@

clean:
	rm -rf $(VENV) pagerduty-events.pyz sbom.json .cache .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
