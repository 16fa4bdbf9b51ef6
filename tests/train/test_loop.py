from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.optimizers import SGD
from bench.train.loop import CapturedLoop

CPU = torch.device("cpu")


def recorded(n: int, batch: int) -> tuple[CapturedLoop, list[list[int]]]:
    seen: list[list[int]] = []
    return CapturedLoop(lambda positions: seen.append(positions.tolist()), n, batch, CPU), seen


@given(n=st.integers(1, 50), batch=st.integers(1, 60))
def test_a_pass_visits_every_position_once_in_order(n: int, batch: int) -> None:
    loop, seen = recorded(n, batch)
    loop.run(len(loop))
    assert sum(seen, []) == list(range(n))  # noqa: RUF017
    assert all(len(positions) == batch for positions in seen[:-1])


def test_the_last_batch_is_smaller() -> None:
    loop, seen = recorded(7, 3)
    loop.run(len(loop))
    assert seen == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_set_smaller_than_a_batch_is_one_batch() -> None:
    loop, seen = recorded(2, 5)
    assert len(loop) == 1
    loop.run(1)
    assert seen == [[0, 1]]


def test_fewer_steps_than_a_pass_and_the_next_pass_from_the_start() -> None:
    loop, seen = recorded(7, 3)
    loop.run(2)
    loop.run(1)
    assert seen == [[0, 1, 2], [3, 4, 5], [0, 1, 2]]


def test_batches_are_launched_one_by_one() -> None:
    loop, seen = recorded(7, 3)
    assert [(step, len(seen)) for step in loop.steps(3)] == [(1, 1), (2, 2), (3, 3)]


@given(n=st.integers(1, 50), batch=st.integers(1, 60), first=st.integers(0, 3))
def test_slices_that_are_counted_on_the_host_are_the_same_places(n: int, batch: int, first: int) -> None:
    loop, seen = recorded(n, batch)
    slices: list[slice] = []
    numbers: list[int] = []

    def body(places: slice) -> None:
        slices.append(places)
        numbers.append(on_host.step)

    on_host = CapturedLoop(body, n, batch, CPU, on_host=True)
    first = min(first, len(loop))
    assert [*on_host.steps(len(loop), first)] == [*loop.steps(len(loop), first)]
    assert [[*range(n)][own] for own in slices] == seen
    assert numbers == [*range(first, len(loop))]


def test_the_steps_of_a_pass_are_counted_on_the_device() -> None:
    steps: list[int] = []
    loop = CapturedLoop(lambda positions: steps.append(loop.step.item()), 7, 3, CPU)
    loop.run(2)
    loop.run(3)
    assert steps == [0, 1, 0, 1, 2]


@pytest.mark.parametrize("name", ["cpu", "meta"])
def test_positions_are_made_on_the_device(name: str) -> None:
    found: list[Tensor] = []
    CapturedLoop(found.append, 3, 2, torch.device(name)).run(2)
    assert [(p.device.type, p.dtype, len(p)) for p in found] == [(name, torch.int64, 2), (name, torch.int64, 1)]


class Regression:
    """A step that changes a weight, its momentum and a sum that the first step makes, as the engine's does."""

    def __init__(self, device: torch.device) -> None:
        draws = torch.Generator().manual_seed(0)
        self.x, self.y = (torch.randn(10, 3, generator=draws).to(device) for _ in range(2))
        self.weight = nn.Parameter(torch.randn(3, 3, generator=draws).to(device))
        self.lr = torch.tensor(0.05, device=device)
        self.optimizer = SGD(momentum=0.9, nesterov=True, weight_decay=1e-4).build([self.weight], self.lr)
        self.sums: dict[str, Tensor] = {}
        self.loop = CapturedLoop(self.step, len(self.x), 4, device)

    def step(self, positions: Tensor) -> None:
        loss = (self.x[positions] @ self.weight - self.y[positions]).square().mean()
        if not self.sums:
            self.sums["loss"] = torch.zeros((), dtype=torch.float64, device=loss.device)
        self.sums["loss"] += loss.detach()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def state(self) -> Iterator[Tensor]:
        yield self.weight
        yield self.optimizer.state[self.weight]["momentum_buffer"]
        yield from self.sums.values()


def test_the_step_that_is_captured_below_trains() -> None:
    # Without CUDA, so that the body of the next test is known to work.
    regression = Regression(CPU)
    losses = []
    for _ in range(20):
        regression.loop.run(len(regression.loop))
        losses.append(regression.sums["loss"].item())
        regression.sums["loss"].zero_()
    assert losses[-1] < losses[0] / 1.5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_captured_steps_are_the_eager_ones() -> None:
    device = torch.device("cuda")
    eager, captured = Regression(device), Regression(device)
    before = [tensor.detach().clone() for tensor in captured.state()]
    captured.loop.capture(captured.state)
    assert sorted(captured.loop.graphs) == [2, 4]
    weight, momentum, total = (tensor.detach().clone() for tensor in captured.state())
    # The warm-up's steps are undone, and the sum that they made begins at zero.
    assert torch.equal(weight, before[0])
    assert torch.equal(momentum, before[1])
    assert total.item() == 0
    for rate in (0.05, 0.01):
        for regression in (eager, captured):
            regression.lr.fill_(rate)  # a replay reads the rate of the moment
            regression.loop.run(len(regression.loop))
    for ours, theirs in zip(captured.state(), eager.state(), strict=True):
        torch.testing.assert_close(ours.detach(), theirs.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_capturing_again_after_training_keeps_what_was_reached() -> None:
    regression = Regression(torch.device("cuda"))
    regression.loop.capture(regression.state)
    regression.loop.run(2)
    reached = [tensor.detach().clone() for tensor in regression.state()]
    regression.loop.capture(regression.state)
    for tensor, kept in zip(regression.state(), reached, strict=True):
        assert torch.equal(tensor, kept)
