"""What may make a step faster, and not change what it computes: torch.compile, CUDA graphs, the teacher cache.

That views are torchvision's is tested in tests/data/test_views.py, that a cached teacher's answers are the teacher's in
test_teacher_cache.py, and that runs side by side give the same bits in tests/cli/test_side_by_side.py (processes) and
tests/executors/test_inline.py (one process).
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from bench.executors.choices import has_compiler
from torch import Tensor, nn

from bench.networks.base import BatchNorm, Network, Output
from bench.recipe import Spec
from bench.train.engine import Training
from bench.train.teacher_cache import Answers
from tests.train.test_golden import CLASSES, CPU, IMAGES, fill, job, losses_of

# Sums in another order, in float64, over twenty steps.
SAME = {"rtol": 1e-9, "atol": 1e-11}


class Tiny(Network):
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
    made = job(Spec("kd", {"temperature": 3.0, "soften": "both"}), [Tiny(0)], Tiny(7), steps=20, device=device)
    training = Training(replace(made, **more))
    if graphs:
        training.capture()
        assert training.batches.graphs
    losses = {name: torch.tensor(own, dtype=torch.float64) for name, own in losses_of(training).items()}
    return {**losses, **{name: tensor.cpu() for name, tensor in made.networks[0].state_dict().items()}}


@pytest.mark.skipif(not has_compiler(), reason="torch.compile needs a C++ compiler (g++, or CXX) and Python's headers")
def test_compiled_networks_train_as_they_are() -> None:
    import torch._dynamo.testing
    from torch._inductor import config

    counter = torch._dynamo.testing.CompileCounterWithBackend("inductor")
    compiled = Tiny.compile
    with pytest.MonkeyPatch.context() as patch, config.patch(compile_threads=1):
        patch.setattr(Tiny, "compile", lambda self, **options: compiled(self, backend=counter, **options))
        found = twenty_steps(compiled=True)
    assert counter.frame_count == 2  # the student and its teacher, once each
    torch.testing.assert_close(found, twenty_steps(), **SAME)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("cached", [False, True])
def test_graphs_train_as_the_eager_path_does(cached: bool) -> None:
    cuda = torch.device("cuda")
    answers = Answers(IMAGES, 0, False) if cached else None
    found = twenty_steps(device=cuda, graphs=True, answers=answers)
    torch.testing.assert_close(found, twenty_steps(device=cuda), **SAME)
    torch.testing.assert_close(found, twenty_steps(), **SAME)
