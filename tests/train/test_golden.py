"""The numbers of every method, step by step, against those that it gave when its version was set.

Neither how weights are drawn nor how images are cut moves these numbers (see :mod:`tests.train.patterned`), only the
methods, the engine, and the network and optimiser that they are tried on.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import registry
from bench.methods.ab import AB
from bench.methods.apprentice import Apprentice
from bench.methods.at import AT
from bench.methods.born_again import CWTM, DKPP
from bench.methods.cc import CC
from bench.methods.codistillation import Codistillation
from bench.methods.conditional import Conditional
from bench.methods.crd import CRD
from bench.methods.data_impressions import DataImpressions
from bench.methods.dkd import DKD
from bench.methods.dml import DML
from bench.methods.error_weighted import ErrorWeighted
from bench.methods.feature_distillation import FeatureDistillation
from bench.methods.ffdwv import FFDWV, FFDWVUniformControl
from bench.methods.fitnet import FitNet
from bench.methods.fsp import FSP
from bench.methods.ft import FT, Paraphrase
from bench.methods.hint import Hint
from bench.methods.kd import KD, DecayingKD, SoftTargets
from bench.methods.nst import NST
from bench.methods.pkt import PKT
from bench.methods.rkd import RKD
from bench.methods.sp import SP
from bench.methods.structured_kd import StructuredKD
from bench.methods.vanilla import LabelSmoothing, Vanilla
from bench.methods.vid import VID
from bench.networks.base import Network
from bench.networks.small import MLP
from bench.optimizers import Adam
from bench.recipe import Stage
from bench.schedules import Constant, Schedule
from bench.train.engine import Training
from bench.train.progress import run_to_completion
from bench.train.synthesis import Synthesis, synthesise
from tests.methods.contract import WORDS
from tests.told import Told
from tests.train.patterned import CPU, DATA, IMAGES, OPTIMIZER, RESNET, SIZE, STEPS, WIDER, job, losses_of, network

FOLDER = Path(__file__).parent / "golden"
WRITE = os.environ.get("KDBENCH_GOLDEN") == "write"
# Another processor or version of torch adds in another order: a few units of float64's last digit, grown by five steps.
SAME = {"rel": 1e-9, "abs": 1e-12}

DISTANCES = np.array([[0, 1, 4, 9], [1, 0, 2, 5], [4, 2, 0, 3], [9, 5, 3, 0]]) / 4
ADAM = Adam(beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-2)


@dataclass(frozen=True)
class Case:
    """A method, how a group is updated, its teachers and their network, and how large its own weights are."""

    method: Any
    update: Any = None
    teachers: int = 0
    taught_by: Network = RESNET
    scale: float = 1.0


CASES = {
    "vanilla": Case(Vanilla()),
    "label_smoothing": Case(LabelSmoothing(epsilon=0.1)),
    "ffdwv": Case(FFDWV(words=WORDS, reading="vectors")),
    "ffdwv-rows": Case(FFDWV(words=WORDS, reading="rows")),
    "ffdwv_uniform_control": Case(FFDWVUniformControl(words=WORDS, reading="vectors")),
    "kd": Case(KD(temperature=3.0, soften="both"), teachers=1),
    "kd-teacher": Case(KD(temperature=3.0, soften="teacher"), teachers=1),
    "kd-weights": Case(KD(temperature=3.0, soften="both", alpha=0.9, hard=0.1), teachers=1),
    "kd-ensemble": Case(KD(temperature=3.0, soften="both"), teachers=2),
    "soft_targets": Case(SoftTargets(temperature=3.0), teachers=1),
    "dml-sequential": Case(DML(), "sequential"),
    "dml-simultaneous": Case(DML(), "simultaneous"),
    "dml-joint": Case(DML(), "joint"),
    "fsp": Case(FSP(weight=0.002, matrices="sections"), teachers=1),
    "fsp-cross": Case(FSP(weight=0.1, matrices="cross"), teachers=1),
    "hint": Case(Hint(hint=("stage2.middle",), guided=("stage2.middle",), channels=((8, 8),)), teachers=1),
    "kd_decay": Case(DecayingKD(temperature=3.0, start=4.0, end=1.0), teachers=1),
    "fitnet": Case(FitNet(weight=10.0, layer="stage2"), teachers=1, taught_by=WIDER),
    "feature_distillation": Case(FeatureDistillation(weight=10.0, layer="stage2"), teachers=1),
    "apprentice": Case(Apprentice(teacher=1.0, student=0.5, distillation=0.5), "joint"),
    "at": Case(AT(weight=100.0), teachers=1, taught_by=WIDER),
    "sp": Case(SP(weight=30.0), teachers=1, taught_by=WIDER),
    "cc": Case(CC(weight=0.02, dim=4), teachers=1, taught_by=WIDER),
    "vid": Case(VID(weight=1.0), teachers=1, taught_by=WIDER),
    "rkd": Case(RKD(distance=2.0, angle=4.0), teachers=1, taught_by=WIDER),
    "pkt": Case(PKT(weight=300.0), teachers=1, taught_by=WIDER),
    "ab": Case(AB(weight=0.003), teachers=1, taught_by=WIDER),
    "ab-same": Case(AB(weight=0.003), teachers=1),
    "paraphrase": Case(Paraphrase(), teachers=1, taught_by=WIDER, scale=0.2),
    "ft": Case(FT(weight=20.0), teachers=1, taught_by=WIDER, scale=0.2),
    "nst": Case(NST(weight=5.0), teachers=1, taught_by=WIDER),
    "crd": Case(CRD(weight=0.8, negatives=3, dim=4), teachers=1, taught_by=WIDER),
    "crd-kd": Case(CRD(weight=0.8, kd=1.0, negatives=3, dim=4), teachers=1, taught_by=WIDER),
    "dkd": Case(DKD(temperature=4.0, target=1.0, others=8.0, warmup=0.5), teachers=1),
    "cwtm": Case(CWTM(), teachers=1),
    "dkpp": Case(DKPP(), teachers=1),
    "codistillation": Case(Codistillation(weight=1.0, burn_in=0.4, shards="disjoint"), "simultaneous"),
    "codistillation-shared": Case(Codistillation(weight=1.0, burn_in=0.4, shards="shared"), "sequential"),
    "conditional": Case(Conditional(temperature=2.0), teachers=1),
    "error_weighted": Case(ErrorWeighted(temperature=3.0), teachers=1),
    "structured_kd": Case(StructuredKD(weight=10.0, feature="stage1", pool=2), teachers=1, taught_by=WIDER),
    "data_impressions": Case(DataImpressions(count=6, scalings=(1.0, 0.1), temperature=5.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_numbers_are_those_of_its_version(name: str) -> None:
    case = CASES[name]
    losses = synthesised(case.method) if isinstance(case.method, DataImpressions) else trained(case)
    compare(FOLDER / f"{name}.json", case.method.name, versions(case.method), losses)


def test_every_method_has_a_trajectory() -> None:
    without = {*registry.METHODS, *registry.SYNTHESISERS} - {case.method.name for case in CASES.values()}
    assert not without, f"{sorted(without)}: give each a case here, then KDBENCH_GOLDEN=write"
    assert {path.stem for path in FOLDER.glob("*.json")} == set(CASES)


def compare(path: Path, method: str, now: dict[str, int], losses: dict[str, list[float]], write: bool = WRITE) -> None:
    """Demand the stored versions and numbers; to write, demand that numbers moved no further than versions did."""
    stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"versions": {}, "losses": {}}
    same = losses == {name: pytest.approx(own, **SAME) for name, own in stored["losses"].items()}
    moved = (
        f"the numbers of {method} moved: raise its version (where other methods moved too, that of"
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


def versions(method: Any) -> dict[str, int]:
    """Of all that moves a trajectory, named as in a run's record."""
    declared, optimizer = (MLP, ADAM) if isinstance(method, DataImpressions) else (RESNET, OPTIMIZER)
    return {
        "engine": registry.ENGINE_VERSION,
        f"method {method.known_as}": method.version,
        f"network {declared.name}": declared.version,
        f"optimizer {optimizer.name}": optimizer.version,
    }


