import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.rng import generator
from bench.networks import Network, build, initialise

PARAMS = {"depth": 8, "block": "basic", "shortcut": "B", "width": 1.0}


def resnet(seed: int = 1, purpose: str = "weights/0") -> Network:
    net = build("resnet", PARAMS, classes=10, channels=3, size=8)
    initialise(net, generator(seed, purpose))
    return net


def weights(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@given(seed=st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_a_seed_gives_the_same_weights_whatever_torch_drew_before(seed: int) -> None:
    first = resnet(seed)
    torch.rand(17)
    assert torch.equal(weights(first), weights(resnet(seed)))


def test_another_purpose_and_another_seed_give_other_weights() -> None:
    one = resnet()
    for other in (resnet(purpose="weights/1"), resnet(seed=2)):
        changed = [
            not torch.equal(p, q)
            for (name, p), q in zip(one.named_parameters(), other.parameters(), strict=True)
            if p.ndim > 1
        ]
        assert all(changed)


def test_the_first_draws_are_those_of_the_generator() -> None:
    draws = generator(1, "weights/0").normal(0.0, math.sqrt(2 / (9 * 16)), (16, 3, 3, 3))
    stem = resnet().get_parameter("stem.0.weight")
    torch.testing.assert_close(stem.detach(), torch.from_numpy(draws).float(), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_parameter_and_statistic_is_set(dtype: torch.dtype) -> None:
    net = build("resnet", PARAMS, classes=10, channels=3, size=8).to(dtype)
    state = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    for tensor in state.values():
        tensor.data.fill_(math.nan)
    initialise(net, generator(1, "weights/0"))
    assert [name for name, tensor in state.items() if not tensor.isfinite().all()] == []
    torch.testing.assert_close(weights(net).float(), weights(resnet()), rtol=0, atol=0)


def test_draws_do_not_depend_on_the_memory_format() -> None:
    net = build("resnet", PARAMS, classes=10, channels=3, size=8).to(memory_format=torch.channels_last)
    initialise(net, generator(1, "weights/0"))
    assert torch.equal(weights(net), weights(resnet()))


def test_the_distributions() -> None:
    net = nn.Sequential(nn.Conv2d(64, 96, (3, 5)), nn.BatchNorm2d(96), nn.Linear(400, 300))
    initialise(net, generator(1, "weights/0"))
    conv, norm, linear = net
    std = math.sqrt(2 / (3 * 5 * 96))
    assert conv.weight.std().item() == pytest.approx(std, rel=0.02)
    assert abs(conv.weight.mean().item()) < 4 * std / math.sqrt(conv.weight.numel())
    assert not conv.bias.any()
    assert (norm.weight == 1).all()
    assert not norm.bias.any()
    for parameter in (linear.weight, linear.bias):
        assert parameter.abs().max().item() <= 1 / 20
        assert parameter.std().item() == pytest.approx(1 / 20 / math.sqrt(3), rel=0.1)


@pytest.mark.parametrize("module", [nn.LayerNorm(4), nn.ConvTranspose2d(2, 2, 3), nn.PReLU()])
def test_a_module_without_a_rule_is_a_type_error(module: nn.Module) -> None:
    with pytest.raises(TypeError, match=f"1: no rule .* {type(module).__name__}"):
        initialise(nn.Sequential(nn.Linear(2, 2), module), generator(1, "weights/0"))


def test_parameters_outside_a_module_with_a_rule_are_a_type_error() -> None:
    net = nn.Sequential()
    net.register_parameter("scale", nn.Parameter(torch.ones(1)))
    with pytest.raises(TypeError, match=r"the network: no rule .* Sequential"):
        initialise(net, generator(1, "weights/0"))
