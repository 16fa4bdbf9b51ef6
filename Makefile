# Each target makes what it needs: the virtual environment, the install. The second time it is quick.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
KDBENCH := $(BIN)/kdbench
READY := $(VENV)/.ready
BUDGET ?= 540
PROFILE ?= smoke
JOBS ?= 2
OUT ?= build/gpu
ROW ?= resnet32-cifar100
STREAMS ?= 1,4,8,16
FROM ?= build/gpu
AT_ONCE_OPTION := $(if $(AT_ONCE),--at-once $(AT_ONCE))
DATA_OPTION := $(if $(DATA),--data $(DATA))

.PHONY: table2 table3 tonight dml fsp zskd efficiency crd survey smoke benchmark benchmark-gpu probe-gpu test test-all torture check report gpu collect clean
.DEFAULT_GOAL := table3

$(READY): pyproject.toml constraints.txt
	@echo "Installing into $(VENV) (PyTorch is large: minutes the first time) ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# The paper profile where there is CUDA, else the smoke profile; what is done is not done again.
define table
	$(KDBENCH) run $(1) $(DATA_OPTION)
	@$(KDBENCH) report $(1) --profile $$($(BIN)/python -c "import torch; print('paper' if torch.cuda.is_available() else 'smoke')")
endef

table2: $(READY)
	$(call table,ffdwv-table2)

table3: $(READY)
	$(call table,ffdwv-table3)

# FFDWV on small networks: the paper profile on any machine, in a night of two cores.
tonight: $(READY)
	$(KDBENCH) run ffdwv-small --profile paper $(DATA_OPTION)
	@$(KDBENCH) report ffdwv-small

dml: $(READY)
	$(call table,dml-table2)

fsp: $(READY)
	$(call table,fsp-table1)
	$(call table,fsp-cifar10)
	$(call table,fsp-small-cifar10)
	$(call table,fsp-small-cifar100)

zskd: $(READY)
	$(call table,zskd)

# Small networks on small images: the paper profile on any machine.
efficiency: $(READY)
	$(KDBENCH) run efficiency --profile paper $(DATA_OPTION)
	@$(KDBENCH) report efficiency

# CRD's benchmark on small networks: the paper profile on any machine.
crd: $(READY)
	$(KDBENCH) run crd-small --profile paper $(DATA_OPTION)
	@$(KDBENCH) report crd-small

# The survey's tables, and its methods that no table above has. On a GPU: these are whole schedules.
survey: $(READY)
	$(call table,survey-ensemble)
	$(call table,survey-codistillation)
	$(call table,survey-vid)
	$(call table,survey-born-again)
	$(call table,survey-conditional)
	$(call table,survey-quantised)
	$(call table,survey-apprentice)
	$(call table,survey-low-resolution)
	$(call table,survey-segmentation)
	@$(KDBENCH) survey

# Of large tables a smoke run takes some rows, with seed 1 or what SEEDS names; a test steps every row. CRD's have a row for
# each method and pair, and large teachers: crd-small has every method, and of the others a row of each kind of network
# but ResNet-50, whose few steps take minutes. Of FFDWV's and the survey's, a row of each method, and with each number
# of teachers.
SMOKE_crd-table1 := kd-resnet20-resnet56 wrn-16-2 vgg8
SMOKE_crd-table2 := mobilenet-v2 shufflenet-v1 shufflenet-v2
SMOKE_ffdwv-table2 := resnet110-cifar100 ffdwv-resnet32-cifar10 ffdwv-resnet32-cifar100 uniform-resnet32-cifar100
SMOKE_ffdwv-table3 := kd-resnet32 kd-teacher-softened dml-resnet32 ffdwv-resnet32
SMOKE_survey-born-again := ban-3-wrn-28-1 cwtm-wrn-28-1 dkpp-wrn-28-1
SEEDS_survey-born-again := 6 16
SMOKE_survey-codistillation := shared disjoint
SMOKE_survey-conditional := conditional error-weighted
SMOKE_survey-ensemble := distilled soft-few
SMOKE_survey-apprentice := scheme-a scheme-c
SMOKE_survey-low-resolution := pixels8
SEEDS_survey-low-resolution := 2
SMOKE_survey-quantised := bits4
SMOKE_survey-segmentation := structured
SMOKE_survey-vid := vid-2

# Every row of every other table with seed 1, a few steps each: on synthetic images, or on the real ones with
# PROFILE=smoke-real. JOBS tables at a time, each in a process with one thread; one waits for a run that another makes.
smoke: $(READY)
	@$(MAKE) --no-print-directory --jobs=$(JOBS) --output-sync=target $$($(KDBENCH) list --names | sed 's/^/smoke-/')

smoke-%: $(READY)
	@OMP_NUM_THREADS=1 $(KDBENCH) run $* $(SMOKE_$*:%=--row %) $(patsubst %,--seed %,$(or $(SEEDS_$*),1)) --at-once 1 --wait --profile $(PROFILE) $(DATA_OPTION)
	@$(KDBENCH) report $* --profile $(PROFILE)

# A training step beside plain PyTorch loops, in turns; minutes. Also written to build/benchmark.json.
benchmark: $(READY)
	$(BIN)/python -m bench.benchmark --compiled

# The same and what the device itself can do, on a CUDA machine with PyTorch 2.11 or later, as for `make gpu`.
benchmark-gpu:
	PYTHONPATH=. $(PYTHON) -m bench.benchmark --calibrate --seeds 4 --rounds 5 --budget $(BUDGET) --out $(OUT)/benchmark.json

# What a training step is there: a graph or not, kernel by kernel, alone and side by side. Into OUT.
probe-gpu:
	PYTHONPATH=. $(PYTHON) -m bench.benchmark.probe --calibrate --row $(ROW) --streams $(STREAMS) --out $(OUT)

# A process a core, at most four, each with files of its own.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

# All but the few slow ones, of up to a minute each.
test: $(READY)
	$(PYTEST) -m 'not slow'

test-all: $(READY)
	$(PYTEST)

# Break everything on purpose, hundreds of times: ten minutes of two cores. `make test` has a few of each.
torture: $(READY)
	$(BIN)/python -m tests.torture

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(KDBENCH) check

# The committed tables, from the committed records.
report: $(READY)
	@for table in $$($(KDBENCH) list --names); do $(KDBENCH) report $$table --profile short --write || exit; done

# On a CUDA machine with PyTorch 2.11 or later, where nothing needs to be (or can be) installed. The data lie in DATA.
gpu:
	PYTHONPATH=. $(PYTHON) -m bench.cli.gpu --budget $(BUDGET) --out $(OUT) $(DATA_OPTION) $(AT_ONCE_OPTION)

# Take home what `make gpu` packed into FROM.
collect: $(READY)
	$(KDBENCH) collect $(FROM)

clean:
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache results/runs/smoke-* results/artifacts/smoke-* results/checkpoints/smoke-* results/locks
