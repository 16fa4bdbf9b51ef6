"""Images of shapes on textured ground, with the class of every pixel: a segmentation set that needs no download.

All is integer arithmetic, so that every machine makes the same bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.datasets import Dataset, DatasetInfo, Labels, Pixels
from bench.rng import generator

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]

GROUND = 0  # the class of what no shape covers
_FEWEST, _MOST = 2, 5  # shapes in an image
_SMALLEST, _LARGEST = 5, 12  # half the size of a shape, in pixels
_CELL = 8  # pixels along the side of a patch of the ground
_CONTRAST, _NOISE = 32, 32  # of a shape's colour with the ground's, at least; largest change of a pixel, in grey levels

# Whether pixels (y, x), from its centre, are of a shape of half its size r. By class, from 1.
_SHAPES: tuple[Callable[[Numbers, Numbers, int], Mask], ...] = (
    lambda y, x, r: y * y + x * x <= r * r,  # disc
    lambda y, x, r: (abs(y) <= r) & (abs(x) <= r) & ((abs(y) > r // 2) | (abs(x) > r // 2)),  # square frame
    lambda y, x, r: (y <= r) & (2 * abs(x) <= y + r),  # triangle
    lambda y, x, r: (abs(y) <= r) & (abs(x) <= r) & ((3 * abs(y) <= r) | (3 * abs(x) <= r)),  # cross
    lambda y, x, r: abs(y) + abs(x) <= r,  # diamond
)
CLASS_NAMES = ("ground", "disc", "frame", "triangle", "cross", "diamond")


@dataclass(frozen=True)
class ShapesSet(DatasetInfo):
    """Two to five shapes an image, each over those before it, of any colour on patches of any colours, under noise.

    Only its form tells the class of a shape.
    """

    def read(self, folder: Path | None, download: bool) -> Dataset:
        """The images and the label of each of their pixels; there are no files."""
        train, test = (
            self._split(generator(0, f"shapes/{self.name}/{split}"), count)
            for split, count in (("train", self.train), ("test", self.test))
        )
        return Dataset(*train, *test)

    def available(self, folder: Path) -> bool:
        """Always."""
        return True

    def _split(self, draws: np.random.Generator, count: int) -> tuple[Pixels, Labels]:
        images = np.empty((count, self.size, self.size, self.channels), dtype=np.uint8)
        labels = np.empty((count, self.size, self.size), dtype=np.int64)
        for i in range(count):
            images[i], labels[i] = self._image(draws)
        return images, labels

    def _image(self, draws: np.random.Generator) -> tuple[Pixels, Labels]:
        """Pixels (size, size, channels) and their labels (size, size)."""
        size, rows = self.size, np.arange(self.size)
        patches = -(-size // _CELL)
        ground = draws.integers(32, 224, self.channels) + draws.integers(-16, 17, (patches, patches, self.channels))
        pixels = ground.repeat(_CELL, axis=0).repeat(_CELL, axis=1)[:size, :size]
        labels = np.full((size, size), GROUND, dtype=np.int64)
        for _ in range(draws.integers(_FEWEST, _MOST + 1)):
            shape, half = int(draws.integers(len(_SHAPES))), int(draws.integers(_SMALLEST, _LARGEST + 1))
            top, left = draws.integers(0, size, 2)
            inside = _SHAPES[shape](rows[:, None] - top, rows[None, :] - left, half)
            colour = draws.integers(_CONTRAST, 96, self.channels) * draws.choice([-1, 1], self.channels)
            pixels[inside] = (pixels[top, left] + colour) + draws.integers(-16, 17, (size, size, 1))[inside]
            labels[inside] = shape + 1
        noise = draws.integers(-_NOISE, _NOISE + 1, pixels.shape)
        return np.clip(pixels + noise, 0, 255).astype(np.uint8), labels
