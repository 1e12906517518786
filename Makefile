# One environment for everything; each stamp is remade when pyproject.toml changes.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
CORPUS ?= ../shared/corpus
MANIFESTS ?= $(CORPUS)/manifest.csv
# local demucs weights take part where they are there
DEMUCS_REPO ?= $(wildcard ../shared/separators/demucs-v3-tiny)
# HTDemucs takes part where HTDEMUCS_ONNX names its file (training/separators/scripts/htdemucs.py)
SCRIPTS ?= $(if $(HTDEMUCS_ONNX),training/separators/scripts)

.PHONY: demo test check golden bench bench-service bench-audit model serve examples image-check

$(VENV)/.base: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev,m4a,service,otel,audit,ray,train]" "torch==2.13.0"
	touch $@

demo: $(VENV)/.base  ## install, and score the example stems with the shipped model
	$(BIN)/stem-provenance score examples

test: $(VENV)/.dev  ## everything that must hold
	$(BIN)/python -m pytest

check: $(VENV)/.dev  ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

golden: $(VENV)/.dev  ## remake the golden features, verdicts and the JSON schema
	$(BIN)/python -m tests.golden.make

examples: $(VENV)/.dev  ## remake the example clips
	$(BIN)/python -m examples.make

bench: $(VENV)/.dev  ## speed, memory and invariances, as ratios
	$(BIN)/python -m tests.bench --corpus $(CORPUS)

bench-service: $(VENV)/.dev  ## the HTTP service under load and under attack, as ratios and counts
	$(BIN)/python -m tests.service.bench

image-check: $(VENV)/.dev  ## the Dockerfile's steps in a virtual environment, without Docker
	$(BIN)/python -m tests.service.image

bench-audit: $(VENV)/.dev  ## what an audit must reach: rates, memory, report, coverage
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.audit.bench

model: $(VENV)/.dev  ## train the shipped model again from manifests
	$(BIN)/python -m training.fit $(MANIFESTS) --demucs-repo '$(DEMUCS_REPO)' --scripts '$(SCRIPTS)' --out models/stem-v1

serve: $(VENV)/.dev  ## the HTTP service on loopback
	$(BIN)/stem-provenance serve
