"""``kdbench temperature``: what a trained network says of one test image, softened by different temperatures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tabulate import tabulate

from bench.cli.place import Place, chosen
from bench.data.names import class_names
from bench.errors import UsageError
from bench.profiles import Profile
from bench.report.figures import softened
from bench.train import artifacts


def temperature(
    run: str, image: int, temperatures: Sequence[float], profile: Profile, data: Path | None, figure: Path | None
) -> None:
    """Print softmax(z / T) of a test image's logits for each T, from the logits that the run left; draw it too.

    Zeng's section 2.1 prints exp(z) / T instead, a misprint in which T cancels; its figure 3 shows exp(z / T).

    Args:
        run: ``TABLE/ROW#SEED``.
        image: its place in the set's canonical order, from 0.
        temperatures: T, above 0.
        profile: of the run.
        data: the data folder, which tells the smoke profile whether it took a stand-in.
        figure: where to draw the bars, if anywhere.

    Raises:
        UsageError: no such run, image or temperature, or the run's logits are not here.
    """
    place = Place.find(data)
    found = chosen(place.library(), run, profile, place.absent)
    left = artifacts.load(place.store(), found)
    if left is None:
        raise UsageError(f"the logits of {run} are not here; train it with `kdbench run {run.partition('/')[0]}`")
    if min(temperatures) <= 0:
        raise UsageError("a temperature is above 0")
    logits = artifacts.logits(left[1]).double().numpy()
    if not 0 <= image < len(logits):
        raise UsageError(f"no test image {image}; they are numbered 0 to {len(logits) - 1}")
    classes = class_names(found.stage.data.set, logits.shape[1])
    soft = np.stack([_softmax(logits[image] / t) for t in temperatures])
    rows = [[f"T = {t:g}", *row] for t, row in zip(temperatures, soft, strict=True)]
    print(tabulate(rows, ["", *classes], "simple", floatfmt=".4f"))
    if figure is not None:
        softened(classes, soft, temperatures, f"{run}, test image {image}: softmax(z / T)", figure)
        print(f"figure drawn in {figure}")


def _softmax(z: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    weights = np.exp(z - z.max())
    return np.asarray(weights / weights.sum())
