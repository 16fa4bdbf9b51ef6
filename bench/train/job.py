"""What the engine is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from bench.methods.base import Method, Setup
from bench.recipe import Stage
from bench.train.loader import DeviceLoader
from bench.train.teacher_cache import LogitsCache


@dataclass(frozen=True)
class Job:
    """All that a run needs, built and loaded: the engine knows nothing of files but its checkpoint.

    Args:
        id: of the run.
        seed: of its randomness.
        stage: what the recipe says.
        networks: that are trained, with their initial weights.
        teachers: that are frozen, with their own weights.
        method: whose loss it is.
        parts: the method's own modules, in training or evaluation as they are given; those of their parameters that
            take a gradient are trained with the first network.
        setup: what these were made for, and the method's draws are.
        train: the images to train on.
        test: the images to test on.
        device: where all this is to be.
        precision: the one that is reached there.
        checkpoint: the file of its unfinished state.
        taken: what was loaded from other runs; a checkpoint is resumed only with the same.
        caches: of each teacher's logits; none where the teachers are to run in every step.
        taught_at: the resolution in which each teacher is shown the images, as it was trained; empty where all of them
            see them as they are.
    """

    id: str
    seed: int
    stage: Stage
    networks: Sequence[nn.Module]
    teachers: Sequence[nn.Module]
    method: Method
    parts: nn.Module
    setup: Setup
    train: DeviceLoader
    test: DeviceLoader
    device: torch.device
    precision: str
    checkpoint: Path
    taken: dict[str, dict[str, str]]
    caches: Sequence[LogitsCache] = ()
    taught_at: Sequence[int | None] = ()
