# make run      a local mixnet, a daemon on it, pings; stays up until Ctrl-C (ONCE=1: ends by itself)
# make test     all checks and all tests, in an environment of their own
# make check    format, lint, types and floors only
# make sanitize tests the engine under gcc's sanitizers, and as clang builds it
# make bench    measures, each beside the floor of its primitives
# make proto    generates code from the schema of the Loopix family
# make lock     pins the dependencies anew
# make clean    removes everything that was made here

# The first interpreter that runs and is recent enough; being on the path is not enough.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
  $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
RUN := .venv-run
TEST := .venv-test
SOURCES := $(wildcard sphinx/native/*.c sphinx/native/*.h sphinx/native/*.py)
PIP := bin/python -m pip --quiet --disable-pip-version-check --require-virtualenv
PACKAGES := sphinx pki arq kpclientd
CHECKED := $(PACKAGES) tests benchmarks

# An environment that happens to be active must not leak into these.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

.PHONY: run test check sanitize bench proto lock clean
.DELETE_ON_ERROR:

run: $(RUN)/.installed
	@$(RUN)/bin/kpclientd demo $(if $(ONCE),--once)

test: check
	$(TEST)/bin/python -m pytest $(ARGS)

check: $(TEST)/.installed
	$(TEST)/bin/ruff format --check $(CHECKED)
	$(TEST)/bin/ruff check $(CHECKED)
	$(TEST)/bin/mypy $(CHECKED)
	$(TEST)/bin/lint-imports

sanitize: $(TEST)/.installed
	tests/sphinx/sanitize.sh $(TEST)/bin/python gcc -fsanitize=address,undefined
	tests/sphinx/sanitize.sh $(TEST)/bin/python clang

bench: $(TEST)/.installed
	$(TEST)/bin/python -m benchmarks

$(RUN)/.installed: configs/locks/run.txt
$(TEST)/.installed: configs/locks/test.txt

%/.installed: pyproject.toml $(SOURCES)
	@test -n "$(PYTHON)" || { echo "kpclientd needs Python 3.11 or newer; none was found (set PYTHON=...)" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(@D) \
	  || { echo "$(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(@D)/$(PIP) install --require-hashes --requirement $(filter %.txt,$^)
	$(@D)/$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

proto: $(TEST)/.installed
	$(TEST)/bin/python -m grpc_tools.protoc --proto_path=. --python_out=. --pyi_out=. kpclientd/loopix/messages.proto

lock: $(TEST)/.installed
	$(TEST)/$(PIP) install uv
	for name in run test; do \
	  $(TEST)/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-annotate --no-emit-index-url --custom-compile-command 'make lock' --upgrade \
	    --extra build $$( [ $$name = test ] && echo --extra dev ) --output-file configs/locks/$$name.txt || exit 1; \
	done

clean:
	rm -rf $(RUN) $(TEST) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -f sphinx/native/*.so
