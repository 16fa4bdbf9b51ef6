"""Uniform label smoothing of equal mass: the control that tells whether FFDWV's words matter."""

from typing import Literal

import torch
from torch import Tensor

from bench.data.wordvectors import soft_labels
from bench.methods.base import SoftLabels


class LabelSmoothing(SoftLabels):
    """L = CE(y, p) + KL(U_y || p): U_y keeps the own class's mass of FFDWV's S_y and spreads the rest evenly.

    CE + KL(S_y || p) is label smoothing with the target (y + S_y) / 2 (up to a factor of 2 and a constant), so the only
    difference between FFDWV and this is where the mass off the own class goes.

    Args:
        classes: number of classes C.
        words: (C, C) distances between the class words, as for FFDWV.
        reading: as for FFDWV.
    """

    def __init__(self, classes: int, words: Tensor, reading: Literal["vectors", "rows"]) -> None:
        own = torch.from_numpy(soft_labels(words.numpy(), reading)).diagonal()
        rest = ((1 - own) / (classes - 1))[:, None].expand(classes, classes)
        super().__init__(classes, torch.diagonal_scatter(rest, own))
