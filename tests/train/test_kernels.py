"""How many kernels a training step launches on CUDA: counted, not measured.

Without a GPU, PyTorch runs no backward pass of CUDA tensors, not even of fake ones. These steps are carried out on the
CPU, with all that the engine decides otherwise on CUDA in bfloat16 decided here; an operation is as many kernels as
``KERNELS`` says, and the kernels of our own are counted where they would be launched.
"""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench.benchmark.contenders import training_of
from bench.benchmark.task import Workload, make_task
from bench.networks.modules import base
from bench.train import device as devices

pytest.importorskip("triton")

CPU = torch.device("cpu")
aten = torch.ops.aten


def lists(most: int) -> Callable[[Any], int]:
    """Of an operation on lists of small tensors, of which one kernel takes so many."""
    return lambda arguments: math.ceil(len(arguments[0]) / most)


# As PyTorch 2.11's sources have them; any other operation is one kernel.
KERNELS: dict[Any, Callable[[Any], int]] = {
    # What bfloat16 is normalised by: statistics, their update, the transform in two; three backwards.
    aten.native_batch_norm.default: lambda arguments: 4,
    aten.native_batch_norm_backward.default: lambda arguments: 3,
    # The gradients of input and weight are one each, where they are asked for.
    aten.convolution_backward.default: lambda arguments: sum(arguments[-1]),
    aten._foreach_copy_.default: lists(64),
    aten._fused_sgd_.tensor_lr: lists(48),
    aten.constant_pad_nd.default: lambda arguments: 2,
}
NO_KERNEL = {
    aten.detach.default,
    aten.empty.memory_format,
    aten.empty_like.default,
    aten.new_empty.default,
    aten._unsafe_view.default,
    aten.lift_fresh.default,
}


class Launches(TorchDispatchMode):
    """Counts the kernels of what is called in it, by operation."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = Counter[str]()

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operation.namespace != "profiler" and not operation.is_view and operation not in NO_KERNEL:
            self.kernels[str(operation)] += KERNELS.get(operation, lambda arguments: 1)(args)
        return operation(*args, **(kwargs or {}))


def kernels_of_a_step(row: str, monkeypatch: pytest.MonkeyPatch, *, fused: bool, leaves: bool) -> Counter[str]:
    from bench.networks.modules import fused as triton_kernels

    def launch(kernel: Any, grid: tuple[int, int], *arguments: Any, **constants: Any) -> None:
        launches.kernels[kernel.__name__] += 1

    monkeypatch.setattr(devices, "computes_bf16", lambda device: True)
    monkeypatch.setattr(devices, "leaf_dtype", lambda reached, device: torch.bfloat16 if leaves else None)
    monkeypatch.setattr(base, "fuses", lambda device: fused)
    monkeypatch.setattr(triton_kernels, "launch", launch)
    task, launches = make_task(Workload("ffdwv-table2", row, 1.0, computes=True), CPU, tiny=True), Launches()
    training = training_of(task)
    training.begin(0, 1)
    training.mode(training=True)
    # The first step makes what later ones find.
    training.train_loop.run(1)
    launches.kernels.clear()
    with launches:
        training.train_loop._run(task.batch)
    return launches.kernels


@pytest.mark.parametrize(
    ("row", "convolutions", "most"), [("resnet32-cifar100", 33, 285), ("resnet110-cifar100", 111, 880)]
)
@pytest.mark.usefixtures("as_on_a_device")
def test_kernels_of_a_training_step(row: str, convolutions: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = kernels_of_a_step(row, monkeypatch, fused=False, leaves=False)
    now = kernels_of_a_step(row, monkeypatch, fused=True, leaves=True)
    # Each convolution is followed by a normalisation, and has a weight to round and a gradient to widen.
    assert plain["aten.native_batch_norm.default"] == 4 * convolutions
    assert plain["aten._to_copy.default"] >= 2 * convolutions
    assert [now[name] for name in ("moments", "normalise", "gradient_sums", "gradients")] == [convolutions] * 4
    assert now["aten._to_copy.default"] <= 2
    assert now.total() <= most < 0.6 * plain.total()
