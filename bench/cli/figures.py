"""``kdbench figure``: what single papers show, made again from runs and from words."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from tabulate import tabulate

from bench.data import wordvectors
from bench.data.datasets import Pixels
from bench.data.subset import subset
from bench.errors import UsageError
from bench.files import sha256
from bench.graph import Run
from bench.methods.data_impressions import class_similarity
from bench.metrics import Metric
from bench.profiles import Profile
from bench.project import Project, no_weights, resolve_run, training_command
from bench.recipe import Library, Subset, Words
from bench.record import Record
from bench.registry import SETS
from bench.report.curves import Curve, loss_curves, quality_curves
from bench.report.figures import gallery, heatmap, learning_curves, softened
from bench.schema import LARGEST, SMALLEST, nearest
from bench.store import Store
from bench.text import in_a_spreadsheet

if TYPE_CHECKING:
    from bench.train import artifacts

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
    recipe = Project.find().library().table(table)
    if set_name not in recipe.words:
        raise UsageError(f"table {table} has no word distances for {set_name!r}; {nearest(set_name, recipe.words)}")
    words = recipe.words[set_name]
    shipped = recipe.file.parent / words.distances
    if vectors is None:
        if distances or (length, distance) != ("raw", "euclidean"):
            raise UsageError(
                "--length, --distance and --distances need --vectors FILE: what is shipped is raw, euclidean"
            )
        stored = wordvectors.read_distances(shipped)
        classes, matrix = stored.classes, stored.matrix
    else:
        if not vectors.is_file():
            raise UsageError(f"there is no file {vectors}")
        if set_name not in SETS or not SETS[set_name].class_names:
            named = [name for name, info in SETS.items() if info.class_names]
            raise UsageError(f"the class names of {set_name!r} are not known; {nearest(set_name, named)}")
        classes = SETS[set_name].class_names
        matrix = wordvectors.distances(wordvectors.class_vectors(vectors, classes, words.labels), length, distance)
    soft = wordvectors.soft_labels(matrix, reading)
    source = words.source if vectors is None else f"{vectors.name} (sha256 {sha256(vectors)[:16]})"
    provenance = _provenance(set_name, source, words, length, distance)
    print(_shown(classes, soft))
    if distances is not None:
        wordvectors.write_distances(distances, classes, matrix, provenance)
        print(f"distances written to {distances}, for a recipe to name under 'words'")
    if csv is not None:
        meaning = {"soft labels": f"softmax of minus the distances of each row (FFDWV, eq. 7), reading {reading}"}
        wordvectors.write_matrix(csv, [in_a_spreadsheet(name) for name in classes], soft, meaning | provenance)
        print(f"similarity matrix written to {csv}")
    for path in figures:
        heatmap(classes, soft, "similarity after softmax", _title(set_name, source, words), path)
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
    provenance = {
        "vectors": source,
        "normalise": length,
        "distance": distance,
        "labels": f"{_named(words)}; every other class under its own name",
        "made by": f"kdbench figure similarity {set_name}",
    }
    return provenance | ({"note": words.note} if words.note else {})


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


def temperature(run: str, image: int, temperatures: Sequence[float], profile: Profile, figure: Path | None) -> None:
    """Print softmax(z / T) of a test image's logits for each T, from the logits that the run left; draw it too.

    Zeng's section 2.1 prints exp(z) / T instead, a misprint in which T cancels; its figure 3 shows exp(z / T).

    Args:
        run: ``TABLE/ROW#SEED``.
        image: its place in the set's canonical order, from 0.
        temperatures: T, above 0.
        profile: of the run.
        figure: where to draw the bars, if anywhere.

    Raises:
        UsageError: no such run, image or temperature, or the run's logits are not here.
    """
    if not all(SMALLEST <= t <= LARGEST for t in temperatures):
        raise UsageError(f"a temperature is a number from {SMALLEST:g} to {LARGEST:g}")
    from bench.train import artifacts

    project = Project.find()
    trained = resolve_run(project.library(), run, profile)
    logits = artifacts.logits(_artifact(project.store(), trained)).double().numpy()
    if not 0 <= image < len(logits):
        raise UsageError(f"no test image {image}; they are numbered 0 to {len(logits) - 1}")
    classes = SETS[trained.stage.data.set].shown_names
    soft = np.stack([_softmax(logits[image] / t) for t in temperatures])
    rows = [[f"T = {t:g}", *row] for t, row in zip(temperatures, soft, strict=True)]
    print(tabulate(rows, ["", *classes], "simple", floatfmt=".4f"))
    if figure is not None:
        pixels = _test_image(project, trained, image)
        softened(classes, soft, temperatures, pixels, f"{run}, test image {image}: softmax(z / T)", figure)
        print(f"figure drawn in {figure}")


def _test_image(project: Project, run: Run, number: int) -> Pixels | None:
    """The image (H, W, C) that a run tested as ``number``; None, with a line, where its set is not here."""
    info, part = SETS[run.stage.data.set], run.stage.data.test
    if not (info.synthetic or project.has_data(info.name)):
        print(
            f"the image is left out of the figure: {info.name} is not in {project.data} (`kdbench prepare {info.name}`)"
        )
        return None
    whole = info.load(project.data)
    if isinstance(part, Subset):
        number = subset(whole.test_y, part.fraction, part.per_class, part.seed)[number]
    image: Pixels = whole.test_x[number]
    return image


def _softmax(z: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    weights = np.exp(z - z.max())
    return np.asarray(weights / weights.sum())


EACH = 8


def impressions(
    run: str,
    classes: Sequence[int],
    profile: Profile,
    figure: Path | None,
    similarity: Path | None,
) -> None:
    """Print the class similarity in a teacher's last layer; draw it, and the first impressions of some classes.

    Args:
        run: ``TABLE/ROW#SEED``, a run that trains on synthesised images.
        classes: numbers of the classes to draw; none means all.
        profile: of the run.
        figure: where to draw the impressions, if anywhere.
        similarity: where to draw the matrix, if anywhere.

    Raises:
        UsageError: no such run or class, the run takes no synthesised images, or they are not here.
    """
    from bench.train import artifacts

    project = Project.find()
    source = resolve_run(project.library(), run, profile).sources.get("transfer_set")
    if source is None:
        raise UsageError(f"{run} is not trained on synthesised images")
    (teacher,) = source.teachers
    store = project.store()
    set_name = source.stage.data.set
    # The images first: what makes them again makes the teacher too, where that is gone.
    images, labels = (made.numpy() for made in artifacts.images(_artifact(store, source)))
    weights = artifacts.weights(_artifact(store, teacher))["linear.weight"]
    matrix = class_similarity(weights.double().numpy())
    names = SETS[set_name].shown_names
    if not all(0 <= number < len(names) for number in classes):
        raise UsageError(f"no class {max(classes, key=abs)}; they are numbered 0 to {len(names) - 1}")
    rows = [[name, *row] for name, row in zip(names, matrix, strict=True)]
    print(tabulate(rows, ["", *names], "simple", floatfmt=".3f"))
    record = store.current_record(source)
    errors = [line["networks"][0]["train_error"] for line in record.curve] if record else []
    print(f"{len(images)} impressions, of which the teacher takes {np.mean(errors):.1f} % for another class")
    if similarity is not None:
        heatmap(names, matrix, "class similarity", f"Class similarity in the last layer of {teacher.name}", similarity)
    if figure is not None:
        shown = {names[k]: images[labels == k][:EACH] for k in classes or range(len(names))}
        gallery(shown, f"Data impressions of {set_name}, {teacher.name}", figure)


def _artifact(store: Store, run: Run) -> "artifacts.Tensors":
    """The tensors that a run left; read with torch."""
    from bench.train import artifacts

    available = artifacts.load(store, run)
    if available is None:
        raise no_weights(run, store)
    return available[1]


def curves(runs: Sequence[str], losses: Sequence[str], profile: Profile, figure: Path | None) -> None:
    """Print the first and the last epoch of each curve; draw the curves, losses to the left.

    Args:
        runs: each ``TABLE/ROW[.STAGE]#SEED``: those whose test error or accuracy is shown, as the first one's table
            has it.
        losses: those whose loss terms are shown.
        profile: of all of them.
        figure: where to draw them, if anywhere.

    Raises:
        UsageError: no run is named, there is no such run, or it has no record.
    """
    if not runs and not losses:
        raise UsageError("name a run, as in efficiency/mnist-teacher#1")
    project = Project.find()
    library = project.library()
    tables = [library.table(name.partition("/")[0]) for name in (*runs, *losses)]
    store = project.store()
    records = {name: _recorded(store, resolve_run(library, name, profile)) for name in (*losses, *runs)}
    panels = _panels(records, runs, losses, tables[0].metric)
    rows = [
        [quantity, f"{curve.name} #{curve.seed}", curve.values[0], curve.values[-1], curve.steps[-1]]
        for quantity, shown in panels.items()
        for curve in shown
    ]
    print(tabulate(rows, ["", "run", "first epoch", "last epoch", "steps"], "simple", floatfmt=".4g", intfmt=","))
    if figure is not None:
        subtitle = f"{profile} profile" + ("" if profile == "paper" else ": not a result of the paper")
        title = "\n".join([*dict.fromkeys(table.title for table in tables), subtitle])
        learning_curves(panels, _labels(library, panels), title, figure)
        print(f"figure drawn in {figure}")


def _labels(library: Library, panels: Mapping[str, Sequence[Curve]]) -> dict[str, str]:
    """What a legend calls each curve: its row's label and group, and what else its name says."""
    labels = {}
    for name in (curve.name for curves in panels.values() for curve in curves):
        run, _, term = name.partition(": ")
        table, _, place = run.partition("/")
        row_name, _, stage = place.partition(".")
        row = library.table(table).rows[row_name]
        labels[name] = ", ".join(filter(None, (row.label, row.group, stage and f"stage {stage}", term)))
    return labels


def _panels(
    records: Mapping[str, tuple[Run, Record]], runs: Sequence[str], losses: Sequence[str], metric: Metric
) -> dict[str, list[Curve]]:
    """What is shown, by quantity; losses come first, as a first stage does."""
    panels = {
        "Loss, mean over the epoch": [curve for name in losses for curve in loss_curves(*records[name])],
        metric.axis: [curve for name in runs for curve in quality_curves(*records[name], metric)],
    }
    return {quantity: drawn for quantity, drawn in panels.items() if drawn}


def _recorded(store: Store, run: Run) -> tuple[Run, Record]:
    record = store.current_record(run)
    if record is None:
        raise UsageError(f"{run.name}#{run.seed} has no record; `{training_command(run, store)}` trains it")
    return run, record
