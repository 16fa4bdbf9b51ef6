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
from bench.executors.choices import caches
from bench.executors.local import fresh_networks, make_job, make_network, make_synthesis
from bench.graph import Run
from bench.train import checkpoint, device
from bench.train.engine import TEST_BATCH, Training
from bench.train.memory import held, peak_of_steps
from bench.train.progress import Unwatched
from bench.train.speed import Batches
from bench.train.synthesis import synthesise
from bench.train.teacher_cache import Answers, asked_anew
from bench.train.turns import to_the_end

TIMED_STEPS = 3


@dataclass(frozen=True)
class Took:
    """Seconds a step, seconds a run with its evaluations, and the most bytes of tensors that it has at a time."""

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
    """Time a few warm steps and a test batch; a run is that times its steps and epochs."""
    batch, images, tests = run.stage.schedule.batch, images_of(run, "train"), images_of(run, "test")
    dtype = device.weights_dtype(device.precision(run.stage.precision, where))
    pictures = tuple(_noise(run, count, where, dtype) for count in (batch, min(TEST_BATCH, tests)))
    teachers = [make_network(run.teacher, 0)] if run.teacher else []
    job = make_job(run, fresh_networks(run), teachers, (pictures[0], pictures[1]), where, Path(), {})
    if caches(run, images, where):
        job = replace(job, answers=Answers(batch, run.stage.data.crop_padding, run.stage.data.flip))
    training = Training(job)
    above = peak_of_steps(training)
    step, test = _time_steps(training)
    per_epoch = -(-images // batch)
    steps, epochs = run.stage.schedule.steps(per_epoch), run.stage.schedule.passes(per_epoch)
    asked = _seconds_asked(training, epochs)
    seconds = steps * (step + asked) + epochs * test * max(1.0, tests / TEST_BATCH)
    return Took(step, seconds, above + _held(training, images, tests))


def _seconds_asked(training: Training, epochs: int) -> float:
    """What a step's share of filling the teacher's cache takes, for a run that has one and has it for itself."""
    if training.cache is None:
        return 0.0
    _timed(training.cache.batches)
    return _timed(training.cache.batches) * asked_anew(epochs, training.cache.answers.views)


def _held(training: Training, images: int, tests: int) -> int:
    """Bytes between steps: weights, the optimiser's state, and what grows with the number of images."""
    job, data = training.job, training.job.stage.data
    entry = registry.SETS[data.set]
    frozen = [tensor for teacher in job.teachers for tensor in teacher.state_dict().values()]
    tensors = checkpoint.tensors_of((*job.networks, job.method), training.optimizers)
    pixel = entry.channels * job.train.padded.element_size()
    shown = images * (entry.size + 2 * data.crop_padding) ** 2 + tests * entry.size**2
    answers = 0
    if training.cache is not None and training.cache.answers.logits is not None:
        answers = images * training.cache.answers.views * training.cache.answers.logits[0].nbytes
    return held([*tensors.values(), *frozen]) + pixel * shown + answers


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
