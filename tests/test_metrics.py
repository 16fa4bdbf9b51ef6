"""What tables measure, against independent computations."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.metrics import ERROR, Accuracy, MeanIoU, Metric, last_and_best, mean_of, measured, values
from bench.registry import METRICS

CLASSES = 4
SEEDS = st.integers(0, 2**32 - 1)


def answers(seed: int, n: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (n, CLASSES) and labels (n,)."""
    draws = np.random.default_rng(seed)
    return torch.from_numpy(draws.normal(size=(n, CLASSES))), torch.from_numpy(draws.integers(0, CLASSES, n))


def value(metric: Metric, logits: torch.Tensor, labels: torch.Tensor) -> float:
    return metric.value({name: count.numpy() for name, count in metric.counts(logits, labels).items()})


def iou_of_sets(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """By the definition: sets of places, class by class."""
    guessed, truth, ratios = logits.argmax(1).tolist(), labels.tolist(), []
    for c in range(CLASSES):
        one, other = ({i for i, label in enumerate(own) if label == c} for own in (guessed, truth))
        if one | other:
            ratios.append(len(one & other) / len(one | other))
    return 100 * sum(ratios) / len(ratios)


@given(SEEDS, st.integers(1, 60))
def test_mean_iou_is_that_of_sets_of_places(seed: int, n: int) -> None:
    logits, labels = answers(seed, n)
    assert value(MeanIoU(), logits, labels) == pytest.approx(iou_of_sets(logits, labels), rel=1e-12)


def test_mean_iou_by_hand() -> None:
    # Class 0: one hit, one missed; class 1: one hit, one false; class 2: one hit; class 3 is nowhere.
    guessed, labels = torch.tensor([0, 1, 1, 2]), torch.tensor([0, 0, 1, 2])
    logits = torch.nn.functional.one_hot(guessed, CLASSES).double()
    assert value(MeanIoU(), logits, labels) == pytest.approx(100 * (1 / 2 + 1 / 2 + 1) / 3)


@given(SEEDS)
def test_error_is_the_share_of_other_labels(seed: int) -> None:
    logits, labels = answers(seed)
    error = value(ERROR, logits, labels)
    assert error == pytest.approx(100 * float((logits.argmax(1) != labels).double().mean()))
    assert Accuracy().shown(error) == pytest.approx(100 - error)
    assert Accuracy().recorded == ERROR


@pytest.mark.parametrize("name", METRICS)
@given(seed=SEEDS)
def test_batches_add_up_in_any_order(name: str, seed: int) -> None:
    metric, (logits, labels) = METRICS[name](), answers(seed)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(labels)))
    batches = [metric.counts(logits[part], labels[part]) for part in (order[:7], order[7:30], order[30:])]
    total = {name: sum(batch[name].double().numpy() for batch in batches) for name in batches[0]}
    assert metric.value(total) == pytest.approx(value(metric, logits, labels), rel=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_the_best_and_the_worst_are_its_limits(name: str) -> None:
    metric = METRICS[name]()
    labels = torch.arange(CLASSES)
    right, wrong = (torch.nn.functional.one_hot((labels + k) % CLASSES, CLASSES).double() for k in (0, 1))
    best, worst = (metric.shown(value(metric.recorded, logits, labels)) for logits in (right, wrong))
    assert {best, worst} == set(metric.limits)
    assert (best > worst) == metric.higher_is_better
    assert metric.burden(best) < metric.burden(worst)


def test_a_run_measures_the_error_and_what_stands_for_its_metric() -> None:
    assert [measured(metric) for metric in (ERROR, Accuracy())] == [(ERROR,), (ERROR,)]
    assert measured(MeanIoU()) == (ERROR, MeanIoU())


def network(error: float, iou: float) -> dict[str, object]:
    return {"loss": {}, "train_error": 0.0, "test_error": error, "test_scores": {"mean_iou": iou}}


def test_each_metric_has_a_best_epoch_of_its_own() -> None:
    curve = [{"networks": [network(*one)]} for one in ((30.0, 50.0), (10.0, 40.0), (20.0, 45.0))]
    (done,) = last_and_best(curve, "done", measured(MeanIoU()))
    assert (done.last_error, done.best_error, done.best_epoch) == (20.0, 10.0, 2)
    assert done.scores == {"mean_iou": {"last": 45.0, "best": 50.0, "best_epoch": 1}}
    assert done.score("mean_iou") == done.scores["mean_iou"]
    assert done.score("error") == {"last": 20.0, "best": 10.0, "best_epoch": 2}
    (diverged,) = last_and_best(curve, "diverged", measured(MeanIoU()))
    assert diverged.scores["mean_iou"]["last"] is diverged.best_error is None


def test_ensembles_are_averaged_metric_by_metric() -> None:
    curve = [{"members": [1], **network(*one)} for one in ((30.0, 50.0), (10.0, 40.0))]
    mean = mean_of(curve, measured(MeanIoU()))
    assert (mean.last_error, mean.scores["mean_iou"]["last"]) == (20.0, 45.0)


def test_values_have_four_decimals() -> None:
    assert values((ERROR,), {"error.hits": np.array(2.0), "error.labels": np.array(3.0)}) == {"error": 33.3333}
