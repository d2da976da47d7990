# `make demo` and `make test` are all a new user needs; both make .venv first, once.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
READY  := .venv/.ready
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo reproduce reproduce-quick test lint docs check-long schemas lock clean

help:
	@echo "make demo        the main job on MNIST, end to end, files in demo/"
	@echo "make reproduce   the paper's tables and figures into docs/reproduction.md; hours, goes on where it was"
	@echo "make reproduce-quick   the same in a quarter of an hour, on less"
	@echo "make test        lint, types, documentation and tests"
	@echo "make lint        ruff and mypy alone"
	@echo "make docs        the documentation as a site, in site/"
	@echo "make check-long  what takes longer or needs root"
	@echo "make schemas     write docs/schemas/, docs/formats.md and docs/commands.md from the code"
	@echo "make lock        write requirements.lock: the default install, by hashes"
	@echo "make clean       remove .venv, demo/ and caches"

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[torch,models,data,plot,predict,cluster,docs,dev]'
	@touch $@

demo: $(READY)
	@mkdir -p demo
	plan data fetch mnist
	plan profile lenet --threads 1 --out demo/edge.json
	plan profile lenet --out demo/cloud.json
	plan link --preset wifi --out demo/wifi.json
	plan cut demo/edge.json demo/cloud.json --link demo/wifi.json --noise channel --out demo/plan.json
	plan learn demo/plan.json --data mnist --budget 1.5 --confident --out demo/noise.safetensors
	plan learn demo/plan.json --data mnist --budget 1.5 --confident --noise laplace --count 20 --out demo/laplace.safetensors
	plan run demo/plan.json --noise demo/noise.safetensors --data mnist --out demo/run.json
	plan run demo/plan.json --noise demo/laplace.safetensors --data mnist --out demo/run-laplace.json
	plan audit demo/plan.json --noise demo/noise.safetensors --noise demo/laplace.safetensors --data mnist --quick --out demo/audit.json
	plan profile alexnet --as tx2-gpu --out demo/alexnet-tx2-gpu.json > demo/alexnet-tx2-gpu.txt
	plan profile alexnet --as titan-xp --out demo/alexnet-titan-xp.json > demo/alexnet-titan-xp.txt
	plan profile vgg16 --as tx2-gpu --out demo/vgg16-tx2-gpu.json > demo/vgg16-tx2-gpu.txt
	plan profile vgg16 --as titan-xp --out demo/vgg16-titan-xp.json > demo/vgg16-titan-xp.txt
	plan report demo
	python examples/modelled_devices.py demo

reproduce: $(READY)
	python -m reproduction

reproduce-quick: $(READY)
	python -m reproduction --quick

lint: $(READY)
	ruff check .
	ruff format --check .
	mypy

test: $(READY) lint docs
	pytest -m "not long"

check-long: $(READY)
	pytest -m long

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

lock: $(READY)
	.venv/bin/python -m pip install --quiet uv
	{ head -2 requirements.lock; uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header; } > requirements.lock.new
	mv requirements.lock.new requirements.lock

schemas: $(READY)
	python -m runtime.schemas docs/schemas
	python -m runtime.format_pages docs/formats.md
	python -m runtime.command_pages docs/commands.md

clean:
	rm -rf .venv demo site reproduced .mypy_cache .ruff_cache .pytest_cache
