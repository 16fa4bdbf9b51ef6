"""What a run will take on this machine, from a few timed steps on random images; nothing is trained."""

import json
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from bench import registry
from bench.cost import images_of
from bench.data.pictures import Pictures
from bench.draws import generator
from bench.executors.local import fresh_networks, make_job, make_network, make_synthesis
from bench.graph import Run
from bench.train import device, schedule
from bench.train.engine import TEST_BATCH, Training
from bench.train.progress import Unwatched
from bench.train.speed import Batches
from bench.train.synthesis import synthesise
from bench.train.turns import to_the_end

TIMED_STEPS = 3


@dataclass(frozen=True)
class Took:
    """Seconds a step, seconds a run with its evaluations, and bytes: of weights, optimiser, activations and data."""

    step: float
    seconds: float
    memory: int


def workloads(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Runs that cost the same, together: all that differs is the seed, the soft labels or the rates.

    Evaluations of ensembles, which take moments, are left out.
    """
    groups: dict[str, list[Run]] = {}
    for run in (run for run in runs if run.kind != "evaluate"):
        teachers = [run.teacher.recipe["networks"]] if run.teacher else []
        said = {key: run.recipe[key] for key in ("networks", "update", "precision")}
        shape = {"batch": run.stage.schedule.batch, "set": run.stage.data.set, "method": run.stage.method.name}
        groups.setdefault(json.dumps([said, shape, teachers], sort_keys=True), []).append(run)
    return {_title(own[0]): own for own in groups.values()}


def _title(run: Run) -> str:
    stage = run.stage
    networks = stage.networks or (run.teacher.stage.networks[:1] if run.teacher else ())
    said = " + ".join("-".join(map(str, (n.name, *n.params.values()))) for n in networks)
    return f"{stage.method.name} {said} on {stage.data.set}, {stage.precision}, batch {stage.schedule.batch}"


def measure(run: Run, where: torch.device) -> Took:
    """What a run will take, from a few warm steps of it."""
    return _synthesis(run, where) if run.kind == "synthesise" else _training(run, where)


def _synthesis(run: Run, where: torch.device) -> Took:
    """Time a few steps of one batch of images; all batches and iterations are alike."""
    stage, batch = run.stage, min(run.stage.schedule.batch, run.stage.method.params["count"])
    method = replace(stage.method, params={**stage.method.params, "count": batch})
    few = replace(run, stage=replace(stage, method=method, schedule=replace(stage.schedule, iterations=TIMED_STEPS)))
    assert run.teacher is not None
    times, memory = [], 0
    for _ in range(2):
        work = make_synthesis(few, fresh_networks(run.teacher)[0], where, Path(), {})
        made = to_the_end(synthesise(work, Unwatched()))
        times.append(made.seconds / TIMED_STEPS)
        memory = sum(t.nbytes for t in made.tensors.values())
    count, iterations = stage.method.params["count"], stage.schedule.iterations or 0
    return Took(times[-1], times[-1] * iterations * count / batch, memory * count // batch)


def _training(run: Run, where: torch.device) -> Took:
    """Time one warm step and a few more, and one test batch; a run is that times its steps and epochs."""
    batch, entry = run.stage.schedule.batch, registry.SETS[run.stage.data.set]
    dtype = device.weights_dtype(device.precision(run.stage.precision, where))
    images, tests = images_of(run, "train"), images_of(run, "test")
    pictures = tuple(_noise(run, count, where, dtype) for count in (batch, min(TEST_BATCH, tests)))
    teachers = [make_network(run.teacher, 0)] if run.teacher else []
    training = Training(make_job(run, fresh_networks(run), teachers, (pictures[0], pictures[1]), where, Path(), {}))
    activations = _activation_bytes(training)
    step, test = _time_steps(training)
    per_epoch = -(-images // batch)
    steps = schedule.total_steps(run.stage.schedule, per_epoch)
    data = (images + tests) * entry.channels * (entry.size + 2 * run.stage.data.crop_padding) ** 2
    weights = sum(p.nbytes for network in training.job.networks for p in network.parameters())
    seconds = steps * step + -(-steps // per_epoch) * test * max(1.0, tests / TEST_BATCH)
    # A trained weight has a gradient and a momentum beside it.
    return Took(step, seconds, activations + data + 3 * weights)


def _noise(run: Run, count: int, where: torch.device, dtype: torch.dtype) -> Pictures:
    entry, draws = registry.SETS[run.stage.data.set], generator(0, "estimate")
    images = draws.integers(0, 256, (count, entry.size, entry.size, entry.channels), dtype=np.uint8)
    return Pictures(images, draws.integers(0, entry.classes, count), run.stage.data, where, dtype, augment=True)


def _time_steps(training: Training) -> tuple[float, float]:
    """Seconds of a training step, the median of a few, and of a test batch; each after one that warms up."""
    training.capture()
    training.begin(0, 0)
    training.mode(training=True)
    _timed(training.batches)
    step = statistics.median(_timed(training.batches) for _ in range(TIMED_STEPS))
    training.mode(training=False)
    _timed(training.tests)
    return step, _timed(training.tests)


def _timed(batches: Batches) -> float:
    """Seconds of the first batch of a pass."""
    begun = time.monotonic()
    batches.run(1)
    if batches.device.type == "cuda":
        torch.cuda.synchronize(batches.device)
    return time.monotonic() - begun


def _activation_bytes(training: Training) -> int:
    """What autograd keeps of one training step for the backward pass, each storage once."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    training.begin(0, 0)
    training.mode(training=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        training.batches.run(1)
    return sum(kept.values())
