"""``kdbench similarity``: the soft labels of FFDWV, from word vectors or from the shipped distances."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tabulate import tabulate

from bench.cli.place import Place
from bench.data import wordvectors
from bench.data.names import CLASSES
from bench.errors import UsageError
from bench.recipe import Words
from bench.report.figures import heatmap
from bench.schema import nearest
from bench.store import sha256

PRINTED_WHOLE = 20


def similarity(
    set_name: str,
    vectors: Path | None,
    table: str,
    length: Literal["raw", "unit"],
    distance: Literal["euclidean", "sqeuclidean", "cosine"],
    reading: Literal["vectors", "rows"],
    distances: Path | None,
    csv: Path | None,
    figures: Sequence[Path],
) -> None:
    """Print the similarity matrix; write the distances behind it or the matrix as CSV; draw it."""
    recipe = Place.find(None).library().table(table)
    if set_name not in recipe.words:
        raise UsageError(f"table {table} has no word distances for {set_name!r}; {nearest(set_name, recipe.words)}")
    words = recipe.words[set_name]
    shipped = recipe.file.parent / words.distances
    if vectors is None:
        if distances or (length, distance) != ("raw", "euclidean"):
            raise UsageError(
                "--length, --distance and --distances need --vectors FILE: what is shipped is raw, euclidean"
            )
        found = wordvectors.read_distances(shipped)
        classes, matrix = found.classes, found.matrix
    else:
        if not vectors.is_file():
            raise UsageError(f"there is no file {vectors}")
        if set_name not in CLASSES:
            raise UsageError(f"the class names of {set_name!r} are not known; {nearest(set_name, CLASSES)}")
        classes = CLASSES[set_name]
        matrix = wordvectors.distances(wordvectors.class_vectors(vectors, classes, words.labels), length, distance)
    soft = wordvectors.soft_labels(matrix, reading)
    source = words.source if vectors is None else f"{vectors.name} (sha256 {sha256(vectors)[:16]})"
    made = _provenance(set_name, source, words, length, distance)
    print(_shown(classes, soft))
    if distances is not None:
        wordvectors.write_distances(distances, classes, matrix, made)
        print(f"distances written to {distances}, for a recipe to name under 'words'")
    if csv is not None:
        said = {"soft labels": f"softmax of minus the distances of each row (FFDWV, eq. 7), reading {reading}"}
        wordvectors.write_matrix(csv, classes, soft, said | made)
        print(f"similarity matrix written to {csv}")
    for path in figures:
        heatmap(classes, soft, _title(set_name, source, words), path)
        print(f"heat map drawn in {path}")


def _title(set_name: str, source: str, words: Words) -> str:
    """A few lines that fit above the heat map."""
    lines = [f"{set_name}: similarity of the class names after softmax (FFDWV, figure 2)"]
    lines += textwrap.wrap(f"{source}; {_named(words)}", 90) + textwrap.wrap(words.note or "", 90)
    return "\n".join(lines)


def _named(words: Words) -> str:
    """Which word stands for which class."""
    means = (
        (name, word if isinstance(word, str) else f"mean of {' and '.join(word)}")
        for name, word in words.labels.items()
    )
    return ", ".join(f"{name} = {word}" for name, word in means) or "every class under its own name"


def _provenance(set_name: str, source: str, words: Words, length: str, distance: str) -> dict[str, str]:
    """What a CSV file says of its own making."""
    made = {
        "vectors": source,
        "normalise": length,
        "distance": distance,
        "labels": f"{_named(words)}; every other class under its own name",
        "made by": f"kdbench similarity {set_name}",
    }
    return made | ({"note": words.note} if words.note else {})


def _shown(classes: Sequence[str], soft: wordvectors.Matrix) -> str:
    """The whole matrix of a small set; of a large one each class's own share and its three nearest classes."""
    if len(classes) <= PRINTED_WHOLE:
        return tabulate(
            [[name, *row] for name, row in zip(classes, soft, strict=True)], ["", *classes], "simple", floatfmt=".3f"
        )
    rows = []
    for i, name in enumerate(classes):
        near = [j for j in soft[i].argsort()[::-1] if j != i][:3]
        rows.append([name, f"{soft[i, i]:.3f}", ", ".join(f"{classes[j]} {soft[i, j]:.3f}" for j in near)])
    return tabulate(rows, ["class", "own share", "nearest classes"], "simple", disable_numparse=True)
