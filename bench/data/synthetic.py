"""Small learnable image sets made by integer arithmetic, so that every machine makes the same bytes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.datasets import Dataset, DatasetInfo
from bench.rng import generator

_BLOCKS = 4  # colour blocks along a template's side
_SHIFT, _BRIGHTNESS, _NOISE = 3, 32, 80  # largest offset in pixels, largest change in grey levels


@dataclass(frozen=True)
class SyntheticSet(DatasetInfo):
    """A class is a template of coarse colour blocks; an image is its template moved by a few pixels, brightened or
    darkened, under integer noise. Labels are balanced, and sizes are those of the declaration.
    """

    def read(self, folder: Path | None, download: bool) -> Dataset:
        """The images; there are no files."""
        draws = generator(0, f"synthetic/{self.name}")
        templates = _templates(draws, self.classes, self.size, self.channels)
        train_y = np.arange(self.train, dtype=np.int64) % self.classes
        test_y = np.arange(self.test, dtype=np.int64) % self.classes
        train_x, test_x = _images(draws, templates, train_y), _images(draws, templates, test_y)
        return Dataset(train_x, train_y, test_x, test_y)

    def available(self, folder: Path) -> bool:
        """Always."""
        return True


def _templates(draws: np.random.Generator, classes: int, size: int, channels: int) -> NDArray[np.int64]:
    """One template a class: (classes, size, size, channels), values 48 to 207."""
    blocks = draws.integers(48, 208, size=(classes, _BLOCKS, _BLOCKS, channels))
    return blocks.repeat(size // _BLOCKS, axis=1).repeat(size // _BLOCKS, axis=2)


def _images(draws: np.random.Generator, templates: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """One image a label: uint8 (N, size, size, channels)."""
    count, size = len(labels), templates.shape[1]
    rows, columns = draws.integers(-_SHIFT, _SHIFT + 1, size=(2, count, 1)) + np.arange(size)
    moved = templates[labels[:, None, None], rows[:, :, None] % size, columns[:, None, :] % size]
    brightness = draws.integers(-_BRIGHTNESS, _BRIGHTNESS + 1, size=(count, 1, 1, 1))
    noise = draws.integers(-_NOISE, _NOISE + 1, size=moved.shape)
    images: NDArray[np.uint8] = np.clip(moved + brightness + noise, 0, 255).astype(np.uint8)
    return images
