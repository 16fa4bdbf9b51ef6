"""What tests of pages begin with: a table of many rows, or of texts that try to break a page, and its records."""

import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import yaml

from bench.cost import Cost
from bench.graph import plan
from bench.networks.base import Network
from bench.profiles import Profile
from bench.recipe import Cell, Claim, Library, Row, Table, load
from bench.record import Result
from bench.report.html.page import PageData, read
from bench.store import Store
from tests import handmade

HOSTILE = {
    "html": "<img src=x onerror=\"window.broken='img'\"><b>bold</b> & 'quoted' \"twice\"",
    "script": "</script><script>window.broken='script'</script><!-- </template></dialog>",
    "unicode": "Ünïcödé 蒸留 \U0001f9ea ﷽ \u200bzero\u2028line\u2029end",
    "bidi": "\u202eevil\u202c \u2067rtl שלום\u2069 \u200f",
    "long": "x" * 10_000,
    "jinja": "{{ 7 * 7 }} {% raw %} ${7*7} `code` \\",
}


class FakeCosts:
    """Depth 8: 25 million multiply-adds, 0.08 million parameters; depth 14: twice that."""

    def get(self, network: Network, classes: int, channels: int, size: int) -> Cost | None:
        return {8: Cost(25_000_000, 80_000), 14: Cost(50_000_000, 160_000)}[network.params["depth"]]


def recipe(texts: dict[str, str], count: int) -> dict[str, Any]:
    """A table whose first rows have these texts wherever a recipe has room for one, and ``count`` rows in all."""
    small = yaml.safe_load(handmade.SMALL)
    row = {"group": "Small", "network": "student", "method": "vanilla"}
    published = {
        "error": {"value": 30.0, "spread": 0.1, "meaning": "sd", "n": 3, "source": "Table 1", "protocol": "last"}
    }
    rows: dict[str, Any] = {"plain": {**row, "label": "Plain", "published": published}}
    for name, text in texts.items():
        cell = {**published["error"], "source": text, "note": f"note {text}"}
        said = {"assumed": {"schedule.lr": f"reason {text}"}, "deviations": [f"deviation {text}"], "notes": [text]}
        rows[name] = {**row, **said, "label": text, "group": text, "published": {"error": cell}}
        rows[f"{name}-aside"] = {**row, "label": text, "unscored": f"hypothesis {text}", "published": {}}
    for number in range(len(rows), count):
        rows[f"row-{number}"] = {
            **row,
            "label": f"Row {number}",
            "group": f"Group {number // 10}",
            "published": published,
        }
    for number, said in enumerate(rows.values(), 1):
        said["schedule"] = {"lr": number / 1000}  # or they would all be one run
    claims = [{"text": text, "better": name, "worse": "plain"} for name, text in texts.items()]
    whole = " ".join(texts.values())
    return {
        **{key: value for key, value in small.items() if key != "words"},
        "title": f"A table {whole}",
        "paper": f"Nobody et al. (arXiv 1234.56789) {whole}",
        "grouped_by": whole[:200] or "Network",
        "claims": claims,
        "rows": rows,
    }


def library(folder: Path, texts: dict[str, str], count: int = 0) -> Library:
    """The recipe, read with a harmless word in place of each text, and the texts put in after that.

    Whether recipes may have such texts is not for pages to rely on.
    """
    words = {name: f"text-{name}-" for name in texts}
    of = load(handmade.write(folder, yaml.safe_dump(recipe(words, count), allow_unicode=True, sort_keys=False)))
    return Library(
        {name: _planted(table, {words[key]: texts[key] for key in texts}) for name, table in of.tables.items()}
    )


def _planted(value: Any, texts: dict[str, str]) -> Any:
    if isinstance(value, str):
        for word, text in texts.items():
            value = value.replace(word, text)
        return value
    if isinstance(value, tuple):
        return tuple(_planted(item, texts) for item in value)
    if isinstance(value, dict):
        return {key: _planted(item, texts) for key, item in value.items()}
    if isinstance(value, (Table, Row, Cell, Claim)):
        return replace(value, **{each.name: _planted(getattr(value, each.name), texts) for each in fields(value)})
    return value


def fill(store: Store, of: Library, profile: Profile = "paper", epochs: int = 5) -> None:
    """A record of every run, each 0.1 points from the next seed's."""
    for number, runs in enumerate(plan(of, ["small"], profile).rows.values()):
        for seed, run in runs.items():
            last = 30.0 + 0.1 * seed + number % 7
            curve = [handmade.epoch(i, last + epochs - i) for i in range(1, epochs + 1)]
            said = {"results": [Result(last, last - 0.05, epochs)], "curve": curve, "commit": "0123456789abcdef"}
            store.add(handmade.record(run, **said, flops=10**12, seconds=60.0))


def page(folder: Path, texts: dict[str, str], count: int = 0) -> PageData:
    """The page of such a table, with records of all its runs."""
    of, store = library(folder, texts, count), Store(folder / "results")
    fill(store, of)
    return read(of, "small", store, FakeCosts())


class Parsed(HTMLParser):
    """The elements of a page as a browser sees them: (tag, attributes), and the text within those that it asks for."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in ("meta", "input", "br", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> ends nothing"
        assert self.open.pop() == tag, f"</{tag}> ends another element"

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def within(self, tag: str) -> list[str]:
        """The text of each element of that tag that has no element within it."""
        return [text for name, text in self.texts if name == tag]

    @property
    def seen(self) -> str:
        """All text that is neither script nor style."""
        return re.sub(r"\s+", " ", "".join(text for name, text in self.texts if name not in ("script", "style")))
