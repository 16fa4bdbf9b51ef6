"""Figures of a paper made again from our own numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.report.canvas import canvas, entitle, save
from bench.report.curves import Curve
from bench.text import visible

_NUMBERED = 20  # classes up to which each cell's number is printed
_DASHES = ("-", "--", "-.", ":")


def heatmap(classes: Sequence[str], matrix: NDArray[np.float64], quantity: str, title: str, path: Path) -> None:
    """Draw a matrix (C, C) between classes, row by row, to a file as its suffix says (FFDWV, figure 2).

    Up to 20 classes each cell has its number. Colours go from light to dark, so that they read without telling hues
    apart, and by the root of the value, so that the small values beside a large diagonal can be told apart; the bar
    beside them says that, and what the ``quantity`` is.

    Raises:
        UsageError: another suffix.
    """
    from matplotlib.colors import PowerNorm

    numbered = len(classes) <= _NUMBERED
    side = 2.6 + 0.6 * len(classes) if numbered else 2.0 + 0.1 * len(classes)
    figure = canvas(path, side, 0.9 * side)
    axes = figure.add_subplot()
    image = axes.imshow(matrix, cmap="Blues", norm=PowerNorm(0.5, vmin=0.0))
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02, label=f"{quantity} (square-root scale)")
    bar.outline.set_visible(False)
    entitle(figure, title)
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
    save(figure, path)


def softened(
    classes: Sequence[str],
    soft: NDArray[np.float64],
    temperatures: Sequence[float],
    image: NDArray[np.uint8] | None,
    title: str,
    path: Path,
) -> None:
    """Draw probabilities (T, C) as bars, one panel a temperature, to a file (Zeng, figure 3).

    The ``image`` (H, W, C) that they are of stands before them, where it is given.

    Raises:
        UsageError: another suffix.
    """
    shown = image is not None
    figure = canvas(path, 1.8 * (len(temperatures) + shown) + 1, max(2.4, 0.3 * len(classes) + 1.2))
    panels = list(figure.subplots(1, len(temperatures) + shown, squeeze=False)[0])
    if image is not None:
        first = panels.pop(0)
        first.imshow(image.squeeze(), cmap="gray")
        first.set_axis_off()
        first.set_title("the image", fontsize=11)
    for axes, row, t in zip(panels, soft, temperatures, strict=True):
        axes.barh(range(len(classes)), row, color="#2171b5")
        axes.set_xlim(0, 1)
        axes.set_title(f"T = {t:g}", fontsize=11)
        axes.set_xticks([0, 0.5, 1])
        axes.set_ylim(len(classes) - 0.5, -0.5)
        axes.set_yticks(range(len(classes)), [])
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(classes)), [_shown(name.replace("_", " ")) for name in classes])
    figure.supxlabel("probability", fontsize=10)
    entitle(figure, title)
    save(figure, path)


def gallery(rows: Mapping[str, NDArray[np.floating[Any]]], title: str, path: Path) -> None:
    """Draw images (N, C, H, W), one named row a class, to a file (Zeng, figures 6 and 7).

    Each image is stretched to its own range: what an optimisation leaves has no fixed one.

    Raises:
        UsageError: another suffix.
    """
    columns = max(map(len, rows.values()))
    figure = canvas(path, 0.9 * columns + 1.2, 0.9 * len(rows) + 0.6)
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
    entitle(figure, title)
    save(figure, path)


def learning_curves(panels: Mapping[str, Sequence[Curve]], labels: Mapping[str, str], title: str, path: Path) -> None:
    """Draw quantities over the training steps, one panel each, to a file as its suffix says.

    Curves of one name are seeds of one run: of several, their mean is drawn, in a band of one standard deviation.

    Args:
        panels: the curves by the quantity that they show.
        labels: what a curve's name is called in a legend, where it is not its name.
        title: above everything; long lines are wrapped.
        path: the file.

    Raises:
        UsageError: another suffix.
    """
    figure = canvas(path, 5.6 * len(panels), 4.8)
    for axes, (quantity, curves) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for k, name in enumerate(dict.fromkeys(curve.name for curve in curves)):
            seeds = [curve for curve in curves if curve.name == name]
            label = labels.get(name, name) + (f", {len(seeds)} seeds" if len(seeds) > 1 else "")
            _draw_seeds(axes, seeds, "\n".join(wrap(_shown(label), 60)), f"C{k}", _DASHES[k % len(_DASHES)])
        axes.legend(fontsize=9, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.16))
        axes.set_xlabel("Training step")
        axes.set_ylabel(_shown(quantity))
        axes.margins(x=0.02, y=0.06)
        axes.grid(axis="y", color="0.9", lw=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    entitle(figure, title)
    save(figure, path)


def _draw_seeds(axes: Any, seeds: Sequence[Curve], label: str, colour: str, dashes: str) -> None:
    """One run's curve, or the mean of its seeds', over the steps that all of them have."""
    steps = seeds[0].steps[: min(len(curve.steps) for curve in seeds)]
    values = np.array([curve.values[: len(steps)] for curve in seeds])
    mean = values.mean(axis=0)
    axes.plot(steps, mean, colour, ls=dashes, marker="." if len(steps) < 40 else None, lw=1.4, label=label)
    if len(seeds) > 1:
        sd = values.std(axis=0, ddof=1)
        axes.fill_between(steps, mean - sd, mean + sd, color=colour, alpha=0.2, lw=0)


def _shown(text: str) -> str:
    """A text as it is: a dollar sign begins no formula, and nothing turns the order of the letters."""
    return visible(text).replace("$", r"\$")
