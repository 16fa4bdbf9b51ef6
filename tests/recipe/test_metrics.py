"""What a table is about, and sets whose pixels have labels."""

from pathlib import Path

import pytest

from bench.errors import RecipeError
from bench.graph import plan
from bench.metrics import ERROR, MeanIoU
from bench.recipe import load
from tests.handmade import changed, library

REPO = Path(__file__).parents[2]
SEGMENTATION = (REPO / "recipes" / "survey" / "segmentation.yaml").read_text(encoding="utf-8")


def segmentation(folder: Path, *changes: tuple[str, str]):
    (folder / "recipes" / "survey").mkdir(parents=True)
    (folder / "recipes" / "survey" / "table.yaml").write_text(changed(SEGMENTATION, *changes), encoding="utf-8")
    return load(folder / "recipes")


def test_a_metric_that_is_recorded_is_part_of_a_run_and_the_error_never_is(tmp_path: Path) -> None:
    about_error = plan(library(tmp_path / "a"), ["small"], "paper").rows["small", "plain"][1]
    assert (about_error.stage.metric, "metric" in about_error.recipe) == (ERROR, False)
    about_pixels = plan(segmentation(tmp_path / "b"), ["survey-segmentation"], "paper")
    run = about_pixels.rows["survey-segmentation", "kd"][1]
    assert (run.stage.metric, run.recipe["metric"]["name"]) == (MeanIoU(), "mean_iou")


def test_tables_of_error_and_of_accuracy_share_their_runs(tmp_path: Path) -> None:
    keys = []
    for name, metric in (("a", "error"), ("b", "accuracy")):
        made = segmentation(tmp_path / name, ("metric: mean_iou", f"metric: {metric}"))
        keys.append({*plan(made, ["survey-segmentation"], "paper").runs})
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "metric: mean_iou",
            "metric: mean_io",
            r"table.yaml:4: metric: 'mean_io' is not known; did you mean 'mean_iou'",
        ),
        ("columns: [mean_iou,", "columns: [iou,", r"table.yaml:5: columns: 'iou' is not known"),
        (
            "wide: {encoder_decoder: {width: 16}}",
            "wide: {resnet: {depth: 8, block: basic, shortcut: B, width: 1.0}}",
            "'resnet' gives one answer for each image, but shapes has one label for each pixel",
        ),
        (
            "  set: shapes",
            "  set: cifar10",
            "'encoder_decoder' gives one answer for each pixel, but cifar10 has one label for each image",
        ),
        ("train: all", "train: {seed: 1, per_class: 10}", "an image of shapes has no one class; give a fraction"),
        (
            "  crop_padding: 0\n  padding_mode: reflect",
            "  crop_padding: 2\n  padding_mode: constant",
            "what 'constant' adds to an image has no labels, which each pixel of shapes has; say 'reflect'",
        ),
        ("{kd: {temperature: 1.0, soften: both}}", "{pkt: {weight: 1.0}}", "'pool'"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        segmentation(tmp_path, (old, new))


def test_a_published_value_is_within_the_limits(tmp_path: Path) -> None:
    cell = '{mean_iou: {value: 101.0, source: "Table 1"}}'
    text = SEGMENTATION.replace("    published: {}", f"    published: {cell}", 1)
    (tmp_path / "recipes" / "survey").mkdir(parents=True)
    (tmp_path / "recipes" / "survey" / "table.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=r"published\.mean_iou: 101 is no mean_iou"):
        load(tmp_path / "recipes")
