"""Features of a student beside those of its teacher: which are compared, and at which size.

Torch is imported in the functions, so that the methods that are made of them can be planned without it.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bench.errors import RecipeError
from bench.methods.losses import full
from bench.networks.base import Features, shape_of

if TYPE_CHECKING:
    from torch import Tensor

    from bench.networks.modules.base import Output


def stages(names: Iterable[str]) -> list[str]:
    """Those of some features that are what a stage gives, in order: stage1, stage2, ..."""
    return [name for name in names if re.fullmatch(r"stage\d+", name)]


def compare_stages(student: Features, teacher: Features) -> None:
    """Refuse networks that do not have as many stages (RecipeError)."""
    for features, whose in ((student, "student"), (teacher, "teacher")):
        shape_of(features, "stage1", whose)
    own, other = len(stages(student)), len(stages(teacher))
    if own != other:
        raise RecipeError(f"the student has {own} stages and the teacher {other}, and one is compared with one")


def compare_pools(student: Features, teacher: Features) -> None:
    """Refuse networks without a feature ``pool`` (RecipeError)."""
    for features, whose in ((student, "student"), (teacher, "teacher")):
        shape_of(features, "pool", whose)


def compare_sizes(student: Features, teacher: Features, names: Iterable[str]) -> None:
    """Refuse features that no convolution of :func:`bench.methods.modules.regression` makes equal (RecipeError)."""
    for name in names:
        own, other = shape_of(student, name, "student")[1], shape_of(teacher, name, "teacher")[1]
        if own < other and 2 * own != other:
            raise RecipeError(
                f"{name!r} is {own} pixels wide in the student and {other} in the teacher; a convolution makes it"
                " smaller or twice as wide"
            )


def pairs_of_stages(student: "Output", teacher: "Output", place: str = "") -> "list[tuple[Tensor, Tensor]]":
    """What each stage gives in both networks, (N, C, h, w) and (N, D, H, W), or what it has at a ``place``."""
    names = [f"{name}{place}" for name in stages(student.features)]
    return [(full(student.features[name]), full(teacher.features[name])) for name in names]


def pair_of_pools(student: "Output", teacher: "Output") -> "tuple[Tensor, Tensor]":
    """The features of both networks after the global mean, (N, C) and (N, D)."""
    return full(student.features["pool"]), full(teacher.features["pool"])


def of_one_size(one: "Tensor", other: "Tensor") -> "tuple[Tensor, Tensor]":
    """Two feature maps (N, ·, h, h) and (N, ·, H, H): the larger one is averaged down to the smaller."""
    from torch.nn.functional import adaptive_avg_pool2d

    side = min(one.shape[2], other.shape[2])
    first, second = (f if f.shape[2] == side else adaptive_avg_pool2d(f, (side, side)) for f in (one, other))
    return first, second
