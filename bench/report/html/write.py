"""What a page shows → its file.

Everything is escaped, nothing is fetched, and the same page gives the same bytes.
"""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench import __version__
from bench.report.html.charts import curve_spec
from bench.report.html.page import PageData
from bench.report.remaining import left

_HERE = Path(__file__).parent
# In the order in which they are to be run.
LIBRARIES = ("vega", "vega-lite", "vega-embed")


def write_page(page: PageData, *, index: bool = False) -> str:
    """The HTML file of a table; ``index``: whether one of all tables lies beside it."""
    charts = {chart.name: chart.spec for chart in (*page.forest, *page.costs)}
    vendored = {name: _asset(f"vendor/{name}.min.js") for name in LIBRARIES}
    return _render(
        "page.html.j2",
        {
            "page": page,
            "index": index,
            "left": left(page.remaining, page.device, page.name),
            "charts": charts,
            "curve_spec": curve_spec(page.metric),
            "vendored": vendored,
        },
        [*vendored.values()],
    )


def write_index(pages: Sequence[PageData]) -> str:
    """The HTML file that lists all tables, whose pages lie beside it as ``TABLE.html``."""
    entries = []
    for page in pages:
        states = page.remaining.states
        entries.append(
            {
                "page": page,
                "file": f"{page.name}.html",
                "done": states.get("done", 0) + states.get("diverged", 0),
                "planned": sum(states.values()),
                "left": left(page.remaining, page.device, page.name),
            }
        )
    totals = {key: sum(entry[key] for entry in entries) for key in ("done", "planned")}  # type: ignore[misc]
    return _render("index.html.j2", {"pages": entries, **totals}, [])


def _render(template: str, context: dict[str, Any], libraries: Sequence[Markup]) -> str:
    script = _asset("templates/script.js")
    return (
        _environment()
        .get_template(template)
        .render(
            **context,
            version=__version__,
            style=_asset("templates/style.css"),
            script=script,
            # Nothing but these may run: whatever a label smuggled in would not.
            allowed_scripts=Markup(" ").join(_digest(text) for text in (script, *libraries)),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _code
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "allow_nan": False, "ensure_ascii": False}
    return environment


@cache
def _asset(name: str) -> Markup:
    """A file of the package's own, to stand in a page as it is."""
    text = (_HERE / name).read_text(encoding="utf-8")
    assert "</script" not in text.lower(), f"{name} would end the script that it stands in"
    return Markup(text)


def _code(text: str) -> Markup:
    """A text, escaped, whose parts between backticks are code."""
    parts = (Markup("<code>{}</code>") if i % 2 else Markup("{}") for i in range(len(text.split("`"))))
    return Markup().join(part.format(said) for part, said in zip(parts, text.split("`"), strict=True))


def _digest(text: str) -> Markup:
    """A script as a content security policy names it."""
    return Markup("'sha256-{}'").format(b64encode(hashlib.sha256(text.encode()).digest()).decode())
