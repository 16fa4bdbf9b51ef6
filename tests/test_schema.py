"""Values read from YAML nodes: each type, and what is said when the node is of another."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import RecipeError
from bench.nodes import compose
from bench.schema import Check, Fraction, Positive, PositiveInt, entries, nearest, read


@dataclass(frozen=True)
class Point:
    x: float
    y: float = 0.0


Even = Annotated[int, Check(lambda n: n % 2 == 0, "even")]


@pytest.fixture
def value(tmp_path: Path) -> Any:
    """Reads ``text`` as the value of the key ``here``, which is in line 2."""

    def of(kind: Any, text: str) -> Any:
        file = tmp_path / "a.yaml"
        file.write_text(f"first: 1\nhere: {text}\n", encoding="utf-8")
        return read(kind, entries(compose(file, "a.yaml"), "table")["here"], "here")

    return of


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (bool, "true", True),
        (int, "3", 3),
        (float, "3", 3.0),
        (float, "1.0e-4", 1e-4),
        (str, "some words", "some words"),
        (str, "'3'", "3"),
        (str, "2031-01-02", "2031-01-02"),
        (str, "=", "="),
        (Literal["a", "b"], "b", "b"),
        (int | None, "null", None),
        (int | None, "", None),
        (tuple[int, ...], "[1, 2]", (1, 2)),
        (tuple[int, ...], "[]", ()),
        (dict[str, int], "{a: 1}", {"a": 1}),
        (str | tuple[str, ...], "[a, b]", ("a", "b")),
        (Literal["all"] | Point, "all", "all"),
        (Literal["all"] | Point, "{x: 1}", Point(1.0)),
        (PositiveInt | Literal["unknown"], "2", 2),
        (Point, "{x: 1, y: 2}", Point(1.0, 2.0)),
        (Even, "4", 4),
    ],
)
def test_a_value_of_its_type(value: Any, kind: Any, text: str, expected: Any) -> None:
    found = value(kind, text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (bool, "1", "here: expected true or false, got 1"),
        (bool, "'true'", "here: expected true or false, got 'true'"),
        (int, "true", "here: expected a whole number, got true"),
        (int, "1.0", "here: expected a whole number, got 1.0"),
        (int, "!!int x", "here: expected a whole number, got x"),
        (float, "fast", "here: expected a number, got 'fast'"),
        (float, "true", "here: expected a number, got true"),
        (float, "1e-4", "here: expected a number, got '1e-4' (YAML needs a point in it: 1.0e-4)"),
        (float, ".nan", "here: expected a number, got .nan"),
        (float, ".inf", "here: expected a number, got .inf"),
        (float, "", "here: expected a number, got nothing"),
        (float, "[1]", "here: expected a number, got a list"),
        (float, "{a: 1}", "here: expected a number, got keys and values"),
        (str, "3", 'here: expected a text, got 3 (as a text: "3")'),
        (str, "no", 'here: expected a text, got no (as a text: "no")'),
        (str, "", "here: expected a text, got nothing"),
        (Literal["a", "b"], "c", "here: expected a or b, got 'c'"),
        (Literal["a", "b"], "[a]", "here: expected a or b, got a list"),
        (tuple[int, ...], "1", "here: expected a list, got 1"),
        (tuple[int, ...], "[1, x]", "here: expected a whole number, got 'x'"),
        (dict[str, int], "[1]", "here: expected keys and values, got a list"),
        (dict[str, int], "{a: x}", "here.a: expected a whole number, got 'x'"),
        (dict[str, int], "{a: 1, a: 2}", "here: key 'a' is given twice"),
        (dict[str, int], "{[a]: 1}", "here: a key must be a plain name"),
        (str | tuple[str, ...], "3", "here: expected a text or a list, got 3"),
        (Literal["all"] | Point, "al", "here: expected all or keys and values, got 'al'"),
        (PositiveInt | Literal["unknown"], "0", "here: must be 1 or more, got 0"),
        (Point, "{x: 1, z: 2}", "here: unknown key 'z'; known: x, y"),
        (Point, "{y: 1}", "here: key 'x' is missing"),
        (Positive, "0.0", "here: must be above 0, got 0.0"),
        (Fraction, "1.5", "here: must be above 0 and at most 1, got 1.5"),
        (Even, "3", "here: must be even, got 3"),
    ],
)
def test_another_type_is_a_fault_at_its_line(value: Any, kind: Any, text: str, message: str) -> None:
    with pytest.raises(RecipeError) as raised:
        value(kind, text)
    assert str(raised.value) == f"a.yaml:2: {message}"


def test_what_is_wrong_with_a_block_is_shown_at_its_key(value: Any) -> None:
    with pytest.raises(RecipeError, match=r"^a\.yaml:2: here: key 'x' is missing$"):
        value(Point, "\n  y: 1")


def test_what_is_wrong_inside_a_block_is_shown_where_it_stands(value: Any) -> None:
    with pytest.raises(RecipeError, match=r"^a\.yaml:4: here\.y: expected a number, got 'up'$"):
        value(Point, "\n  x: 1\n  y: up")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "1: expected keys and values, one table a file"),
        (b"# a comment\n", "1: expected keys and values, one table a file"),
        (b"- a\n- b\n", "1: expected keys and values, one table a file"),
        (b"only a text", "1: expected keys and values, one table a file"),
        (b"a: 1\nb: [1, 2\nc: 3\n", "3: not valid YAML: while parsing a flow sequence, expected ',' or ']'"),
        (b"a: 1\n\tb: 2\n", "2: not valid YAML: while scanning for the next token, found character '\\t'"),
        (b"a: *nowhere\n", "1: not valid YAML: found undefined alias 'nowhere'"),
        (b"a: 1\n---\nb: 2\n", "2: not valid YAML: expected a single document in the stream"),
        (b"a: caf\xe9\n", "1: cannot be read as text: 'utf-8' codec can't decode"),
        (b"a: \x00\n", "1: the character U+0000 cannot stand in a recipe"),
    ],
)
def test_a_file_that_is_no_mapping_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(RecipeError) as raised:
        compose(tmp_path / "a.yaml", "a.yaml")
    assert str(raised.value).startswith(f"a.yaml:{message}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("word", "known", "said"),
    [
        ("scheduel", ["schedule", "data"], "did you mean 'schedule'?"),
        ("zebra", ["schedule", "data"], "known: data, schedule"),
        ("zebra", [], "known: none"),
    ],
)
def test_the_nearest_name(word: str, known: list[str], said: str) -> None:
    assert nearest(word, known) == said


@given(number=st.floats(-1e18, 1e18).filter(lambda number: number == 0 or abs(number) >= 1e-18))
def test_every_number_whose_square_float32_holds_survives(
    number: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "number.yaml"
    # YAML wants a point in a number with an exponent.
    said = repr(number) if "." in repr(number) else repr(number).replace("e", ".0e")
    file.write_text(f"x: {said}\n", encoding="utf-8")
    assert read(float, entries(compose(file, "a"), "table")["x"], "x") == number
