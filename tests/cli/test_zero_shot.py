import re
import shutil

import pytest
from matplotlib.image import imread

from tests.cli.commands import RUN, records

ZERO_SHOT = """  zero-shot:
    label: Zero-shot
    group: synthetic
    stages:
      impressions:
        seed: 1
        teacher: vanilla#1
        method: {data_impressions: {count: 30, scalings: [1.0, 0.1], temperature: 20.0}}
        optimizer: {adam: {beta1: 0.9, beta2: 0.999, eps: 1.0e-8, weight_decay: 0.0}}
        schedule: {iterations: 20, batch: 16, lr: 0.05, drops: []}
      student:
        network: small
        teacher: vanilla#1
        transfer_set: impressions
        method: {soft_targets: {temperature: 20.0}}
        data: {train: all}
        schedule: {epochs: 2, drops: []}
    published: {}
"""


@pytest.fixture
def zero_shot(project):
    recipe = project / "recipes" / "tiny" / "table.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8") + ZERO_SHOT, encoding="utf-8")
    return project


@pytest.mark.slow
def test_impressions_are_made_once_and_are_all_that_the_students_see(zero_shot, kdbench):
    code, out, err = kdbench(*RUN, "--row", "zero-shot", "--at-once", "1")
    assert code == 0, err
    assert "tiny/zero-shot.impressions seed 1" in out
    by_kind = {(record["recipe"]["kind"], record["name"], record["seed"]): record for record in records(zero_shot)}
    assert sorted(by_kind) == [
        ("synthesise", "tiny/zero-shot.impressions", 1),
        ("train", "tiny/vanilla", 1),
        ("train", "tiny/zero-shot", 1),
        ("train", "tiny/zero-shot", 2),
    ]
    made = by_kind["synthesise", "tiny/zero-shot.impressions", 1]
    assert len(made["curve"]) == 2
    # The teacher's own training: three passes over 200 images, four epochs.
    one_pass = by_kind["train", "tiny/vanilla", 1]["flops"] // (3 * 200 * 4)
    for seed in (1, 2):
        student = by_kind["train", "tiny/zero-shot", seed]
        assert student["taken"]["transfer_set"]["artifact"] == made["artifact"]
        # The teacher forward, the student forward and backward (as two): four passes over 30 images, two epochs.
        assert student["flops"] == one_pass * 4 * 30 * 2
    # Forward and backward to the images (as one): two passes over 30 images, 20 iterations.
    assert made["flops"] == one_pass * 2 * 30 * 20

    shown = ("figure", "impressions", "tiny/zero-shot#1", "--class", "0", "--class", "7", "--figure", "i.png")
    code, out, err = kdbench(*shown, "--similarity", "s.png")
    assert code == 0, err
    assert "30 impressions" in out
    first = [float(x) for x in out.splitlines()[2].split()[1:]]
    assert first[0] == max(first) == 1.0
    assert min(first) == 0.0
    assert all(min(imread(zero_shot / name).shape[:2]) > 200 for name in ("i.png", "s.png"))

    # In a fresh clone, the one command that is named makes all that the figure needs.
    shutil.rmtree(zero_shot / "results" / "artifacts")
    code, _, err = kdbench(*shown)
    (command,) = re.findall("`kdbench (.*)`", err)
    assert (code, command) == (2, "run --again tiny/zero-shot.impressions#1")
    code, out, err = kdbench(*command.split(), "--at-once", "1", "--device", "cpu")
    assert code == 0, err
    assert "tiny/zero-shot.impressions seed 1: reproduced bit for bit: error" in out
    assert kdbench(*shown)[0] == 0


def test_an_estimate_of_making_images_trains_nothing(zero_shot, kdbench):
    code, out, err = kdbench("estimate", "tiny", "--row", "zero-shot", "--device", "cpu")
    assert code == 0, err
    assert "data_impressions resnet-8-" in out
    assert "4 runs to train" in out
    assert not (zero_shot / "results" / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("tiny/vanilla#1",), "tiny/vanilla#1 is not trained on synthesised images"),
        (
            ("tiny/zero-shot#1",),
            "what tiny/zero-shot.impressions#1 left is not here; `kdbench run tiny/zero-shot.impressions#1"
            " --profile paper` trains it",
        ),
        (("tiny/zero-shot",), "'tiny/zero-shot' names no run; write TABLE/ROW#SEED, as in efficiency/mnist-teacher#1"),
    ],
)
def test_what_cannot_be_shown(zero_shot, kdbench, arguments, says):
    assert kdbench("figure", "impressions", *arguments) == (2, "", f"kdbench: {says}\n")
