"""Records and artifacts on disk: written atomically, never overwritten, verified before they are used.

``runs/<id>.json`` is the only truth for "done". Artifacts (weights and test logits) and checkpoints are not committed;
weights that later runs need may be kept under ``weights/``.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from bench import locks
from bench.errors import StoreError
from bench.files import about, seal_of, sha256, write_once
from bench.graph import Run
from bench.record import Record, from_json, stem_of, to_json

# The digests of records that have no seal of their own, made before records had one: as `sha256sum` writes them.
UNSEALED_RECORDS = "runs.sha256"


def record_files(folder: Path) -> list[Path]:
    """The records of a folder of results, in order.

    Raises:
        StoreError: something else is in the place of the folder, or it cannot be looked into.
    """
    runs = folder / "runs"
    try:
        return sorted(path for path in runs.iterdir() if path.match("*.json")) if runs.exists() else []
    except OSError as error:
        raise StoreError(f"{runs}: {error.strerror}; kdbench needs a folder there") from None


def read_record(path: Path, listed: Mapping[str, str]) -> Record:
    """The record in a file; ``listed`` has the digests of those without a seal (:func:`unsealed_records`).

    Raises:
        StoreError: it cannot be read, is not as it was written, or is that of another run.
    """
    try:
        if not path.is_file():
            raise StoreError(f"{path}: not a file; move it away")
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from None
    record = from_json(data.decode(errors="replace"), str(path))
    _check_name(record, path.name, str(path))
    if record.schema == 1 and listed.get(path.name, digest := hashlib.sha256(data).hexdigest()) != digest:
        raise StoreError(
            f"{path}: was changed after it was written (its digest is not that in {UNSEALED_RECORDS}); move the file"
            " away, or take it from version control"
        )
    return record


def unsealed_records(folder: Path) -> dict[str, str]:
    """The digests of the records, by file name, that a folder of results lists because they have no seal."""
    path = folder / UNSEALED_RECORDS
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return {name.removeprefix("runs/"): digest for digest, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); take it from version control") from None


def checkpoint_epoch(data: bytes, run_id: str) -> int | None:
    """How far a run is, by the bytes of its checkpoint; None if they are not one of this run, as it was written."""
    try:
        said = about(data) if seal_of(data) == "intact" else {}
    except ValueError:
        return None
    return said["epoch"] if said.get("id") == run_id and isinstance(said.get("epoch"), int) else None


def _check_name(record: Record, name: str, shown: str) -> None:
    if name != f"{record.stem}.json":
        raise StoreError(f"{shown}: the record in it is that of another run, {record.stem!r}")


class Store:
    """The folder of results, read once; ``add`` and ``refresh`` keep the index up to date.

    Args:
        root: the folder; whatever is written is written here.
        shipped: another one, whose records and weights count as well.
    """

    def __init__(self, root: Path, shipped: Path | None = None) -> None:
        self.root = root
        self.folders = [root, *([shipped] if shipped else [])]
        self.by_key: dict[str, list[Record]] = {}
        self.by_stem: dict[str, Record] = {}
        self.refresh()

    def refresh(self, *runs: Run) -> None:
        """Take in the records that other processes have written since; of these runs, or of all if none is named."""
        for folder in self.folders:
            paths = self._next_records(folder, runs) if runs else record_files(folder)
            new = [path for path in paths if path.stem not in self.by_stem and self._counts(path)]
            listed = unsealed_records(folder) if new else {}
            for path in new:
                self._index(read_record(path, listed), path.stem)

    def _counts(self, path: Path) -> bool:
        """A record of another folder does, unless it only tried out there whether a row runs."""
        return path.parents[1] == self.root or not path.name.startswith("smoke")

    def _next_records(self, folder: Path, runs: Iterable[Run]) -> Iterator[Path]:
        """The records of some runs that are there after those that are known; a folder of thousands is not listed."""
        for run in runs:
            for number in count(self.replica(run)):
                path = folder / "runs" / f"{stem_of(run.id, number)}.json"
                if not path.exists():
                    break
                yield path

    def _index(self, record: Record, stem: str) -> None:
        self.by_stem[stem] = record
        self.by_key.setdefault(record.key, []).append(record)

    def current_record(self, run: Run) -> Record | None:
        """The first record of the run as today's code makes it, rather one that is done than one that diverged."""
        current = [record for record in self.by_key.get(run.key, []) if record.id == run.id]
        return min(current, key=lambda record: (record.status != "done", record.replica), default=None)

    def latest_record(self, run: Run) -> Record | None:
        """The record that a report shows: the current one, else the newest that an older version left."""
        return self.current_record(run) or max(self.by_key.get(run.key, []), key=lambda r: r.finished, default=None)

    def available_artifact(self, run: Run) -> tuple[Record, Path] | None:
        """A current record of the run whose artifact is here; its digest is verified when it is opened."""
        for record in self.by_key.get(run.key, []):
            if record.id == run.id and record.artifact is not None:
                kept = [folder / "weights" / f"{record.stem}.safetensors" for folder in self.folders]
                for path in (self.artifact(record.stem), *kept):
                    if path.is_file():
                        return record, path
        return None

    def verified(self, record: Record, path: Path) -> Path:
        """The path of an artifact whose bytes are those that the record names; StoreError otherwise."""
        if sha256(path) != record.artifact:
            raise StoreError(
                f"{path}: not the file that its record describes (sha256 differs); delete it to train again"
            )
        return path

    def artifact(self, stem: str) -> Path:
        """Where the weights and test logits of a record lie."""
        return self.root / "artifacts" / f"{stem}.safetensors"

    def checkpoint(self, run: Run) -> Path:
        """Where the unfinished state of a run lies."""
        return self.root / "checkpoints" / f"{run.id}.safetensors"

    def replica(self, run: Run) -> int:
        """The number that the next record of this run takes."""
        used = [record.replica for record in self.by_key.get(run.key, []) if record.id == run.id]
        return max(used, default=0) + 1

    def add(self, record: Record) -> Path:
        """Write a record; nothing is ever overwritten."""
        path = self.root / "runs" / f"{record.stem}.json"
        write_once(path, to_json(record).encode())
        self._index(record, record.stem)
        return path

    def is_new(self, text: str, name: str, shown: str) -> bool:
        """Whether a record that another machine wrote as file ``name`` is not here yet.

        Raises:
            StoreError: it is none, or that of another run; or one of that name is here, and not the same.
        """
        _check_name(from_json(text, shown), name, shown)
        here = next((path for folder in self.folders if (path := folder / "runs" / name).exists()), None)
        if here is not None and here.read_text(encoding="utf-8") != text:
            raise StoreError(f"{shown}: another record of that name is already in {here.parent}; neither was changed")
        return here is None

    def merge(self, text: str, name: str, shown: str) -> None:
        """Take in a record, as it was written, unless it is here; raises as :meth:`is_new`."""
        if self.is_new(text, name, shown):
            write_once(self.root / "runs" / name, text.encode())
            self._index(from_json(text, shown), Path(name).stem)

    @contextmanager
    def lock(self, run: Run) -> Iterator[bool]:
        """Hold a run while it is trained; yields False if another process holds it."""
        lock = locks.acquire(self._lock(run))
        try:
            yield lock is not None
        finally:
            if lock is not None:
                lock.release()

    def holder(self, run: Run) -> locks.Owner | None:
        """Who trains a run now; None if nobody does."""
        return locks.holder(self._lock(run))

    def _lock(self, run: Run) -> Path:
        return self.root / "locks" / f"{run.id}.lock"
