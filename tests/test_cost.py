import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bench import counting
from bench.cost import Cost, bytes_of, forward_flops, step_flops_per_image
from bench.counting import Costs, count
from bench.errors import CostError
from bench.networks.base import Network
from bench.networks.resnet import ResNet
from bench.quantisers import Uniform
from bench.recipe import load
from bench.registry import NETWORKS, SETS

ROOT = Path(__file__).parents[1]
TABLE = json.loads((ROOT / "results" / "costs.json").read_text(encoding="utf-8"))
MACS = st.lists(st.integers(0, 10**9), max_size=4)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On one image, two threads only wait for each other: ten times slower where the cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


CIFAR100 = (100, 3, 32)  # classes, channels and size


def resnet(depth: int, block: Literal["basic", "bottleneck"] = "basic", shortcut: Literal["A", "B"] = "A") -> ResNet:
    return ResNet(depth=depth, block=block, shortcut=shortcut, width=1.0)


def by_hand_basic(depth: int, shortcut: str) -> int:
    """Multiply-adds of He et al., section 4.2, on a 32x32 image with 100 classes."""
    n = (depth - 2) // 6
    total = 32 * 32 * 3 * 16 * 9 + 64 * 100
    for side, inputs, planes in ((32, 16, 16), (16, 16, 32), (8, 32, 64)):
        projection = inputs * planes if shortcut == "B" and inputs != planes else 0
        total += side * side * (inputs * planes * 9 + (2 * n - 1) * planes * planes * 9 + projection)
    return total


def by_hand_bottleneck(depth: int) -> int:
    """The same with option B, the stride in the 3x3 convolution: the 1x1 before it sees the larger image."""
    n = (depth - 2) // 9
    total = 32 * 32 * 3 * 16 * 9 + 256 * 100
    for before, side, inputs, planes in ((32, 32, 16, 16), (32, 16, 64, 32), (16, 8, 128, 64)):
        out = 4 * planes
        total += before * before * inputs * planes
        total += side * side * ((n - 1) * out * planes + n * (9 * planes * planes + planes * out) + inputs * out)
    return total


@pytest.mark.parametrize(
    ("depth", "shortcut", "macs", "params"),
    [
        (32, "A", 68_868_352, 470_004),
        (32, "B", 69_130_496, 472_756),
        (110, "A", 252_893_440, 1_733_812),
        (110, "B", 253_155_584, 1_736_564),
    ],
)
def test_basic_networks(depth: int, shortcut: Literal["A", "B"], macs: int, params: int) -> None:
    assert by_hand_basic(depth, shortcut) == macs
    assert count(resnet(depth, "basic", shortcut), *CIFAR100) == Cost(macs, params)


def test_the_bottleneck_network_of_one() -> None:
    assert by_hand_bottleneck(164) == 247_669_760
    assert count(resnet(164, "bottleneck", "B"), *CIFAR100) == Cost(247_669_760, 1_727_284)


@pytest.mark.parametrize("key", sorted(TABLE))
def test_the_kept_table_is_what_fvcore_counts(key: str) -> None:
    network = TABLE[key]["network"]
    component = NETWORKS[network["name"]](**network["params"])
    assert Cost(**TABLE[key]["cost"]) == count(component, network["classes"], network["channels"], network["size"])


def test_the_kept_table_reads_and_writes_back_as_it_is(tmp_path: Path) -> None:
    text = (ROOT / "results" / "costs.json").read_text(encoding="utf-8")
    copy = tmp_path / "costs.json"
    copy.write_text(text, encoding="utf-8")
    Costs.read(copy).write()
    assert copy.read_text(encoding="utf-8") == text
    assert "resnet(block=basic, depth=32, shortcut=B, width=1.0) 100 classes 3x32x32" in TABLE
    assert len(TABLE) >= 18


def test_the_kept_bytes_are_those_of_every_recipe_with_quantised_weights() -> None:
    costs, found = Costs.read(ROOT / "results" / "costs.json"), 0
    for table in load(ROOT / "recipes").tables.values():
        for stage in (stage for row in table.rows.values() for stage in row.stages):
            info = SETS[stage.data.set]
            image = info.classes, info.channels, info.size
            for network, weights in zip(stage.networks, stage.weights, strict=False):
                if weights is not None:
                    parameters = dict(network.build(*image).named_parameters())
                    assert costs.get_bytes(network, weights, *image) == weights.num_bytes(parameters)
                    found += 1
    assert found >= 7