def trained(case: Case) -> dict[str, list[float]]:
    """The loss terms of every step, of each network."""
    networks = [network(RESNET, k) for k in range(2 if case.method.needs.group else 1)]
    teachers = [network(case.taught_by, 7 + i) for i in range(case.teachers)]
    # The distances of the words, without a file.
    parts = case.method.table(DISTANCES) if isinstance(case.method, FFDWV) else None
    return losses_of(Training(job(case.method, networks, teachers, parts=parts, update=case.update, scale=case.scale)))


def synthesised(method: DataImpressions) -> dict[str, list[float]]:
    """The loss of each impression: at every step, and as the images are left."""
    losses: list[list[float]] = []

    class Watched(DataImpressions):
        def loss(self, target: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
            found = super().loss(target, logits)
            losses.append(found.tolist())
            return found

    schedule = Schedule(batch=IMAGES, lr=0.05, decay=Constant(), iterations=STEPS)
    stage = Stage("", DATA, (), method, schedule, ADAM, "float64")
    teacher, shape = network(MLP(hidden=12), 7), (3, SIZE, SIZE)
    work = Synthesis("", 3, stage, teacher, Watched(**method.params), shape, CPU, "float64", Path("none"), {})
    run_to_completion(synthesise(work, Told()))
    return {f"image {i}": list(own) for i, own in enumerate(zip(*losses, strict=True))}


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
