"""Text from outside: shown, never obeyed."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.text import clipped, hidden, in_a_spreadsheet, on_one_line, visible, visible_json

OBEYED = ["\x1b[2J", "\a", "\b", "\r", "\x7f", "\x9b31m", "\u202eabc", "\u2066", "\u200f", "\u2028", "\ud800", "\x00"]


@pytest.mark.parametrize("text", OBEYED)
def test_what_a_terminal_would_obey_is_told(text):
    shown = visible(f"before {text} after")
    assert hidden(text) is not None
    assert hidden(shown) is None
    assert shown.startswith("before \\")
    assert text not in shown


@pytest.mark.parametrize("text", ["plain", "±≤×−", "müßig 中文 ελληνικά", "a\tb\nc", "👩‍🔬", "عربي"])
def test_any_other_text_is_left_as_it_is(text):
    assert (visible(text), hidden(text)) == (text, None)


@given(st.text())
def test_nothing_hidden_is_left_and_doing_so_twice_changes_nothing(text):
    assert hidden(visible(text)) is None
    assert visible(visible(text)) == visible(text)
    assert "\n" not in on_one_line(text)


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_says_the_same(value):
    shown = visible_json(json.dumps(value, ensure_ascii=False))
    assert hidden(shown) is None
    assert json.loads(shown) == value


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_formula_in_a_spreadsheet(text):
    assert in_a_spreadsheet(text) == f"'{text}"
    assert in_a_spreadsheet(f"a{text}") == f"a{text}"


def test_a_long_text_is_clipped():
    assert clipped("a" * 80) == "a" * 80
    assert re.fullmatch(r"a{80}\.\.\. \(81 characters\)", clipped("a" * 81))
