# make run      a local mixnet, a daemon on it, pings; stays up until Ctrl-C (ONCE=1: ends by itself)
# make test     all checks and all tests, in an environment of their own; with a C compiler, those of storage too
# make check    format, lint, types and layers only
# make lowest   the tests again, with the oldest release of each package that pyproject.toml says will do
# make interop  the Python client's own tests, by its two newest versions (THIN_CLIENT=DIR: those of a checkout), and the
#               guide's programs in Rust, and Go (KATZENPOST_CHECKOUT=DIR: its library is not to be had otherwise)
# make sanitize tests the engine under gcc's sanitizers, and as clang builds it; the analyzers of both look through it
# make coverage measures how much of the packet core the tests reach
# make soak     sets the engines against each other, a million times (CASES=n)
# make fuzz     feeds every parser what it does not expect, FUZZ_SECONDS each; needs clang for the parts in C
# make mutate   changes the packet core and expects the tests to notice, on a sample (ARGS="--sample n --seed n")
# make bench    measures, each beside the cost of its primitives alone (GO=DIR: and beside a checkout of the reference);
#               then a daemon at rest, beside its bounds
# make proof    has the daemon's traffic under ten loads looked at by statistics; takes half an hour of a processor
# make proto    generates code from the schema of the Loopix family
# make dist     source archive and wheels with the engine inside, for x86_64 and aarch64, tried in fresh environments
# make deb      a Debian package for the release of this machine; make deb-test installs it into a bare system, too
# make docs     writes pages, manual pages, completions and configs/*.toml from the code, and the site into build/site
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
CHECKED := $(PACKAGES) tests benchmarks distribution
ATHERIS := 3.0.0
ZIGLANG := 0.15.2
PIPX := 1.18.4
FUZZ_SECONDS ?= 60
CLIENTS := 0.0.23 0.0.25
SUITE := build/interop/suite
LOWEST := build/lowest
PIGEONHOLE := build/pigeonhole

FAILED := build/engine.failed

# Of an environment: is it of another folder, or has it no interpreter any more? Of the engine: could it be there?
foreign = $(shell test -f $(1)/.installed && { test -x $(1)/bin/python && test "$$(cat $(1)/.installed)" = "$(CURDIR)" \
  || echo stale; })
