"""Text from outside: what would steer a terminal, reorder a line or belong to no character is told, not obeyed."""

import json
import re

# Control characters but tab and line feed, bidirectional marks, line separators, annotations, tags and surrogates.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\U000e0000-\U000e007f"
    "\ud800-\udfff]"
)
LONGEST_SHOWN = 80


def hidden(text: str) -> str | None:
    """The first character that no reader would see as one, as ``U+001B``; None if there is none."""
    found = _HIDDEN.search(text)
    return f"U+{ord(found[0]):04X}" if found else None


def visible(text: str) -> str:
    r"""The text with each such character as its escape, ``\x1b``; any other text is left as it is."""
    return _HIDDEN.sub(lambda found: ascii(found[0])[1:-1], text)


def visible_json(text: str) -> str:
    r"""The same of a JSON text, which then says the same: ``\u001b``."""
    return _HIDDEN.sub(lambda found: json.dumps(found[0])[1:-1], text)


def on_one_line(text: str) -> str:
    """The text without line breaks and tabs."""
    return re.sub(r"[ \t]*[\n\t][ \t\n]*", " ", text)


def in_a_spreadsheet(text: str) -> str:
    """The text of a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def clipped(text: str) -> str:
    """The beginning of a long text."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}... ({len(text)} characters)"
