import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bench import cost
from bench.cost import Cost, Costs, count, forward_flops, step_flops_per_image
from bench.errors import CostError

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


def resnet(depth: int, block: str, shortcut: str) -> dict[str, Any]:
    params = {"depth": depth, "block": block, "shortcut": shortcut, "width": 1.0}
    return {"name": "resnet", "params": params, "classes": 100, "channels": 3, "size": 32}


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
def test_basic_networks(depth: int, shortcut: str, macs: int, params: int) -> None:
    assert by_hand_basic(depth, shortcut) == macs
    assert count(**resnet(depth, "basic", shortcut)) == Cost(macs, params)


def test_the_bottleneck_network_of_one() -> None:
    assert by_hand_bottleneck(164) == 247_669_760
    assert count(**resnet(164, "bottleneck", "B")) == Cost(247_669_760, 1_727_284)


@pytest.mark.parametrize("key", sorted(TABLE))
def test_the_kept_table_is_what_fvcore_counts(key: str) -> None:
    assert Cost(**TABLE[key]["cost"]) == count(**TABLE[key]["network"])


def test_the_kept_table_reads_and_writes_back_as_it_is(tmp_path: Path) -> None:
    text = (ROOT / "results" / "costs.json").read_text(encoding="utf-8")
    copy = tmp_path / "costs.json"
    copy.write_text(text, encoding="utf-8")
    Costs.read(copy).write()
    assert copy.read_text(encoding="utf-8") == text
    assert "resnet(block=basic, depth=32, shortcut=B, width=1.0) 100 classes 3x32x32" in TABLE
    assert len(TABLE) >= 18


class Transform(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.rfft2(x).real


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x @ x.transpose(2, 3)


@pytest.mark.parametrize(
    ("module", "operator"),
    [(Transform(), "aten::fft_rfft2"), (Attention(), "matmul"), (nn.GroupNorm(1, 3), "group_norm")],
)
def test_an_operator_that_cannot_be_counted_is_named(module: nn.Module, operator: str) -> None:
    with pytest.raises(CostError, match=f"Sequential: cannot count {operator}"):
        cost._count_macs(nn.Sequential(nn.Conv2d(3, 3, 1), module), torch.zeros(1, 3, 4, 4))


def test_normalisation_pooling_and_activations_cost_nothing() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, groups=1),
        nn.BatchNorm2d(8),
        nn.Tanh(),
        nn.Sigmoid(),
        nn.MaxPool2d(2),
        nn.AvgPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )
    assert cost._count_macs(net.train(), torch.zeros(1, 3, 8, 8)) == 8 * 8 * 3 * 8 * 9 + 8 * 5


def test_fvcore_missing_says_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fvcore.nn", None)
    with pytest.raises(CostError, match="pip install fvcore"):
        count(**resnet(8, "basic", "A"))


def test_counting_is_silent(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    count(**resnet(8, "basic", "B"))
    assert (*capfd.readouterr(), caplog.text) == ("", "", "")


def test_the_module_imports_neither_torch_nor_fvcore() -> None:
    code = "import sys, bench.cost; sys.exit(any(m in sys.modules for m in ('torch', 'fvcore', 'numpy')))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_lookup_counts_once_and_write_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "costs.json"
    network = resnet(8, "basic", "A")
    costs = Costs.read(path)
    assert costs.get(**network) is None
    counted = costs.lookup(**network)
    assert not path.exists()
    monkeypatch.setattr(cost, "count", lambda *args: pytest.fail("counted again"))
    assert costs.lookup(**network) == counted
    costs.write()
    assert [p.name for p in tmp_path.iterdir()] == ["costs.json"]
    again = Costs.read(path)
    assert again.get(**network) == counted
    assert again.get(**network | {"classes": 10}) is None


def test_the_order_of_parameters_does_not_matter(tmp_path: Path) -> None:
    network = resnet(8, "basic", "A")
    costs = Costs.read(tmp_path / "costs.json")
    costs.add(**network, cost=Cost(1, 2))
    assert costs.get(**network | {"params": dict(reversed(network["params"].items()))}) == Cost(1, 2)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "costs.json"
    costs = Costs.read(path)
    costs.add(**resnet(8, "basic", "A"), cost=Cost(1, 2))
    costs.write()
    before = path.read_bytes()
    costs.add(**resnet(14, "basic", "A") | {"params": {"depth": object()}}, cost=Cost(3, 4))
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
