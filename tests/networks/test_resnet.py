import copy
import re
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import batch_norm, conv2d

from bench.errors import RecipeError
from bench.networks.initial import initialise
from bench.networks.resnet import ResNet
from bench.rng import generator
from bench.train.device import cast_frozen_


def resnet(depth: int = 8, block: str = "basic", shortcut: str = "A", width: float = 1.0, **shape: int) -> nn.Module:
    shape = {"classes": 10, "channels": 3, "size": 8} | shape
    net = ResNet(depth, block, shortcut, width).build(**shape)
    initialise(net, generator(1, "weights/0"))
    return net


def images(n: int = 4, size: int = 8, channels: int = 3, **kind: Any) -> Tensor:
    draws = generator(1, "test images").normal(size=(n, channels, size, size))
    return torch.from_numpy(draws).to(torch.float32).to(**kind)


def parameters_of(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def by_hand_basic(depth: int, shortcut: str, classes: int) -> int:
    n = (depth - 2) // 6
    total = 3 * 16 * 9 + 2 * 16 + 64 * classes + classes
    for inputs, planes in ((16, 16), (16, 32), (32, 64)):
        convolutions = inputs * planes * 9 + (2 * n - 1) * planes * planes * 9
        projection = (inputs * planes + 2 * planes) if shortcut == "B" and inputs != planes else 0
        total += convolutions + 2 * n * 2 * planes + projection
    return total


def by_hand_bottleneck(depth: int, classes: int) -> int:
    n = (depth - 2) // 9
    total = 3 * 16 * 9 + 2 * 16 + 256 * classes + classes
    for inputs, planes in ((16, 16), (64, 32), (128, 64)):
        out = 4 * planes
        total += (inputs + (n - 1) * out) * planes  # the 1x1 that narrows
        total += n * (planes * planes * 9 + planes * out)
        total += n * 2 * (planes + planes + out)
        total += inputs * out + 2 * out  # option B: every stage changes the number of channels
    return total


@pytest.mark.parametrize(
    ("depth", "shortcut", "classes", "expected"),
    [
        (32, "A", 100, 470_004),
        (32, "B", 100, 472_756),
        (110, "A", 100, 1_733_812),
        (110, "B", 100, 1_736_564),
        (20, "A", 10, 269_722),  # 0.27M in He et al., table 6
    ],
)
def test_parameters_of_basic_networks(depth: int, shortcut: str, classes: int, expected: int) -> None:
    assert by_hand_basic(depth, shortcut, classes) == expected
    assert parameters_of(resnet(depth, "basic", shortcut, classes=classes)) == expected


def test_parameters_of_the_bottleneck_network() -> None:
    assert by_hand_bottleneck(164, 100) == 1_727_284
    assert parameters_of(resnet(164, "bottleneck", "B", classes=100)) == 1_727_284


@pytest.mark.parametrize(
    ("depth", "block", "shortcut", "width", "expansion"),
    [(8, "basic", "A", 1.0, 1), (14, "basic", "B", 0.5, 1), (11, "bottleneck", "A", 2.0, 4)],
)
def test_shapes_of_logits_and_features(depth: int, block: str, shortcut: str, width: float, expansion: int) -> None:
    out = resnet(depth, block, shortcut, width, classes=7, channels=1, size=28)(images(2, 28, channels=1))
    planes = [int(width * p) for p in (16, 32, 64)]
    # A bottleneck's first convolution comes before its stride.
    first = {"basic": (28, 14, 7), "bottleneck": (28, 28, 14)}[block]
    assert out.logits.shape == (2, 7)
    assert {name: tuple(f.shape) for name, f in out.features.items()} == {
        "stem": (2, planes[0], 28, 28),
        **{f"stage{i + 1}.first": (2, planes[i], first[i], first[i]) for i in range(3)},
        **{f"stage{i + 1}.middle": (2, expansion * planes[i], 28 >> i, 28 >> i) for i in range(3)},
        **{f"stage{i + 1}.before": (2, expansion * planes[i], 28 >> i, 28 >> i) for i in range(3)},
        "stage1": (2, expansion * planes[0], 28, 28),
        "stage2": (2, expansion * planes[1], 14, 14),
        "stage3": (2, expansion * planes[2], 7, 7),
        "pool": (2, expansion * planes[2]),
    }
    for name, feature in out.features.items():
        if name.endswith(".before"):
            assert (feature < 0).any()
            assert torch.equal(feature.clamp(min=0), out.features[name.removesuffix(".before")])
        else:
            assert (feature >= 0).all()


@given(
    blocks=st.integers(1, 2),
    block=st.sampled_from(["basic", "bottleneck"]),
    width=st.sampled_from([0.25, 0.5, 1.0]),
    size=st.integers(5, 16),
)
@settings(max_examples=15, deadline=None)
def test_recipes_are_told_the_true_shapes(blocks: int, block: str, width: float, size: int) -> None:
    depth = {"basic": 6, "bottleneck": 9}[block] * blocks + 2
    out = resnet(depth, block, width=width)(images(2, size))
    told = ResNet(depth, block, "A", width).features(size)
    assert told.pop("pool") == (out.features["pool"].shape[1], 1)
    assert {name: (2, channels, side, side) for name, (channels, side) in told.items()} == {
        name: tuple(f.shape) for name, f in out.features.items() if f.ndim == 4
    }


@pytest.mark.parametrize(("depth", "middle"), [(8, 0), (14, 0), (20, 1), (26, 1), (32, 2)])
def test_features_from_inside_a_stage(depth: int, middle: int) -> None:
    net = resnet(depth).double().eval()
    x = images(dtype=torch.float64)
    features = net(x).features
    for name, before in (("stage1", "stem"), ("stage2", "stage1"), ("stage3", "stage2")):
        blocks = getattr(net, name)
        stride = 1 if name == "stage1" else 2
        convolved = conv2d(features[before], blocks[0].path[0].weight, stride=stride, padding=1)
        norm = blocks[0].path[1]
        first = batch_norm(convolved, norm.running_mean, norm.running_var, norm.weight, norm.bias).clamp(min=0)
        torch.testing.assert_close(features[f"{name}.first"], first)
        y = features[before]
        for block in blocks[: middle + 1].children():
            y = block(y, relu=True)[1]
        torch.testing.assert_close(features[f"{name}.middle"], y)


@given(depth=st.integers(-5, 300), block=st.sampled_from(["basic", "bottleneck"]))
@settings(max_examples=60, deadline=None)
def test_other_depths_name_the_nearest_valid_ones(depth: int, block: str) -> None:
    layers = {"basic": 6, "bottleneck": 9}[block]
    valid = range(layers + 2, 400, layers)
    assume(depth not in valid)
    with pytest.raises(RecipeError, match=f"depth {depth}:.*{layers}n\\+2; the nearest: ") as raised:
        resnet(depth, block)
    named = [int(n) for n in re.findall(r"\d+", str(raised.value).split("nearest:")[1])]
    below = [v for v in valid if v < depth][-1:]
    above = [v for v in valid if v > depth][:1]
    assert named == below + above


@pytest.mark.parametrize("width", [0.0, -1.0, 0.3, float("nan"), float("inf")])
def test_a_width_must_give_whole_numbers(width: float) -> None:
    with pytest.raises(RecipeError, match="width"):
        resnet(width=width)


def reference_with_option_a(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """ResNet-8 with option A, training mode, written from the paper with plain functions."""

    def normalised(x: Tensor, name: str) -> Tensor:
        return batch_norm(x, None, None, weights[f"{name}.weight"], weights[f"{name}.bias"], training=True)

    x = normalised(conv2d(x, weights["stem.0.weight"], padding=1), "stem.1").clamp(min=0)
    for stage in (1, 2, 3):
        stride = 1 if stage == 1 else 2
        path = f"stage{stage}.0.path"
        y = normalised(conv2d(x, weights[f"{path}.0.weight"], stride=stride, padding=1), f"{path}.1").clamp(min=0)
        y = normalised(conv2d(y, weights[f"{path}.3.weight"], padding=1), f"{path}.4")
        carried = torch.zeros_like(y)
        for row in range(y.shape[2]):
            for column in range(y.shape[3]):
                carried[:, : x.shape[1], row, column] = x[:, :, stride * row, stride * column]
        x = (y + carried).clamp(min=0)
    return x.flatten(2).mean(2) @ weights["linear.weight"].T + weights["linear.bias"]


@pytest.mark.parametrize("size", [8, 7])
def test_option_a_equals_an_independent_implementation(size: int) -> None:
    net = resnet().double()
    x = images(size=size, dtype=torch.float64)
    torch.testing.assert_close(net(x).logits, reference_with_option_a(net.state_dict(), x))


def test_option_a_has_no_parameters_and_option_b_has_a_projection() -> None:
    names = {s: {n for n, _ in resnet(shortcut=s).named_parameters() if "shortcut" in n} for s in "AB"}
    assert not names["A"]
    assert names["B"] == {f"stage{s}.0.shortcut.{n}" for s in (2, 3) for n in ("0.weight", "1.weight", "1.bias")}


@pytest.mark.parametrize("shortcut", ["A", "B"])
@pytest.mark.parametrize(("depth", "block"), [(8, "basic"), (11, "bottleneck")])
def test_every_parameter_gets_a_gradient_in_float64(depth: int, block: str, shortcut: str) -> None:
    net = resnet(depth, block, shortcut).double()
    out = net(images(dtype=torch.float64))
    assert {out.logits.dtype, *(f.dtype for f in out.features.values())} == {torch.float64}
    out.logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_channels_last_stays_channels_last_and_gives_the_same_numbers(shortcut: str) -> None:
    net = resnet(shortcut=shortcut).double()
    x = images(dtype=torch.float64)
    plain = net(x)
    last = net.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    for name, feature in last.features.items():
        assert feature.ndim == 2 or feature.is_contiguous(memory_format=torch.channels_last), name
        torch.testing.assert_close(feature, plain.features[name])
    torch.testing.assert_close(last.logits, plain.logits)


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_bf16_autocast_runs_forward_and_backward(shortcut: str) -> None:
    net = resnet(shortcut=shortcut)
    exact = net(images()).logits
    with torch.autocast("cpu", torch.bfloat16):
        out = net(images())
    assert {out.features[name].dtype for name in ("stem", "stage3")} == {torch.bfloat16}
    torch.testing.assert_close(out.logits.float(), exact, rtol=0.1, atol=0.1)
    out.logits.float().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in net.parameters())


def test_the_mean_and_the_last_layer_are_in_float32_under_autocast() -> None:
    net = resnet(classes=100)
    with torch.autocast("cpu", torch.bfloat16):
        out = net(images())
    pool = out.features["stage3"].float().mean((2, 3))
    assert (out.features["pool"].dtype, out.logits.dtype) == (torch.float32, torch.float32)
    torch.testing.assert_close(out.features["pool"], pool)
    torch.testing.assert_close(out.logits, functional.linear(pool, net.linear.weight, net.linear.bias))


@pytest.mark.parametrize("frozen", [False, True])
def test_classes_that_are_nearly_equal_are_no_ties_under_autocast(frozen: bool) -> None:
    net = resnet(classes=2).eval()
    with torch.no_grad():
        # In bfloat16 both rows, and both logits, would be the same, and the lower class would be given.
        net.linear.weight[1] = net.linear.weight[0]
        net.linear.bias.copy_(torch.tensor([4.0, 4.0 + 2**-10]))
        if frozen:
            cast_frozen_(net, "bfloat16")
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(images()).logits
    assert logits.argmax(1).tolist() == [1] * 4


def norms(net: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]


def test_batches_are_not_counted_and_weights_travel() -> None:
    net = resnet(shortcut="B")
    net(images())
    assert not [name for name in net.state_dict() if "num_batches_tracked" in name]
    bare = dict(net.state_dict())  # as safetensors gives it: without the versions that torch attaches
    other = copy.deepcopy(resnet(shortcut="B")).to(torch.float64).to(torch.float32)
    for weights in (net.state_dict(), bare):
        other.load_state_dict(weights, strict=True)
        assert all(torch.equal(value, net.state_dict()[name]) for name, value in other.state_dict().items())
    assert len(norms(other)) == 9
    assert all(norm.num_batches_tracked is None for norm in norms(other))


def test_running_statistics_move_in_training_and_are_frozen_in_eval() -> None:
    net = resnet(shortcut="B")
    buffers = {name: b.clone() for name, b in net.named_buffers()}
    net.eval()(images())
    assert all(torch.equal(b, buffers[name]) for name, b in net.named_buffers())
    net.train()(images())
    assert not any(torch.equal(b, buffers[name]) for name, b in net.named_buffers())
