"""What a table measures on the test images; a metric is summed up over an evaluation and worked out at its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.component import Component
from bench.record import Result, Score, Status, test_score

if TYPE_CHECKING:
    from torch import Tensor

Counts = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Metric(Component):
    """A number that is made of sums over the labels of an evaluation: one an image, or one a pixel.

    Args:
        label: what axes and headings call it.
        meaning: how a legend begins to tell what it is.
        unit: of its values.
        limits: the least and the greatest value that there is.
        higher_is_better: which way it goes.
    """

    label: ClassVar[str]
    meaning: ClassVar[str]
    unit: ClassVar[str] = "%"
    limits: ClassVar[tuple[float, float]] = (0.0, 100.0)
    higher_is_better: ClassVar[bool]

    @property
    def heading(self) -> str:
        """Its label with a capital."""
        return self.label[0].upper() + self.label[1:]

    @property
    def axis(self) -> str:
        """The title of an axis."""
        return f"Test {self.label} ({self.unit})" if self.unit else f"Test {self.label}"

    @property
    def recorded(self) -> "Metric":
        """What records keep in its place: itself, unless it is another metric seen from the other side."""
        return self

    def shown(self, recorded: float) -> float:
        """Its value, from that of what is recorded; the same function leads back."""
        return recorded

    def burden(self, value: float) -> float:
        """A number that is the lower the better the value is; differences keep their size."""
        return -value if self.higher_is_better else value

    def counts(self, logits: "Tensor", labels: "Tensor") -> "dict[str, Tensor]":
        """What of some answers (M, C) to labels (M,) is summed up, by name; of the same shapes in every batch.

        Never reads a value back to the host: a step of an evaluation is captured as a CUDA graph.
        """
        raise NotImplementedError

    def value(self, counts: Counts) -> float:
        """The metric, from the sums over all labels."""
        raise NotImplementedError


@dataclass(frozen=True)
class ErrorRate(Metric):
    """The share of labels that are not the first guess."""

    name: ClassVar[str] = "error"
    label: ClassVar[str] = "error"
    meaning: ClassVar[str] = "Top-1 test error"
    higher_is_better: ClassVar[bool] = False

    def counts(self, logits: "Tensor", labels: "Tensor") -> "dict[str, Tensor]":
        """``hits``, and how many ``labels`` there are."""
        return {"hits": (logits.argmax(1) == labels).sum(), "labels": labels.new_ones(labels.shape).sum()}

    def value(self, counts: Counts) -> float:
        """In %."""
        return float(100 - 100 * counts["hits"] / counts["labels"])


@dataclass(frozen=True)
class Accuracy(ErrorRate):
    """The share of labels that are: what the error leaves, as which records keep it."""

    name: ClassVar[str] = "accuracy"
    label: ClassVar[str] = "accuracy"
    meaning: ClassVar[str] = "Top-1 test accuracy"
    higher_is_better: ClassVar[bool] = True

    @property
    def recorded(self) -> Metric:
        """The error."""
        return ERROR

    def shown(self, recorded: float) -> float:
        """In %, from the error."""
        return 100 - recorded


@dataclass(frozen=True)
class MeanIoU(Metric):
    """The mean over the classes of intersection over union, TP / (TP + FP + FN) (Jaccard, 1912; PASCAL VOC).

    The sums are over all test images before any ratio is taken, as the benchmarks of segmentation do. A class that is
    neither labelled nor guessed anywhere has no part in it.
    """

    name: ClassVar[str] = "mean_iou"
    label: ClassVar[str] = "mean IoU"
    meaning: ClassVar[str] = "Mean intersection over union of the classes on the test images"
    higher_is_better: ClassVar[bool] = True

    def counts(self, logits: "Tensor", labels: "Tensor") -> "dict[str, Tensor]":
        """By class, (C,): labels that were ``hit``, that were ``guessed``, and that there are (``labelled``)."""
        import torch

        classes = torch.arange(logits.shape[1], device=logits.device)
        guessed, labelled = logits.argmax(1)[:, None] == classes, labels[:, None] == classes
        each = {"hit": guessed & labelled, "guessed": guessed, "labelled": labelled}
        return {name: found.sum(0) for name, found in each.items()}

    def value(self, counts: Counts) -> float:
        """In %."""
        union = counts["guessed"] + counts["labelled"] - counts["hit"]
        return float(100 * (counts["hit"][union > 0] / union[union > 0]).mean())


ERROR = ErrorRate()


def measured(metric: Metric) -> tuple[Metric, ...]:
    """What a run measures whose table is about a metric: the error, as every run, and what stands for that metric."""
    return (ERROR,) if metric.recorded == ERROR else (ERROR, metric.recorded)


def values(metrics: tuple[Metric, ...], sums: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """The value of each of some metrics by name, to four decimals, from sums called ``METRIC.COUNT``."""
    own: dict[str, dict[str, NDArray[np.float64]]] = {metric.name: {} for metric in metrics}
    for name, total in sums.items():
        metric_name, _, count = name.partition(".")
        own[metric_name][count] = total
    return {metric.name: round(metric.value(own[metric.name]), 4) for metric in metrics}


def last_and_best(curve: Sequence[Mapping[str, Any]], status: Status, metrics: tuple[Metric, ...]) -> list[Result]:
    """The last and the best of each metric on the test images, of each network; a diverged run has none."""
    results = []
    for k in range(len(curve[-1]["networks"])):
        networks = [entry["networks"][k] for entry in curve]
        scores = {metric.name: _score(networks, metric, status) for metric in metrics}
        error = scores.pop(ERROR.name)
        results.append(Result(error["last"], error["best"], error["best_epoch"], scores))
    return results


def _score(networks: Sequence[Mapping[str, Any]], metric: Metric, status: Status) -> Score:
    each = [test_score(network, metric.name) for network in networks]
    if status != "done":
        return {"last": None, "best": None, "best_epoch": None}
    best = min(each, key=metric.burden)
    return {"last": each[-1], "best": best, "best_epoch": each.index(best) + 1}


def mean_of(curve: Sequence[Mapping[str, Any]], metrics: tuple[Metric, ...]) -> Result:
    """The result of an evaluation: the mean of each metric over its ensembles."""
    means = {m.name: round(fmean(test_score(entry, m.name) for entry in curve), 4) for m in metrics}
    error = means.pop(ERROR.name)
    scores: dict[str, Score] = {name: {"last": mean, "best": None, "best_epoch": None} for name, mean in means.items()}
    return Result(error, None, None, scores)
