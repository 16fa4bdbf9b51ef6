import copy
import math
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.networks.base import Initial
from bench.networks.initial import initialise
from bench.networks.resnet import ResNet
from bench.rng import generator

NET = ResNet(depth=8, block="basic", shortcut="B", width=1.0)


def resnet(seed: int = 1, purpose: str = "weights/0") -> nn.Module:
    net = NET.build(classes=10, channels=3, size=8)
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
    net = NET.build(classes=10, channels=3, size=8).to(dtype)
    state = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    for tensor in state.values():
        tensor.data.fill_(math.nan)
    initialise(net, generator(1, "weights/0"))
    assert [name for name, tensor in state.items() if not tensor.isfinite().all()] == []
    torch.testing.assert_close(weights(net).float(), weights(resnet()), rtol=0, atol=0)


def test_draws_do_not_depend_on_the_memory_format() -> None:
    net = NET.build(classes=10, channels=3, size=8).to(memory_format=torch.channels_last)
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


@pytest.mark.parametrize("module", [nn.Conv1d(2, 2, 3), nn.PReLU()])
def test_a_module_without_a_rule_is_a_type_error(module: nn.Module) -> None:
    with pytest.raises(TypeError, match=f"1: no rule .* {type(module).__name__}"):
        initialise(nn.Sequential(nn.Linear(2, 2), module), generator(1, "weights/0"))


def test_parameters_outside_a_module_with_a_rule_are_a_type_error() -> None:
    net = nn.Sequential()
    net.register_parameter("scale", nn.Parameter(torch.ones(1)))
    with pytest.raises(TypeError, match=r"the network: no rule .* Sequential"):
        initialise(net, generator(1, "weights/0"))


def test_the_frameworks_own_rule_is_that_of_pytorch() -> None:
    net = nn.Sequential(nn.Conv2d(64, 96, (3, 5)), nn.Linear(400, 300))
    initialise(net, generator(1, "weights/0"), "framework")
    for module in net:
        reference = copy.deepcopy(module)
        reference.reset_parameters()
        for parameter, expected in zip(module.parameters(), reference.parameters(), strict=True):
            bound = 1 / math.sqrt(module.weight[0].numel())
            assert parameter.abs().max().item() <= bound
            assert expected.abs().max().item() <= bound
            assert parameter.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
            assert expected.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)


@pytest.mark.parametrize("rule", get_args(Initial))
def test_transposed_convolutions_begin_as_pytorch_has_them(rule: Initial) -> None:
    net, reference = nn.Sequential(nn.ConvTranspose2d(8, 40, 4)), nn.ConvTranspose2d(8, 40, 4)
    initialise(net, generator(1, "weights/0"), rule)
    for found, expected in zip(net.parameters(), reference.parameters(), strict=True):
        bound = 1 / math.sqrt(4 * 4 * 40)
        assert found.abs().max().item() <= bound
        assert expected.abs().max().item() <= bound
        assert found.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.2)


def test_he_in_all_layers() -> None:
    net = nn.Sequential(nn.Conv2d(64, 96, (3, 5)), nn.Linear(400, 300))
    initialise(net, generator(1, "weights/0"), "he_all")
    for module, fan_in in zip(net, (64 * 15, 400), strict=True):
        assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.02)
        assert not module.bias.any()


@pytest.mark.parametrize("rule", get_args(Initial))
@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4), nn.LayerNorm([4, 2, 2]), nn.GroupNorm(2, 4)])
def test_normalisation_layers_begin_as_the_identity(norm: nn.Module, rule: Initial) -> None:
    for parameter in norm.parameters():
        parameter.data.fill_(math.nan)
    initialise(nn.Sequential(norm), generator(1, "weights/0"), rule)
    assert (norm.weight == 1).all()
    assert not norm.bias.any()


def test_a_module_may_draw_its_own_weights() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.empty(3))

        @torch.no_grad()
        def draw_weights(self, generator: np.random.Generator) -> None:
            self.scale.copy_(torch.from_numpy(generator.uniform(1, 2, 3)))

    net = nn.Sequential(Scale())
    initialise(net, generator(1, "weights/0"))
    torch.testing.assert_close(net[0].scale.double(), torch.from_numpy(generator(1, "weights/0").uniform(1, 2, 3)))


def test_what_takes_no_gradient_keeps_its_values() -> None:
    frozen = nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2)).requires_grad_(False)
    frozen[1].running_mean.fill_(7.0)
    before = copy.deepcopy(frozen.state_dict())
    initialise(frozen, generator(1, "weights/0"))
    assert all(torch.equal(value, before[name]) for name, value in frozen.state_dict().items())
