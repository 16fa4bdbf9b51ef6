"""The numbers of every method, step by step, against those that it gave when its version was set.

Weights and images are made by arithmetic, and every step shows all images: neither how weights are drawn nor how
images are cut moves these numbers, only the methods, the engine, and the network and optimiser that they are tried on.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import registry
from bench.data.pictures import Pictures
from bench.methods.data_impressions import DataImpressions
from bench.networks import Network, build
from bench.recipe import Data, Schedule, Spec, Stage
from bench.train.engine import Job, Training
from bench.train.synthesis import Synthesis, synthesise
from bench.train.turns import to_the_end
from tests.train.test_synthesis import Quiet

FOLDER = Path(__file__).parent / "golden"
WRITE = os.environ.get("KDBENCH_GOLDEN") == "write"
# Another processor or version of torch adds in another order: a few units of float64's last digit, grown by five steps.
SAME = {"rel": 1e-9, "abs": 1e-12}

CPU = torch.device("cpu")
STEPS, CLASSES, SIZE, IMAGES = 5, 4, 8, 6
DATA = Data("cifar10", "all", "all", 0, "constant", False, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
RESNET = Spec("resnet", {"depth": 8, "block": "basic", "shortcut": "B", "width": 0.25})
MLP = Spec("mlp", {"hidden": 12})
SGD = Spec("sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-2})
ADAM = Spec("adam", {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 1e-2})
WORDS = torch.tensor([[0, 1, 4, 9], [1, 0, 2, 5], [4, 2, 0, 3], [9, 5, 3, 0]], dtype=torch.float64) / 4

# The method of each trajectory, and how a group is updated.
CASES: dict[str, tuple[Spec, Any]] = {
    "vanilla": (Spec("vanilla", {}), None),
    "ffdwv": (Spec("ffdwv", {"words": WORDS, "reading": "vectors"}), None),
    "ffdwv-rows": (Spec("ffdwv", {"words": WORDS, "reading": "rows"}), None),
    "label_smoothing": (Spec("label_smoothing", {"words": WORDS, "reading": "vectors"}), None),
    "kd": (Spec("kd", {"temperature": 3.0, "soften": "both"}), None),
    "kd-teacher": (Spec("kd", {"temperature": 3.0, "soften": "teacher"}), None),
    "soft_targets": (Spec("soft_targets", {"temperature": 3.0}), None),
    "dml-sequential": (Spec("dml", {}), "sequential"),
    "dml-simultaneous": (Spec("dml", {}), "simultaneous"),
    "dml-joint": (Spec("dml", {}), "joint"),
    "fsp": (Spec("fsp", {"weight": 0.002, "matrices": "sections"}), None),
    "fsp-cross": (Spec("fsp", {"weight": 0.1, "matrices": "cross"}), None),
    "hint": (Spec("hint", {"hint": ("stage2.middle",), "guided": ("stage2.middle",), "channels": ((8, 8),)}), None),
    "kd_decay": (Spec("kd_decay", {"temperature": 3.0, "start": 4.0, "end": 1.0}), None),
    "data_impressions": (Spec("data_impressions", {"count": 6, "scalings": (1.0, 0.1), "temperature": 5.0}), None),
}


@pytest.mark.parametrize("case", CASES)
def test_the_numbers_are_those_of_its_version(case: str) -> None:
    method, update = CASES[case]
    losses = synthesised(method) if method.name == "data_impressions" else trained(method, update)
    compare(FOLDER / f"{case}.json", method.name, versions(method), losses)


def test_every_method_has_a_trajectory() -> None:
    without = set(registry.METHODS) - {method.name for method, _ in CASES.values()}
    assert not without, f"{sorted(without)}: give each a case here, then KDBENCH_GOLDEN=write"
    assert {path.stem for path in FOLDER.glob("*.json")} == set(CASES)


def compare(path: Path, method: str, now: dict[str, int], losses: dict[str, list[float]], write: bool = WRITE) -> None:
    """Demand the stored versions and numbers; to write, demand that numbers moved no further than versions did."""
    stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"versions": {}, "losses": {}}
    same = losses == {name: pytest.approx(own, **SAME) for name, own in stored["losses"].items()}
    moved = (
        f"the numbers of {method} moved: raise its version in bench/registry.py (where other methods moved too, that of"
        " the engine, network or optimiser that moved them) and write its golden file anew with KDBENCH_GOLDEN=write:"
        f" {losses}, and not {stored['losses']}"
    )
    assert same or stored["versions"] != now, moved
    if write and stored["versions"] != now:
        path.write_text(json.dumps({"versions": now, "losses": losses}, indent=1) + "\n", encoding="utf-8")
        return
    assert stored["versions"] == now, (
        f"{path.name} has the versions {stored['versions'] or 'of nothing yet'}, and they are {now} now: where that is"
        " meant, write it with KDBENCH_GOLDEN=write"
    )


def versions(method: Spec) -> dict[str, int]:
    """Of all that moves a trajectory, named as in a run's record."""
    network, optimizer = (MLP, ADAM) if method.name == "data_impressions" else (RESNET, SGD)
    return {
        "engine": registry.ENGINE_VERSION,
        f"method {method.name}": registry.METHODS[method.name].version,
        f"network {network.name}": registry.NETWORKS[network.name].version,
        f"optimizer {optimizer.name}": registry.OPTIMIZERS[optimizer.name].version,
    }


