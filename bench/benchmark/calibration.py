"""What a CUDA device can do at best: the limits that the times of training steps are to be read by."""

from collections.abc import Callable

import torch

from bench.benchmark.contenders import graph, repeated
from bench.benchmark.measure import seconds

ROUNDS = 5
CHAIN = 1000
COPIED = 2**30  # bytes, far more than any cache of the device holds
SIDE = 8192  # of the matrices that are multiplied


def calibrate(device: torch.device) -> dict[str, float]:
    """Each limit under a name that ends with its unit.

    An eager kernel costs at least ``launch_us``. One in a graph, where each waits for the last, costs at least
    ``chained_kernel_us``, and a replay ``graph_replay_us`` (of a graph of one kernel) however little it does.
    """
    one, chain = (_replay(count, device) for count in (1, 1 + CHAIN))
    return {
        "launch_us": launch(device),
        "graph_replay_us": one,
        "chained_kernel_us": (chain - one) / CHAIN,
        "copy_gb_per_s": bandwidth(device, COPIED),
        "bf16_tflop_per_s": products(device, SIDE),
    }


def launch(device: torch.device) -> float:
    """Microseconds from one eager launch of a tiny kernel to the next."""
    return 1e6 * _best(_tiny(device), 2000, device)


def bandwidth(device: torch.device, size: int) -> float:
    """Gigabytes a second that a copy of so many bytes reads and writes."""
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2e-9 * size / _best(lambda: target.copy_(source), 20, device)


def products(device: torch.device, side: int) -> float:
    """TFLOP a second of the product of two square bfloat16 matrices, a multiply-add being two."""
    one, other = (torch.randn(side, side, device=device).to(torch.bfloat16) for _ in range(2))
    out = torch.empty_like(one)
    return 2e-12 * side**3 / _best(lambda: torch.mm(one, other, out=out), 20, device)


def _replay(count: int, device: torch.device) -> float:
    """Microseconds of a replay of a graph of so many tiny kernels, each of which waits for the one before."""
    steps = repeated(_tiny(device))
    return 1e6 * _best(graph(lambda: steps(count)), 50, device)


def _tiny(device: torch.device) -> Callable[[], object]:
    number = torch.zeros(1, device=device)
    return lambda: number.add_(1)


def _best(step: Callable[[], object], count: int, device: torch.device) -> float:
    """Seconds of a step, where nothing else got in the way: the best of a few rounds of so many, after one more."""
    steps = repeated(step)
    return min([seconds(steps, count, device) for _ in range(1 + ROUNDS)][1:]) / count
