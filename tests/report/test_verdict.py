from math import sqrt

import numpy as np
import pytest
import scipy.special  # noqa: F401 (imported once here, so that no example pays for it)
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from bench.recipe import Cell
from bench.report.verdict import Verdict, alike, claim, combine, judge, judge_cost

# Multiples of 1/64 are added and subtracted without rounding, so that properties hold exactly.
SIXTY_FOURTHS = st.integers(-64 * 50, 64 * 50).map(lambda k: k / 64)
ERRORS = st.lists(SIXTY_FOURTHS, min_size=0, max_size=8)
MARGINS = st.integers(1, 64 * 4).map(lambda k: k / 64)
SPREADS = st.tuples(st.sampled_from(["sd", "se", "half-range", "unknown"]), st.integers(0, 128).map(lambda k: k / 64))


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    meaning, spread = draw(SPREADS)
    n = draw(st.one_of(st.integers(1, 9), st.just("unknown")))
    return Cell(draw(SIXTY_FOURTHS), "", n=n, spread=draw(st.sampled_from([spread, None])), meaning=meaning)


def single(value: float) -> Cell:
    return Cell(value, "", n=1)


def judged(ours: list[float], published: Cell, margin: float) -> Verdict:
    """Of runs that share nothing."""
    return judge([[x] for x in ours], published, margin)


def moved(cell: Cell, by: float, sign: int = 1) -> Cell:
    return Cell(sign * cell.value + by, cell.source, cell.n, cell.protocol, cell.spread, cell.meaning)


def test_one_published_run_is_one_draw_of_our_spread() -> None:
    ours = [30.1, 30.4, 29.9, 30.2]
    verdict = judged(ours, single(30.0), 0.5)
    s, n = np.std(ours, ddof=1), 4
    assert verdict.d == pytest.approx(0.15)
    assert verdict.se == pytest.approx(s * sqrt(1 + 1 / n))
    assert verdict.dof == 3
    assert verdict.h95 == pytest.approx(stats.t.ppf(0.975, 3) * s * sqrt(1.25))
    assert verdict.h90 == pytest.approx(stats.t.ppf(0.95, 3) * s * sqrt(1.25))


@pytest.mark.parametrize(("meaning", "spread"), [("sd", 0.4), ("se", 0.4 / sqrt(5))])
def test_a_published_mean_with_a_known_spread_is_compared_by_welch(meaning: str, spread: float) -> None:
    ours = [30.1, 30.4, 29.9, 30.2]
    published = Cell(29.5, "", n=5, spread=spread, meaning=meaning)  # type: ignore[arg-type]
    verdict = judged(ours, published, 0.5)
    expected = stats.ttest_ind_from_stats(
        float(np.mean(ours)), float(np.std(ours, ddof=1)), 4, 29.5, 0.4, 5, equal_var=False
    )
    assert verdict.d is not None
    assert verdict.se is not None
    assert verdict.dof is not None
    assert verdict.d / verdict.se == pytest.approx(expected.statistic)
    assert 2 * stats.t.sf(verdict.d / verdict.se, verdict.dof) == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("meaning", ["half-range", "unknown"])
@pytest.mark.parametrize("n", [2, 5, "unknown"])
def test_a_spread_of_another_kind_counts_as_unknown(meaning: str, n: int | str) -> None:
    ours = [30.1, 30.4, 29.9]
    published = Cell(30.0, "", n=n, spread=0.2, meaning=meaning)  # type: ignore[arg-type]
    assert judged(ours, published, 0.5) == judged(ours, single(30.0), 0.5)


@pytest.mark.parametrize(
    ("ours", "word", "reason"),
    [
        ([], "no runs yet", ""),
        ([30.0], "undecided", "too few seeds"),
        ([30.0, 30.05, 29.95, 30.0, 30.0], "reproduced", "within the margin"),
        ([30.3, 30.0, 30.2, 30.6, 30.1], "compatible", "within h95"),
        ([31.0, 31.1, 30.9, 31.0, 31.0], "not reproduced", "beyond"),
        ([30.0, 30.5], "undecided", "too few seeds"),
        ([30.0, 32.0, 28.0, 31.0, 29.0], "undecided", "spread too wide"),
        ([30.46, 30.38, 30.42, 30.44, 30.5], "undecided", "real but inside the margin"),
    ],
)
def test_words_and_reasons(ours: list[float], word: str, reason: str) -> None:
    verdict = judged(ours, single(30.0), 0.5)
    assert verdict.word == word
    assert reason in verdict.reason


