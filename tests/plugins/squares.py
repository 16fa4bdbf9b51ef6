"""Images for the data set of class folders: a bright square of three sizes, somewhere."""

from pathlib import Path

import numpy as np
from PIL import Image

SIDES = {"large": 20, "middle": 12, "small": 6}


def write(folder: Path) -> None:
    """``folder/squares/{train,test}/{large,middle,small}/*.png``, 20 and 10 a class."""
    draws = np.random.Generator(np.random.Philox(key=1))
    for split, count in (("train", 20), ("test", 10)):
        for name, side in SIDES.items():
            own = folder / "squares" / split / name
            own.mkdir(parents=True)
            for i in range(count):
                pixels = draws.integers(0, 60, (32, 32, 3), dtype=np.uint8)
                top, left = draws.integers(0, 32 - side, 2)
                pixels[top : top + side, left : left + side] += 150
                Image.fromarray(pixels).save(own / f"{i:02}.png")
