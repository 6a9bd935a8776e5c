# `make demo` and `make test` work on a machine with nothing but Python >= 3.10 (with venv) and make.
# The environments are made once, by the targets that need them; a change of their inputs makes them again.
PYTHON ?= python3
DEMO := .venv/bin/python
DEV := .venv-dev/bin/python
PACKAGING := setup.py setup.cfg pyproject.toml constraints.txt
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --progress-bar off -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench faults colcon train-street64 train-street32 train-sam2 venv venv-dev clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

demo: .venv/.ready ## label a synthetic street in real time over ROS 2; results in out/demo
	$(DEMO) -m sam2amml_ros.demo

test: .venv-dev/.ready ## run all tests
	$(DEV) -m pytest

lint: .venv-dev/.ready ## ruff and mypy
	$(DEV) -m ruff check .
	$(DEV) -m mypy

bench: .venv-dev/.ready ## run the benchmarks; results in out/bench.json
	$(DEV) benchmarks/run_all.py

faults: .venv/.ready ## break sensors, clocks and the node on purpose; results in out/faults.json
	$(DEMO) -m sam2amml_ros.faults

colcon: .venv-dev/.ready ## build with colcon and check that ROS finds everything
	$(DEV) tests/colcon_install.py out/colcon

train-street64: .venv-dev/.ready ## make sweeps, train and export the 64-beam model (2 hours)
train-street32: .venv-dev/.ready ## the same for 32 beams
train-street64 train-street32: train-%:
	.venv-dev/bin/sam2amml sweeps --model $* --split train --worlds 200
	.venv-dev/bin/sam2amml sweeps --model $* --split validation --worlds 12
	.venv-dev/bin/sam2amml train $* --set loop.minutes=45
	.venv-dev/bin/sam2amml train $* --set loop.minutes=80 --resume --set augmentation.strength=0.5
	.venv-dev/bin/sam2amml export out/models/$* --model $* --validation out/sweeps/$*/validation

train-sam2: .venv-dev/.ready ## make pictures, train and export the nano SAM2 (2 hours)
	.venv-dev/bin/sam2amml pictures --streets 60
	.venv-dev/bin/sam2amml train-sam2 --folder out/runs/sam2_nano_128 --minutes 36 --threads 1
	.venv-dev/bin/sam2amml train-sam2 --size 256 --images 4 --minutes 38 --rate 6e-4 --threads 1 \
		--start-from out/runs/sam2_nano_128/last.pt
	.venv-dev/bin/sam2amml export-sam2 out/models/sam2_nano

venv: .venv/.ready ## the environment of the demo: core, ROS 2 and the synthetic world, no torch
venv-dev: .venv-dev/.ready ## the environment for everything else

.venv/.ready: $(PACKAGING)
	$(PYTHON) -m venv --clear .venv
	$(DEMO) $(PIP_INSTALL) -e '.[ros,world,openvino]'
	@touch $@

.venv-dev/.ready: $(PACKAGING)
	$(PYTHON) -m venv --clear .venv-dev
	$(DEV) $(PIP_INSTALL) -e '.[ros,world,openvino,train,masks,scale,viz,dev]'
	SAM2_BUILD_CUDA=0 $(DEV) $(PIP_INSTALL) --no-build-isolation -e '.[sam2]'
	@touch $@

clean: ## remove environments and everything that was made
	rm -rf .venv .venv-dev out build install log *.egg-info .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
