"""Charts of learning curves and of cost."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from bench.metrics import Metric
from bench.report.html.vega import COLOURS, CONFIG, INK, Chart, Spec, rounded, tooltip
from bench.report.labels import short
from bench.report.tradeoff import KINDS, CostPoint


def curve_spec(metric: Metric) -> Spec:
    """Learning curves of a cell: seeds, their mean, and a band of one standard deviation; the page adds the data."""
    x = {"field": "step", "type": "quantitative", "axis": {"title": "Training step", "grid": False}}
    y = {"type": "quantitative", "scale": {"zero": False}, "axis": {"title": metric.axis}}
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
                "encoding": {"x": x, "y": {**y, "field": "mean"}, **tooltip(tips)},
            },
        ],
        "config": CONFIG,
    }


def cost_charts(points: Iterable[CostPoint], metric: Metric) -> tuple[Chart, ...]:
    """Metric over cost: one drawing for each set of test images and kind of cost, with its Pareto fronts."""
    ordered = sorted(points, key=lambda point: (point.setting, [*KINDS].index(point.kind)))
    charts: list[Chart] = []
    for (setting, kind), alike in groupby(ordered, key=lambda point: (point.setting, point.kind)):
        shown = list(alike)
        best = [point.label for point in shown if point.best and point.series == "ours"]
        said = f" On the front: {', '.join(short(label, 60) for label in best)}." if best else ""
        caption = f"{setting}: test {metric.label} against {KINDS[kind]}."
        charts.append(Chart(f"cost-{len(charts) + 1}-{kind}", caption, said.strip(), 300, _cost(shown, metric, kind)))
    return tuple(charts)


def _cost(points: Sequence[CostPoint], metric: Metric, kind: str) -> Spec:
    data = [
        {
            "row": short(point.label, 80),
            "label": short(point.label, 24) if point.best else "",
            "group": short(point.group, 60),
            "series": point.series,
            "cost": point.cost,
            "quality": rounded(point.quality),
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
        "axis": {"title": metric.axis},
    }
    colour = {
        "field": "series",
        "type": "nominal",
        "scale": {"domain": series, "range": [COLOURS[name] for name in series]},
    }
    tips = [("row", "row"), ("group", "group"), ("series", "series"), ("cost", "FLOPs"), ("quality", metric.label)]
    both: Spec = {"x": x, "y": y, "color": colour}
    best: Spec = {"transform": [{"filter": "datum.best"}]}
    front = {
        **best,
        "mark": {"type": "line", "interpolate": "step-after", "strokeDash": [4, 3], "strokeWidth": 1.2},
        "encoding": {**both, "order": {"field": "cost"}},
    }
    hollow = {"mark": {"type": "point", "size": 70, "filled": False}, "encoding": {**both, **tooltip(tips)}}
    filled = {**best, "mark": {"type": "point", "size": 80, "filled": True}, "encoding": {**both, **tooltip(tips)}}
    right = "scale('x', datum.cost) > width / 2"
    align, aside = {"expr": f"{right} ? 'right' : 'left'"}, {"expr": f"{right} ? 8 : -8"}
    names = {
        "transform": [{"filter": f"datum.best && datum.series == '{series[0]}'"}],
        "mark": {"type": "text", "dx": aside, "dy": 15, "align": align, "color": INK, "fontSize": 11, "limit": 180},
        "encoding": {"x": x, "y": y, "text": {"field": "label"}},
    }
    return {
        "width": "container",
        "height": 230,
        "data": {"values": data},
        "layer": [front, hollow, filled, names],
        "config": CONFIG,
    }
