"""The set of shapes, whose pixels have labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.data.datasets import Dataset, canonical, fingerprint
from bench.data.sets import SHAPES
from bench.data.shapes import GROUND
from bench.errors import DataError


@pytest.fixture(scope="module")
def made() -> Dataset:
    return SHAPES.load(None)


def test_every_machine_makes_the_same_bytes(made: Dataset) -> None:
    assert fingerprint(made) == SHAPES.fingerprint
    assert SHAPES.available(Path("nowhere"))


def test_every_pixel_has_a_label_and_every_image_some_shape(made: Dataset) -> None:
    for x, y, count in ((made.train_x, made.train_y, SHAPES.train), (made.test_x, made.test_y, SHAPES.test)):
        assert (x.shape, x.dtype) == ((count, 48, 48, 3), np.uint8)
        assert (y.shape, y.dtype) == ((count, 48, 48), np.int64)
        shares = np.bincount(y.ravel(), minlength=SHAPES.classes) / y.size
        assert len(shares) == len(SHAPES.class_names)
        assert shares[GROUND] == shares.max() < 0.8
        assert shares.min() > 0.03
        assert (y.reshape(count, -1).max(1) > GROUND).all()


def test_no_test_image_is_a_training_image(made: Dataset) -> None:
    train, test = ({image.tobytes() for image in x} for x in (made.train_x, made.test_x))
    assert len(train) == SHAPES.train
    assert not train & test


def test_the_order_of_files_does_not_count(made: Dataset) -> None:
    order = np.random.default_rng(1).permutation(len(made.test_x))
    mixed = Dataset(made.train_x[::-1], made.train_y[::-1], made.test_x[order], made.test_y[order])
    assert fingerprint(canonical(mixed)) == SHAPES.fingerprint


def test_one_other_label_is_another_set(made: Dataset) -> None:
    labels = made.test_y.copy()
    labels[0, 0, 0] = (labels[0, 0, 0] + 1) % SHAPES.classes
    assert fingerprint(canonical(replace(made, test_y=labels))) != SHAPES.fingerprint


def test_labels_of_images_are_refused(tmp_path: Path, made: Dataset) -> None:
    class FromFile(type(SHAPES)):
        read = type(SHAPES).__base__.read

    labels = made.train_y[:, 0, 0], made.test_y[:, 0, 0]
    np.savez(tmp_path / "shapes.npz", train_x=made.train_x, train_y=labels[0], test_x=made.test_x, test_y=labels[1])
    info = FromFile(**vars(SHAPES))
    with pytest.raises(DataError, match=r"train labels are int64 \(2000,\), expected whole numbers \(2000, 48, 48\)"):
        info.load(tmp_path)
