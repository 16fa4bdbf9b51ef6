import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.errors import RecipeError
from bench.optimizers import SGD, Adam

# Momentum, Nesterov, weight decay.
KINDS = [(0.9, True, 5e-4), (0.9, False, 1e-4), (0.5, True, 0.0), (0.0, False, 1e-2)]


class PlainSGD:
    """PyTorch's documented formula, in numpy."""

    def __init__(self, value: np.ndarray, momentum: float, nesterov: bool, weight_decay: float) -> None:
        self.value, self.momentum, self.nesterov, self.decay = value.copy(), momentum, nesterov, weight_decay
        self.velocity: np.ndarray | None = None

    def step(self, gradient: np.ndarray, lr: float) -> None:
        g = gradient + self.decay * self.value
        if self.momentum:
            self.velocity = g if self.velocity is None else self.momentum * self.velocity + g
            g = g + self.momentum * self.velocity if self.nesterov else self.velocity
        self.value = self.value - lr * g


@pytest.mark.parametrize(("momentum", "nesterov", "weight_decay"), KINDS)
@given(seed=st.integers(0, 2**32), rates=st.lists(st.floats(1e-4, 1.0), min_size=1, max_size=6))
@settings(max_examples=20, deadline=None)
def test_the_documented_formula_under_a_changing_rate(
    momentum: float, nesterov: bool, weight_decay: float, seed: int, rates: list[float]
) -> None:
    draws = np.random.default_rng(seed)
    start = [draws.normal(size=shape) for shape in [(3, 2), (4,)]]
    parameters = [nn.Parameter(torch.from_numpy(value.copy())) for value in start]
    plain = [PlainSGD(value, momentum, nesterov, weight_decay) for value in start]
    lr = torch.zeros((), dtype=torch.float64)
    optimizer = SGD(momentum, nesterov, weight_decay).build(parameters, lr)
    for rate in rates:
        lr.fill_(rate)  # in place, as a captured step needs it
        for parameter, other in zip(parameters, plain, strict=True):
            gradient = draws.normal(size=other.value.shape)
            parameter.grad = torch.from_numpy(gradient)
            other.step(gradient, rate)
        optimizer.step()
    for parameter, other in zip(parameters, plain, strict=True):
        np.testing.assert_allclose(parameter.detach().numpy(), other.value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("momentum", "nesterov", "weight_decay"), KINDS)
def test_the_first_step_is_exactly_that_of_pytorch(
    momentum: float, nesterov: bool, weight_decay: float, dtype: torch.dtype
) -> None:
    draws, lr = torch.Generator().manual_seed(0), torch.tensor(0.1)
    value, gradient = torch.randn(2, 7, 5, generator=draws, dtype=dtype)
    ours, theirs = nn.Parameter(value.clone()), nn.Parameter(value.clone())
    settings = {"momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
    for parameter, optimizer in (
        (ours, SGD(**settings).build([ours], lr)),
        (theirs, torch.optim.SGD([theirs], lr=lr, foreach=False, fused=False, **settings)),
    ):
        parameter.grad = gradient.clone()
        optimizer.step()
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        *(
            (SGD(m, n, d), lambda p, lr, m=m, n=n, d=d: torch.optim.SGD(p, lr, m, 0.0, d, n, fused=True))
            for m, n, d in KINDS
        ),
        *(
            (Adam(0.9, 0.999, 1e-8, d), lambda p, lr, d=d: torch.optim.Adam(p, lr, weight_decay=d, fused=True))
            for d in (0.0, 1e-2)
        ),
    ],
)
def test_every_step_has_the_bits_of_pytorch_s_own_fused_one(ours, theirs, dtype: torch.dtype) -> None:
    draws, lr, told = torch.Generator().manual_seed(0), torch.tensor(0.1), []
    both = [[nn.Parameter(torch.ones(shape, dtype=dtype)) for shape in ((3, 5), (7,), (2, 2))] for _ in range(2)]
    optimizers = [ours.build(both[0], lr), theirs(both[1], lr)]
    optimizers[0].register_step_post_hook(lambda *_: told.append(1))
    # Some steps leave parameters out; one has no gradient at all.
    for step, with_gradients in enumerate([(0, 1, 2), (0, 1), (1,), (), (0, 1, 2), (0, 2)], 1):
        lr.fill_(0.1 / step)
        for i in range(3):
            gradient = torch.randn(both[0][i].shape, generator=draws, dtype=dtype)
            for parameters in both:
                parameters[i].grad = gradient.clone() if i in with_gradients else None
        for optimizer in optimizers:
            optimizer.step()
        assert all(torch.equal(a, b) for a, b in zip(*both, strict=True)), step
    assert len(told) == 6  # rounded and quantised weights hang on to the steps


def test_the_state_is_there_before_the_first_step() -> None:
    # A checkpoint restores into it, and a captured step must find it.
    parameter = nn.Parameter(torch.ones(3))
    optimizer = SGD(momentum=0.9, nesterov=True, weight_decay=0.0).build([parameter], torch.tensor(0.1))
    buffer = optimizer.state[parameter]["momentum_buffer"]
    assert torch.equal(buffer, torch.zeros(3))
    parameter.grad = torch.full((3,), 2.0)
    optimizer.step()
    assert optimizer.state[parameter]["momentum_buffer"] is buffer
    assert torch.equal(buffer, torch.full((3,), 2.0))


def test_adam_is_algorithm_1_of_its_paper():
    draws = np.random.default_rng(0)
    start, gradients = draws.normal(size=5), draws.normal(size=(6, 5))
    rates = [1e-2, 1e-2, 1e-2, 1e-3, 1e-3, 1e-3]
    theta, m, v = start.copy(), np.zeros(5), np.zeros(5)
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        g = g + 0.1 * theta
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g**2
        # The engine's rate is a float32 tensor.
        theta -= float(np.float32(rate)) * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-6)

    parameter = torch.nn.Parameter(torch.from_numpy(start.copy()))
    lr = torch.zeros(())
    optimizer = Adam(beta1=0.8, beta2=0.95, eps=1e-6, weight_decay=0.1).build([parameter], lr)
    for g, rate in zip(gradients, rates, strict=True):
        parameter.grad = torch.from_numpy(g)
        lr.fill_(rate)
        optimizer.step()
    np.testing.assert_allclose(parameter.detach().numpy(), theta, rtol=1e-9)


@pytest.mark.parametrize(
    "optimizer", [SGD(0.0, nesterov=True, weight_decay=0.0), Adam(1.0, 0.999, 1e-8, 0.0), Adam(0.9, 1.0, 1e-8, 0.0)]
)
def test_parameters_that_pytorch_refuses_or_that_never_forget(optimizer) -> None:
    with pytest.raises(RecipeError):
        optimizer.check()
