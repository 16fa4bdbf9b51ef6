import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import RecipeError
from bench.schedules import Constant, Cosine, Decay, Schedule, Steps


def schedule(drops: tuple[int, ...], **length: int) -> Schedule:
    return Schedule(batch=128, lr=0.1, decay=Steps(drops, 0.1), **length)


def test_300_epochs_of_391_steps() -> None:
    found = schedule((150, 225), epochs=300).rates(391)
    assert len(found) == 300 * 391
    expected = np.repeat([0.1, 0.01, 0.001], [150 * 391, 75 * 391, 75 * 391])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_rate_before_the_first_drop_is_exact() -> None:
    assert set(schedule((2,), epochs=3).rates(5)[:10]) == {0.1}


@pytest.mark.parametrize(("step", "rate"), [(0, 0.1), (29, 0.1), (30, 0.01), (39, 0.01), (40, 0.001), (49, 0.001)])
def test_around_the_drops_in_epochs(step: int, rate: float) -> None:
    assert schedule((3, 4), epochs=5).rates(10)[step] == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(("step", "rate"), [(0, 0.1), (2, 0.1), (3, 0.01), (4, 0.001), (6, 0.001)])
def test_around_the_drops_in_iterations(step: int, rate: float) -> None:
    assert schedule((3, 4), iterations=7).rates(10)[step] == pytest.approx(rate, rel=1e-12)


def test_iterations_do_not_depend_on_the_length_of_an_epoch() -> None:
    asked = schedule((32000, 48000), iterations=64000)
    assert asked.steps(391) == asked.steps(7) == 64000
    np.testing.assert_array_equal(asked.rates(391), asked.rates(7))


def test_without_drops_the_rate_stays() -> None:
    assert set(schedule((), epochs=2).rates(3)) == {0.1}


@given(
    drops=st.sets(st.integers(1, 19)),
    per_epoch=st.integers(1, 9),
    lr=st.floats(1e-4, 1.0),
    gamma=st.floats(0.05, 1.0),
)
def test_each_drop_that_has_passed_multiplies_by_gamma(
    drops: set[int], per_epoch: int, lr: float, gamma: float
) -> None:
    asked = Schedule(batch=1, lr=lr, decay=Steps(tuple(sorted(drops)), gamma), epochs=20)
    rate, expected = lr, []
    for epoch in range(20):
        rate = rate * gamma if epoch in drops else rate
        expected += [rate] * per_epoch
    np.testing.assert_allclose(asked.rates(per_epoch), expected, rtol=1e-12)


def test_a_cosine_falls_from_the_rate_to_its_last_share() -> None:
    asked = Schedule(batch=1, lr=0.2, decay=Cosine(final=0.1), epochs=4)
    rates = asked.rates(5)
    # Half-way it is the mean of both ends, at a quarter (1 + cos 45°) / 2 of the way down is left.
    assert rates[0] == pytest.approx(0.2)
    assert rates[10] == pytest.approx(0.2 * 0.55)
    assert rates[5] == pytest.approx(0.2 * (0.1 + 0.9 * (1 + np.sqrt(0.5)) / 2))
    assert rates[-1] == pytest.approx(0.2 * (0.1 + 0.9 * (1 + np.cos(np.pi * 19 / 20)) / 2))


def test_a_warm_up_rises_linearly_and_the_cosine_begins_where_it_ends() -> None:
    rates = Schedule(batch=1, lr=1.0, decay=Cosine(), epochs=6, warmup=2).rates(5)
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    np.testing.assert_allclose(rates[10:], Schedule(batch=1, lr=1.0, decay=Cosine(), epochs=4).rates(5))


def test_drops_stay_where_they_are_under_a_warm_up() -> None:
    plain = Schedule(batch=1, lr=1.0, decay=Steps((3,), 0.1), epochs=5)
    warm = Schedule(batch=1, lr=1.0, decay=Steps((3,), 0.1), epochs=5, warmup=1)
    np.testing.assert_allclose(warm.rates(4)[4:], plain.rates(4)[4:])
    np.testing.assert_allclose(warm.rates(4)[:4], [0.25, 0.5, 0.75, 1.0])


@given(
    decay=st.sampled_from([Constant(), Cosine(), Cosine(0.3), Steps((7, 13), 0.2)]),
    warmup=st.integers(0, 6),
    new=st.integers(1, 40),
)
def test_a_resized_schedule_has_its_length_and_keeps_within_its_rates(decay: Decay, warmup: int, new: int) -> None:
    asked = Schedule(batch=1, lr=0.5, decay=decay, epochs=20, warmup=warmup)
    resized = asked.resized(new)
    resized.check()
    rates = resized.rates(3)
    assert len(rates) == 3 * new
    assert rates.max() <= 0.5
    assert rates.min() >= 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 3, "iterations": 3}, "give epochs or iterations, one of the two"),
        ({}, "give epochs or iterations, one of the two"),
        ({"epochs": 3, "warmup": 3}, "warmup: must stay below the length, 3"),
        ({"epochs": 3, "decay": Steps((3,), 0.1)}, "drops: must rise and stay below the length, 3"),
    ],
)
def test_what_makes_no_schedule(changes: dict, message: str) -> None:
    with pytest.raises(RecipeError) as raised:
        Schedule(**{"batch": 1, "lr": 0.1, "decay": Constant()} | changes).check()
    assert str(raised.value) == message
