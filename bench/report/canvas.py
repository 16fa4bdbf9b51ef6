"""Where matplotlib draws: an empty figure, and its file, the same bytes for the same numbers."""

from pathlib import Path
from textwrap import wrap
from typing import Any

from bench.errors import UsageError
from bench.text import visible

SUFFIXES = (".png", ".svg", ".pdf")
_LETTER = 0.095  # inches, of a title's usual letter in 11 points
_DATES = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def canvas(path: Path, width: float, height: float) -> Any:
    """An empty figure of so many inches; UsageError if its file cannot be drawn."""
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: a figure is drawn as .png, .svg or .pdf")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def entitle(figure: Any, title: str) -> None:
    """A title above everything, in lines that are no wider than the figure; of one that is very long, the beginning."""
    width = int(figure.get_figwidth() / _LETTER)
    lines = [
        part for line in visible(title).split("\n") for part in wrap(line, width, max_lines=5, placeholder=" …") or [""]
    ]
    figure.suptitle("\n".join(lines), fontsize=11, parse_math=False)


def save(figure: Any, path: Path) -> None:
    """Write the figure; without a date in it, the same numbers give the same file."""
    from matplotlib import rc_context

    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": "kdbench"}):
        figure.savefig(path, dpi=200, metadata=_DATES.get(path.suffix))
