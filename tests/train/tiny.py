"""Jobs of the tiny table's runs, on random images, for tests of the engine."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.build import fresh_networks, make_job
from bench.graph import Run, plan
from bench.recipe import load
from bench.train import engine
from bench.train.job import Job
from bench.train.loader import DeviceLoader
from bench.train.progress import run_to_completion
from bench.train.results import Outcome
from tests.told import Told

CPU = torch.device("cpu")


def runs_of(project: Path) -> dict[str, Run]:
    """The tiny table's runs of seed 1, by row."""
    graph = plan(load(project / "recipes"), ["tiny"], "paper", seeds=[1])
    return {row: by_seed[1] for (_, row), by_seed in graph.rows.items()}


def images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 32, 32, 3) and labels (N,)."""
    draws = np.random.default_rng(seed)
    return draws.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), draws.integers(0, 10, count)


def job(run: Run, folder: Path, *, precision: str = "float64", device: torch.device = CPU, **stage: Any) -> Job:
    """The run on 100 images, tested on 60, with some of its stage's fields changed; teachers have fresh weights."""
    run = replace(run, stage=replace(run.stage, precision=precision, **stage))
    dtype, data = torch.float64 if precision == "float64" else torch.float32, run.stage.data
    train = DeviceLoader(*images(100, 1), data, device, dtype, augment=True)
    test = DeviceLoader(*images(60, 2), data, device, dtype, augment=False)
    teachers = [fresh_networks(teacher)[0] for teacher in run.teachers]
    return make_job(run, fresh_networks(run), teachers, train, test, device, folder / "checkpoint.safetensors", {})


def train(made: Job, progress: Told | None = None, **more: Any) -> Outcome:
    return run_to_completion(engine.train(made, progress or Told(), **more))
