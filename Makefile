# The two commands of the README, and those that keep the project.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --override override.txt \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

.PHONY: demo test bench lint image lock clean

demo: $(VENV)/ready  ## the main job against the sandbox: builds break and mend, incidents open and close
	$(BIN)/python -m sandbox.demo

test: $(VENV)/ready  ## all tests; the container tests too where a Docker engine answers
	$(BIN)/python -m pytest $(OPTIONS)

bench: $(VENV)/ready  ## speed, memory and size beside what they are compared with
	$(BIN)/python -m bench

lint: $(VENV)/ready
	$(BIN)/ruff check .

image:  ## the image, for `docker run`
	docker build --tag pagerduty-events:dev .

lock:  ## needs uv; `make lock UPGRADE=--upgrade` takes newer versions
	cd requirements && printf 'docker\nGitPython\n' | $(LOCK) $(UPGRADE) --excludes /dev/stdin image.in --output-file image.txt
	cd requirements && echo 'GitPython' | $(LOCK) $(UPGRADE) --excludes /dev/stdin dev.in --output-file dev.txt

$(VENV)/ready: requirements/dev.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	touch $@

clean:
	rm -rf $(VENV) .cache .pytest_cache .hypothesis
