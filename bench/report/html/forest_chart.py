"""The forest plot: published against ours."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from bench.metrics import Metric
from bench.report.forest import ForestLine, comparable
from bench.report.html.vega import BAND, COLOURS, CONFIG, INK, MUTED, Chart, Spec, rounded, tooltip
from bench.report.labels import short
from bench.report.model import Epoch

STEP = 26
SHAPES: dict[Epoch, str] = {"last": "circle", "best": "square"}
_READ_BELOW = "The numbers are in the table below."


def forest_charts(lines: Sequence[ForestLine], metric: Metric) -> tuple[Chart, ...]:
    """The differences of rows with a published value, if there are some; and all rows as they are."""
    if not lines:
        return ()
    compared = comparable(lines)
    values = _Plot(relative=False).filled(lines)
    charts = [
        Chart(
            "forest-values",
            f"{metric.axis} of every row: seeds as dots, our mean ± one standard deviation; published values as"
            " diamonds, with the spread that the paper prints.",
            _READ_BELOW,
            values.height + 80,
            values.spec(metric.axis),
        )
    ]
    if compared:
        differences = _Plot(relative=True).filled(compared)
        charts.insert(
            0,
            Chart(
                "forest-differences",
                f"Ours minus published, in points of {metric.label}: seeds as dots, our mean with its 90 % interval"
                " (thick) and 95 % interval (thin). The band is the margin that does not matter; the diamond is the"
                " published value.",
                _READ_BELOW,
                differences.height + 80,
                differences.spec(f"Ours − published (points of {metric.label})"),
            ),
        )
    return tuple(charts)


@dataclass
class _Plot:
    """The lines of a plot from top to bottom: groups as headings, a row each, and protocols one below the other in it.

    A line is known by its key, since labels need not differ; ``labels``, ``headings`` and ``words`` (verdicts, at the
    right) are by key. ``relative`` says that published values are moved to zero.
    """

    relative: bool
    labels: dict[str, str] = field(default_factory=dict)
    headings: dict[str, bool] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    epochs: list[Epoch] = field(default_factory=list)
    data: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"rows": [], "ours": [], "seeds": []})

    def filled(self, lines: Sequence[ForestLine]) -> "_Plot":
        self.epochs = sorted({line.epoch for line in lines}, reverse=True)
        for group, of_group in groupby(lines, key=lambda line: line.group):
            if group:
                self._add_line(group, heading=True)
            for _, of_row in groupby(of_group, key=lambda line: line.row):
                self._add_row(list(of_row))
        return self

    @property
    def height(self) -> int:
        return STEP * len(self.labels)

    def _add_line(self, label: str, word: str = "", *, heading: bool = False) -> str:
        key = f"line {len(self.labels) + 1}"
        self.labels[key], self.headings[key], self.words[key] = short(label), heading, short(word)
        return key

    def _add_row(self, lines: Sequence[ForestLine]) -> None:
        first = lines[0]
        zero = (first.published or 0.0) if self.relative else 0.0
        row: dict[str, Any] = {"line": self._add_line(first.label, first.word), "row": short(first.label, 80)}
        same = dict(row)
        if first.published is not None:
            spread, x = first.published_spread or 0.0, first.published - zero
            row |= {"published": first.published, "x": x, "low": x - spread, "high": x + spread}
            if first.margin is not None:
                row |= {"from": x - first.margin, "to": x + first.margin, "margin": first.margin}
        self._add("rows", row)
        for line in lines:
            for seed, value in line.values.items():
                self._add("seeds", {**same, "epoch": line.epoch, "seed": seed, "x": value - zero, "value": value})
            if line.mean is not None:
                self._add("ours", {**same, **self._mean(line, line.mean, zero)})

    def _mean(self, line: ForestLine, mean: float, zero: float) -> dict[str, Any]:
        said = {"epoch": line.epoch, "mean": mean, "n": len(line.values), "verdict": line.word, "x": mean - zero}
        intervals = {"90": line.h90, "95": line.h95} if self.relative else {"90": line.sd}
        for name, half in intervals.items():
            if half is not None:
                said |= {f"low{name}": mean - zero - half, f"high{name}": mean - zero + half}
        return said

    def _add(self, name: str, values: dict[str, Any]) -> None:
        self.data[name].append({key: rounded(value) for key, value in values.items()})

    def spec(self, title: str) -> Spec:
        x = {"type": "quantitative", "scale": {"zero": False, "nice": True}, "axis": {"title": title}}
        y = {"field": "line", "type": "nominal", "scale": {"domain": [*self.labels], "paddingInner": 0.15}}
        return {
            "width": "container",
            "height": self.height,
            "params": [{"name": name, "value": getattr(self, name)} for name in ("labels", "headings", "words")],
            "datasets": self.data,
            "layer": [
                _axis(x, y, "labels", INK),
                *([_axis(x, y, "words", MUTED, orient="right")] if self.relative else []),
                *(layer for layer in self._marks(x, y) if self._is_drawn(layer)),
            ],
            "resolve": {"axis": {"y": "independent"}},
            "config": CONFIG,
        }

    def _is_drawn(self, layer: Spec) -> bool:
        """Whether a layer has a mark: Vega warns of one that has none."""
        return any(layer["encoding"]["x"]["field"] in row for row in self.data[layer["data"]["name"]])

    def _marks(self, x: Spec, y: Spec) -> list[Spec]:
        """What is drawn, from back to front."""
        each = self._by_epoch()
        shape = {"shape": self._scale([SHAPES[epoch] for epoch in self.epochs])}
        purple = COLOURS["published"]
        diamond = {"type": "point", "shape": "diamond", "filled": False, "size": 90, "color": purple}
        dot = {"type": "point", "filled": True, "size": 28, "opacity": 1, "stroke": "var(--paper)", "strokeWidth": 1}

        def layer(data: str, mark: Spec, place: str, extra: Spec) -> Spec:
            return {
                "data": {"name": data},
                "transform": [{"filter": f"isValid(datum['{place}'])"}],
                "mark": mark,
                "encoding": {"y": {**y, "axis": None}, "x": {**x, "field": place}, **extra, **tooltip(_TIPS[data])},
            }

        return [
            layer("rows", {"type": "bar", "color": BAND}, "from", {"x2": {"field": "to"}}),
            layer("rows", {"type": "rule", "color": purple}, "low", {"x2": {"field": "high"}}),
            layer("ours", {"type": "rule"}, "low95", {**each, "x2": {"field": "high95"}}),
            layer("ours", {"type": "rule", "strokeWidth": 3}, "low90", {**each, "x2": {"field": "high90"}}),
            layer("ours", {"type": "point", "filled": True, "size": 130, "opacity": 1}, "x", {**each, **shape}),
            layer("seeds", dot, "x", each),
            layer("rows", diamond, "x", {}),
        ]

    def _by_epoch(self) -> Spec:
        colour = {"color": self._scale([COLOURS[epoch] for epoch in self.epochs])}
        if len(self.epochs) == 1:
            return colour
        return {**colour, "yOffset": {"field": "epoch", "type": "nominal", "scale": {"domain": self.epochs}}}

    def _scale(self, values: Sequence[str]) -> Spec:
        legend = {"labelExpr": "datum.label + ' epoch'"} if len(self.epochs) > 1 else None
        scale = {"domain": self.epochs, "range": values}
        return {"field": "epoch", "type": "nominal", "scale": scale, "legend": legend}


_TIPS = {
    "rows": [("row", "row"), ("published", "published"), ("margin", "margin")],
    "ours": [("row", "row"), ("epoch", "epoch"), ("mean", "mean"), ("n", "seeds"), ("verdict", "verdict")],
    "seeds": [("row", "row"), ("seed", "seed"), ("epoch", "epoch"), ("value", "value")],
}


def _axis(x: Spec, y: Spec, texts: str, colour: str, orient: str = "left") -> Spec:
    """The texts of all lines, as the axis of marks that nobody sees: each layer has an axis of its own."""
    heading = {"test": "headings[datum.value]"}
    axis = {
        "title": None,
        "orient": orient,
        "labelExpr": f"{texts}[datum.value]",
        "labelFontWeight": {"condition": {**heading, "value": "bold"}, "value": "normal"},
        "labelColor": {"condition": {**heading, "value": MUTED}, "value": colour},
        "labelLimit": 320,
        "ticks": False,
        "domain": False,
    }
    return {
        "data": {"name": "rows"},
        "mark": {"type": "point", "opacity": 0},
        "encoding": {"y": {**y, "axis": axis}, "x": {**x, "field": "x"}},
    }
