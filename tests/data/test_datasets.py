import pickle
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.datasets import Dataset, DatasetInfo, TorchvisionSet, canonical, fingerprint
from bench.errors import DataError
from bench.registry import SETS

REAL = sorted(name for name, info in SETS.items() if isinstance(info, TorchvisionSet))


@cache
def loaded(name: str, folder: Path) -> Dataset:
    return SETS[name].load(folder)


def real(name: str, folder: Path) -> Dataset:
    if not SETS[name].available(folder):
        pytest.skip(f"{name} is not in {folder}")
    return loaded(name, folder)


def tiny(seed: int = 0) -> Dataset:
    """Few images of few values, so that equal images and equal labels occur."""
    draws = np.random.default_rng(seed)
    x, y = draws.integers(0, 2, size=(30, 2, 1, 1), dtype=np.uint8), draws.integers(0, 3, size=30)
    return Dataset(x[:20], y[:20], x[20:], y[20:])


def shuffled(images: Dataset, seed: int) -> Dataset:
    draws = np.random.default_rng(seed)
    train, test = draws.permutation(len(images.train_y)), draws.permutation(len(images.test_y))
    return Dataset(images.train_x[train], images.train_y[train], images.test_x[test], images.test_y[test])


def save_npz(path: Path, images: Dataset, **changes: np.ndarray) -> None:
    arrays = {key: getattr(images, key) for key in ("train_x", "train_y", "test_x", "test_y")}
    np.savez(path, **(arrays | changes))


@given(st.integers(0, 2**32), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_canonical_order_forgets_the_order_of_the_input(content, order):
    images = tiny(content)
    first, second = canonical(images), canonical(shuffled(images, order))
    for key in ("train_x", "train_y", "test_x", "test_y"):
        np.testing.assert_array_equal(getattr(first, key), getattr(second, key))
    assert (np.diff(first.train_y) >= 0).all()
    assert fingerprint(first) == fingerprint(second)


def test_fingerprint_sees_every_pixel_every_label_and_the_split():
    images = canonical(tiny())
    pixel, label = images.test_x.copy(), images.train_y.copy()
    pixel[-1, -1] ^= 1
    label[0] += 1
    halves = replace(
        images,
        train_x=images.train_x[:-1],
        train_y=images.train_y[:-1],
        test_x=np.concatenate([images.train_x[-1:], images.test_x]),
        test_y=np.concatenate([images.train_y[-1:], images.test_y]),
    )
    changed = [replace(images, test_x=pixel), replace(images, train_y=label), halves]
    assert len({fingerprint(each) for each in [images, *changed]}) == 4


@pytest.mark.parametrize("name", REAL)
def test_the_real_sets_load_with_the_registry_fingerprint(name, data_root):
    images = real(name, data_root)
    entry = SETS[name]
    assert images.train_x.shape == (entry.train, entry.size, entry.size, entry.channels)
    assert (images.train_y.dtype, images.test_y.dtype) == (np.int64, np.int64)


def test_pickles_and_npz_give_the_same_images(data_root, tmp_path):
    images = real("cifar10", data_root)
    save_npz(tmp_path / "cifar10.npz", shuffled(images, 1), classes=np.array(SETS["cifar10"].class_names))
    again = SETS["cifar10"].load(tmp_path)
    np.testing.assert_array_equal(again.train_x, images.train_x)
    np.testing.assert_array_equal(again.test_y, images.test_y)


def test_idx_files_and_npz_without_a_channel_axis_give_the_same_images(data_root, tmp_path):
    images = real("mnist", data_root)
    save_npz(tmp_path / "mnist.npz", images, train_x=images.train_x[..., 0], train_y=images.train_y.astype(np.uint8))
    np.testing.assert_array_equal(SETS["mnist"].load(tmp_path).train_x, images.train_x)


def test_a_changed_pixel_is_refused(data_root, tmp_path):
    images = real("mnist", data_root)
    other = images.train_x.copy()
    other[5, 3, 3] ^= 1
    save_npz(tmp_path / "mnist.npz", images, train_x=other)
    with pytest.raises(DataError, match=r"mnist: the fingerprint of these images is .*kdbench prepare mnist"):
        SETS["mnist"].load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train_x": np.zeros((3, 28, 28), np.uint8)}, r"train images are uint8 \(3, 28, 28, 1\)"),
        ({"test_x": np.zeros((10000, 28, 28), np.float32)}, "test images are float32"),
        ({"test_y": np.zeros(10000, np.float64)}, "test labels are float64"),
        ({"test_y": np.full(10000, 10)}, "go from 10 to 10, expected 0 to 9"),
    ],
)
def test_wrong_shapes_and_labels_are_named(tmp_path, changes, says):
    arrays = Dataset(
        np.zeros((60000, 28, 28), np.uint8),
        np.zeros(60000, np.int64),
        np.zeros((10000, 28, 28), np.uint8),
        np.zeros(10000, np.int64),
    )
    save_npz(tmp_path / "mnist.npz", arrays, **changes)
    with pytest.raises(DataError, match=f"mnist: .*{says}"):
        SETS["mnist"].load(tmp_path)


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_pickle_with_a_wrong_digest_is_refused_unread(name, tmp_path):
    trace = tmp_path / "unpickled"
    for file in SETS[name].files:
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps({"data": Bomb(trace), "labels": []}))
    with pytest.raises(DataError, match=f"{name}: cannot be read from"):
        SETS[name].load(tmp_path)
    assert not trace.exists()
    pickle.loads(path.read_bytes())
    assert trace.exists()