def trained(method: Spec, update: Any) -> dict[str, list[float]]:
    """The loss terms of every step, of each network."""
    networks = [network(RESNET, k) for k in range(2 if registry.METHODS[method.name].group else 1)]
    return losses_of(Training(job(method, networks, network(RESNET, 7), update=update)))


def job(
    method: Spec,
    networks: list[Network],
    teacher: Network,
    *,
    update: Any = None,
    steps: int = STEPS,
    device: torch.device = CPU,
) -> Job:
    """A run of which every epoch is one step, of all images."""
    entry = registry.METHODS[method.name]
    loss = entry.load()(CLASSES, **method.params)
    fill(loss, 5)
    schedule = Schedule(batch=IMAGES, lr=0.05, drops=(3,), gamma=0.1, iterations=steps)
    stage = Stage("", DATA, (), method, update, schedule, SGD, "float64")
    # Images of floats are shown as they are.
    images = pattern((IMAGES, SIZE, SIZE, 3), 3).numpy().astype(np.float16)
    labels = np.array([0, 1, 2, 3, 1, 0])
    shown = Pictures(images, labels, DATA, device, torch.float64, augment=False)
    teachers = [teacher] * entry.teachers
    return Job("", 0, stage, networks, teachers, loss, shown, shown, device, "float64", Path("none"), {})


def losses_of(training: Training) -> dict[str, list[float]]:
    """The loss terms of every step."""
    found: dict[str, list[float]] = {}
    for step in range(training.total):
        training.begin(step, 1)
        training.mode(training=True)
        training.batches.run(1)
        for name, value in training.sums.totals.items():
            if not name.endswith(".hits"):
                found.setdefault(name, []).append(value.item() / IMAGES)
    return found


def synthesised(method: Spec) -> dict[str, list[float]]:
    """The loss of each impression: at every step, and as the images are left."""
    losses: list[list[float]] = []

    class Watched(DataImpressions):
        def loss(self, target: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
            found = super().loss(target, logits)
            losses.append(found.tolist())
            return found

    schedule = Schedule(batch=IMAGES, lr=0.05, drops=(), gamma=1.0, iterations=STEPS)
    stage = Stage("", DATA, (), method, None, schedule, ADAM, "float64")
    work = Watched(**method.params)
    to_the_end(
        synthesise(
            Synthesis("", 3, stage, network(MLP, 7), work, (3, SIZE, SIZE), CPU, "float64", Path("none"), {}), Quiet()
        )
    )
    return {f"image {i}": list(own) for i, own in enumerate(zip(*losses, strict=True))}


def network(spec: Spec, k: int) -> Network:
    made = build(spec.name, spec.params, CLASSES, 3, SIZE)
    fill(made, k)
    return made.double()


@torch.no_grad()
def fill(module: torch.nn.Module, k: int) -> None:
    """Weights by arithmetic, others for each ``k``: around 0, but normalisation's scales and variances around 1."""
    for place, (name, tensor) in enumerate([*module.named_parameters(), *module.named_buffers()]):
        if name != "log_table":
            around_one = tensor.ndim == 1 and name.endswith(("weight", "running_var"))
            tensor.copy_(pattern(tensor.shape, 11 * k + place) / 2 + around_one)


def pattern(shape: tuple[int, ...], k: int) -> torch.Tensor:
    """Values in -1 ... 1, exact in any binary format: quadratic residues, which show no order."""
    i = torch.arange(int(np.prod(shape)), dtype=torch.int64)
    return (((i * i * 31 + (17 + 2 * k) * i + 13 * k) % 127 - 63).double() / 64).reshape(shape)


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], bool, str]] = {
    "numbers": (lambda stored: stored["losses"]["0.ce"].__setitem__(2, 1.0), False, "the numbers of vanilla moved"),
    "numbers, to be written": (lambda stored: stored["losses"].clear(), True, "the numbers of vanilla moved"),
    "versions": (lambda stored: stored["versions"].update(engine=0), False, "has the versions"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_one_alone_is_refused(tmp_path: Path, change: str) -> None:
    stored = json.loads((FOLDER / "vanilla.json").read_text(encoding="utf-8"))
    now, losses = dict(stored["versions"]), {name: list(own) for name, own in stored["losses"].items()}
    alter, write, told = CHANGES[change]
    alter(stored)
    path = tmp_path / "vanilla.json"
    path.write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(AssertionError, match=told):
        compare(path, "vanilla", now, losses, write)


def test_numbers_and_versions_together_are_written(tmp_path: Path) -> None:
    path = tmp_path / "new.json"
    for now, losses in (({"engine": 1}, {"0.ce": [1.0, 2.0]}), ({"engine": 2}, {"0.ce": [1.0, 3.0]})):
        compare(path, "vanilla", now, losses, write=True)
        compare(path, "vanilla", now, losses, write=False)
        assert json.loads(path.read_text(encoding="utf-8")) == {"versions": now, "losses": losses}
