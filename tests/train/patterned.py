"""Jobs whose weights and images are made by arithmetic, and of which every step shows all images.

Neither how weights are drawn nor how images are cut moves what they compute.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.methods.base import Method, Setup
from bench.networks.base import Network
from bench.networks.resnet import ResNet
from bench.optimizers import SGD
from bench.recipe import Data, Stage
from bench.schedules import Schedule, Steps
from bench.train.engine import Training
from bench.train.job import Job
from bench.train.loader import DeviceLoader

CPU = torch.device("cpu")
STEPS, CLASSES, SIZE, IMAGES = 5, 4, 8, 6
DATA = Data("cifar10", "all", "all", 0, "constant", False, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
RESNET = ResNet(depth=8, block="basic", shortcut="B", width=0.25)
WIDER = ResNet(depth=8, block="basic", shortcut="B", width=0.5)
OPTIMIZER = SGD(momentum=0.9, nesterov=True, weight_decay=1e-2)
LABELS = np.array([0, 1, 2, 3, 1, 0])


def job(
    method: Method,
    networks: list[nn.Module],
    teachers: list[nn.Module],
    *,
    parts: nn.Module | None = None,
    update: Any = None,
    steps: int = STEPS,
    device: torch.device = CPU,
    scale: float = 1.0,
) -> Job:
    """A run of which every epoch is one step, of all images; ``parts`` are the method's own unless they are given.

    ``scale`` is that of the weights of its own.
    """
    schedule = Schedule(batch=IMAGES, lr=0.05, decay=Steps((3,), 0.1), iterations=steps)
    stage = Stage("", DATA, (), method, schedule, OPTIMIZER, "float64", update)
    setup = Setup(CLASSES, (), LABELS, (3, SIZE, SIZE), networks, teachers, np.random.default_rng(0))
    if parts is None:
        parts = method.parts(setup)
        fill(parts, 5, scale)
    # Images of floats are shown as they are.
    images = pattern((IMAGES, SIZE, SIZE, 3), 3).numpy().astype(np.float16)
    loader = DeviceLoader(images, LABELS, DATA, device, torch.float64, augment=False)
    return Job(
        id="",
        seed=0,
        stage=stage,
        networks=networks,
        teachers=teachers,
        method=method,
        parts=parts,
        setup=setup,
        train=loader,
        test=loader,
        device=device,
        precision="float64",
        checkpoint=Path("none"),
        taken={},
    )


def losses_of(training: Training) -> dict[str, list[float]]:
    """The loss terms of every step."""
    losses: dict[str, list[float]] = {}
    for step in range(training.total):
        training.begin(step, 1)
        training.mode(training=True)
        training.train_loop.run(1)
        for name, value in training.sums.read().items():
            if not name.endswith(".hits"):
                losses.setdefault(name, []).append(float(value) / IMAGES)
    return losses


def network(declared: Network, k: int) -> nn.Module:
    """A network in float64 with weights of its own for each ``k``."""
    made = declared.build(CLASSES, 3, SIZE)
    fill(made, k)
    return made.double()


@torch.no_grad()
def fill(module: nn.Module, k: int, scale: float = 1.0) -> None:
    """Weights by arithmetic, others for each ``k``: around 0, but normalisation's scales and variances around 1.

    Buffers that are no statistics are a method's own state, and stay as they are.
    """
    statistics = [(name, buffer) for name, buffer in module.named_buffers() if "running_" in name]
    for place, (name, tensor) in enumerate([*module.named_parameters(), *statistics]):
        around_one = tensor.ndim == 1 and name.endswith(("weight", "running_var"))
        tensor.copy_(scale * pattern(tensor.shape, 11 * k + place) / 2 + around_one)


def pattern(shape: tuple[int, ...], k: int) -> torch.Tensor:
    """Values in -1 ... 1, exact in any binary format: quadratic residues, which show no order."""
    i = torch.arange(int(np.prod(shape)), dtype=torch.int64)
    return (((i * i * 31 + (17 + 2 * k) * i + 13 * k) % 127 - 63).double() / 64).reshape(shape)
