"""A part of the training images is held out: it is measured on, never trained on, and the test set is not seen."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from bench.build import Builder, Inputs, parts
from bench.cost import images_of
from bench.counting import Costs
from bench.data.datasets import Dataset
from bench.errors import RecipeError
from bench.executors.inline import Inline
from bench.executors.local import Local
from bench.graph import Run, plan
from bench.recipe import Data, Library, Subset, load
from bench.record import Record
from bench.report.table import build
from bench.run import walk
from bench.store import Store
from bench.train.progress import Unwatched
from tests.conftest import TINY
from tests.handmade import SMALL, changed, library, write

TRAIN = "  train: {fraction: 0.1, seed: 0}\n"
HELD_OUT = "  validation: {fraction: 0.25, seed: 3}\n"


def data(train: Subset | None, validation: Subset | None) -> Data:
    mean = (0.5, 0.5, 0.5)
    return Data("cifar10", train or "all", "all", 0, "constant", False, mean, mean, validation)


def numbered(train: int, test: int) -> Dataset:
    """Images that are their own numbers: those of the test set begin at 100."""
    images = [
        np.arange(start, start + count, dtype="u1").reshape(-1, 1, 1, 1) for start, count in ((0, train), (100, test))
    ]
    return Dataset(images[0], np.arange(train) % 3, images[1], np.arange(test) % 3)


SUBSETS = st.builds(Subset, seed=st.integers(0, 3), fraction=st.floats(0.2, 0.8))


@given(train=SUBSETS | st.none(), held_out=SUBSETS)
def test_the_parts_are_disjoint_and_nothing_of_the_test_set_is_seen(train: Subset | None, held_out: Subset) -> None:
    dataset = numbered(90, 40)
    whole, seen = parts(dataset, data(train, None)), parts(dataset, data(train, held_out))
    trained, measured = set(seen.train_x.ravel()), set(seen.test_x.ravel())
    assert not trained & measured
    assert trained | measured == set(whole.train_x.ravel())
    assert max(trained | measured) < 100
    assert len(measured) == round(held_out.fraction * len(whole.train_x))
    for images, labels in ((seen.train_x, seen.train_y), (seen.test_x, seen.test_y)):
        np.testing.assert_array_equal(images.ravel() % 3, labels)


def test_without_it_the_test_set_is_measured_on() -> None:
    seen = parts(numbered(90, 40), data(None, None))
    assert (len(seen.train_x), [*seen.test_x.ravel()]) == (90, [*range(100, 140)])


@pytest.fixture
def held_out(tmp_path: Path) -> Library:
    return load(write(tmp_path, changed(TINY, (TRAIN, TRAIN + HELD_OUT))))


def run_of(found: Library, row: str = "vanilla") -> Run:
    return plan(found, ["tiny"], "paper").rows["tiny", row][1]


def test_a_run_trains_on_one_part_and_is_measured_on_the_other(held_out: Library, tmp_path: Path) -> None:
    run, builder = run_of(held_out), Builder(tmp_path, torch.device("cpu"))
    train, test = builder.loaders(run, Inputs())
    # Of 2,000 images a tenth, and a quarter of that.
    assert (len(train), len(test)) == (images_of(run, "train"), images_of(run, "test")) == (150, 50)
    np.testing.assert_array_equal(builder.test_labels(run), test.labels)


class Quiet:
    """Watches a walk and says nothing."""

    def begin(self, run: Run, number: int, count: int) -> Unwatched:
        return Unwatched()

    def end(self, run: Run, record: Record) -> None:
        pass


def test_what_it_leaves_is_of_the_held_out_part(held_out: Library, tmp_path: Path) -> None:
    store, run = Store(tmp_path / "results"), run_of(held_out)
    local = Local(store, Costs(tmp_path / "costs.json", {}), Builder(tmp_path, torch.device("cpu")), 1)
    (record,) = walk([run], Inline(local), Quiet()).records
    logits = load_file(store.artifact(record.stem))["logits0"]
    error = 100 * float(np.mean(logits.argmax(1) != local.builder.test_labels(run)))
    assert logits.shape == (50, 10)
    assert record.results[0].last_error == pytest.approx(error)
    assert record.recipe["data"]["validation"] == {"seed": 3, "fraction": 0.25, "per_class": None}


def test_it_is_part_of_the_key_and_without_it_no_key_moves(tmp_path: Path) -> None:
    texts = [TINY, changed(TINY, (TRAIN, TRAIN + HELD_OUT)), changed(TINY, (TRAIN, TRAIN + HELD_OUT.replace("3", "4")))]
    keys = [run_of(load(write(tmp_path / str(i), text))).key for i, text in enumerate(texts)]
    assert len({*keys}) == 3
    assert "validation" not in run_of(load(tmp_path / "0" / "recipes")).recipe["data"]


def test_ensembles_are_measured_on_it_too(tmp_path: Path) -> None:
    column = ("columns: [error, trcost, tecost]", "columns: [error, ensemble]\nnets: 2")
    found = load(write(tmp_path, changed(TINY, (TRAIN, TRAIN + HELD_OUT), column)))
    recipe = plan(found, ["tiny"], "paper").ensembles["tiny", "vanilla"][0].recipe
    assert recipe["data"].keys() == {"set", "train", "validation"}


def test_smoke_holds_some_out_of_its_few_images(held_out: Library) -> None:
    run = plan(held_out, ["tiny"], "smoke").rows["tiny", "vanilla"][1]
    assert (images_of(run, "train"), images_of(run, "test")) == (192, 64)


def test_a_report_says_so(held_out: Library, tmp_path: Path) -> None:
    report = build(held_out, "tiny", Store(tmp_path), Costs.read(tmp_path / "costs.json"))
    assert report.footnotes == ("measured on the training images that are held out (validation), not on the test set",)
    assert all(line.marks["label"] == (1,) for line in report.lines)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("{fraction: 1, seed: 0}", "leaves no image to train on"),
        ("{seed: 0}", "give fraction or per_class, one of the two"),
        ("{per_class: 500, seed: 0}", "leaves no image to train on"),
        ("all", "expected keys and values or null"),
    ],
)
def test_a_part_that_is_none(tmp_path: Path, part: str, says: str) -> None:
    with pytest.raises(RecipeError, match=f"row plain.data.validation: {says}"):
        library(tmp_path, ("  train: all\n", f"  train: all\n  validation: {part}\n"))


def test_a_teacher_that_may_have_seen_what_is_held_out(tmp_path: Path) -> None:
    text = changed(
        SMALL,
        (
            "    teacher: large#1\n    assumed",
            "    teacher: large#1\n    data: {validation: {fraction: 0.1, seed: 0}}\n    assumed",
        ),
    )
    with pytest.raises(
        RecipeError, match=r"small/large is not trained on the images of this stage, so it may have seen"
    ):
        load(write(tmp_path, text))
