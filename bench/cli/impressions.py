"""``kdbench impressions``: what zero-shot distillation synthesised, and the class similarity behind it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from bench.cli.place import Place, chosen
from bench.data.names import class_names
from bench.errors import UsageError
from bench.graph import Run
from bench.methods.data_impressions import class_similarity
from bench.profiles import Profile
from bench.report.figures import gallery, heatmap
from bench.store import Store
from bench.train import artifacts

EACH = 8


def impressions(
    run: str,
    classes: Sequence[int],
    profile: Profile,
    data: Path | None,
    figure: Path | None,
    similarity: Path | None,
) -> None:
    """Print the class similarity in a teacher's last layer; draw it, and the first impressions of some classes.

    Args:
        run: ``TABLE/ROW#SEED``, a run that trains on synthesised images.
        classes: numbers of the classes to draw; none means all.
        profile: of the run.
        data: the data folder, which tells the smoke profile whether it took a stand-in.
        figure: where to draw the impressions, if anywhere.
        similarity: where to draw the matrix, if anywhere.

    Raises:
        UsageError: no such run or class, the run takes no synthesised images, or they are not here.
    """
    place = Place.find(data)
    source = chosen(place.library(), run, profile, place.absent).sources.get("transfer_set")
    if source is None or source.teacher is None:
        raise UsageError(f"{run} is not trained on synthesised images")
    store, table = place.store(), run.partition("/")[0]
    set_name = source.stage.data.set
    matrix = class_similarity(_artifact(store, source.teacher, table)["linear.weight"].astype(np.float64))
    names = class_names(set_name, len(matrix))
    made = _artifact(store, source, table)
    if not all(0 <= number < len(names) for number in classes):
        raise UsageError(f"no class {max(classes, key=abs)}; they are numbered 0 to {len(names) - 1}")
    rows = [[name, *row] for name, row in zip(names, matrix, strict=True)]
    print(tabulate(rows, ["", *names], "simple", floatfmt=".3f"))
    record = store.current(source)
    errors = [line["networks"][0]["train_error"] for line in record.curve] if record else []
    print(f"{len(made['images'])} impressions, of which the teacher takes {np.mean(errors):.1f} % for another class")
    if similarity is not None:
        heatmap(names, matrix, f"Class similarity in the last layer of {source.teacher.name}", similarity)
    if figure is not None:
        shown = {names[k]: made["images"][made["labels"] == k][:EACH] for k in classes or range(len(names))}
        gallery(shown, f"Data impressions of {set_name}, {source.teacher.name}", figure)


def _artifact(store: Store, run: Run, table: str) -> dict[str, NDArray[Any]]:
    found = artifacts.load(store, run)
    if found is None:
        raise UsageError(f"what {run.name} left is not here; run `kdbench run {table}` first")
    return {name.removeprefix("net0."): tensor.numpy() for name, tensor in found[1].items()}
