from hypothesis import given
from hypothesis import strategies as st

from bench.metrics import ERROR, Accuracy
from bench.report.tradeoff import CostPoint, marked

PLACES = st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), max_size=12)


def points(places: list[tuple[int, int]]) -> list[CostPoint]:
    return [CostPoint(str(i), "", "", "set", "training", "ours", cost, float(q)) for i, (cost, q) in enumerate(places)]


@given(PLACES)
def test_a_row_is_on_the_front_unless_another_costs_no_more_and_is_no_worse(places: list[tuple[int, int]]) -> None:
    for point in marked(points(places), ERROR):
        better = [
            (cost, error)
            for cost, error in places
            if cost <= point.cost and error <= point.quality and (cost, error) != (point.cost, point.quality)
        ]
        assert point.best == (not better)


@given(PLACES)
def test_less_error_is_more_accuracy(places: list[tuple[int, int]]) -> None:
    errors = marked(points(places), ERROR)
    accuracies = marked(points([(cost, 100 - error) for cost, error in places]), Accuracy())
    assert [point.best for point in errors] == [point.best for point in accuracies]


@given(PLACES)
def test_a_dearer_row_on_the_front_is_better(places: list[tuple[int, int]]) -> None:
    front = sorted({(point.cost, point.quality) for point in marked(points(places), ERROR) if point.best})
    assert bool(front) == bool(places)
    assert [error for _, error in front] == sorted((error for _, error in front), reverse=True)