@pytest.mark.parametrize("bad", ["test_batch", "batches.meta"])
def test_one_bad_pickle_among_good_ones_is_never_unpickled(bad, data_root, tmp_path):
    if not all((data_root / file).is_file() for file in SETS["cifar10"].files):
        pytest.skip(f"the CIFAR-10 pickles are not in {data_root}")
    trace = tmp_path / "unpickled"
    for file in SETS["cifar10"].files:
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        if path.name == bad:
            path.write_bytes(pickle.dumps(Bomb(trace)))
        else:
            path.symlink_to((data_root / file).resolve())
    with pytest.raises(DataError, match="cifar10: cannot be read"):
        SETS["cifar10"].load(tmp_path)
    assert not trace.exists()


def test_objects_in_an_npz_are_refused_unread(tmp_path):
    trace = tmp_path / "unpickled"
    save_npz(tmp_path / "mnist.npz", tiny(), train_x=np.array([Bomb(trace)], dtype=object))
    with pytest.raises(DataError, match=r"mnist.npz cannot be read \(Object arrays cannot be loaded"):
        SETS["mnist"].load(tmp_path)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 cut short"])
def test_a_broken_npz_is_one_clear_error(content, tmp_path):
    (tmp_path / "cifar10.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"cifar10: .*cifar10.npz cannot be read"):
        SETS["cifar10"].load(tmp_path)


def test_an_npz_without_an_array_names_it(tmp_path):
    np.savez(tmp_path / "mnist.npz", train_x=np.zeros(1))
    with pytest.raises(DataError, match="train_y is not a file in the archive"):
        SETS["mnist"].load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\0\0\x08\x03" + b"\0" * 12])
def test_broken_idx_files_are_one_clear_error(content, tmp_path):
    for file in SETS["mnist"].files:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with pytest.raises(DataError, match="mnist: "):
        SETS["mnist"].load(tmp_path)


@pytest.mark.parametrize("folder", [None, Path("nowhere")])
@pytest.mark.parametrize("name", REAL)
def test_an_absent_set_lists_the_ways_to_get_it(name, folder):
    with pytest.raises(DataError) as caught:
        SETS[name].load(folder)
    first, *ways = str(caught.value).splitlines()
    assert first.startswith(f"{name}: no")
    assert [way.split("  ")[1] for way in ways] == [f"kdbench prepare {name}", "--data FOLDER", "--data FOLDER"]
    assert f"{name}.npz" in ways[-1]


def test_a_failed_download_says_why(tmp_path, monkeypatch):
    def fails(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", fails)
    with pytest.raises(DataError, match=r"cifar10: could not be downloaded to .* \(no route to host\)"):
        SETS["cifar10"].load(tmp_path, download=True)


def test_available_reads_no_contents(tmp_path):
    assert SETS["synthetic10"].available(tmp_path)
    assert not SETS["cifar10"].available(tmp_path)
    (tmp_path / "cifar10.npz").touch()
    assert SETS["cifar10"].available(tmp_path)
    for file in SETS["mnist"].files:
        assert not SETS["mnist"].available(tmp_path)
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert SETS["mnist"].available(tmp_path)


def test_class_names_are_the_official_ones(data_root):
    assert SETS["mnist"].class_names == tuple(torchvision.datasets.MNIST.classes)
    assert SETS["fashionmnist"].class_names == tuple(torchvision.datasets.FashionMNIST.classes)
    if (data_root / "cifar100.npz").is_file():
        with np.load(data_root / "cifar100.npz") as archive:
            assert SETS["cifar100"].class_names == tuple(archive["classes"])
    if (data_root / "cifar-10-batches-py").is_dir():
        assert SETS["cifar10"].class_names == tuple(torchvision.datasets.CIFAR10(data_root).classes)


def test_every_torchvision_set_has_names_files_and_a_reader():
    assert REAL == ["cifar10", "cifar100", "fashionmnist", "mnist"]
    for name in REAL:
        assert len(SETS[name].class_names) == SETS[name].classes
        assert SETS[name].files
        assert hasattr(torchvision.datasets, SETS[name].reader)
        assert SETS[SETS[name].stand_in].synthetic


def test_datasets_imports_no_torch():
    code = (
        "import sys, bench.data.datasets, bench.data.synthetic, bench.data.wordvectors; print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


OWN = DatasetInfo("own", classes=3, channels=1, size=4, train=6, test=3)


def write_own(folder: Path) -> None:
    """An archive of 6 training and 3 test images of 3 classes."""
    x = np.arange(9 * 16, dtype=np.uint8).reshape(9, 4, 4)
    y = np.arange(9) % 3
    np.savez(folder / "own.npz", train_x=x[:6], train_y=y[:6], test_x=x[6:], test_y=y[6:])


def test_a_set_of_ones_own_says_its_fingerprint_then_loads(tmp_path):
    write_own(tmp_path)
    assert OWN.available(tmp_path)
    with pytest.raises(DataError, match=r'needs fingerprint="([0-9a-f]{16})"') as told:
        OWN.load(tmp_path)
    images = replace(OWN, fingerprint=str(told.value).split('"')[1]).load(tmp_path)
    assert OWN.shown_names == ("0", "1", "2")
    assert images.train_y.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_set_of_ones_own_that_is_absent(tmp_path):
    write_own(tmp_path)
    assert not OWN.available(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="--data FOLDER"):
        OWN.load(tmp_path / "elsewhere")
