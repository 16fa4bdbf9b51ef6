"""The arithmetic of nested samples, power, Holm's correction and seeds."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.recipe import Cell
from bench.report.inference import StandardError, error_of_difference, error_of_mean, holm, nested, seeds_needed

NUMBERS = st.integers(-64 * 50, 64 * 50).map(lambda k: k / 64)
SINGLE, MEAN = Cell(0.0, "", n=1), Cell(0.0, "", n=3, spread=0.1, meaning="sd")


@given(st.lists(NUMBERS, min_size=2, max_size=8))
def test_runs_of_a_source_each_are_an_ordinary_sample(values: list[float]) -> None:
    ours = nested([[x] for x in values])
    assert (ours.n, ours.sources) == (len(values), len(values))
    assert ours.mean == pytest.approx(np.mean(values))
    assert ours.sd == pytest.approx(np.std(values, ddof=1))
    error = error_of_difference(ours, SINGLE, together=False)
    assert (error.se, error.dof) == (pytest.approx(ours.sd * sqrt(1 + 1 / len(values))), len(values) - 1)


@given(st.lists(NUMBERS, min_size=2, max_size=8))
def test_runs_of_one_source_stand_each_for_itself(values: list[float]) -> None:
    assert nested([values]) == nested([[x] for x in values])


def test_equal_groups_give_the_variance_components_of_an_analysis_of_variance() -> None:
    groups = [[1.0, 2.0, 3.0], [2.0, 3.0, 7.0], [5.0, 5.0, 8.0]]
    ours, flat = nested(groups), np.array(groups)
    assert ours.between * 3 == pytest.approx(3 * flat.mean(axis=1).var(ddof=1))
    assert ours.within == pytest.approx(flat.var(axis=1, ddof=1).mean())
    f = ours.between * 3 / ours.within
    assert f == pytest.approx(stats.f_oneway(*groups).statistic)
    assert ours.sd**2 == pytest.approx(ours.between - ours.within / 3 + ours.within)


def test_the_mean_is_that_of_the_sources() -> None:
    assert nested([[1.0] * 5, [4.0]]).mean == 2.5


def test_one_more_draw_has_the_degrees_of_freedom_of_satterthwaite() -> None:
    ours = nested([[1.0, 2.0], [2.0, 3.0], [4.0, 6.0]])
    between, within = ours.between * (1 + 1 / 3), ours.within / 2
    error = error_of_difference(ours, SINGLE, together=False)
    assert error.se == pytest.approx(sqrt(between + within))
    assert error.dof == pytest.approx((between + within) ** 2 / (between**2 / 2 + within**2 / 3))
    assert error.limit == pytest.approx(ours.sd)


def test_published_nets_of_one_source_are_one_draw_of_our_source_means() -> None:
    ours = nested([[1.0, 2.0, 3.0], [2.0, 3.0, 7.0], [5.0, 5.0, 8.0]])
    error = error_of_difference(ours, MEAN, together=True)
    assert (error.se, error.dof) == (pytest.approx(sqrt(ours.between * 4 / 3)), 2)
    # Ours of one run a source are as wide as single runs: too wide, never too narrow.
    alone = nested([[1.0], [2.0], [5.0]])
    assert error_of_difference(alone, MEAN, together=True) == error_of_difference(alone, SINGLE, together=False)


def test_welch_takes_the_sources_of_ours_as_its_sample() -> None:
    ours = nested([[1.0, 2.0], [2.0, 3.0], [4.0, 6.0]])
    error = error_of_difference(ours, MEAN, together=False)
    assert error.se == pytest.approx(sqrt(ours.between / 3 + 0.1**2 / 3))


@pytest.mark.parametrize("dof", [1, 2.6, 4, 30])
def test_the_power_is_that_of_the_noncentral_t(dof: float) -> None:
    found = StandardError(0.2, dof).detectable
    assert stats.nct.sf(stats.t.ppf(0.975, dof), dof, found / 0.2) == pytest.approx(0.8, abs=1e-6)


def test_the_error_of_a_mean() -> None:
    values = [1.0, 2.0, 4.0]
    error = error_of_mean(nested([[x] for x in values]))
    assert 2 * error.tail(np.mean(values)) == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_makes_a_p_value_smaller_nor_changes_their_order(p: list[float]) -> None:
    corrected = holm(p)
    assert all(1 >= c >= x for c, x in zip(corrected, p, strict=True))
    assert sorted(corrected) == [corrected[i] for i in sorted(range(len(p)), key=lambda i: p[i])]


@pytest.mark.parametrize(("sd", "margin"), [(0.25, 0.5), (0.1, 0.165), (0.3, 0.5)])
def test_the_fewest_seeds_are_just_enough(sd: float, margin: float) -> None:
    n = seeds_needed(sd, SINGLE, margin)
    assert n is not None
    widths = [stats.t.ppf(0.975, k - 1) * sd * sqrt(1 + 1 / k) for k in (n - 1, n)]
    assert widths[1] <= 2 * margin < widths[0]


def test_no_number_of_seeds_helps_against_a_published_value_of_one_wide_run() -> None:
    assert seeds_needed(0.6, SINGLE, 0.5) is None
    assert seeds_needed(0.6, Cell(0.0, "", n=5, spread=0.2, meaning="sd"), 0.5) is not None
