"""The JSON of a report: documented, versioned, and rounded to what it means.

``python tests/report/test_json.py`` brings ``docs/report.schema.json`` up to date.
"""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.counting import Costs
from bench.recipe import load
from bench.report.formats.json import PROBABILITIES, SCHEMA, to_json
from bench.report.formats.json_schema import report_schema
from bench.report.model import Claimed
from bench.report.table import build
from bench.report.verdict import Verdict
from bench.store import Store

REPO = Path(__file__).parents[2]
DOCUMENTED = REPO / "docs" / "report.schema.json"
LIBRARY = load(REPO / "recipes")
STORE, COSTS = Store(REPO / "results"), Costs.read(REPO / "results" / "costs.json")


def schema_text() -> str:
    return json.dumps(report_schema(), indent=1) + "\n"


def written(name: str) -> dict[str, Any]:
    return json.loads(to_json(build(LIBRARY, name, STORE, COSTS, smaller="short")))


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schema = json.loads(DOCUMENTED.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_documented_schema_is_that_of_the_model() -> None:
    assert DOCUMENTED.read_text(encoding="utf-8") == schema_text(), (
        "keys were added: run `python tests/report/test_json.py`; if one went or means something else, raise SCHEMA too"
    )


@pytest.mark.parametrize("name", LIBRARY.tables)
def test_every_table_is_as_documented(name: str, validator: Any) -> None:
    report = written(name)
    assert report["schema"] == SCHEMA
    assert [error.message for error in validator.iter_errors(report)] == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("schema",), SCHEMA + 1),
        (("margin",), "0.5"),
        (("columns", 0), 1),
        (("lines", 0, "measured", 0, "values", "one"), 1.0),
        (("lines", 0, "measured", 0, "planned"), 1.5),
        (("lines", 0, "costs", "speed"), {"published": None, "derived": None, "verdict": None}),
        (("lines", 0, "verdict", "word"), "perhaps"),
        (("provenance",), None),
    ],
)
def test_what_is_not_as_documented_is_refused(place: tuple[Any, ...], value: Any, validator: Any) -> None:
    report = copy.deepcopy(written("efficiency"))
    *path, last = place
    target = report
    for key in path:
        target = target[key]
    target[last] = value
    assert [*validator.iter_errors(report)]


def test_a_missing_key_is_refused(validator: Any) -> None:
    report = written("efficiency")
    del report["lines"][0]["published"]["protocol"]
    assert [error.message for error in validator.iter_errors(report)]


def floats(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from floats(item, (*path, str(key)))
    elif isinstance(value, float):
        yield path, value


def test_errors_have_four_decimals_and_costs_are_whole_numbers_of_what_they_count() -> None:
    report = written("efficiency")
    for path, value in ((path, value) for path, value in floats(report) if path[-1] not in PROBABILITIES):
        assert value == round(value, 8 if "costs" in path else 4), path
    line = next(line for line in report["lines"] if line["costs"]["trcost"]["derived"])
    assert (line["costs"]["trcost"]["derived"] * 1e8) % 1 == pytest.approx(0, abs=1e-6)
    assert isinstance(line["training"]["own"], int)


def test_a_probability_has_three_digits_and_no_zero_has_a_sign() -> None:
    report = build(LIBRARY, "zskd", STORE, COSTS)
    claim = Claimed("A beats B", "A", "B", Verdict("holds", "", 3, d=-0.00001, p=0.000123456))
    lines = (replace(report.lines[0], holm=0.000234567),)
    written = json.loads(to_json(replace(report, claims=(claim,), lines=lines)))
    (said,) = written["claims"]
    assert written["lines"][0]["holm"] == 0.000235
    assert said["verdict"]["p"] == 0.000123
    assert str(said["verdict"]["d"]) == "0.0"


if __name__ == "__main__":
    DOCUMENTED.write_text(schema_text(), encoding="utf-8")
