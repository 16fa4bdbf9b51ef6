"""Records and artifacts on disk: written atomically, never overwritten, verified before they are used.

``runs/<id>.json`` is the only truth for "done". Artifacts (weights and test logits) and checkpoints are not committed;
weights that later runs need may be kept under ``weights/``.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict, final, overload

from filelock import FileLock, Timeout

from bench.errors import StoreError
from bench.graph import Run

SCHEMA = 1


@dataclass(frozen=True)
class Result:
    """One network of a run: top-1 test error in %, at the last epoch and at the best one (counted from 1)."""

    last_error: float | None
    best_error: float | None
    best_epoch: int | None


@final
class NetworkEntry(TypedDict):
    """One network in an epoch: the mean of each term of its loss (None if it is no number), and its errors in %."""

    loss: dict[str, float | None]
    train_error: float
    test_error: float


class EpochEntry(TypedDict):
    """An epoch of a training (counted from 1): the rate of its last step, and each network of the group."""

    epoch: int
    lr: float
    networks: list[NetworkEntry]
    seconds: float


@final
class ImagesEntry(TypedDict):
    """What is left of the loss over a batch of synthesised images, and the share that misses its class, in %."""

    loss: dict[str, float | None]
    train_error: float


class SynthesisEntry(TypedDict):
    """A batch of synthesised images (counted from 1), as the one network that they were made for sees them."""

    epoch: int
    networks: list[ImagesEntry]
    seconds: float


class EnsembleEntry(TypedDict):
    """An ensemble of the networks of these seeds, and its error in %."""

    members: list[int]
    test_error: float


CurveEntry = EpochEntry | SynthesisEntry | EnsembleEntry


@dataclass(frozen=True)
class Record:
    """What one run left behind. ``status`` is ``done`` or ``diverged``; ``replica`` counts from 1.

    ``curve`` has a :data:`CurveEntry` an epoch, batch of images or ensemble. ``taken`` gives, for each source, the
    record and the digest of the artifact that was really used. ``flops`` counts training steps, backward included.
    ``seconds`` and ``peak_memory`` (bytes, of the process) are those of all runs that went on ``side_by_side`` with it,
    at most so many; None in older records. ``compiled``: whether its networks went through torch.compile, where a
    record says so. ``fused``: on CUDA, whether ResNets normalised by kdbench's own kernels. ``plugins`` tells where
    each component that is not kdbench's own came from.
    """

    key: str
    id: str
    name: str
    profile: str
    seed: int
    status: str
    recipe: dict[str, Any]
    results: list[Result]
    curve: Sequence[Mapping[str, Any]]
    versions: dict[str, int]
    precision: str
    device: str
    seconds: float
    flops: int | None
    peak_memory: int | None
    libraries: dict[str, str]
    commit: str | None
    warnings: list[str]
    taken: dict[str, dict[str, str]]
    artifact: str | None
    finished: str
    replica: int = 1
    side_by_side: int | None = None
    compiled: bool | None = None
    fused: bool | None = None
    plugins: dict[str, dict[str, Any]] = field(default_factory=dict)
    schema: int = field(default=SCHEMA)

    @property
    def stem(self) -> str:
        """The file name of the record and of its artifact, without suffix."""
        return self.id if self.replica == 1 else f"{self.id}.r{self.replica}"


class Curve(Sequence[dict[str, Any]]):
    """The curve of a record as its file has it: most of the text, and read only by the few who look at it."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _entries(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = json.loads(self._text)
        return entries

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        """One entry, or some."""
        return self._entries[index]

    def __len__(self) -> int:
        """Number of entries."""
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        """Whether another curve, or a list, has the same entries."""
        return isinstance(other, Sequence) and self._entries == list(other)

    __hash__ = None  # type: ignore[assignment]


def to_json(record: Record) -> str:
    """A record as one JSON object, a line for each field and each epoch so that a diff can be read."""
    values = asdict(record)
    curve = ",\n  ".join(json.dumps(entry) for entry in values.pop("curve"))
    body = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in values.items()]
    return "{\n" + ",\n".join([*body, f' "curve": [\n  {curve}\n ]' if curve else ' "curve": []']) + "\n}\n"


def from_json(text: str, shown: str) -> Record:
    """Read a record; StoreError if it is not one, or of a newer schema."""
    try:
        values = _parsed(text)
        if values["schema"] > SCHEMA:
            raise StoreError(f"{shown}: written by a newer kdbench (schema {values['schema']}); update kdbench")
        values["results"] = [Result(**result) for result in values["results"]]
        return Record(**{f.name: values[f.name] for f in fields(Record) if f.name in values})
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{shown}: not a record ({error}); move the file away, or take it from version control"
        ) from None


def _parsed(text: str) -> dict[str, Any]:
    """The fields of a record; the curve, which :func:`to_json` puts last, is left as text."""
    head, mark, curve = text.partition('\n "curve": ')
    if mark and curve.endswith("]\n}\n"):
        return {**json.loads(head.removesuffix(",") + "}"), "curve": Curve(curve.removesuffix("\n}\n"))}
    whole: dict[str, Any] = json.loads(text)
    return whole


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
        self._stems: set[str] = set()
        self.refresh()

    def refresh(self) -> None:
        """Take in the records that other processes have written since."""
        for path in (path for folder in self.folders for path in sorted((folder / "runs").glob("*.json"))):
            if path.stem not in self._stems:
                self._index(from_json(path.read_text(encoding="utf-8", errors="replace"), str(path)), path.stem)

    def _index(self, record: Record, stem: str) -> None:
        self._stems.add(stem)
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

    def merge(self, text: str, name: str, shown: str) -> Record:
        """Take in the record that another machine wrote as file ``name``; one that is here already must be the same."""
        record = from_json(text, shown)
        if name != f"{record.stem}.json":
            raise StoreError(f"{shown}: the record in it is that of another run, {record.stem!r}")
        here = next((path for folder in self.folders if (path := folder / "runs" / name).exists()), None)
        if here is None:
            self.add(record)
        elif here.read_text(encoding="utf-8") != text:
            raise StoreError(f"{shown}: another record of that name is already in {here.parent}; neither was changed")
        return record

    @contextmanager
    def lock(self, run: Run) -> Iterator[bool]:
        """Hold a run while it is trained; yields False if another process holds it."""
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{run.id}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()


def sha256(path: Path) -> str:
    """The digest of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old bytes or the new ones, never a part, even after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part{os.getpid()}")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_once(path: Path, data: bytes) -> None:
    """As :func:`write_atomic`, but a file that is already there stays and is an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part{os.getpid()}")
    part.write_bytes(data)
    try:
        os.link(part, path)
    except FileExistsError:
        raise StoreError(f"{path} is already there; nothing was overwritten") from None
    finally:
        part.unlink()
