"""FFDWV: soft labels from the distances between the class words (Zou, eq. 6 to 9)."""

from typing import Literal

import torch
from torch import Tensor

from bench.data.wordvectors import soft_labels
from bench.methods.base import SoftLabels


class FFDWV(SoftLabels):
    """L = CE(y, p) + KL(S_y || p), where S_y is row y of softmax(-d) (eq. 7).

    Args:
        classes: number of classes C.
        words: (C, C) distances between the class words.
        reading: of eq. 6: ``vectors`` takes d as given; ``rows`` takes the Euclidean distances between d's rows.
    """

    def __init__(self, classes: int, words: Tensor, reading: Literal["vectors", "rows"]) -> None:
        super().__init__(classes, torch.from_numpy(soft_labels(words.numpy(), reading)))
