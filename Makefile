# Every target sets up its own environment in .venv, with the versions of constraints.txt.

PYTHON ?= python3
VENV ?= .venv
RUN ?= runs/demo-$(shell date +%Y%m%d-%H%M%S)

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test test-all test-wheel test-browser check check-format check-lint check-types check-imports check-cpp fuzz sanitize sanitize-python bench docs clean

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
BUILDERS := scikit-build-core cmake ninja
# What the engine is compiled from.
ENGINE := CMakeLists.txt $(wildcard csrc/*.h csrc/*.cpp csrc/python/*.h csrc/python/*.cpp src/gatewise/*.py $(foreach part,equations cells compiler,src/gatewise/$(part)/*.py))
RUN := $(RUN)

help:
	@echo "make demo   train a language model on Python's own manual (about 2 minutes), score it, read what it writes"
	@echo "make test   run the tests"
	@echo "make test-all  run them with every combination of their parameters, not only every pair of values"
	@echo "make test-wheel  build the wheel of the last commit, install it without extras, run the tests of the core"
	@echo "make test-browser  open the reports in headless Chromium"
	@echo "make check  format, lint, types, import rule (check-format, check-lint, check-types, check-imports, check-cpp)"
	@echo "make fuzz   ten minutes of random calls of random layers against the reference (ARGS='--minutes 1')"
	@echo "make sanitize  drive the engine's C++, and exported models, under the address, undefined-behaviour and thread sanitizers"
	@echo "make sanitize-python  run tests of the kernels on an engine under the address sanitizer"
	@echo "make bench  compare the layers with torch.nn, ONNX Runtime and JAX (ARGS='variants --mode training')"
	@echo "make docs   build the documentation into docs/_build/html"
	@echo "make clean  remove the environment and everything built"
	@echo "Choose the interpreter with PYTHON=python3.12 (3.11 or newer), the demo's folder with RUN=runs/mine."

demo: $(VENV)/.tasks
	$(BIN)/gatewise train lm --max-minutes 2 --out $(RUN)
	@echo "Here gatewise is $(BIN)/gatewise, or gatewise after: source $(BIN)/activate"

# One worker process per core for two cores, one thread each. Where there is a compiler, the engine must be built.
test test-all: $(VENV)/.test
	$(if $(filter test-all,$@),GATEWISE_TEST_ALL=1) OMP_NUM_THREADS=1 GATEWISE_EXPECT_EXTRAS=1 GATEWISE_EXPECT_ENGINE=$(if $(shell command -v $${CXX:-c++}),1) $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

# What users get: built from a clean clone, in a fresh environment, with nothing but what the core needs and pytest.
# Left to `make test`: the longest comparisons (every gradient), and what uses the standard library alone (equations, compiler,
# explanations), which the import rule holds there. Bytecode of torch is left to those who import it.
WHEEL := build/test-wheel
WHEEL_PIP := $(WHEEL)/env/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
CORE := $(addprefix tests/,cells diagnostics cli test_build.py::test_the_wheel test_extras.py test_packaging.py \
    kernels/test_dispatch.py) \
    $(addprefix tests/layers/,test_bad_input.py test_constructor.py test_initialisers.py test_merging.py test_step.py \
    test_streaming.py test_torch_compatibility.py)
test-wheel: $(VENV)/.created
	@git diff --quiet HEAD || echo "make test-wheel: changes that are not committed are not tested"
	@rm -rf $(WHEEL)
	@git clone --quiet . $(WHEEL)/clone
	@mkdir $(WHEEL)/clone/src/gatewise/_engine && touch $(WHEEL)/clone/src/gatewise/_engine/libgatewise_stale.so
	@$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-build-isolation --no-deps --wheel-dir $(WHEEL) \
	    $(WHEEL)/clone
	@$(PYTHON) -m venv $(WHEEL)/env
	@$(WHEEL_PIP) --no-compile torch
	@$(WHEEL_PIP) $(WHEEL)/*.whl hypothesis pytest pytest-xdist
	cd $(WHEEL)/clone && OMP_NUM_THREADS=1 GATEWISE_EXPECT_INSTALLED=1 \
	    GATEWISE_EXPECT_WHEEL=$$(echo $(CURDIR)/$(WHEEL)/*.whl) \
	    GATEWISE_EXPECT_ENGINE=$(if $(shell command -v $${CXX:-c++}),1) \
	    ../env/bin/python -m pytest -n 2 --dist worksteal -q -o pythonpath=. -m "not slow" -k "not random and not matches_autograd" $(CORE) $(ARGS)

# Needs Chromium.
test-browser: $(VENV)/.test
	$(BIN)/python -m pytest -m browser tests/diagnostics $(ARGS)

# The hooks of .pre-commit-config.yaml call these targets.
check: check-format check-lint check-types check-imports check-cpp

check-format: $(VENV)/.check
	$(BIN)/ruff format --check .

check-lint: $(VENV)/.check
	$(BIN)/ruff check .

# What the pages show is checked as a user's code would be.
check-types: $(VENV)/.check
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/python -m tests.pages build/pages
	$(BIN)/basedpyright --pythonpath $(BIN)/python build/pages

check-imports: $(VENV)/.check
	$(BIN)/lint-imports

check-cpp: $(VENV)/.check
	$(BIN)/clang-format --dry-run --Werror csrc/*.h csrc/*.cpp csrc/*/*.h csrc/*/*.cpp csrc/*/*.c

# Freed memory is filled with a pattern, so that reading it is noticed.
fuzz: $(VENV)/.test
	MALLOC_PERTURB_=165 $(BIN)/python -m tests.layers.fuzz $(ARGS)

# The first needs a C++ compiler and Python alone; the second exports models as C and drives those.
sanitize: $(VENV)/.test
	PYTHONPATH=src:. $(PYTHON) csrc/tests/sanitize.py build/sanitize
	PYTHONPATH=src:. $(BIN)/python csrc/tests/sanitize_exported.py build/sanitize-exported

# Linux with GCC: its sanitizer is loaded into Python. The engine is rebuilt in a separate folder.
SANITIZED := $(addprefix tests/kernels/,test_gradient.py test_norms.py \
    cpu/test_binding.py cpu/test_saved.py cpu/test_threads.py cpu/test_properties.py) $(addprefix tests/layers/,test_step.py test_stacks.py)
sanitize-python: $(VENV)/.test
	PYTHONPATH=src:. $(BIN)/python csrc/tests/sanitize_python.py build/sanitize-python $(SANITIZED) $(ARGS)

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(VENV)/.docs
	$(BIN)/sphinx-build --fail-on-warning --keep-going -q docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean:
	rm -rf $(VENV) build dist src/gatewise/_engine docs/_build .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "gatewise needs Python 3.11 or newer, and '$(PYTHON)' is not: name one, as in make test PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) $(BUILDERS)
	@rm -rf build/editable
	@touch $@

$(VENV)/.tasks: EXTRA := [tasks]
$(VENV)/.test: EXTRA := [test]
$(VENV)/.check: EXTRA := [check]
$(VENV)/.docs: EXTRA := [docs]
$(VENV)/.bench: EXTRA := [bench]

$(VENV)/.tasks $(VENV)/.test: $(ENGINE)
$(VENV)/.tasks $(VENV)/.test $(VENV)/.check $(VENV)/.docs $(VENV)/.bench: pyproject.toml constraints.txt | $(VENV)/.created
	@echo "installing gatewise$(EXTRA) into $(VENV), the engine included; the first time takes some minutes"
	@$(PIP) --no-build-isolation --editable '.$(EXTRA)'
	@test ! -e src/gatewise/_engine/why_missing.txt || \
	    echo "gatewise runs without compiled kernels: $$(cat src/gatewise/_engine/why_missing.txt)"
	@touch $@