@pytest.mark.parametrize(("value", "word"), [(30.0, "reproduced"), (30.5, "reproduced"), (30.6, "not reproduced")])
@pytest.mark.parametrize("published", [single(30.0), Cell(30.0, "", n=3, spread=0.0, meaning="sd")])
def test_runs_that_are_all_equal(value: float, word: str, published: Cell) -> None:
    verdict = judged([value] * 3, published, 0.5)
    assert (verdict.word, verdict.h95) == (word, 0.0)


@given(ERRORS, cells(), MARGINS, SIXTY_FOURTHS)
def test_only_the_difference_counts(ours: list[float], published: Cell, margin: float, shift: float) -> None:
    assert judged([x + shift for x in ours], moved(published, shift), margin) == judged(ours, published, margin)


@given(ERRORS, cells(), MARGINS)
def test_too_high_and_too_low_are_alike(ours: list[float], published: Cell, margin: float) -> None:
    one, other = judged(ours, published, margin), judged([-x for x in ours], moved(published, 0, -1), margin)
    assert (one.word, one.reason, one.h90, one.h95) == (other.word, other.reason, other.h90, other.h95)
    assert one.d is None or one.d == -(other.d or 0)


@given(ERRORS, cells(), MARGINS, MARGINS)
def test_a_larger_margin_takes_no_success_away(ours: list[float], published: Cell, margin: float, more: float) -> None:
    before, after = judged(ours, published, margin), judged(ours, published, margin + more)
    if before.word in ("reproduced", "compatible"):
        assert after.word in ("reproduced", before.word)
    if before.word != "not reproduced":
        assert after.word != "not reproduced"


@given(st.lists(SIXTY_FOURTHS, min_size=2, max_size=8), cells(), MARGINS)
def test_every_word_means_what_the_design_says(ours: list[float], published: Cell, margin: float) -> None:
    v = judged(ours, published, margin)
    assert v.d is not None
    assert v.h90 is not None
    assert v.h95 is not None
    d = abs(v.d)
    assert (v.word == "reproduced") == (d + v.h90 <= margin)
    assert (v.word == "compatible") == (v.word != "reproduced" and d <= v.h95 <= 2 * margin)
    assert (v.word == "not reproduced") == (d > v.h95 and d > margin)


@pytest.mark.parametrize(
    ("gain", "word"),
    [([0.5, 0.6, 0.4], "holds"), ([-0.5, -0.6, -0.4], "contradicted"), ([0.5, -0.6, 0.4], "undecided")],
)
def test_a_claim_is_tested_on_pairs(gain: list[float], word: str) -> None:
    worse = {1: 30.0, 2: 35.0, 3: 25.0, 4: 1.0}
    better = {seed: worse[seed] - g for seed, g in enumerate(gain, 1)}
    verdict = claim(better, worse)
    expected = stats.ttest_rel([worse[s] for s in better], [*better.values()], alternative="greater")
    assert verdict.word == word
    assert verdict.n == 3
    assert verdict.d == pytest.approx(sum(gain) / 3)
    assert verdict.p == pytest.approx(expected.pvalue)
    assert f"n = 3, mean difference {verdict.d:.2f}, p " in verdict.reason


@pytest.mark.parametrize(("better", "word"), [({}, "no runs yet"), ({2: 1.0}, "no runs yet"), ({1: 29.0}, "undecided")])
def test_a_claim_needs_pairs(better: dict[int, float], word: str) -> None:
    assert claim(better, {1: 30.0}).word == word


@pytest.mark.parametrize(("gain", "word"), [(1.0, "holds"), (-1.0, "contradicted"), (0.0, "undecided")])
def test_a_claim_whose_differences_are_all_equal(gain: float, word: str) -> None:
    assert claim({1: 30.0 - gain, 2: 31.0 - gain}, {1: 30.0, 2: 31.0}).word == word


