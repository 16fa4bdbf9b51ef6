import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.recipe import Schedule
from bench.train.schedule import rates


def schedule(drops: tuple[int, ...], **length: int) -> Schedule:
    return Schedule(batch=128, lr=0.1, drops=drops, gamma=0.1, **length)


def test_300_epochs_of_391_steps() -> None:
    found = rates(schedule((150, 225), epochs=300), 391)
    assert len(found) == 300 * 391
    expected = np.repeat([0.1, 0.01, 0.001], [150 * 391, 75 * 391, 75 * 391])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_rate_before_the_first_drop_is_exact() -> None:
    assert set(rates(schedule((2,), epochs=3), 5)[:10]) == {0.1}


@pytest.mark.parametrize(("step", "rate"), [(0, 0.1), (29, 0.1), (30, 0.01), (39, 0.01), (40, 0.001), (49, 0.001)])
def test_around_the_drops_in_epochs(step: int, rate: float) -> None:
    assert rates(schedule((3, 4), epochs=5), 10)[step] == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(("step", "rate"), [(0, 0.1), (2, 0.1), (3, 0.01), (4, 0.001), (6, 0.001)])
def test_around_the_drops_in_iterations(step: int, rate: float) -> None:
    assert rates(schedule((3, 4), iterations=7), 10)[step] == pytest.approx(rate, rel=1e-12)


def test_iterations_do_not_depend_on_the_length_of_an_epoch() -> None:
    asked = schedule((32000, 48000), iterations=64000)
    assert asked.steps(391) == asked.steps(7) == 64000
    np.testing.assert_array_equal(rates(asked, 391), rates(asked, 7))


def test_without_drops_the_rate_stays() -> None:
    assert set(rates(schedule((), epochs=2), 3)) == {0.1}


@given(
    drops=st.sets(st.integers(1, 19)),
    per_epoch=st.integers(1, 9),
    lr=st.floats(1e-4, 1.0),
    gamma=st.floats(0.05, 1.0),
)
def test_each_drop_that_has_passed_multiplies_by_gamma(
    drops: set[int], per_epoch: int, lr: float, gamma: float
) -> None:
    asked = Schedule(batch=1, lr=lr, drops=tuple(sorted(drops)), gamma=gamma, epochs=20)
    rate, expected = lr, []
    for epoch in range(20):
        rate = rate * gamma if epoch in drops else rate
        expected += [rate] * per_epoch
    np.testing.assert_allclose(rates(asked, per_epoch), expected, rtol=1e-12)
