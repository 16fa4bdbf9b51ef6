"""The charts of a page, as Vega-Lite specifications with their data.

Colours are the page's custom properties, ``var(--name)``, so that one drawing follows the theme and the printer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from textwrap import shorten
from typing import Any

from bench.recipe.model import Quality
from bench.report.forest import ForestLine, comparable
from bench.report.tradeoff import KINDS, CostPoint

Spec = dict[str, Any]
STEP, LABEL = 26, 46
INK, MUTED, GRID, BAND = "var(--ink)", "var(--muted)", "var(--grid)", "var(--band)"
COLOURS = {"last": "var(--last)", "best": "var(--best)", "published": "var(--published)", "ours": "var(--last)"}
SHAPES = {"last": "circle", "best": "square"}
CONFIG: Spec = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        **{key: INK for key in ("labelColor", "titleColor")},
        **{key: GRID for key in ("gridColor", "domainColor", "tickColor")},
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


def forest_charts(lines: Sequence[ForestLine], metric: Quality) -> tuple[Chart, ...]:
    """The differences of rows with a published value, if there are some; and all rows as they are."""
    whole = Chart(
        "forest-values",
        f"Test {metric} (%) of every row: seeds as dots, our mean ± one standard deviation, published values as"
        " diamonds with the spread that the paper prints.",
        "The numbers are in the table below.",
        *_forest(lines, metric, relative=False),
    )
    compared = comparable(tuple(lines))
    if not compared:
        return (whole,)
    relative = Chart(
        "forest-differences",
        f"Ours minus published, in points of {metric}: seeds as dots, our mean with its 90 % interval (thick) and 95 %"
        " interval (thin). The band is the margin that does not matter; the diamond is the published value.",
        "The numbers are in the table below.",
        *_forest(compared, metric, relative=True),
    )
    return (relative, whole)


def _forest(lines: Sequence[ForestLine], metric: Quality, *, relative: bool) -> tuple[int, Spec]:
    """The height and the drawing: groups as headings, a row a line, protocols one below the other within it."""
    keys, labels, headings, words = [], {}, {}, {}
    data: dict[str, list[dict[str, Any]]] = {"rows": [], "ours": [], "seeds": []}
    number = 0
    for group, of_group in groupby(lines, key=lambda line: line.group):
        if group:
            keys.append(f"group {number}")
            labels[keys[-1]], headings[keys[-1]], words[keys[-1]] = _short(group), True, ""
        for _, of_row in groupby(of_group, key=lambda line: line.row):
            shown = list(of_row)
            key = f"row {(number := number + 1)}"
            keys.append(key)
            labels[key], headings[key], words[key] = _short(shown[0].label), False, _short(shown[0].word)
            _add(data, key, shown, relative=relative)
    y = {
        "field": "line",
        "type": "nominal",
        "scale": {"domain": keys, "paddingInner": 0.15},
        "axis": {
            "title": None,
            "labelExpr": "labels[datum.value]",
            "labelFontWeight": {"condition": {"test": "headings[datum.value]", "value": "bold"}, "value": "normal"},
            "labelColor": {"condition": {"test": "headings[datum.value]", "value": MUTED}, "value": INK},
            "ticks": False,
            "domain": False,
        },
    }
    title = f"Ours − published (points of {metric})" if relative else f"Test {metric} (%)"
    x = {"type": "quantitative", "scale": {"zero": False, "nice": True}, "axis": {"title": title, "grid": True}}
    epochs = sorted({line.epoch for line in lines}, reverse=True)
    spec: Spec = {
        "width": "container",
        "height": STEP * len(keys),
        "params": [{"name": "labels", "value": labels}, {"name": "headings", "value": headings}],
        "datasets": data,
        "layer": [
            _labels(x, y, {}),
            *(layer for layer in _forest_layers(x, y, epochs) if _drawn(layer, data)),
        ],
        "resolve": {"axis": {"y": "independent"}},
        "config": CONFIG,
    }
    if relative:
        spec["params"].append({"name": "words", "value": words})
        right = {"orient": "right", "labelExpr": "words[datum.value]", "labelColor": MUTED, "labelLimit": 240}
        spec["layer"].insert(1, _labels(x, y, right))
    return 80 + STEP * len(keys), spec


def _add(data: dict[str, list[dict[str, Any]]], key: str, lines: Sequence[ForestLine], *, relative: bool) -> None:
    """The marks of one row."""
    first = lines[0]
    zero = (first.published or 0.0) if relative else 0.0
    row: dict[str, Any] = {"line": key, "row": _short(first.label, 80)}
    if first.published is not None:
        spread, value = first.published_spread or 0.0, first.published - zero
        row |= {"published": first.published, "x": value, "low": value - spread, "high": value + spread}
        if first.margin is not None:
            row |= {"from": value - first.margin, "to": value + first.margin, "margin": first.margin}
    data["rows"].append({name: _rounded(value) for name, value in row.items()})
    for line in lines:
        same = {"line": key, "row": row["row"], "epoch": line.epoch}
        data["seeds"] += [
            {**same, "seed": seed, "x": _rounded(value - zero), "value": _rounded(value)}
            for seed, value in line.values.items()
        ]
        if line.mean is None:
            continue
        middle, halves = line.mean - zero, (line.h90, line.h95) if relative else (line.sd, None)
        mean = {**same, "x": middle, "mean": line.mean, "n": len(line.values), "verdict": line.word}
        for (low, high), half in zip((("low90", "high90"), ("low95", "high95")), halves, strict=True):
            if half is not None:
                mean |= {low: middle - half, high: middle + half}
        data["ours"].append({name: _rounded(value) for name, value in mean.items()})


def _drawn(layer: Spec, data: dict[str, list[dict[str, Any]]]) -> bool:
    """Whether a layer has a mark: Vega warns of one that has none."""
    return any(layer["encoding"]["x"]["field"] in row for row in data[layer["data"]["name"]])


def _forest_layers(x: Spec, y: Spec, epochs: Sequence[str]) -> list[Spec]:
    offset = {"yOffset": {"field": "epoch", "type": "nominal", "scale": {"domain": epochs}}} if len(epochs) > 1 else {}
    colour = {
        "color": {
            "field": "epoch",
            "type": "nominal",
            "scale": {"domain": epochs, "range": [COLOURS[epoch] for epoch in epochs]},
            "legend": {"labelExpr": "datum.label + ' epoch'"} if len(epochs) > 1 else None,
        },
    }
    shape = {
        "shape": {
            "field": "epoch",
            "type": "nominal",
            "scale": {"domain": epochs, "range": [SHAPES[epoch] for epoch in epochs]},
            "legend": {"labelExpr": "datum.label + ' epoch'"} if len(epochs) > 1 else None,
        }
    }

    def layer(data: str, mark: Spec, extra: Spec, tip: Sequence[tuple[str, str]] = (), field: str = "x") -> Spec:
        return {
            "data": {"name": data},
            "transform": [{"filter": f"isValid(datum['{field}'])"}],
            "mark": mark,
            "encoding": {"y": {**y, "axis": None}, "x": {**x, "field": field}, **extra, **_tooltip(tip)},
        }

    row, ours = [("row", "row"), ("published", "published"), ("margin", "margin")], [("row", "row")]
    measured = [*ours, ("epoch", "epoch"), ("mean", "mean"), ("n", "seeds"), ("verdict", "verdict")]
    each = {**offset, **colour}
    return [
        layer("rows", {"type": "bar", "color": BAND}, {"x2": {"field": "to"}}, row, "from"),
        layer("rows", {"type": "rule", "color": COLOURS["published"]}, {"x2": {"field": "high"}}, row, "low"),
        layer("ours", {"type": "rule"}, {**each, "x2": {"field": "high95"}}, measured, "low95"),
        layer("ours", {"type": "rule", "strokeWidth": 3}, {**each, "x2": {"field": "high90"}}, measured, "low90"),
        layer("ours", {"type": "point", "filled": True, "size": 130, "opacity": 1}, {**each, **shape}, measured),
        layer(
            "seeds",
            {"type": "point", "filled": True, "size": 28, "opacity": 1, "stroke": "var(--paper)", "strokeWidth": 1},
            each,
            [*ours, ("seed", "seed"), ("epoch", "epoch"), ("value", "value")],
        ),
        layer(
            "rows",
            {"type": "point", "shape": "diamond", "filled": False, "size": 90, "color": COLOURS["published"]},
            {},
            row,
        ),
    ]


def _labels(x: Spec, y: Spec, axis: Spec) -> Spec:
    """The labels of all lines: those of an axis of marks that nobody sees, for each layer has an axis of its own."""
    return {
        "data": {"name": "rows"},
        "mark": {"type": "point", "opacity": 0},
        "encoding": {"y": {**y, "axis": {**y["axis"], **axis}}, "x": {**x, "field": "x"}},
    }


def curve_spec(metric: Quality) -> Spec:
    """Learning curves of a cell: each seed, their mean, and a band of one standard deviation; the page adds the data."""
    x = {"field": "step", "type": "quantitative", "axis": {"title": "Training step", "grid": False}}
    y = {"type": "quantitative", "scale": {"zero": False}, "axis": {"title": f"Test {metric} (%)"}}
    statistics = [
        {
            "aggregate": [
                {"op": "mean", "field": "value", "as": "mean"},
                {"op": "stdev", "field": "value", "as": "sd"},
                {"op": "count", "as": "n"},
            ],
            "groupby": ["step"],
        },
        {"calculate": "datum.n > 1 ? datum.mean - datum.sd : datum.mean", "as": "low"},
        {"calculate": "datum.n > 1 ? datum.mean + datum.sd : datum.mean", "as": "high"},
    ]
    tips = [("step", "step"), ("mean", "mean"), ("sd", "standard deviation"), ("n", "seeds")]
    return {
        "width": "container",
        "height": 220,
        "data": {"name": "curves"},
        "layer": [
            {
                "transform": statistics,
                "mark": {"type": "area", "color": COLOURS["last"], "opacity": 0.2},
                "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
            },
            {
                "mark": {"type": "line", "color": COLOURS["last"], "opacity": 0.35, "strokeWidth": 1},
                "encoding": {"x": x, "y": {**y, "field": "value"}, "detail": {"field": "seed"}},
            },
            {
                "transform": statistics,
                "mark": {"type": "line", "color": COLOURS["last"], "strokeWidth": 2.5, "point": {"size": 14}},
                "encoding": {"x": x, "y": {**y, "field": "mean"}, **_tooltip(tips)},
            },
        ],
        "config": CONFIG,
    }


def cost_charts(points: Iterable[CostPoint], metric: Quality) -> tuple[Chart, ...]:
    """Quality over cost: one drawing for each set of test images and kind of cost, with its Pareto fronts."""
    ordered = sorted(points, key=lambda point: (point.setting, [*KINDS].index(point.kind)))
    charts = []
    for (setting, kind), alike in groupby(ordered, key=lambda point: (point.setting, point.kind)):
        shown = list(alike)
        best = [point.label for point in shown if point.best and point.series == "ours"]
        said = f" On the front: {', '.join(_short(label, 60) for label in best)}." if best else ""
        caption = f"{setting}: test {metric} against {KINDS[kind]}."
        charts.append(Chart(f"cost-{len(charts) + 1}-{kind}", caption, said.strip(), 300, _cost(shown, metric, kind)))
    return tuple(charts)


def _cost(points: Sequence[CostPoint], metric: Quality, kind: str) -> Spec:
    data = [
        {
            "row": _short(point.label, 80),
            "label": _short(point.label, 24) if point.best else "",
            "group": _short(point.group, 60),
            "series": point.series,
            "cost": point.cost,
            "quality": _rounded(point.quality),
            "best": point.best,
        }
        for point in points
    ]
    series = sorted({point.series for point in points})
    x = {
        "field": "cost",
        "type": "quantitative",
        "scale": {"type": "log", "nice": False, "padding": 24},
        "axis": {"title": f"FLOPs ({kind}, logarithmic)", "format": ".0e", "tickCount": 5, "grid": False},
    }
    y = {
        "field": "quality",
        "type": "quantitative",
        "scale": {"zero": False, "padding": 14},
        "axis": {"title": f"Test {metric} (%)"},
    }
    colour = {
        "field": "series",
        "type": "nominal",
        "scale": {"domain": series, "range": [COLOURS[name] for name in series]},
    }
    tips = [("row", "row"), ("group", "group"), ("series", "series"), ("cost", "FLOPs"), ("quality", metric)]
    both = {"x": x, "y": y, "color": colour}
    best = {"transform": [{"filter": "datum.best"}]}
    front = {
        **best,
        "mark": {"type": "line", "interpolate": "step-after", "strokeDash": [4, 3], "strokeWidth": 1.2},
        "encoding": {**both, "order": {"field": "cost"}},
    }
    hollow = {"mark": {"type": "point", "size": 70, "filled": False}, "encoding": {**both, **_tooltip(tips)}}
    filled = {**best, "mark": {"type": "point", "size": 80, "filled": True}, "encoding": {**both, **_tooltip(tips)}}
    right = "scale('x', datum.cost) > width / 2"
    align, aside = {"expr": f"{right} ? 'right' : 'left'"}, {"expr": f"{right} ? 8 : -8"}
    names = {
        "transform": [{"filter": f"datum.best && datum.series == '{series[0]}'"}],
        "mark": {"type": "text", "dx": aside, "dy": -11, "align": align, "color": INK, "fontSize": 11, "limit": 180},
        "encoding": {"x": x, "y": y, "text": {"field": "label"}},
    }
    return {
        "width": "container",
        "height": 230,
        "data": {"values": data},
        "layer": [front, hollow, filled, names],
        "config": CONFIG,
    }


def _tooltip(fields: Sequence[tuple[str, str]]) -> Spec:
    return {"tooltip": [{"field": field, "title": title} for field, title in fields]} if fields else {}


def _short(text: str, width: int = LABEL) -> str:
    """A label that fits; spaces are one each, and a word that is longer than it is cut."""
    whole = shorten(text, width, placeholder=" …")
    return whole if whole != "…" else f"{text[: width - 1]}…"


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
