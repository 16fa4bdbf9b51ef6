"""Figures of a whole table: published against ours, and accuracy against cost."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.metrics import Metric
from bench.report.canvas import canvas, entitle, save
from bench.report.forest import ForestLine, comparable
from bench.report.labels import short
from bench.report.tradeoff import KINDS, CostPoint

BAND, PUBLISHED, COLOURS = "#cfe8d5", "#7a2fb5", {"last": "#0b62b8", "best": "#b04a00"}
MARKERS = {"last": "o", "best": "s"}


def forest_plot(lines: Sequence[ForestLine], metric: Metric, title: str, path: Path) -> None:
    """Draw published values against ours to a file as its suffix says.

    Rows with a published value are drawn as differences from it: seeds as dots, the mean with its 90 % and 95 %
    intervals, the margin as a band. A table without any has the values of all rows, with one standard deviation.

    Raises:
        UsageError: another suffix.
    """
    compared = comparable(lines)
    shown = compared or tuple(lines)
    rows = [list(same) for _, same in groupby(shown, key=lambda line: line.row)]
    groups = [group for group, _ in groupby(rows, key=lambda row: row[0].group) if group]
    figure = canvas(path, 9.5, 0.34 * (len(rows) + len(groups)) + 1.9)
    axes = figure.add_subplot()
    ticks: list[tuple[str, str, bool]] = []
    for group, of_group in groupby(rows, key=lambda row: row[0].group):
        if group:
            ticks.append((short(group), "", True))
        for row in of_group:
            _draw_row(axes, len(ticks), row, relative=bool(compared))
            ticks.append((short(row[0].label), row[0].word if compared else "", False))
    _label_rows(axes, ticks)
    axes.set_xlabel(f"Ours − published (points of {metric.label})" if compared else metric.axis)
    _explain(axes, sorted({line.epoch for line in shown}, reverse=True), relative=bool(compared))
    entitle(figure, title)
    save(figure, path)


def _draw_row(axes: Any, place: int, lines: Sequence[ForestLine], *, relative: bool) -> None:
    first = lines[0]
    zero = (first.published or 0.0) if relative else 0.0
    if first.published is not None:
        x = first.published - zero
        if first.margin is not None:
            axes.barh(place, 2 * first.margin, left=x - first.margin, height=0.84, color=BAND, zorder=1)
        spread = {"xerr": first.published_spread, "lw": 1, "capsize": 2} if first.published_spread else {}
        axes.errorbar(x, place, fmt="D", mfc="none", color=PUBLISHED, ms=6, zorder=6, **spread)
    for k, line in enumerate(lines):
        _draw_ours(axes, place + (k - (len(lines) - 1) / 2) * 0.36, line, zero, relative=relative)


def _draw_ours(axes: Any, y: float, line: ForestLine, zero: float, *, relative: bool) -> None:
    if line.mean is None:
        return
    colour, x = COLOURS[line.epoch], line.mean - zero
    halves = ((line.h95, 1.0), (line.h90, 2.6)) if relative else ((line.sd, 2.6),)
    for half, width in halves:
        if half is not None:
            axes.hlines(y, x - half, x + half, color=colour, lw=width, zorder=3)
    axes.plot(x, y, MARKERS[line.epoch], color=colour, ms=6.5, zorder=4)
    dots = [value - zero for value in line.values.values()]
    axes.plot(dots, [y] * len(dots), "o", color=colour, ms=3.4, mec="white", mew=0.6, zorder=5)


def _label_rows(axes: Any, ticks: Sequence[tuple[str, str, bool]]) -> None:
    """Labels at the left, groups in bold, and verdicts at the right."""
    axes.set_ylim(len(ticks) - 0.4, -0.6)
    axes.set_yticks(range(len(ticks)), [label for label, _, _ in ticks], parse_math=False)
    for text, (_, _, heading) in zip(axes.get_yticklabels(), ticks, strict=True):
        text.set_fontweight("bold" if heading else "normal")
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(ticks)), [word for _, word, _ in ticks])
    for one in (axes, right):
        one.tick_params(axis="y", length=0, labelsize=9)
    right.tick_params(axis="y", labelcolor="0.35")
    right.spines[:].set_visible(False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="0.9", lw=0.8)
    axes.set_axisbelow(True)


def _explain(axes: Any, epochs: Sequence[str], *, relative: bool) -> None:
    """A legend below the plot."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    interval = "mean with 90 % and 95 % intervals" if relative else "mean ± one standard deviation"
    handles: list[Any] = [
        Line2D([], [], color=COLOURS[epoch], marker=MARKERS[epoch], ms=6, label=f"ours, {epoch} epoch: {interval}")
        for epoch in epochs
    ]
    handles.append(Line2D([], [], color="0.35", marker="o", ms=3.4, ls="none", label="one seed"))
    handles.append(
        Line2D([], [], color=PUBLISHED, marker="D", mfc="none", ls="none", label="published, with its spread")
    )
    handles.append(Patch(color=BAND, label="margin that does not matter"))
    axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.9 / axes.figure.get_figheight()),
        ncols=2,
        fontsize=8,
        frameon=False,
    )


def cost_plot(points: Sequence[CostPoint], metric: Metric, title: str, path: Path) -> None:
    """Draw accuracy or error over cost to a file as its suffix says: a line of panels for each set of test images.

    Filled marks are on the Pareto front of their series, which a line joins.

    Raises:
        UsageError: another suffix.
    """
    settings = list(dict.fromkeys(point.setting for point in points))
    figure = canvas(path, 5.2 * len(KINDS), 3.3 * len(settings) + 0.7)
    for line, setting in zip(figure.subplots(len(settings), len(KINDS), squeeze=False), settings, strict=True):
        for axes, (kind, meaning) in zip(line, KINDS.items(), strict=True):
            shown = [point for point in points if (point.setting, point.kind) == (setting, kind)]
            for series, colour in (("ours", COLOURS["last"]), ("published", PUBLISHED)):
                _draw_points(axes, [point for point in shown if point.series == series], series, colour)
            axes.set_xscale("log")
            axes.margins(x=0.18, y=0.16)
            axes.set_xlabel(meaning, fontsize=9)
            axes.set_ylabel(metric.axis, fontsize=9)
            axes.set_title(setting, fontsize=10)
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(axis="y", color="0.9", lw=0.8)
            axes.legend(fontsize=8, frameon=False)
    entitle(figure, title)
    save(figure, path)


def _draw_points(axes: Any, points: Sequence[CostPoint], series: str, colour: str) -> None:
    if not points:
        return
    front = sorted((point for point in points if point.best), key=lambda point: point.cost)
    costs, qualities = [point.cost for point in points], [point.quality for point in points]
    axes.plot(costs, qualities, "o", mfc="none", color=colour, ms=6, label=series)
    axes.step([p.cost for p in front], [p.quality for p in front], "o--", where="post", color=colour, ms=6, lw=1)
    if series == "published":
        return
    for point in front:
        # Below its point a label meets no line of the front, but for the last one, which would leave the plot.
        axes.annotate(
            short(point.label, 30),
            (point.cost, point.quality),
            xytext=(0, -14),
            textcoords="offset points",
            ha="right" if point is front[-1] and len(front) > 1 else "left",
            fontsize=7.5,
            parse_math=False,
        )