LACKING := $(shell ls sphinx/native/*.so >/dev/null 2>&1 || ls $(FAILED) >/dev/null 2>&1 \
  || { $(PYTHON) distribution/compiler.py >/dev/null 2>&1 && echo stale; })

# An environment that happens to be active must not leak into these.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

.PHONY: run test check lowest interop sanitize coverage soak fuzz mutate bench proof proto docs lock clean wheels dist deb \
  deb-test
.DELETE_ON_ERROR:

run: $(RUN)/.installed
	@$(RUN)/bin/kpclientd demo $(if $(ONCE),--once)

# One test waits for real epochs to pass: a process more than there are cores keeps them all busy meanwhile.
test: check $(TEST)/.pigeonhole
	PYTEST_XDIST_AUTO_NUM_WORKERS=$$(expr $$(nproc) + 1) $(TEST)/bin/python -m pytest $(ARGS)

check: $(TEST)/.installed
	$(TEST)/bin/ruff format --check $(CHECKED)
	$(TEST)/bin/ruff check $(CHECKED)
	$(TEST)/bin/mypy $(CHECKED)
	$(TEST)/bin/lint-imports

lowest: $(LOWEST)/.installed
	$(LOWEST)/bin/python -m pytest $(ARGS)

interop: $(TEST)/.pigeonhole $(SUITE)/.unpacked $(CLIENTS:%=build/interop/%/.installed)
	$(TEST)/bin/python -m tests.interop.upstream --suite $(SUITE) $(if $(THIN_CLIENT),--checkout "$(THIN_CLIENT)") \
	  $(CLIENTS:%=build/interop/%)
	KPCLIENTD_TEST_COMPILES=1 $(TEST)/bin/python -m pytest -n0 tests/docs/test_programs.py

build/interop/%/.installed: configs/locks/interop-%.txt
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/$(PIP) install --require-hashes --requirement $<
	@touch $@

# The last source archive that has tests. pip checks its hash; it wants to ask the archive's build system first.
$(SUITE)/.unpacked: build/interop/0.0.23/.installed
	rm -rf $(@D) && mkdir -p $(@D)
	sed -n '/^katzenpost-thinclient==/,/[^\]$$/p' configs/locks/interop-0.0.23.txt > $(@D)/archive.txt
	$(<D)/$(PIP) download --require-hashes --requirement $(@D)/archive.txt --no-deps --no-binary :all: \
	  --no-build-isolation --dest $(@D)
	tar -xzf $(@D)/katzenpost_thinclient-0.0.23.tar.gz --strip-components 1 -C $(@D)
	@touch $@

sanitize: $(TEST)/.installed
	tests/sphinx/sanitize.sh $(TEST)/bin/python gcc -fsanitize=address,undefined
	tests/sphinx/sanitize.sh $(TEST)/bin/python clang

# The differential cases reach nothing that others do not, and take long. build.py runs when the package is built.
coverage: $(TEST)/.installed
	$(TEST)/bin/python -m coverage run --branch --source=sphinx --omit=sphinx/native/build.py -m pytest -n0 -q \
	  --ignore=tests/sphinx/test_differential.py tests/sphinx tests/wire tests/fuzz
	$(TEST)/bin/python -m coverage report --show-missing --fail-under=95

soak: $(TEST)/.installed
	$(TEST)/bin/python -m tests.support.soak --cases $(or $(CASES),1000000)

mutate: $(TEST)/.installed
	$(TEST)/bin/python -m tests.support.mutation $(ARGS)

fuzz: $(TEST)/.installed
	@command -v clang >/dev/null || { echo "the targets in C need clang; on Debian: apt-get install clang" >&2; exit 1; }
	$(TEST)/$(PIP) install atheris==$(ATHERIS)
	$(TEST)/bin/python -m tests.fuzz all -max_total_time=$(FUZZ_SECONDS)
	$(TEST)/bin/python sphinx/native/base_table.py > build/fuzz/base_table.h
	for name in aez packet; do \
	  clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Isphinx/native -Ibuild/fuzz \
	    -o build/fuzz/run-$$name tests/fuzz/fuzz_$$name.c sphinx/native/*.c && mkdir -p build/fuzz/c-$$name && \
	  build/fuzz/run-$$name -max_total_time=$(FUZZ_SECONDS) -max_len=4000 -artifact_prefix=build/fuzz/c-$$name/crash- \
	    build/fuzz/c-$$name tests/fuzz/corpus/c-$$name || exit 1; \
	done

bench: $(TEST)/.installed
	$(TEST)/bin/python -m benchmarks $(if $(GO),--go "$(GO)")

proof: $(TEST)/.installed
	$(TEST)/bin/python -m benchmarks.traffic_shape $(ARGS)

$(RUN)/.installed: configs/locks/run.txt $(call foreign,$(RUN)) $(LACKING)
$(TEST)/.installed: configs/locks/test.txt $(call foreign,$(TEST)) $(LACKING)
$(LOWEST)/.installed: configs/locks/lowest.txt $(call foreign,$(LOWEST)) $(LACKING)

# One line a step: each can take a while.
%/.installed: pyproject.toml $(SOURCES)
	@test -n "$(PYTHON)" || { echo "kpclientd needs Python 3.11 or newer; none was found (set PYTHON=...); on Debian:" \
	  "apt-get install python3" >&2; exit 1; }
	@$(PYTHON) -c '' 2>/dev/null || { echo "PYTHON=$(PYTHON) does not run" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "kpclientd needs Python 3.11 or newer; $$($(PYTHON) --version) is too old (set PYTHON=...)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make a virtual environment;" \
	  "on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "$(@D): an environment for $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv --clear $(@D)
	@echo "$(@D): fetching and installing $$(grep -c == $(filter %.txt,$^)) packages ..."
	@$(@D)/$(PIP) install --require-hashes --requirement $(filter %.txt,$^)
	@lack=$$($(PYTHON) distribution/compiler.py) && echo "$(@D): compiling the packet engine ..." \
	  || echo "$(@D): without the compiled packet engine, packets take a slower path: $$lack, and run this again"
	@mkdir -p build && rm -f $(FAILED) && $(@D)/$(PIP) install -vv --no-build-isolation --no-deps --editable . > build/engine.log 2>&1 \
	  || { cat build/engine.log >&2; exit 1; }
	@ls sphinx/native/*.so >/dev/null 2>&1 || ! $(PYTHON) distribution/compiler.py >/dev/null || { touch $(FAILED); \
	  echo "$(@D): the packet engine could not be compiled, packets take a slower path; why: build/engine.log" >&2; }
	@echo "$(CURDIR)" > $@

.PHONY: stale
stale:

# The one dependency without wheels, some minutes of C: built once and kept, and never a reason for failing.
$(TEST)/.pigeonhole: configs/locks/pigeonhole.txt $(TEST)/.installed
	@mkdir -p $(PIGEONHOLE)
	@ls $(PIGEONHOLE)/highctidh-*.whl >/dev/null 2>&1 || echo "$(@D): compiling highctidh, for storage; this takes some minutes ..."
	@install="install --no-index --no-deps --find-links $(PIGEONHOLE) $$(grep -o '^[a-z]*==[^ ]*' $< | tr '\n' ' ')"; \
	if { $(TEST)/$(PIP) $$install || { $(TEST)/$(PIP) wheel --no-cache-dir --require-hashes --requirement $< --no-deps \
	    --only-binary hpqc --no-build-isolation --wheel-dir $(PIGEONHOLE) && $(TEST)/$(PIP) $$install; }; } \
	    > $(PIGEONHOLE)/log 2>&1 && $(TEST)/bin/python -c 'import highctidh; highctidh.ctidh(1024)' >> $(PIGEONHOLE)/log 2>&1; \
	then touch $@; \
	else echo "storage goes untested: no highctidh, which a C compiler builds ($(PIGEONHOLE)/log)" >&2; fi

$(TEST)/.packing: $(TEST)/.installed
	$(TEST)/$(PIP) install ziglang==$(ZIGLANG) pipx==$(PIPX)
	@touch $@

wheels: $(TEST)/.packing $(TEST)/.pigeonhole
	@rm -rf dist && mkdir -p dist build
	@echo "packing the source archive ..."
	@$(TEST)/bin/python -m build --sdist --no-isolation --outdir dist . > build/sdist.log 2>&1 || { cat build/sdist.log; exit 1; }
	@$(TEST)/bin/python -m distribution.wheels dist
	@cp $(PIGEONHOLE)/*.whl dist/ 2>/dev/null || true

dist: wheels
	$(TEST)/bin/python -m pytest -n0 distribution/test_archives.py distribution/test_processors.py distribution/test_wheel.py

deb: wheels
	@echo "building the Debian package ..."
	@$(TEST)/bin/python -m distribution.deb dist

deb-test: deb
	$(TEST)/bin/python -m pytest -n0 distribution/test_deb.py

proto: $(TEST)/.installed
	$(TEST)/bin/python -m grpc_tools.protoc --proto_path=. --python_out=. --pyi_out=. kpclientd/loopix/messages.proto

docs: $(TEST)/.installed
	$(TEST)/bin/python -m tests.support.configuration_page
	$(TEST)/bin/python -m tests.support.metrics_page
	$(TEST)/bin/python -m tests.support.manual_pages
	$(TEST)/bin/python -m tests.support.scheme_table > docs/schemes.md
	$(TEST)/bin/python -m tests.support.localnet_tables
	$(TEST)/bin/python -m tests.support.error_page
	$(TEST)/bin/python -m tests.support.log_page
	NO_MKDOCS_2_WARNING=1 $(TEST)/bin/python -m mkdocs build --quiet --config-file configs/mkdocs.yml
	@echo "the site begins at build/site/index.html; with its search: python3 -m http.server --directory build/site"

lock: $(TEST)/.installed
	$(TEST)/$(PIP) install uv
	for name in run test; do \
	  $(TEST)/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-annotate --no-emit-index-url --custom-compile-command 'make lock' --upgrade \
	    --extra build $$( [ $$name = test ] && echo --extra dev ) --output-file configs/locks/$$name.txt || exit 1; \
	done
	$(TEST)/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --no-emit-index-url --custom-compile-command 'make lock' --resolution lowest-direct \
	  --extra build --extra dev --output-file configs/locks/lowest.txt
	printf 'hpqc\nhighctidh\n' | $(TEST)/bin/uv pip compile - --quiet --universal --python-version 3.11 --no-deps \
	  --generate-hashes --no-annotate --no-emit-index-url --custom-compile-command 'make lock' --upgrade \
	  --output-file configs/locks/pigeonhole.txt
	for version in $(CLIENTS); do \
	  echo "katzenpost-thinclient==$$version hatchling hatch-requirements-txt pytest pytest-asyncio pytest-timeout" | \
	  tr ' ' '\n' | $(TEST)/bin/uv pip compile - --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-annotate --no-emit-index-url --custom-compile-command 'make lock' --upgrade \
	    --output-file configs/locks/interop-$$version.txt || exit 1; \
	done

clean:
	rm -rf $(RUN) $(TEST) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -f sphinx/native/*.so
