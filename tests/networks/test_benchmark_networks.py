"""The networks of CRD's benchmark for images of 32 pixels.

That they compute what its authors' code computes is checked by ``tests/against_repdistiller.py``.
"""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d

from bench.errors import RecipeError
from bench.networks.base import Network
from bench.networks.initial import initialise
from bench.networks.mobile import MobileNetV2, ShuffleNetV1, ShuffleNetV2
from bench.networks.modules.shufflenet import shuffled
from bench.networks.resnet import ResNet, ResNet50
from bench.networks.vgg import VGG
from bench.networks.wrn import WRN
from bench.rng import generator


def resnet(depth: int, width: float = 1.0, stem: int | None = None) -> ResNet:
    return ResNet(depth, "basic", "B", width, stem)


# Parameters for 100 classes, counted in the authors' code, and in millions as papers print them: BAN (table 1) the
# WRN-28, the Wide ResNet paper the WRN-40-1, and public reproductions of CRD's benchmark the others.
PUBLISHED = {
    "resnet8": (resnet(8), 83_892, None),
    "resnet20": (resnet(20), 278_324, "0.28"),
    "resnet32": (resnet(32), 472_756, "0.47"),
    "resnet56": (resnet(56), 861_620, "0.86"),
    "resnet110": (resnet(110), 1_736_564, "1.74"),
    "resnet8x4": (resnet(8, 4.0, 32), 1_233_540, "1.23"),
    "resnet32x4": (resnet(32, 4.0, 32), 7_433_860, "7.43"),
    "resnet50": (ResNet50(), 23_705_252, None),
    "wrn-16-1": (WRN(16, 1), 180_916, None),
    "wrn-16-2": (WRN(16, 2), 703_284, "0.70"),
    "wrn-28-1": (WRN(28, 1), 375_348, "0.38"),
    "wrn-28-2": (WRN(28, 2), 1_479_220, "1.48"),
    "wrn-40-1": (WRN(40, 1), 569_780, "0.6"),
    "wrn-40-2": (WRN(40, 2), 2_255_156, "2.26"),
    "vgg8": (VGG(8), 3_965_028, "3.97"),
    "vgg13": (VGG(13), 9_462_180, "9.46"),
    "mobilenet-v2": (MobileNetV2(0.5), 812_836, "0.81"),
    "shufflenet-v1": (ShuffleNetV1(), 949_258, None),
    "shufflenet-v2": (ShuffleNetV2(), 1_355_528, None),
}
# One of each kind, small where there is a choice.
KINDS = [
    resnet(8, 0.5, 4),
    ResNet50(),
    WRN(10, 1),
    WRN(16, 2),
    VGG(8),
    VGG(13),
    MobileNetV2(0.25),
    ShuffleNetV1(),
    ShuffleNetV2(),
]


def made(network: Network, size: int = 32) -> nn.Module:
    net = network.build(10, 3, size)
    initialise(net, generator(1, "weights/0"))
    return net


