"""Balanced subsets of a set's images."""

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.rng import generator


def subset(labels: NDArray[np.int64], fraction: float | None, per_class: int | None, seed: int) -> NDArray[np.int64]:
    """Sorted indices of a balanced subset of the images whose labels (N,) are given; all when neither size is given.

    ``per_class`` images of every class, or ``fraction`` of all images spread evenly over the classes (the
    remainder over classes drawn at random; a class that runs out leaves its share to the others). Of one seed, a
    smaller subset lies within a larger one. Raises ``DataError`` when there are too few images.
    """
    present, sizes = np.unique(labels, return_counts=True)
    if per_class is not None and per_class > sizes.min():
        scarce = present[sizes.argmin()]
        raise DataError(f"{per_class} images a class were asked for, but class {scarce} has {sizes.min()}")
    draws = generator(seed, "subset")
    members = [draws.permutation(np.flatnonzero(labels == label)) for label in present]
    ranks = np.concatenate([np.arange(size) for size in sizes])
    turns = np.repeat(draws.permutation(len(present)), sizes)
    if per_class is not None:
        count = per_class * len(present)
    else:
        count = len(labels) if fraction is None else round(fraction * len(labels))
    if count == 0:
        raise DataError(f"a fraction {fraction} of {len(labels)} images is no image")
    return np.sort(np.concatenate(members)[np.lexsort((turns, ranks))[:count]])
