"""`kdbench export` and `bench.load`: what is loaded gives the test logits of the record."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bench
from bench import api
from bench.data.subset import subset
from bench.errors import StoreError
from bench.files import UNSEALED, seal
from bench.profiles import Profile
from bench.project import Project, resolve_run
from bench.registry import SETS
from bench.train import artifacts
from bench.train import device as devices
from tests.cli.commands import artifact, by_name

Kdbench = Callable[..., tuple[int, str, str]]
REPO = Path(__file__).parents[2]


@pytest.fixture
def exported(finished: Path, kdbench: Kdbench) -> Path:
    assert kdbench("export", "tiny/kd#1", "--to", "student")[0] == 0
    return finished / "student"


def logits_of(folder: Path, name: str, profile: Profile, data: Path | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The test logits that a run left, and those that its exported network gives."""
    project = Project.find()
    run = resolve_run(project.library(), name, profile)
    loaded = artifacts.load(project.store(), run)
    assert loaded is not None
    images = SETS[run.stage.data.set].load(data)
    part = run.stage.data.test
    shown = images.test_x if part == "all" else images.test_x[subset(images.test_y, part.fraction, None, part.seed)]
    network = bench.load(folder)
    with torch.no_grad(), devices.autocast(network.about.precision, torch.device("cpu")):
        return artifacts.logits(loaded[1]), network(network.preprocess(shown)).logits.half()


def test_the_logits_are_those_of_the_record_to_the_bit(exported: Path) -> None:
    theirs, ours = logits_of(exported, "tiny/kd#1", "paper")
    assert len(theirs) == 100
    assert torch.equal(ours, theirs)


def test_of_a_group_the_first_network_is_exported(finished: Path, kdbench: Kdbench) -> None:
    assert kdbench("export", "tiny/dml#2", "--to", "deep/er")[0] == 0
    theirs, ours = logits_of(finished / "deep" / "er", "tiny/dml#2", "paper")
    assert torch.equal(ours, theirs)
    assert "the first of 2 that were trained together" in (finished / "deep" / "er" / "README.md").read_text()


def test_on_real_images_too(project: Path, kdbench: Kdbench, data_root: Path) -> None:
    if not SETS["mnist"].available(data_root):
        pytest.skip("MNIST is not here")
    name = "efficiency/mnist-teacher#1"
    named = ("--profile", "smoke-real", "--data", data_root, "--device", "cpu")
    code, _, err = kdbench("run", name, *named)
    assert code == 0, err
    assert kdbench("export", name, "--to", "student", "--profile", "smoke-real")[0] == 0
    theirs, ours = logits_of(project / "student", name, "smoke-real", data_root)
    assert theirs.shape == (200, 10)
    assert torch.equal(ours, theirs)
    told = "under bfloat16 autocast" in (project / "student" / "README.md").read_text()
    assert told == (bench.load(project / "student").about.precision == "bfloat16")


def test_quantised_weights_are_those_that_are_exported_and_teach(project: Path, kdbench: Kdbench) -> None:
    recipe = project / "recipes" / "tiny" / "table.yaml"
    weights = "weights: {uniform: {ends: quantised, bits: 2, bucket: 64}}"
    text = recipe.read_text().replace("method: vanilla,", f"method: vanilla, {weights},")
    recipe.write_text(text, encoding="utf-8")
    code, _, err = kdbench("run", "tiny", "--row", "kd", "--seed", "1", "--profile", "paper", "--device", "cpu")
    assert code == 0, err
    assert kdbench("export", "tiny/vanilla#1", "--to", "small")[0] == 0
    theirs, ours = logits_of(project / "small", "tiny/vanilla#1", "paper")
    assert torch.equal(ours, theirs)
    loaded = bench.load(project / "small")
    assert all(len(own.unique()) <= 4 for name, own in loaded.named_parameters() if own.numel() <= 64)
    size = bytes_of(loaded)
    card = (project / "small" / "README.md").read_text()
    assert f"| Weights | uniform (ends quantised, bits 2, bucket 64): {size:,} bytes as codes" in card
    assert by_name(project)["tiny/vanilla", 1]["versions"]["weights uniform"] == 1


def test_images_are_reduced_as_in_training(project: Path, kdbench: Kdbench) -> None:
    recipe = project / "recipes" / "tiny" / "table.yaml"
    text = recipe.read_text().replace("method: vanilla,", "method: vanilla, data: {resolution: 8},")
    recipe.write_text(text, encoding="utf-8")
    assert kdbench("run", "tiny", "--row", "vanilla", "--seed", "1", "--profile", "paper", "--device", "cpu")[0] == 0
    assert kdbench("export", "tiny/vanilla#1", "--to", "low")[0] == 0
    theirs, ours = logits_of(project / "low", "tiny/vanilla#1", "paper")
    assert torch.equal(ours, theirs)
    assert bench.load(project / "low").about.resolution == 8
    assert (
        "then means of squares to 8 by 8 pixels and bilinear interpolation back"
        in (project / "low" / "README.md").read_text()
    )


