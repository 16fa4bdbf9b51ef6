"""What a run will take on this machine, from a few timed steps on random images; nothing is trained."""

import json
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from bench.build import fresh_networks, images_dtype, make_job, make_network, make_synthesis
from bench.cost import images_of, steps_per_epoch, steps_taken
from bench.executors.policy import should_cache_teacher
from bench.graph import Run
from bench.methods.base import Synthesiser
from bench.networks.base import Network
from bench.registry import SETS
from bench.rng import generator
from bench.train.engine import TEST_BATCH, Training
from bench.train.loader import DeviceLoader
from bench.train.loop import CapturedLoop
from bench.train.progress import Unwatched, run_to_completion
from bench.train.synthesis import synthesise
from bench.train.teacher_cache import LogitsCache, expected_miss_rate

TIMED_STEPS = 3


@dataclass(frozen=True)
class Estimate:
    """Seconds a step, and seconds a run with its evaluations."""

    step: float
    seconds: float


def workloads(runs: Iterable[Run]) -> list[tuple[str, list[Run]]]:
    """Runs that cost the same, together, and what they do: all that differs is the seed, the soft labels or the rates.

    Evaluations of ensembles, which take moments, are left out.
    """
    groups: dict[str, list[Run]] = {}
    for run in (run for run in runs if run.kind != "evaluate"):
        teachers = [teacher.recipe["networks"] for teacher in run.teachers]
        same = {key: run.recipe[key] for key in ("networks", "update", "precision")}
        shape = {"batch": run.stage.schedule.batch, "set": run.stage.data.set, "method": run.stage.method.name}
        groups.setdefault(json.dumps([same, shape, teachers, _length(run)], sort_keys=True), []).append(run)
    return [(_title(own[0]), own) for own in groups.values()]


def _length(run: Run) -> tuple[int, int, int]:
    """Steps, passes over the test images and how many these are; of a synthesis its iterations, images and none."""
    stage = run.stage
    if isinstance(stage.method, Synthesiser):
        return stage.schedule.iterations or 0, stage.method.count, 0
    return steps_taken(run), stage.schedule.num_epochs(steps_per_epoch(run)), images_of(run, "test")


def _title(run: Run) -> str:
    stage, (length, *_) = run.stage, _length(run)
    made = run.kind == "synthesise"
    teachers = [network for teacher in run.teachers for network in teacher.stage.networks[:1]]
    named = _named(teachers if made else stage.networks)
    taught = f" from {_named(teachers)}" if teachers and not made else ""
    what = f"{stage.method.name} {named}{taught} on {stage.data.set}"
    return f"{what}, {stage.precision}, batch {stage.schedule.batch}, {length:,} {'iterations' if made else 'steps'}"


def _named(networks: Iterable[Network]) -> str:
    return " + ".join("-".join(map(str, (network.name, *network.params.values()))) for network in networks)


def estimate(run: Run, device: torch.device) -> Estimate:
    """What a run will take, from a few warm steps of it."""
    return _synthesis(run, device) if run.kind == "synthesise" else _training(run, device)


def at_rate(run: Run, flops: float, tflops: float) -> Estimate:
    """What a run of so many FLOPs takes on a device that sustains so many of 1e12 a second; nothing is timed."""
    stage, seconds = run.stage, flops / (tflops * 1e12)
    if isinstance(stage.method, Synthesiser):
        batches = -(-stage.method.count // stage.schedule.batch)
        return Estimate(seconds / (batches * (stage.schedule.iterations or 1)), seconds)
    return Estimate(seconds / steps_taken(run), seconds)


def _synthesis(run: Run, device: torch.device) -> Estimate:
    """Time a few steps of one batch of images; all batches and iterations are alike."""
    stage, method = run.stage, run.stage.method
    assert isinstance(method, Synthesiser)
    batch = min(stage.schedule.batch, method.count)
    few = replace(stage, method=replace(method, count=batch), schedule=replace(stage.schedule, iterations=TIMED_STEPS))
    seconds = 0.0
    for _ in range(2):  # the first one warms up
        job = make_synthesis(replace(run, stage=few), fresh_networks(run.teachers[0])[0], device, Path(), {})
        seconds = run_to_completion(synthesise(job, Unwatched())).seconds / TIMED_STEPS
    return Estimate(seconds, seconds * (stage.schedule.iterations or 0) * method.count / batch)


def _training(run: Run, device: torch.device) -> Estimate:
    """Time a few warm steps and a test batch; a run is that times its steps and epochs."""
    images, tests = images_of(run, "train"), images_of(run, "test")
    batch = min(run.stage.schedule.batch, images)
    loaders = _noise(run, batch, device), _noise(run, min(TEST_BATCH, tests), device)
    teachers = [make_network(teacher) for teacher in run.teachers]
    job = make_job(run, fresh_networks(run), teachers, *loaders, device, Path(), {})
    if should_cache_teacher(run, images, device):
        data = run.stage.data
        job = replace(job, caches=[LogitsCache(batch, data.crop_padding, data.flip) for _ in teachers])
    training = Training(job)
    step, test = _time_steps(training)
    steps, epochs = steps_taken(run), run.stage.schedule.num_epochs(steps_per_epoch(run))
    seconds = steps * (step + _filling(training, epochs)) + epochs * test * max(1.0, tests / TEST_BATCH)
    return Estimate(step, seconds)


def _filling(training: Training, epochs: int) -> float:
    """Seconds that a step's share of filling the teachers' caches takes, for a run that has them for itself."""
    seconds = 0.0
    for teacher in training.cached:
        _timed(teacher.loop)
        seconds += _timed(teacher.loop) * expected_miss_rate(epochs, teacher.cache.views)
    return seconds


def _noise(run: Run, count: int, device: torch.device) -> DeviceLoader:
    info, draws = SETS[run.stage.data.set], generator(0, "estimate")
    images = draws.integers(0, 256, (count, info.size, info.size, info.channels), dtype=np.uint8)
    labels = draws.integers(0, info.classes, (count, *info.label_shape))
    return DeviceLoader(images, labels, run.stage.data, device, images_dtype(run, device), augment=True)


def _time_steps(training: Training) -> tuple[float, float]:
    """Seconds of a training step, the median of a few, and of a test batch; each after one that warms up."""
    training.capture()
    training.begin(0, 0)
    training.mode(training=True)
    _timed(training.train_loop)
    step = statistics.median(_timed(training.train_loop) for _ in range(TIMED_STEPS))
    training.mode(training=False)
    _timed(training.test_loop)
    return step, _timed(training.test_loop)


def _timed(loop: CapturedLoop) -> float:
    """Seconds of the first batch of a pass."""
    begun = time.monotonic()
    loop.run(1)
    if loop.device.type == "cuda":
        torch.cuda.synchronize(loop.device)
    return time.monotonic() - begun