@given(st.dictionaries(st.integers(1, 5), SIXTY_FOURTHS, min_size=2), SIXTY_FOURTHS)
def test_a_claim_and_its_opposite_exclude_each_other(worse: dict[int, float], gain: float) -> None:
    better = {seed: x - gain * seed for seed, x in worse.items()}
    one, other = claim(better, worse), claim(worse, better)
    assume(one.p is not None and other.p is not None)
    assert (one.p or 0) + (other.p or 0) == pytest.approx(1)
    assert (one.word == "holds") == (other.word == "contradicted")


def test_a_word_stands_where_all_protocols_say_it() -> None:
    good, bad = judged([30.0] * 3, single(30.0), 0.5), judged([31.0] * 3, single(30.0), 0.5)
    fine = judged([30.1] * 3, single(30.0), 0.5)
    assert combine({"best": good}) == good
    assert combine({"last": good, "best": good}) == good
    assert combine({"last": good, "best": fine}).word == "reproduced"
    both = combine({"last": bad, "best": good})
    assert (both.word, both.reason) == ("undecided", "last epoch: not reproduced; best epoch: reproduced")


def test_reproduced_in_one_protocol_and_compatible_in_the_other_is_compatible() -> None:
    good, fair = judged([30.0] * 3, single(30.0), 0.5), judged([30.3, 30.0, 30.2, 30.6, 30.1], single(30.0), 0.5)
    both = combine({"last": good, "best": fair})
    assert (both.word, both.n, both.p) == ("compatible", 3, good.p)
    assert both.reason == "last epoch: reproduced; best epoch: compatible"


def test_what_a_verdict_depends_on_is_part_of_its_text() -> None:
    good, bad, none = (judged(ours, single(30.0), 0.5) for ours in ([30.0] * 3, [31.0] * 3, [30.0]))
    conditions = ["given one teacher", "interim"]
    assert good.given(conditions, assumed=True).text == "reproduced, given one teacher, interim"
    assert bad.given(conditions, assumed=True).text == (
        "not reproduced under the assumed recipe, given one teacher, interim"
    )
    assert bad.given([]).text == "not reproduced"
    assert none.given(conditions, assumed=True) == none
    both = combine({"last": good.given(["interim"]), "best": judged([30.1] * 3, single(30.0), 0.5).given(["interim"])})
    assert both.text == "reproduced, interim"


@pytest.mark.parametrize(
    ("published", "derived"),
    [
        (5.05, 5.063),
        (5.06, 5.05),
        (6.43, 6.4457),
        (10.10, 10.126),
        (2.76, 2.7652),
        (1.38, 1.3826),
        (0.5, 0.473),
        (1.7, 1.737),
    ],
)
def test_costs_that_agree(published: float, derived: float) -> None:
    assert judge_cost(published, derived).word == "agrees"


@pytest.mark.parametrize(("published", "derived"), [(5.05, 4.953), (0.5, 0.44), (1.7, 1.76), (8.29, 8.41)])
def test_costs_that_do_not(published: float, derived: float) -> None:
    verdict = judge_cost(published, derived)
    assert verdict.word == "inconsistent"
    assert f"{derived:.4g}" in verdict.reason


@pytest.mark.parametrize(("published", "derived", "floor"), [(0.97, 1.3826, 1.38), (0.59, 5.063, 5.05)])
def test_training_cannot_cost_less_than_the_network_that_it_runs(
    published: float, derived: float, floor: float
) -> None:
    verdict = judge_cost(published, derived, floor)
    assert verdict == Verdict("inconsistent", verdict.reason, d=derived - published)
    assert "a training step runs the deployed network, so it cannot cost less" in verdict.reason


def test_a_training_cost_of_one_network_is_its_own() -> None:
    assert judge_cost(5.05, 5.063, 5.06).word == "agrees"


@pytest.mark.parametrize(
    ("better", "worse", "word"),
    [(67.6, 67.2, "holds"), (67.2, 67.6, "holds"), (68.0, 67.2, "contradicted"), (None, 67.2, "no runs yet")],
)
def test_ensembles_are_alike_within_the_margin(better: float | None, worse: float | None, word: str) -> None:
    found = alike(better, worse, 0.5)
    assert found.word == word
    assert found.p is None
    if better is not None:
        assert found.d == pytest.approx(better - worse)
