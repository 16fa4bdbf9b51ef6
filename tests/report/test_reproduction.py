"""When a run that was trained again counts as reproduced: the rule, with numbers worked out by hand."""

from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from bench.graph import Run, plan
from bench.recipe import load
from bench.record import Record, Result
from bench.report.reproduction import compare, same_recipe
from tests import handmade

LIBRARY = load(Path(__file__).parent / "golden" / "recipes")


def run(row: str = "plain", seed: int = 1) -> Run:
    return plan(LIBRARY, ["small"], "paper").rows["small", row][seed]


def record(*errors: float, of: Run | None = None, **said: Any) -> Record:
    results = [Result(error, error, 1) for error in errors]
    return handmade.record(of or run(), **{"results": results, "artifact": "a" * 64, **said})


def word(first: Record, again: Record, *others: Record, tested: int = 10_000) -> tuple[str, str]:
    outcome = compare(first, again, others, tested)
    return outcome.word, outcome.reason


def test_the_same_digest_and_errors_are_the_same_bits() -> None:
    told = "error 30.00 %, artifact aaaaaaaaaaaaaaaa"
    assert word(record(30.0), record(30.0, device="Another", replica=2)) == ("reproduced bit for bit", told)


def test_the_same_digest_with_other_errors_is_not() -> None:
    assert word(record(30.0), record(70.0, replica=2))[0] == "not reproduced"


def others(*errors: float) -> list[Record]:
    return [record(error, of=run(seed=seed)) for seed, error in enumerate(errors, 1)]


# s = 0.1 over three seeds; t of 0.975 with two degrees of freedom is 4.3027.
LIMIT = 4.3027 * 0.1 * sqrt(2)


@pytest.mark.parametrize(("off", "expected"), [(LIMIT - 0.01, "within noise"), (LIMIT + 0.01, "not reproduced")])
def test_with_three_seeds_two_of_them_are_the_measure(off: float, expected: str) -> None:
    seeds = others(30.0, 30.1, 30.2)
    got, why = word(seeds[0], record(30.0 + off, artifact="b"), *seeds)
    assert got == expected
    assert why.startswith(f"error {30 + off:.2f} %, first 30.00 %; difference") or "first error 30.00 %" in why
    assert "0.61, as two of its 3 seeds may (95 %)" in why


# 30 % of 10,000 images: the standard deviation of a difference is sqrt(2 * 0.3 * 0.7 / 10,000) = 0.648 points.
@pytest.mark.parametrize(("off", "expected"), [(1.26, "within noise"), (1.28, "not reproduced")])
def test_with_fewer_seeds_two_draws_of_the_test_set_are(off: float, expected: str) -> None:
    seeds = others(30.0, 90.0)
    got, why = word(seeds[0], record(30.0 - off, artifact="b"), *seeds)
    assert (got, "1.27, as two draws of 10000 test images may (95 %)" in why) == (expected, True)


def test_no_error_at_all_has_a_limit_too() -> None:
    assert word(record(0.0), record(0.01, artifact="b"))[0] == "within noise"
    assert word(record(0.0), record(1.0, artifact="b"))[0] == "not reproduced"


def test_of_a_group_the_network_that_is_furthest_off_tells() -> None:
    assert word(record(30.0, 20.0), record(30.1, 25.0, artifact="b"))[0] == "not reproduced"
    assert word(record(30.0, 20.0), record(30.1, 20.1, artifact="b"))[0] == "within noise"


def test_what_differs_is_told() -> None:
    first = record(30.0, libraries={"torch": "2.11"}, taken={"teacher": {"record": "r", "artifact": "x"}})
    again = record(
        30.1,
        artifact="b",
        device="Another GPU",
        precision="bfloat16",
        libraries={"torch": "2.12"},
        taken={"teacher": {"record": "r", "artifact": "y"}},
    )
    told = "other than the first: device Another GPU (first Imaginary GPU); precision bfloat16 (first float32);"
    assert word(first, again)[1].endswith(f"{told} torch 2.12 (first 2.11); its teacher")


def test_an_older_version_is_told() -> None:
    first = record(30.0, id="paper-old", versions={**run().versions, "network resnet": 0})
    assert "; other than the first: versions of network resnet" in word(first, record(30.1, artifact="b"))[1]


def test_a_run_that_diverges_once_is_not_reproduced() -> None:
    broken = handmade.record(run(), results=[Result(None, None, None)], status="diverged")
    assert word(record(30.0), broken) == ("not reproduced", "diverged, the first was done")
    assert word(broken, record(30.0)) == ("not reproduced", "done, the first was diverged")
    assert word(broken, broken)[0] == "reproduced bit for bit"


def test_the_seeds_of_a_recipe_are_its_first_records() -> None:
    seeds = others(30.0, 30.1, 30.2)
    more = [
        record(30.0, replica=2),
        record(30.0, of=run("kd")),
        record(30.0, profile="short"),
        record(30.0, versions={}),
        handmade.record(run(), status="diverged"),
    ]
    assert same_recipe(seeds[1], [*more, *seeds]) == seeds
