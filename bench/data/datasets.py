"""Image sets as uint8 arrays in one canonical order, checked against the registry's fingerprint."""

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.names import CLASSES, LAYOUTS, class_names
from bench.errors import DataError
from bench.registry import SETS, DataSet
from bench.schema import nearest

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]

_TORCHVISION = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "mnist": "MNIST", "fashionmnist": "FashionMNIST"}

# What numpy's and torchvision's readers raise on a file that is cut short or is something else.
_UNREADABLE = (OSError, EOFError, RuntimeError, ValueError, TypeError, KeyError, IndexError, AssertionError)
_UNREADABLE_NPZ = (*_UNREADABLE, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Images:
    """A set: images uint8 (N, H, W, C), labels int64 (N,), class names in label order."""

    train_x: Pixels
    train_y: Labels
    test_x: Pixels
    test_y: Labels
    classes: tuple[str, ...]


def load(name: str, folder: Path | None, download: bool = False) -> Images:
    """The set ``name`` in canonical order, from ``folder`` (synthetic sets need none).

    Raises ``DataError`` when the set is unknown, absent or not the one that its fingerprint stands for.
    """
    entry = _entry(name)
    raw = entry.load()(name, folder, download)
    _check_shape(name, entry, raw)
    images = canonical(raw)
    found = fingerprint(images)
    if not entry.fingerprint:
        raise DataError(f'{name}: its line in bench/registry.py needs fingerprint="{found}", that of these images')
    if found != entry.fingerprint:
        raise DataError(
            f"{name}: the fingerprint of these images is {found}, that of the published set is {entry.fingerprint}: "
            f"images or labels differ or are damaged. Remove the set's files{f' from {folder}' if folder else ''} "
            f"and run 'kdbench prepare {name}', or name the folder of an intact copy with --data FOLDER."
        )
    return images


def canonical(images: Images) -> Images:
    """The same images, train and test each ordered by label, then by the sha256 digest of the image's bytes."""
    train, test = _order(images.train_x, images.train_y), _order(images.test_x, images.test_y)
    return Images(
        images.train_x[train], images.train_y[train], images.test_x[test], images.test_y[test], images.classes
    )


def fingerprint(images: Images) -> str:
    """The first 16 hex characters of the sha256 over shapes, images and labels, train then test, as they are ordered.

    It stands for a set only when taken of ``canonical(images)``. Class names do not count.
    """
    digest = hashlib.sha256()
    for x, y in ((images.train_x, images.train_y), (images.test_x, images.test_y)):
        digest.update(repr(x.shape).encode())
        digest.update(np.ascontiguousarray(x).data)
        digest.update(y.astype("<i8").data)
    return digest.hexdigest()[:16]


def available(name: str, folder: Path | None) -> bool:
    """Whether the files of a set are there; contents are not read. Sets that are made always are."""
    if _entry(name).made:
        return True
    return folder is not None and (_npz(name, folder).is_file() or _has_layout(name, folder))


def from_npz(name: str, folder: Path | None, download: bool) -> Images:
    """A set from ``<name>.npz`` in the folder: train_x, train_y, test_x, test_y. It cannot be downloaded.

    Class names, if the archive has any, are not read: those of known sets are known, and the fingerprint proves that
    the labels are theirs; others are numbered.
    """
    path = _npz(name, folder or Path())
    if not path.is_file():
        raise DataError(f"{name}: there is no {path}. {_ways(name)}")
    try:
        # numpy leaves a file that it opened itself open when it turns out to be no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            train_x, train_y, test_x, test_y = (archive[key] for key in ("train_x", "train_y", "test_x", "test_y"))
    except _UNREADABLE_NPZ as error:
        raise DataError(f"{name}: {path} cannot be read ({_reason(error)}). {_ways(name)}") from error
    names = class_names(name, SETS[name].classes)
    return Images(_pixels(train_x), _labels(train_y), _pixels(test_x), _labels(test_y), names)


def from_torchvision(name: str, folder: Path | None, download: bool) -> Images:
    """A set from ``<name>.npz`` in the folder, else from torchvision's layout there, downloaded when asked."""
    if folder is None:
        raise DataError(f"{name}: no data folder was given. {_ways(name)}")
    if _npz(name, folder).is_file():
        return from_npz(name, folder, download)
    if not download and not _has_layout(name, folder):
        raise DataError(f"{name}: not found in {folder}. {_ways(name)}")
    return _from_layout(name, folder, download)


def _entry(name: str) -> DataSet:
    if name not in SETS:
        raise DataError(f"no data set {name!r}; {nearest(name, SETS)}")
    return SETS[name]


def _npz(name: str, folder: Path) -> Path:
    return folder / f"{name}.npz"


def _has_layout(name: str, folder: Path) -> bool:
    return name in LAYOUTS and all((folder / file).is_file() for file in LAYOUTS[name])


def _ways(name: str) -> str:
    if name not in LAYOUTS:
        return f"Name the folder that has {name}.npz (train_x, train_y, test_x, test_y) with --data FOLDER"
    return (
        f"Ways to get it:\n  kdbench prepare {name}    downloads it through torchvision"
        f"\n  --data FOLDER    a folder with torchvision's layout ({LAYOUTS[name][0]}, ...)"
        f"\n  --data FOLDER    a folder with {name}.npz (train_x, train_y, test_x, test_y)"
    )


def _from_layout(name: str, folder: Path, download: bool) -> Images:
    """Read by torchvision, which compares every CIFAR file's md5 with its own constants before it unpickles any."""
    import torchvision.datasets

    reader = getattr(torchvision.datasets, _TORCHVISION[name])
    try:
        train = reader(folder, train=True, download=download)
        test = reader(folder, train=False, download=False)
    except _UNREADABLE as error:
        what = f"could not be downloaded to {folder}" if download else f"cannot be read from {folder}"
        raise DataError(f"{name}: {what} ({_reason(error)}). {_ways(name)}") from error
    return Images(
        _pixels(np.asarray(train.data)),
        _labels(np.asarray(train.targets)),
        _pixels(np.asarray(test.data)),
        _labels(np.asarray(test.targets)),
        CLASSES[name],
    )


def _reason(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__


def _pixels(x: NDArray[np.generic]) -> Pixels:
    """Images with a channel axis, as they are: a type other than uint8 is refused by the shape check, not rounded."""
    return x[..., None] if x.ndim == 3 else x  # type: ignore[return-value]


def _labels(y: NDArray[np.generic]) -> Labels:
    return y.astype(np.int64) if y.dtype.kind in "iu" else y  # type: ignore[return-value]


def _order(x: Pixels, y: Labels) -> NDArray[np.intp]:
    digests = b"".join(hashlib.sha256(image).digest() for image in np.ascontiguousarray(x))
    words = np.frombuffer(digests, dtype=">u8").reshape(len(x), 4)
    return np.lexsort((words[:, 3], words[:, 2], words[:, 1], words[:, 0], y))


def _check_shape(name: str, entry: DataSet, images: Images) -> None:
    for split, x, y, count in (
        ("train", images.train_x, images.train_y, entry.train),
        ("test", images.test_x, images.test_y, entry.test),
    ):
        shape = (count, entry.size, entry.size, entry.channels)
        if x.shape != shape or x.dtype != np.uint8:
            raise DataError(f"{name}: {split} images are {x.dtype} {x.shape}, expected uint8 {shape}")
        if y.shape != (count,) or y.dtype != np.int64:
            raise DataError(f"{name}: {split} labels are {y.dtype} {y.shape}, expected whole numbers ({count},)")
        if y.min() < 0 or y.max() >= entry.classes:
            raise DataError(f"{name}: {split} labels go from {y.min()} to {y.max()}, expected 0 to {entry.classes - 1}")