def bytes_of(network: torch.nn.Module) -> int:
    """Two bits each, in buckets of 64 of one tensor with two float32 each."""
    counts = [own.numel() for own in network.parameters()]
    return -(-sum(2 * n + 64 * -(-n // 64) for n in counts) // 8)


def test_what_is_loaded_is_in_evaluation_mode_and_says_what_it_is(exported: Path) -> None:
    network = bench.load(exported)
    assert not network.training
    assert network.about.class_names == [*map(str, range(10))]
    assert (network.about.run, network.about.profile, network.about.data) == ("tiny/kd#1", "paper", "synthetic10")
    assert network.about.test_error == by_name(exported.parent)["tiny/kd", 1]["results"][0]["last_error"]


@pytest.mark.parametrize(
    "images",
    [np.zeros((1, 3, 32, 32), np.uint8), np.zeros((1, 32, 32, 3), np.float32), np.zeros((32, 32, 3), np.uint8)],
)
def test_other_images_are_refused(exported: Path, images: Any) -> None:
    with pytest.raises(ValueError, match=r"images are uint8 \(N, H, W, 3\), these are"):
        bench.load(exported).preprocess(images)


def test_the_card_says_what_one_has_to_know(exported: Path) -> None:
    card, record = (exported / "README.md").read_text(), by_name(exported.parent)["tiny/kd", 1]
    for text in (
        "# KD, seed 1",
        f"{record['results'][0]['last_error']:.2f} %",
        "fingerprint d4257e41ca0d6c6d",
        "mean 0.5, 0.5, 0.5 and deviation 0.25, 0.25, 0.25",
        "Classes, in the order of the logits: 0, 1, 2",
        f"- teacher: tiny/vanilla, seed 1, record `{record['taken']['teacher']['record']}`",
        f"| Record | {record['id']}, of ",
        "| Parameters | ",
        "| Multiply-adds an image | ",
        '"temperature": 3.0',
        "## Licence",
        "network = bench.load('student')",
    ):
        assert text in card, text


def test_a_row_with_a_verdict_has_it_on_the_card(finished: Path, kdbench: Kdbench) -> None:
    recipe = finished / "recipes" / "tiny" / "table.yaml"
    cell = 'published: {error: {value: 50.0, n: 3, source: "Table 1", protocol: last}}'
    text = recipe.read_text().replace("priority: 3, published: {}", f"priority: 3, {cell}")
    recipe.write_text(text, encoding="utf-8")
    assert kdbench("export", "tiny/vanilla#1", "--to", "student")[0] == 0
    card = (finished / "student" / "README.md").read_text()
    assert "| Published error | 50.00 % |" in card
    assert "| Verdict on the row, over all its seeds | " in card


@pytest.mark.parametrize("file", ["model.safetensors", "kdbench.json"])
def test_a_folder_that_was_changed_is_refused(exported: Path, file: str) -> None:
    data = bytearray((exported / file).read_bytes())
    data[-10] ^= 1
    (exported / file).write_bytes(data)
    with pytest.raises(StoreError, match=rf"{file}: (was changed after it was exported|)"):
        bench.load(exported)


def changed(exported: Path, **values: Any) -> None:
    about = json.loads((exported / "kdbench.json").read_text()) | values | {"digest": UNSEALED}
    (exported / "kdbench.json").write_bytes(seal(json.dumps(about).encode()))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schema": 2, "kdbench": "9.0"}, r"written by a newer kdbench, 9\.0; update kdbench"),
        ({"network": "resnet9"}, "network 'resnet9' is not known, its plug-in is not here; did you mean 'resnet'"),
        ({"version": 1}, "'resnet' is of version 1 there and of 2 here"),
        ({"params": {"depth": "x"}}, "resnet"),
        ({"classes": "ten"}, "classes: 'ten' is not what belongs there"),
        ({"classes": 11}, "model.safetensors: cannot be read"),
    ],
)
def test_what_cannot_be_loaded_says_why(exported: Path, values: dict[str, Any], message: str) -> None:
    changed(exported, **values)
    with pytest.raises(StoreError, match=message):
        bench.load(exported)


@pytest.mark.parametrize("text", [None, "[]", "{", '{"digest": 1}'])
def test_what_is_no_exported_folder_is_told(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "kdbench.json").write_text(text)
    with pytest.raises(StoreError, match=r"kdbench\.json"):
        bench.load(tmp_path)


def test_what_cannot_be_exported_says_why(finished: Path, kdbench: Kdbench) -> None:
    record = by_name(finished)["tiny/vanilla", 1]
    artifact(finished, record).unlink()
    message = "kdbench: what tiny/vanilla#1 left is not here; `kdbench run --again tiny/vanilla#1` trains it\n"
    assert kdbench("export", "tiny/vanilla#1", "--to", "student") == (2, "", message)
    assert not (finished / "student").exists()
    message = "kdbench: recipes is there already; name a new folder, nothing was overwritten\n"
    assert kdbench("export", "tiny/kd#1", "--to", "recipes") == (2, "", message)
    assert "names no run" in kdbench("export", "tiny/kd", "--to", "student")[2]


def test_the_same_from_python(project: Path) -> None:
    planned = api.plan("tiny", "smoke", rows=["kd"], seeds=[1])
    assert [(run.name, run.seed) for run in planned] == [("tiny/vanilla", 1), ("tiny/kd", 1)]
    (record,) = api.run("tiny/kd#1", "smoke", device="cpu")
    assert (record.name, record.status) == ("tiny/kd", "done")
    assert api.run("tiny", "smoke", rows=["kd"], seeds=[1], device="cpu") == [record]
    lines = {line.name: line for line in api.report("tiny", "smoke").lines}
    assert lines["kd"].smaller[0].values == {1: record.results[0].last_error}
    assert api.report("tiny").smaller is None
    assert api.export("tiny/kd#1", "student", "smoke").record == record.id
    assert api.load("student").about.record == record.id
    shutil.rmtree(project / "student")


def test_importing_bench_waits_for_nothing() -> None:
    code = "import sys, bench; print([m for m in ('torch', 'numpy', 'yaml', 'bench.api') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="module 'bench' has no attribute 'lode'"):
        bench.lode  # noqa: B018
