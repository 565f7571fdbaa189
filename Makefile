# The project's own commands. Each makes what it needs.

PYTHON ?= python3
TORCH ?= torch==2.13.0
# A CUDA build of another version, for the test that one build serves many torches; beside it the
# libraries that pyaug is compared with and the loops of the examples.
OTHER_TORCH ?= torch==2.14.1 torchvision==0.29.1

VENV := .environments/main
OTHER := .environments/other
DOCS := .environments/docs
BIN := $(VENV)/bin
PIP := -m pip install --quiet --disable-pip-version-check
SOURCES := $(shell find csrc pyaug -type f ! -name '*.so' ! -name '*.pyc') CMakeLists.txt pyproject.toml
CPP := $(shell find csrc -name '*.h' -o -name '*.cpp' -o -name '*.cu')
ALL_ARCHITECTURES := 75,80,86,89,90,100,120

.PHONY: demo test test-cuda bench bench-quick docs lint format wheel clean

demo: $(VENV)/installed
	$(BIN)/python examples/demo.py

test: $(VENV)/installed $(OTHER)/installed
	PYAUG_OTHER_PYTHON=$(OTHER)/bin/python $(BIN)/pytest

# In the environment that is active, where pyaug is installed beside the GPU machine's own torch.
# (Not `python -m pytest`: it would import the source tree's pyaug, which is not built.)
test-cuda:
	pytest cuda_tests

# Writes benchmarks/results; on a machine with a GPU its rows, and the CPU's with --device cpu.
bench: $(OTHER)/installed
	$(OTHER)/bin/pyaug bench

# Before a release: fails where a row of the CPU is below its line.
bench-quick: $(OTHER)/installed
	$(OTHER)/bin/pyaug bench --quick

# The site: build/docs/index.html. A warning is an error.
docs: $(DOCS)/installed
	$(DOCS)/bin/sphinx-build -E -W --keep-going --quiet -d build/doctrees docs build/docs

lint: $(VENV)/tools
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(CPP)

format: $(VENV)/tools
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

# For other machines: every architecture that is in use.
wheel: $(VENV)/torch
	PYAUG_CUDA_ARCHITECTURES=$(ALL_ARCHITECTURES) $(BIN)/python -m pip wheel --no-build-isolation \
		--no-deps --wheel-dir dist .

$(VENV)/torch:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) $(TORCH) numpy "scikit-build-core>=0.11" "pybind11>=2.13" "ninja>=1.11"
	touch $@

$(VENV)/tools: $(VENV)/torch
	$(BIN)/python $(PIP) ruff==0.17.5 clang-format==23.1.5
	touch $@

# Built once, installed in both environments.
$(VENV)/wheel: $(VENV)/torch $(SOURCES)
	rm -rf $(VENV)/wheels
	$(BIN)/python -m pip wheel --quiet --no-build-isolation --no-deps --wheel-dir $(VENV)/wheels \
		-Ccmake.define.PYAUG_WARNINGS_ARE_ERRORS=ON .
	touch $@

$(VENV)/installed: $(VENV)/wheel
	wheel=$$(ls $(VENV)/wheels/*.whl) && $(BIN)/python $(PIP) "$$wheel[search,test]" && \
		$(BIN)/python $(PIP) --force-reinstall --no-deps "$$wheel"
	touch $@

$(OTHER)/torch:
	$(PYTHON) -m venv $(OTHER)
	$(OTHER)/bin/python $(PIP) $(OTHER_TORCH)
	touch $@

$(OTHER)/installed: $(OTHER)/torch $(VENV)/wheel
	wheel=$$(ls $(VENV)/wheels/*.whl) && \
		$(OTHER)/bin/python $(PIP) "$$wheel[search,test,bench,examples]" $(OTHER_TORCH) && \
		$(OTHER)/bin/python $(PIP) --force-reinstall --no-deps "$$wheel"
	touch $@

$(DOCS)/torch:
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python $(PIP) $(TORCH)
	touch $@

$(DOCS)/installed: $(DOCS)/torch $(VENV)/wheel
	wheel=$$(ls $(VENV)/wheels/*.whl) && $(DOCS)/bin/python $(PIP) "$$wheel[search,docs]" && \
		$(DOCS)/bin/python $(PIP) --force-reinstall --no-deps "$$wheel"
	touch $@

clean:
	rm -rf .environments build dist
