"""Distances between class names from word vectors, and the soft labels made of them (FFDWV, section 3.2.1)."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.word2vec import read_vectors as read_vectors
from bench.errors import WordsError
from bench.schema import nearest
from bench.text import on_one_line, visible

Matrix = NDArray[np.float64]

_DECIMALS = 6


@dataclass(frozen=True)
class DistanceTable:
    """A distance file's content: class names in label order, and float64 (C, C), symmetric with a diagonal of zeros."""

    classes: tuple[str, ...]
    matrix: Matrix


def class_vectors(path: Path, classes: Sequence[str], labels: Mapping[str, str | Sequence[str]]) -> Matrix:
    """Float64 (C, D): the vector of each class's name, else of its word, or the mean of its words, in ``labels``.

    Raises ``WordsError`` for a label of an unknown class, an empty list or a word without a vector.
    """
    for name in labels:
        if name not in classes:
            raise WordsError(f"label map: no class {name!r}; {nearest(name, classes)}")
        if not labels[name]:
            raise WordsError(f"label map: class {name!r} has no word")
    words = {name: _listed(labels.get(name, name)) for name in classes}
    vectors = read_vectors(path, [word for each in words.values() for word in each])
    return np.stack([np.mean([vectors[word].astype(np.float64) for word in words[name]], axis=0) for name in classes])


def distances(
    vectors: Matrix, normalise: Literal["raw", "unit"], distance: Literal["euclidean", "cosine", "sqeuclidean"]
) -> Matrix:
    """Distances (C, C) between the rows of vectors (C, D), taken raw or scaled to length 1 (eq. 6: raw, euclidean).

    Symmetric with a diagonal of zeros. Raises ``WordsError`` for a vector of length 0 where a direction is needed.
    """
    from scipy.spatial.distance import pdist, squareform

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if (normalise == "unit" or distance == "cosine") and not lengths.all():
        raise WordsError(f"the vector of class number {lengths.argmin()} has length 0, and so no direction")
    scaled = vectors / lengths if normalise == "unit" else vectors
    between = pdist(scaled, distance)
    return np.asarray(squareform(between.clip(min=0)), dtype=np.float64)  # rounding takes cosine distances below 0


def soft_labels(distances: Matrix, reading: Literal["vectors", "rows"]) -> Matrix:
    """Soft labels (C, C), those of class i in row i: the softmax of minus the distances of its row (eq. 7).

    ``reading`` is how eq. 6 and figure 1 are read: "vectors" takes the distances as they are, "rows" first replaces
    them by the euclidean distances between the rows of the distance matrix.
    """
    if reading == "rows":
        distances = np.linalg.norm(distances[:, None] - distances[None, :], axis=2)
    weights = np.exp(distances.min(axis=1, keepdims=True) - distances)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def write_matrix(path: Path, classes: Sequence[str], matrix: Matrix, provenance: Mapping[str, str]) -> None:
    """A CSV file of a matrix (C, C) between classes: ``# key: value`` lines, the class names, six decimals."""
    comments = [f"# {key}: {on_one_line(visible(value))}" for key, value in provenance.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*comments, *_lines(classes, matrix)]) + "\n", encoding="utf-8", newline="\n")


def write_distances(path: Path, classes: Sequence[str], matrix: Matrix, provenance: Mapping[str, str]) -> None:
    """A distance file (see ``write_matrix``) that ``read_distances`` takes."""
    _check(str(path), tuple(classes), matrix.round(_DECIMALS), [f"{path}: {name}" for name in classes])
    write_matrix(path, classes, matrix, provenance)


def read_distances(path: Path) -> DistanceTable:
    """The distances of a file, at six decimals.

    Raises ``WordsError`` with ``file:line`` for a file that is not square, symmetric, zero on its diagonal and
    non-negative, or whose rows and columns are not the same classes.
    """
    rows = _rows(path)
    if not rows:
        raise WordsError(f"{path}:1: no distances in this file")
    place, (_, *classes) = rows[0]
    if len(set(classes)) != len(classes) or not classes:
        raise WordsError(f"{place}: expected the class names, each once")
    if [cells[0] for _, cells in rows[1:]] != classes:
        wrong = next((where for (where, cells), name in zip(rows[1:], classes, strict=False) if cells[0] != name), None)
        raise WordsError(f"{wrong or rows[-1][0]}: expected one row a class, in the order of the first line")
    matrix = np.array([_numbers(where, cells[1:], len(classes)) for where, cells in rows[1:]]).round(_DECIMALS)
    _check(str(path), tuple(classes), matrix, [where for where, _ in rows[1:]])
    return DistanceTable(tuple(classes), matrix)


def _listed(words: str | Sequence[str]) -> Sequence[str]:
    return [words] if isinstance(words, str) else words


def _lines(classes: Sequence[str], matrix: Matrix) -> list[str]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["class", *classes])
    for name, row in zip(classes, matrix.round(_DECIMALS) + 0.0, strict=True):  # no number is written as -0
        writer.writerow([name, *(f"{value:.{_DECIMALS}f}" for value in row)])
    return text.getvalue().splitlines()


def _rows(path: Path) -> list[tuple[str, list[str]]]:
    """The cells of each line that is neither empty nor a comment, with its ``file:line``."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WordsError(f"{path}: cannot be read as text ({error})") from error
    kept = [(f"{path}:{number}", line.strip()) for number, line in enumerate(lines, 1)]
    content = [(place, line) for place, line in kept if line and not line.startswith("#")]
    return [(place, [cell.strip() for cell in next(csv.reader([line]))]) for place, line in content]


def _numbers(place: str, cells: list[str], count: int) -> list[float]:
    if len(cells) != count:
        raise WordsError(f"{place}: {len(cells)} numbers for {count} classes")
    try:
        return [float(cell) for cell in cells]
    except ValueError as error:
        raise WordsError(f"{place}: {error}") from None


def _check(name: str, classes: tuple[str, ...], matrix: Matrix, places: list[str]) -> None:
    """Raise at the place of the first row that breaks a rule of distances."""
    if matrix.shape != (len(classes), len(classes)):
        raise WordsError(f"{name}: a matrix {matrix.shape} for {len(classes)} classes")
    rules = {
        "a number is not finite": ~np.isfinite(matrix),
        "a distance is negative": matrix < 0,
        "the distance of a class to itself is not 0": np.diag(matrix.diagonal() != 0),
        "the distance differs from the one the other way": np.tril(matrix != matrix.T),
    }
    for says, broken in rules.items():
        if broken.any():
            row, column = np.argwhere(broken)[0]
            raise WordsError(f"{places[row]}: {says}: {classes[row]} to {classes[column]}, {matrix[row, column]}")
