"""What a line needs: the parts of a text that no line break may part."""

import re

_NUMBERS = re.compile(r"\d ± \d|^[-\d.]+ / [-\d.]+$|^[-+]?\d[-+.e\d]*$")


def bound(line: str) -> str:
    """A line with spaces that do not break within a number and its spread, or between two numbers."""
    return re.sub(r" (?=[±/] )|(?<=[±/]) ", "\u00a0", line) if _NUMBERS.search(line) else line


def longest_word(line: str) -> int:
    """How long the longest part of a line is that is not to be broken: a word, or a number with its spread."""
    return max(map(len, bound(line).split(" ")))
