"""A data set from class folders of PNG files: ``data/squares/{train,test}/CLASS/*.png``."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data.datasets import Dataset, DatasetInfo, from_arrays
from bench.errors import DataError


@dataclass(frozen=True)
class ImageFolders(DatasetInfo):
    """A class is a folder; its number is its place in the order of names."""

    def read(self, folder: Path | None, download: bool) -> Dataset:
        """Every file of the two splits."""
        if folder is None or not self.available(folder):
            raise DataError(f"{self.name}: there are no folders {self.name}/train and {self.name}/test in {folder}")
        return from_arrays(*self._split(folder / self.name / "train"), *self._split(folder / self.name / "test"))

    def available(self, folder: Path) -> bool:
        """Whether both splits have a folder."""
        return all((folder / self.name / split).is_dir() for split in ("train", "test"))

    def _split(self, folder: Path) -> tuple[np.ndarray, np.ndarray]:
        from PIL import Image

        files = [
            (label, file) for label, own in enumerate(sorted(folder.iterdir())) for file in sorted(own.glob("*.png"))
        ]
        if not files:
            raise DataError(f"{self.name}: there are no images in {folder}")
        return np.stack([np.asarray(Image.open(file)) for _, file in files]), np.array([label for label, _ in files])


SQUARES = ImageFolders(
    "squares",
    classes=3,
    channels=3,
    size=32,
    train=60,
    test=30,
    fingerprint="fb00285d57ee0240",
    class_names=("large", "middle", "small"),
)
