"""Figures of a paper made again from our own numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import UsageError
from bench.report.curves import Curve
from bench.text import visible

_NUMBERED = 20  # classes up to which each cell's number is printed
_DASHES = ("-", "--", "-.", ":")


def heatmap(classes: Sequence[str], matrix: NDArray[np.float64], title: str, path: Path) -> None:
    """Draw a matrix (C, C) between classes, row by row, to a PNG or SVG file as its suffix says (FFDWV, figure 2).

    Up to 20 classes each cell has its number. Colours go from light to dark, so that they read without telling hues
    apart, and by the root of the value, so that the small values beside a large diagonal can be told apart.

    Raises:
        UsageError: another suffix.
    """
    from matplotlib.colors import PowerNorm

    numbered = len(classes) <= _NUMBERED
    side = 2.6 + 0.6 * len(classes) if numbered else 2.0 + 0.1 * len(classes)
    figure = _figure(path, side, 0.9 * side)
    axes = figure.add_subplot()
    image = axes.imshow(matrix, cmap="Blues", norm=PowerNorm(0.5, vmin=0.0))
    figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02).outline.set_visible(False)
    axes.set_title(_shown(title), fontsize=13, pad=12)
    size = 11 if numbered else 5
    slant = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if numbered else {"rotation": 90}
    names = [_shown(name.replace("_", " ")) for name in classes]
    axes.set_xticks(range(len(names)), names, fontsize=size, **slant)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if numbered:
        # White where the cell is dark: relative luminance of ITU-R BT.709 below one half.
        luminance = image.to_rgba(matrix)[..., :3] @ np.array([0.2126, 0.7152, 0.0722])
        for (row, column), value in np.ndenumerate(matrix):
            colour = "white" if luminance[row, column] < 0.5 else "black"
            axes.text(column, row, f"{value:.3f}", ha="center", va="center", color=colour, fontsize=10)
    _save(figure, path)


def softened(
    classes: Sequence[str], soft: NDArray[np.float64], temperatures: Sequence[float], title: str, path: Path
) -> None:
    """Draw probabilities (T, C) as bars, one panel a temperature, to a PNG or SVG file (Zeng, figure 3).

    Raises:
        UsageError: another suffix.
    """
    figure = _figure(path, 1.8 * len(temperatures) + 1, 0.3 * len(classes) + 1.2)
    panels = figure.subplots(1, len(temperatures), sharey=True, squeeze=False)[0]
    for axes, row, t in zip(panels, soft, temperatures, strict=True):
        axes.barh(range(len(classes)), row, color="#2171b5")
        axes.set_xlim(0, 1)
        axes.set_title(f"T = {t:g}", fontsize=11)
        axes.set_xticks([0, 0.5, 1])
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(classes)), [_shown(name) for name in classes])
    panels[0].invert_yaxis()
    figure.suptitle(_shown(title), fontsize=12)
    _save(figure, path)


def gallery(rows: Mapping[str, NDArray[np.floating[Any]]], title: str, path: Path) -> None:
    """Draw images (N, C, H, W), one named row a class, to a PNG or SVG file (Zeng, figures 6 and 7).

    Each image is stretched to its own range: what an optimisation leaves has no fixed one.

    Raises:
        UsageError: another suffix.
    """
    columns = max(map(len, rows.values()))
    figure = _figure(path, 0.9 * columns + 1.2, 0.9 * len(rows) + 0.6)
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, images) in zip(panels, rows.items(), strict=True):
        for axes in line:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        line[0].set_ylabel(_shown(name), rotation=0, ha="right", va="center", fontsize=10)
        for axes, image in zip(line, images, strict=False):
            pixels = image.astype(np.float64).transpose(1, 2, 0)
            low, high = pixels.min(), pixels.max()
            axes.imshow((pixels - low) / max(high - low, 1e-12), cmap="gray", vmin=0, vmax=1)
    figure.suptitle(_shown(title), fontsize=11)
    _save(figure, path)


def learning_curves(panels: Mapping[str, Sequence[Curve]], title: str, path: Path) -> None:
    """Draw quantities over the training steps, one panel each, to a PNG or SVG file as its suffix says.

    Curves of one name, which are seeds of one run, share their colour and dashes.

    Raises:
        UsageError: another suffix.
    """
    figure = _figure(path, 5.2 * len(panels), 4.4)
    for axes, (quantity, curves) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        names = list(dict.fromkeys(curve.name for curve in curves))
        for curve in curves:
            k = names.index(curve.name)
            axes.plot(curve.steps, curve.values, f"C{k}", ls=_DASHES[k % len(_DASHES)], marker=".", lw=1.2)
        firsts = [[curve.name for curve in curves].index(name) for name in names]
        axes.legend([axes.lines[i] for i in firsts], [_shown(name) for name in names], fontsize=9, frameon=False)
        axes.set_xlabel("Training step")
        axes.set_ylabel(_shown(quantity))
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))  # from zero, so that a fall is seen at its size
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(_shown(title), fontsize=11)
    _save(figure, path)


def _figure(path: Path, width: float, height: float) -> Any:
    """An empty figure of so many inches, if its file can be drawn."""
    if path.suffix not in (".png", ".svg"):
        raise UsageError(f"{path}: a figure is drawn as .png or .svg")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _shown(text: str) -> str:
    """The text as it is: matplotlib sets what stands between dollars as mathematics."""
    return visible(text).replace("$", r"\$")


def _save(figure: Any, path: Path) -> None:
    from matplotlib import rc_context

    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": "kdbench"}):  # with no date in it either, the same numbers give the same file
        figure.savefig(path, dpi=200, metadata={"Date": None} if path.suffix == ".svg" else None)