def test_bytes_are_counted_once_and_kept_beside_the_cost(tmp_path: Path) -> None:
    weights, path = Uniform(ends="quantised", bits=2, bucket=256), tmp_path / "costs.json"
    costs = Costs.read(path)
    assert bytes_of(resnet(8), weights, "cifar100", costs) is None
    counted = costs.lookup_bytes(resnet(8), weights, *CIFAR100)
    cost = costs.lookup(resnet(8), *CIFAR100)
    costs.add(resnet(8), *CIFAR100, cost)  # counted again, it keeps them
    costs.write()
    again = Costs.read(tmp_path / "none.json", path)
    assert bytes_of(resnet(8), weights, "cifar100", again) == counted
    assert bytes_of(resnet(8), None, "cifar100", again) == 4 * cost.params
    # A project of one's own has the shipped network, and other weights of it.
    more = again.lookup_bytes(resnet(8), replace(weights, bits=4), *CIFAR100)
    assert counted < more < 4 * cost.params
    again.write()
    assert bytes_of(resnet(8), replace(weights, bits=4), "cifar100", Costs.read(tmp_path / "none.json")) == more


class Transform(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.rfft2(x).real


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x @ x.transpose(2, 3)


class Untraceable(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("no\nmore")


@dataclass(frozen=True)
class Odd(Network):
    """A convolution of 3 · 3 multiply-adds a pixel and 12 parameters, then something else."""

    then: Callable[[], nn.Module]

    name: ClassVar[str] = "odd"

    def build(self, classes: int, channels: int, size: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(channels, 3, 1), self.then())


@dataclass(frozen=True)
class OddButFree(Odd):
    free_operators: ClassVar[tuple[str, ...]] = ("aten::group_norm", "aten::matmul", "aten::fft_rfft2", "aten::real")


@dataclass(frozen=True)
class OddButCounted(Odd):
    def operator_macs(self) -> Mapping[str, Callable[[Any, Any], Any]]:
        return {"aten::matmul": lambda inputs, outputs: 1000}


def group_norm() -> nn.Module:
    return nn.GroupNorm(1, 3)


UNCOUNTABLE = [(Transform, "aten::fft_rfft2"), (Attention, "matmul"), (group_norm, "group_norm")]


@pytest.mark.parametrize(("then", "operator"), UNCOUNTABLE)
def test_an_operator_that_cannot_be_counted_is_named_and_spoils_the_multiply_adds_alone(
    then: Callable[[], nn.Module], operator: str
) -> None:
    with pytest.warns(UserWarning, match=f"odd: its multiply-adds are unknown: {operator}.* cannot be counted"):
        cost = count(Odd(then), 10, 3, 4)
    assert cost == Cost(None, 12 + sum(p.numel() for p in then().parameters()))


@pytest.mark.parametrize(("then", "operator"), UNCOUNTABLE)
def test_a_network_says_which_operators_are_free(then: Callable[[], nn.Module], operator: str) -> None:
    assert count(OddButFree(then), 10, 3, 4).macs == 9 * 4 * 4


def test_a_network_counts_its_own_operators() -> None:
    assert count(OddButCounted(Attention), 10, 3, 4).macs == 9 * 4 * 4 + 1000
    with pytest.warns(UserWarning, match="group_norm cannot be counted"):
        assert count(OddButCounted(group_norm), 10, 3, 4).macs is None


def test_a_network_that_cannot_be_traced_is_named_too() -> None:
    with pytest.warns(UserWarning, match=r"odd: .* PyTorch cannot trace it \(no\)"):
        assert count(Odd(Untraceable), 10, 3, 4) == Cost(None, 12)


def test_no_other_network_is_spoilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    costs = Costs.read(tmp_path / "costs.json")
    with pytest.warns(UserWarning, match="odd: "):
        uncounted = costs.lookup(OddNamed(), *CIFAR100)
    assert costs.lookup(resnet(8), *CIFAR100).macs == by_hand_basic(8, "A")
    costs.write()
    again = Costs.read(tmp_path / "costs.json")
    assert again.get(OddNamed(), *CIFAR100) == uncounted == Cost(None, 12 + 6)
    # It is tried again, since the network may say more by now; what was counted is not.
    monkeypatch.setattr(OddNamed, "free_operators", ("aten::group_norm",))
    assert again.lookup(OddNamed(), *CIFAR100) == Cost(9 * 32 * 32, 12 + 6)


@dataclass(frozen=True)
class OddNamed(Network):
    name: ClassVar[str] = "odd"

    def build(self, classes: int, channels: int, size: int) -> nn.Module:
        return Odd(group_norm).build(classes, channels, size)


def test_normalisation_pooling_and_activations_cost_nothing() -> None:
    def plain() -> nn.Module:
        return nn.Sequential(
            nn.BatchNorm2d(3),
            nn.Tanh(),
            nn.Sigmoid(),
            nn.MaxPool2d(2),
            nn.AvgPool2d(2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(3, 5),
        )

    assert count(Odd(plain), 5, 3, 8).macs == 8 * 8 * 9 + 3 * 5


def test_fvcore_missing_says_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fvcore.nn", None)
    with pytest.raises(CostError, match="pip install fvcore"):
        count(resnet(8), *CIFAR100)


def test_counting_is_silent(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    count(resnet(8, shortcut="B"), *CIFAR100)
    assert (*capfd.readouterr(), caplog.text) == ("", "", "")


def test_the_module_imports_neither_torch_nor_fvcore() -> None:
    code = "import sys, bench.counting; sys.exit(any(m in sys.modules for m in ('torch', 'fvcore')))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_lookup_counts_once_and_write_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "costs.json"
    network = resnet(8)
    costs = Costs.read(path)
    assert costs.get(network, *CIFAR100) is None
    counted = costs.lookup(network, *CIFAR100)
    assert not path.exists()
    monkeypatch.setattr(counting, "count", lambda *args: pytest.fail("counted again"))
    assert costs.lookup(network, *CIFAR100) == counted
    costs.write()
    assert [p.name for p in tmp_path.iterdir()] == ["costs.json"]
    again = Costs.read(path)
    assert again.get(network, *CIFAR100) == counted
    assert again.get(network, 10, 3, 32) is None


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "costs.json"
    costs = Costs.read(path)
    costs.add(resnet(8), *CIFAR100, Cost(1, 2))
    costs.write()
    before = path.read_bytes()
    costs.add(resnet(object()), *CIFAR100, Cost(3, 4))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        costs.write()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["costs.json"]


NETWORK = {"name": "n", "params": {}, "classes": 1, "channels": 1, "size": 1}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"n": 1}',
        '{"n": {}}',
        json.dumps({"n() 1 classes 1x1x1": {"network": NETWORK, "cost": {"macs": 1}}}),
        json.dumps(
            {"n() 1 classes 1x1x1": {"network": NETWORK, "cost": {"macs": 1, "params": 1}, "bytes": {"a": "b"}}}
        ),
        json.dumps({"other": {"network": NETWORK, "cost": {"macs": 1, "params": 1}}}),
    ],
)
def test_a_file_that_is_no_table_of_costs(tmp_path: Path, text: str) -> None:
    path = tmp_path / "costs.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CostError, match=r"costs\.json: not a table of costs"):
        Costs.read(path)


def test_the_flops_of_a_step() -> None:
    small, large = 69, 253
    assert forward_flops(small) == 138
    assert step_flops_per_image([small], [], []) == 3 * 138
    assert step_flops_per_image([small], [large], []) == 3 * 138 + 506  # KD: the teacher only runs forward
    assert step_flops_per_image([small, small], [], [small]) == 7 * 138  # DML, sequential: net 1 predicts again


@given(trained=MACS, frozen=MACS, refreshed=MACS)
def test_a_step_is_the_sum_of_its_networks(trained: list[int], frozen: list[int], refreshed: list[int]) -> None:
    alone = [step_flops_per_image([m], [], []) for m in trained]
    alone += [forward_flops(m) for m in (*frozen, *refreshed)]
    assert step_flops_per_image(trained, frozen, refreshed) == sum(alone)
