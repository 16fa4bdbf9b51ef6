"""What may make a step faster, and not change what it computes: CUDA graphs, the teacher cache.

That views are torchvision's is tested in test_loader.py, that a cached teacher's logits are the teacher's in
test_teacher_cache.py, and that runs side by side give the same bits in tests/cli/test_side_by_side.py (processes) and
tests/executors/test_inline.py (one process).
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.methods.kd import KD
from bench.networks.modules.base import BatchNorm, NetworkModule, Output
from bench.train.engine import Training
from bench.train.teacher_cache import LogitsCache
from tests.train.patterned import CLASSES, CPU, IMAGES, fill, job, losses_of

# Sums in another order, in float64, over twenty steps.
SAME = {"rtol": 1e-9, "atol": 1e-11}


class Tiny(NetworkModule):
    """A little of all that the networks are made of."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), BatchNorm(4), nn.ReLU())
        self.linear = nn.Linear(4, CLASSES)
        fill(self, k)
        self.double()

    def forward(self, x: Tensor) -> Output:
        x = self.stem(x)
        return Output(self.linear(x.mean((2, 3))), {"stem": x})


def twenty_steps(*, device: torch.device = CPU, graphs: bool = False, **more: Any) -> dict[str, Tensor]:
    """Losses, weights and statistics after twenty steps of distillation."""
    made = job(KD(temperature=3.0, soften="both"), [Tiny(0)], [Tiny(7)], steps=20, device=device)
    training = Training(replace(made, **more))
    if graphs:
        training.capture()
        assert training.train_loop.graphs
    losses = {name: torch.tensor(own, dtype=torch.float64) for name, own in losses_of(training).items()}
    return {**losses, **{name: tensor.cpu() for name, tensor in made.networks[0].state_dict().items()}}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("cached", [False, True])
def test_graphs_train_as_the_eager_path_does(cached: bool) -> None:
    cuda = torch.device("cuda")
    caches = [LogitsCache(IMAGES, 0, False)] if cached else []
    found = twenty_steps(device=cuda, graphs=True, caches=caches)
    torch.testing.assert_close(found, twenty_steps(device=cuda), **SAME)
    torch.testing.assert_close(found, twenty_steps(), **SAME)