def images(n: int = 3, size: int = 32, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.from_numpy(generator(1, "test images").normal(size=(n, 3, size, size))).to(dtype)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_as_published(name: str) -> None:
    network, expected, printed = PUBLISHED[name]
    found = sum(p.numel() for p in network.build(100, 3, 32).parameters())
    assert found == expected
    assert printed is None or f"{found / 1e6:.{len(printed.partition('.')[2])}f}" == printed


@pytest.mark.parametrize("size", [32, 28])
@pytest.mark.parametrize("network", KINDS, ids=str)
def test_recipes_are_told_the_true_shapes_of_all_features(network: Network, size: int) -> None:
    features = made(network)(images(2, size)).features
    told = network.features(size)
    assert list(told)[-1] == "pool"
    assert {name: (*shape, shape[1])[: 1 if name == "pool" else 3] for name, shape in told.items()} == {
        name: tuple(f.shape[1:]) for name, f in features.items()
    }


@pytest.mark.parametrize("network", KINDS, ids=str)
def test_every_parameter_gets_a_gradient_and_the_last_layer_is_linear(network: Network) -> None:
    net = made(network).double()
    out = net(images(dtype=torch.float64))
    torch.testing.assert_close(out.logits, out.features["pool"] @ net.linear.weight.T + net.linear.bias)
    out.logits.square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("network", [n for n in KINDS if not isinstance(n, WRN | MobileNetV2)], ids=str)
def test_a_stage_is_its_activation_before_the_relu_after_it(network: Network) -> None:
    features = made(network)(images()).features
    for name in (name for name in features if name.endswith(".before")):
        before, after = features[name].detach(), features[name.removesuffix(".before")].detach()
        assert (before < 0).any()
        kept = shuffled(before.clamp(min=0), 2) if isinstance(network, ShuffleNetV2) else before.clamp(min=0)
        assert torch.equal(kept, after)


def test_a_wide_resnets_stage_before_its_relu_is_normalised_by_the_next_block() -> None:
    net = made(WRN(16, 1)).double().eval()
    features = net(images(dtype=torch.float64)).features
    norms = {"stage1": net.stage2[0].norm1, "stage2": net.stage3[0].norm1, "stage3": net.norm}
    for name, norm in norms.items():
        torch.testing.assert_close(features[f"{name}.before"], norm(features[name]))
    torch.testing.assert_close(features["stem"], conv2d(images(dtype=torch.float64), net.stem.weight, padding=1))
    # The earlier of two blocks is the middle one.
    torch.testing.assert_close(features["stage1.middle"], net.stage1[0](features["stem"])[1])


def test_a_wide_resnets_block_equals_an_independent_implementation() -> None:
    net = made(WRN(10, 1)).double()
    x = net(images(dtype=torch.float64)).features["stage1"].detach()
    block = net.stage2[0]
    weights = dict(block.named_parameters())

    def normalised(y: Tensor, name: str) -> Tensor:
        return batch_norm(y, None, None, weights[f"{name}.weight"], weights[f"{name}.bias"], training=True).clamp(min=0)

    activated = normalised(x, "norm1")
    y = normalised(conv2d(activated, weights["conv1.weight"], stride=2, padding=1), "norm2")
    y = conv2d(y, weights["conv2.weight"], padding=1)
    torch.testing.assert_close(block(x)[1], y + conv2d(activated, weights["shortcut.weight"], stride=2))


def test_shuffled_channels_by_hand() -> None:
    x = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert shuffled(x, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert shuffled(x, 3).flatten().tolist() == [0, 2, 4, 1, 3, 5]
    assert torch.equal(shuffled(x, 1), x)


@pytest.mark.parametrize("network", KINDS, ids=str)
def test_channels_last_stays_channels_last_and_gives_the_same_numbers(network: Network) -> None:
    net = made(network).double()
    x = images(dtype=torch.float64)
    plain = net(x)
    last = net.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    for name, feature in last.features.items():
        assert feature.ndim == 2 or feature.is_contiguous(memory_format=torch.channels_last), name
        torch.testing.assert_close(feature, plain.features[name])
    torch.testing.assert_close(last.logits, plain.logits)


@pytest.mark.parametrize("network", KINDS, ids=str)
def test_the_mean_and_the_last_layer_are_in_float32_under_autocast(network: Network) -> None:
    net = made(network)
    with torch.autocast("cpu", torch.bfloat16):
        out = net(images())
    assert out.features["stem"].dtype == torch.bfloat16
    assert (out.features["pool"].dtype, out.logits.dtype) == (torch.float32, torch.float32)
    out.logits.sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in net.parameters())


@pytest.mark.parametrize("network", KINDS, ids=str)
def test_batches_are_not_counted_and_nothing_is_dropped(network: Network) -> None:
    net = made(network)
    assert not [name for name in net.state_dict() if "num_batches_tracked" in name]
    assert not [m for m in net.modules() if isinstance(m, nn.modules.dropout._DropoutNd)]


def test_parameters_that_make_no_network() -> None:
    with pytest.raises(RecipeError, match=r"depth 18: .* 6n\+4; the nearest: 16 or 22"):
        WRN(18, 1).check()
    with pytest.raises(RecipeError, match="the nearest: 10"):
        WRN(4, 1).check()
    with pytest.raises(RecipeError, match="multiple of 1/8"):
        MobileNetV2(0.3).check()
    for network, _, _ in PUBLISHED.values():
        network.check()


def test_a_stem_of_its_own_moves_no_other_key() -> None:
    assert "stem" not in resnet(8).identity["params"]
    assert resnet(8, 4.0, 32).identity["params"]["stem"] == 32
