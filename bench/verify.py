"""Every record against itself: its digest, its curve, the identity that its own recipe gives it, and its artifact."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench import registry
from bench.errors import StoreError
from bench.files import sha256
from bench.graph import id_of, key_of
from bench.metrics import ERROR, Metric, last_and_best, mean_of, measured
from bench.record import Record
from bench.store import UNSEALED_RECORDS, checkpoint_epoch, read_record, record_files, unsealed_records


@dataclass
class Verification:
    """What was looked at, and a line for each fault.

    ``unsealed`` records have no digest of their own; ``unlisted`` ones of them are in no list either: an edit of those
    shows only where it contradicts the rest of the record. ``unplaced`` is by record why its id cannot be worked out.
    """

    records: dict[str, Record] = field(default_factory=dict)
    unsealed: int = 0
    unlisted: int = 0
    artifacts: int = 0
    checkpoints: int = 0
    unplaced: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def verify(root: Path, shipped: Path | None = None) -> Verification:
    """Look at every record of a folder of results, and at the artifacts and checkpoints that lie beside them.

    Args:
        root: the folder.
        shipped: another one, whose records count as well.
    """
    seen = Verification()
    for folder in (root, *([shipped] if shipped else [])):
        _read_all(folder, seen)
    for stem, record in seen.records.items():
        for faults in (_faults_of_curve, _faults_of_identity):
            seen.faults += [f"{stem}: {fault}" for fault in faults(record, seen)]
    _look_at_tensors(root, seen)
    return seen


def _read_all(folder: Path, seen: Verification) -> None:
    listed = unsealed_records(folder)
    lost = [name for name in listed if not (folder / "runs" / name).exists()]
    seen.faults += [f"{folder / 'runs' / name}: is listed in {UNSEALED_RECORDS}, but is not there" for name in lost]
    for path in record_files(folder):
        try:
            record = read_record(path, listed)
            len(record.curve)  # it is read when it is looked at
        except StoreError as error:
            seen.faults.append(str(error))
        else:
            seen.records.setdefault(record.stem, record)
            seen.unsealed += record.schema == 1
            seen.unlisted += record.schema == 1 and path.name not in listed


def _look_at_tensors(root: Path, seen: Verification) -> None:
    for path in sorted((root / "artifacts").glob("*.safetensors")):
        seen.artifacts += 1
        if path.stem not in seen.records:
            seen.faults.append(f"{path}: no record describes it")
        elif sha256(path) != seen.records[path.stem].artifact:
            seen.faults.append(f"{path}: not the file that its record describes")
    for path in sorted((root / "checkpoints").glob("*.safetensors")):
        seen.checkpoints += 1
        if checkpoint_epoch(path.read_bytes(), path.stem) is None:
            seen.faults.append(f"{path}: damaged, or another run's; it will be set aside")


def _faults_of_curve(record: Record, seen: Verification) -> Iterator[str]:
    """Where the results are not those of the curve, or the curve is not a whole one."""
    if "fidelity" in record.recipe:
        return
    metrics = _metrics(record)
    if metrics is None:
        seen.unplaced[record.stem] = f"metric {record.recipe['metric']['name']!r} is not known"
    if record.recipe["kind"] == "evaluate":
        if metrics is not None and record.results != [mean_of(record.curve, metrics)]:
            yield "its result is not the mean of its ensembles"
        return
    if [entry["epoch"] for entry in record.curve] != [*range(1, len(record.curve) + 1)]:
        yield "its curve has not every epoch once, in order"
    epochs = record.recipe["schedule"]["epochs"]
    if record.recipe["kind"] == "train" and record.status == "done" and epochs and len(record.curve) != epochs:
        yield f"its curve has {len(record.curve)} epochs of {epochs}"
    if metrics is not None and record.results:
        of_curve = last_and_best(record.curve, record.status, metrics)
        for k, (result, other) in enumerate(zip(record.results, of_curve, strict=False)):
            if result != other:
                yield f"the errors of network {k + 1} are not those of its curve"


def _metrics(record: Record) -> tuple[Metric, ...] | None:
    """What a run measured, as its recipe says; None for want of a plug-in."""
    stated = record.recipe.get("metric", ERROR.identity)
    known = {metric.key_name or metric.name: metric for metric in registry.METRICS.values()}
    return measured(known[stated["name"]](**stated["params"])) if stated["name"] in known else None


def _faults_of_identity(record: Record, seen: Verification) -> Iterator[str]:
    """Where key, id or inputs are not what the recipe of a record, and the records of its sources, come to."""
    sources = {edge: seen.records.get(taken["record"]) for edge, taken in record.taken.items()}
    known = {edge: source for edge, source in sources.items() if source is not None}
    for edge, source in known.items():
        if source.artifact != record.taken[edge]["artifact"]:
            yield f"its {edge} is not the artifact that {source.stem} describes"
    if len(known) < len(sources):
        seen.unplaced[record.stem] = "the record of a source is not here"
    elif record.recipe["data"]["set"] not in registry.SETS:
        seen.unplaced[record.stem] = f"data set {record.recipe['data']['set']!r} is not known"
    else:
        key = key_of(record.recipe, record.profile, record.seed, {edge: source.key for edge, source in known.items()})
        ids = {edge: source.id for edge, source in known.items()}
        if record.key != key or record.id != id_of(key, record.profile, record.versions, ids):
            yield "its key or its id is not what its recipe comes to"
