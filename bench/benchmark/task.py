"""What every contender is given: a run from a real recipe, and random images of its set's shape."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.build import images_dtype, make_network
from bench.graph import Run, plan
from bench.recipe import load
from bench.registry import SETS
from bench.rng import generator
from bench.train import device as devices
from bench.train.loader import DeviceLoader, EpochRandomness

RECIPES = Path(__file__).parents[2] / "recipes"
TINY_BATCH, TINY_IMAGES = 4, 32


@dataclass(frozen=True)
class Workload:
    """A row of a table, and how long a turn lasts.

    ``computes`` says that a step is nearly all arithmetic, whatever the loop: there the classic loop, if it is a fair
    one, takes little longer than the bare one.
    """

    table: str
    row: str
    seconds: float
    computes: bool


# In the order of what their times are worth.
WORKLOADS = {
    "vanilla-resnet32": Workload("ffdwv-table2", "resnet32-cifar100", 1.5, computes=True),
    "kd-resnet110-resnet32": Workload("ffdwv-table3", "kd-resnet32", 1.5, computes=True),
    "vanilla-mlp": Workload("efficiency", "mnist-student", 0.5, computes=False),
    "vanilla-lenet5": Workload("efficiency", "cifar10-teacher", 0.5, computes=False),
    "vanilla-cnn": Workload("efficiency", "mnist-teacher", 0.5, computes=False),
}


@dataclass(frozen=True)
class Task:
    """A run on a device; ``images`` (N, H, W, C) and ``labels`` are random, N as in its set."""

    run: Run
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    device: torch.device

    @property
    def batch(self) -> int:
        """Images a step."""
        return self.run.stage.schedule.batch

    @property
    def steps(self) -> int:
        """Full batches an epoch."""
        return len(self.labels) // self.batch

    @property
    def precision(self) -> str:
        """What kdbench trains in on this device."""
        return devices.precision(self.run.stage.precision, self.device)

    def teachers(self) -> list[nn.Module]:
        """The frozen teachers, if the run has any, with any weights."""
        return [make_network(teacher).eval().requires_grad_(False) for teacher in self.run.teachers]

    @cached_property
    def loader(self) -> DeviceLoader:
        """The images as the engine holds them, with an epoch's crops and flips."""
        data = self.run.stage.data
        dtype = images_dtype(self.run, self.device)
        loader = DeviceLoader(self.images, self.labels, data, self.device, dtype, augment=True)
        loader.begin_epoch(EpochRandomness.draw(self.run.seed, 0, len(loader), data.crop_padding, data.flip))
        return loader

    def batches(self, layout: torch.memory_format) -> list[tuple[Tensor, Tensor]]:
        """An epoch's full batches in the device's memory: cropped, flipped and normalised, in float32.

        All of them, as a loop that trains has to read all: a few would stay in a processor's cache.
        """
        positions = torch.arange(self.steps * self.batch, device=self.device).view(-1, self.batch)
        made = [self.loader.batch(own) for own in positions]
        return [(images.float().contiguous(memory_format=layout), labels) for images, labels, _ in made]


def make_task(workload: Workload, device: torch.device, *, tiny: bool) -> Task:
    """What a workload asks for; ``tiny`` has small batches and few images."""
    graph = plan(load(RECIPES), [workload.table], "paper", rows=[workload.row])
    run = next(iter(graph.rows[workload.table, workload.row].values()))
    info, stage, draws = SETS[run.stage.data.set], run.stage, generator(0, "benchmark")
    count = TINY_IMAGES if tiny else info.train
    if tiny:
        run = replace(run, stage=replace(stage, schedule=replace(stage.schedule, batch=TINY_BATCH)))
    images = draws.integers(0, 256, (count, info.size, info.size, info.channels), dtype=np.uint8)
    return Task(run, images, draws.integers(0, info.classes, count), device)
