"""What the charts of a page share: Vega-Lite's settings and colours.

Colours are the page's custom properties, ``var(--name)``, so that one drawing follows the theme and the printer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]
INK, MUTED, GRID, BAND = "var(--ink)", "var(--muted)", "var(--grid)", "var(--band)"
COLOURS = {"last": "var(--last)", "best": "var(--best)", "published": "var(--published)", "ours": "var(--last)"}
CONFIG: Spec = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "gridColor": GRID,
        "domainColor": GRID,
        "tickColor": GRID,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 320,
    },
    "legend": {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "orient": "top", "title": None},
}


@dataclass(frozen=True)
class Chart:
    """A drawing with a name for its file, a caption, what it says to who cannot see it, and its height in pixels."""

    name: str
    caption: str
    description: str
    height: int
    spec: Spec


def tooltip(fields: Sequence[tuple[str, str]]) -> Spec:
    """The part of an encoding that shows (field, title) of the mark under the mouse."""
    return {"tooltip": [{"field": field, "title": title} for field, title in fields]}


def rounded(value: Any) -> Any:
    """A number with the digits that a drawing shows; anything else as it is."""
    return round(value, 4) if isinstance(value, float) else value
