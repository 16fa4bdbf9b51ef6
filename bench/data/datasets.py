"""Image sets as uint8 arrays in one canonical order, checked against the fingerprint of the published set."""

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]

# What numpy's and torchvision's readers raise on a file that is cut short or is something else.
_UNREADABLE = (OSError, EOFError, RuntimeError, ValueError, TypeError, KeyError, IndexError, AssertionError)
_UNREADABLE_NPZ = (*_UNREADABLE, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Dataset:
    """A set: images uint8 (N, H, W, C) and labels int64 of both splits, (N,) or, one a pixel, (N, H, W)."""

    train_x: Pixels
    train_y: Labels
    test_x: Pixels
    test_y: Labels


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a set without its files; this base reads ``<name>.npz`` from the data folder.

    Another kind of files is a subclass with a :meth:`read` and an :meth:`available` of its own.

    Args:
        name: as recipes call it.
        classes: their number.
        channels: of an image.
        size: side of an image.
        train: number of training images.
        test: number of test images.
        fingerprint: of its canonical order; part of every key, and what refuses other images. Left out at first, the
            error says what it is.
        class_names: in label order; none if the classes have only numbers.
        stand_in: the synthetic set that the smoke profile takes in its place.
        synthetic: whether it is made by a procedure, and so always at hand.
        version: raised when the same files come to other images.
        dense: whether each pixel has a label of its own: labels are (N, size, size).
    """

    name: str
    classes: int
    channels: int
    size: int
    train: int
    test: int
    fingerprint: str = ""
    class_names: tuple[str, ...] = ()
    stand_in: str | None = None
    synthetic: bool = False
    version: int = 1
    dense: bool = False

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Of an image's labels: () where it has one."""
        return (self.size, self.size) if self.dense else ()

    def read(self, folder: Path | None, download: bool) -> Dataset:
        """The set as its files have it, fetched first if that was asked for and can be done.

        Raises:
            DataError: it is not there or cannot be read; the message says how to get it.
        """
        return self._from_npz(folder or Path())

    def available(self, folder: Path) -> bool:
        """Whether its files are there; contents are not read."""
        return self._npz(folder).is_file()

    @property
    def shown_names(self) -> tuple[str, ...]:
        """The names of its classes; their numbers where it has none."""
        return self.class_names or tuple(map(str, range(self.classes)))

    def load(self, folder: Path | None, download: bool = False) -> Dataset:
        """The set in canonical order, from ``folder`` (a synthetic one needs none).

        Raises:
            DataError: it is absent, or not the set that its fingerprint stands for.
        """
        raw = self.read(folder, download)
        self._check_shape(raw)
        dataset = canonical(raw)
        made = fingerprint(dataset)
        if not self.fingerprint:
            raise DataError(f'{self.name}: its declaration needs fingerprint="{made}", that of these images')
        if made != self.fingerprint:
            raise DataError(
                f"{self.name}: the fingerprint of these images is {made}, that of the published set is"
                f" {self.fingerprint}: images or labels differ or are damaged. Remove the set's files"
                f"{f' from {folder}' if folder else ''} and run 'kdbench prepare {self.name}', or name the folder of an"
                " intact copy with --data FOLDER."
            )
        return dataset

    def _npz(self, folder: Path) -> Path:
        return folder / f"{self.name}.npz"

    def _from_npz(self, folder: Path) -> Dataset:
        """From an archive of train_x, train_y, test_x and test_y.

        Class names, if the archive has any, are not read: the fingerprint proves that the labels are the known ones.
        """
        path = self._npz(folder)
        if not path.is_file():
            raise DataError(f"{self.name}: there is no {path}. {self._ways()}")
        try:
            # numpy leaves a file that it opened itself open when it turns out to be no archive.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                arrays = [archive[key] for key in ("train_x", "train_y", "test_x", "test_y")]
        except _UNREADABLE_NPZ as error:
            raise DataError(f"{self.name}: {path} cannot be read ({_reason(error)}). {self._ways()}") from error
        return from_arrays(*arrays)

    def _ways(self) -> str:
        """How a person gets the set."""
        return f"Name the folder that has {self.name}.npz (train_x, train_y, test_x, test_y) with --data FOLDER"

    def _check_shape(self, dataset: Dataset) -> None:
        for split, x, y, count in (
            ("train", dataset.train_x, dataset.train_y, self.train),
            ("test", dataset.test_x, dataset.test_y, self.test),
        ):
            shape = (count, self.size, self.size, self.channels)
            if x.shape != shape or x.dtype != np.uint8:
                raise DataError(f"{self.name}: {split} images are {x.dtype} {x.shape}, expected uint8 {shape}")
            shape_of_labels = (count, *self.label_shape)
            if y.shape != shape_of_labels or y.dtype != np.int64:
                expected = f"expected whole numbers {shape_of_labels}"
                raise DataError(f"{self.name}: {split} labels are {y.dtype} {y.shape}, {expected}")
            if y.min() < 0 or y.max() >= self.classes:
                raise DataError(
                    f"{self.name}: {split} labels go from {y.min()} to {y.max()}, expected 0 to {self.classes - 1}"
                )


@dataclass(frozen=True)
class TorchvisionSet(DatasetInfo):
    """A set from ``<name>.npz``, else from torchvision's layout, which torchvision downloads when asked.

    Args:
        reader: the name of torchvision's class.
        files: that its layout has, relative to the data folder.
    """

    reader: str = ""
    files: tuple[str, ...] = ()

    def read(self, folder: Path | None, download: bool) -> Dataset:
        """Read by torchvision, which compares every CIFAR file's md5 with its own constants before it unpickles any."""
        if folder is None:
            raise DataError(f"{self.name}: no data folder was given. {self._ways()}")
        if self._npz(folder).is_file():
            return self._from_npz(folder)
        if not download and not self._has_layout(folder):
            raise DataError(f"{self.name}: not found in {folder}. {self._ways()}")
        import torchvision.datasets

        reader = getattr(torchvision.datasets, self.reader)
        try:
            train = reader(folder, train=True, download=download)
            test = reader(folder, train=False, download=False)
        except _UNREADABLE as error:
            what = f"could not be downloaded to {folder}" if download else f"cannot be read from {folder}"
            raise DataError(f"{self.name}: {what} ({_reason(error)}). {self._ways()}") from error
        return from_arrays(
            np.asarray(train.data), np.asarray(train.targets), np.asarray(test.data), np.asarray(test.targets)
        )

    def available(self, folder: Path) -> bool:
        """Whether an archive or the whole layout is there."""
        return self._npz(folder).is_file() or self._has_layout(folder)

    def _has_layout(self, folder: Path) -> bool:
        return all((folder / file).is_file() for file in self.files)

    def _ways(self) -> str:
        return (
            f"Ways to get it:\n  kdbench prepare {self.name}    downloads it through torchvision"
            f"\n  --data FOLDER    a folder with torchvision's layout ({self.files[0]}, ...)"
            f"\n  --data FOLDER    a folder with {self.name}.npz (train_x, train_y, test_x, test_y)"
        )


def from_arrays(
    train_x: NDArray[np.generic],
    train_y: NDArray[np.generic],
    test_x: NDArray[np.generic],
    test_y: NDArray[np.generic],
) -> Dataset:
    """A set from arrays as files have them: a channel axis is added where there is none, labels become int64.

    What is not uint8 or whole numbers stays as it is, and is refused by the shape check, not rounded.
    """
    return Dataset(_pixels(train_x), _labels(train_y), _pixels(test_x), _labels(test_y))


def canonical(dataset: Dataset) -> Dataset:
    """The same images, train and test each ordered by label, then by the sha256 digest of the image's bytes.

    Where pixels have labels, by the digest of the image's bytes and its labels' alone.
    """
    train, test = _order(dataset.train_x, dataset.train_y), _order(dataset.test_x, dataset.test_y)
    return Dataset(dataset.train_x[train], dataset.train_y[train], dataset.test_x[test], dataset.test_y[test])


def fingerprint(dataset: Dataset) -> str:
    """The first 16 hex characters of the sha256 over shapes, images and labels, train then test, as they are ordered.

    It stands for a set only when taken of ``canonical(dataset)``. Class names do not count.
    """
    digest = hashlib.sha256()
    for x, y in ((dataset.train_x, dataset.train_y), (dataset.test_x, dataset.test_y)):
        digest.update(repr(x.shape).encode())
        digest.update(np.ascontiguousarray(x).data)
        digest.update(y.astype("<i8").data)
    return digest.hexdigest()[:16]


def _reason(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__


def _pixels(x: NDArray[np.generic]) -> Pixels:
    return x[..., None] if x.ndim == 3 else x  # type: ignore[return-value]


def _labels(y: NDArray[np.generic]) -> Labels:
    return y.astype(np.int64) if y.dtype.kind in "iu" else y  # type: ignore[return-value]


def _order(x: Pixels, y: Labels) -> NDArray[np.intp]:
    dense = y.ndim > 1
    own = (labels.astype("<i8").tobytes() if dense else b"" for labels in y)
    digests = b"".join(
        hashlib.sha256(image.tobytes() + labels).digest()
        for image, labels in zip(np.ascontiguousarray(x), own, strict=True)
    )
    first = np.zeros(len(y), dtype=np.int64) if dense else y
    words = np.frombuffer(digests, dtype=">u8").reshape(len(x), 4)
    return np.lexsort((words[:, 3], words[:, 2], words[:, 1], words[:, 0], first))
