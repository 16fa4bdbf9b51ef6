"""What one run left behind, as plain values and as JSON that is checked whenever it is read."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cache, cached_property
from types import NoneType, UnionType
from typing import (
    Any,
    Literal,
    NotRequired,
    TypedDict,
    Union,
    final,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
    overload,
)

from bench.errors import StoreError
from bench.files import UNSEALED, seal, seal_of

# From 2 on a record is sealed.
SCHEMA = 2
_MEND = "move the file away, or take it from version control"


class Score(TypedDict):
    """A metric of one network of a run: at the last epoch, and at the one that is the best by it (counted from 1)."""

    last: float | None
    best: float | None
    best_epoch: int | None


@dataclass(frozen=True)
class Result:
    """One network of a run: top-1 test error in %, at the last epoch and at the best one (counted from 1).

    ``scores`` are those of another metric, by its name, where the run's table is about one.
    """

    last_error: float | None
    best_error: float | None
    best_epoch: int | None
    scores: dict[str, Score] = field(default_factory=dict)

    def score(self, metric: str) -> Score:
        """That of a metric by its name in records, the error's too."""
        error: Score = {"last": self.last_error, "best": self.best_error, "best_epoch": self.best_epoch}
        return {"error": error, **self.scores}[metric]


@final
class NetworkEntry(TypedDict):
    """One network in an epoch: the mean of each term of its loss (None if it is no number), and its errors in %.

    ``test_scores`` are those of another metric on the test images, by its name, where the run's table is about one.
    """

    loss: dict[str, float | None]
    train_error: float
    test_error: float
    test_scores: NotRequired[dict[str, float]]


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
    """An ensemble of the networks of these seeds, its error in %, and other scores as a network's."""

    members: list[int]
    test_error: float
    test_scores: NotRequired[dict[str, float]]


class FidelityEntry(TypedDict):
    """How good a student's probabilities are, and how far they are its teacher's, on the test images.

    Negative log-likelihood in nats; expected calibration error in %; top-1 agreement with the teacher in %; mean KL
    divergence from the teacher's to the student's distribution, in nats; and the rank correlation of what it mistakes
    for each other with the similarity of the words. None where there is no teacher, or no word, or where logits are no
    numbers.
    """

    nll: float | None
    calibration_error: float | None
    agreement: float | None
    divergence: float | None
    word_agreement: float | None


def test_score(measured: Mapping[str, Any], metric: str) -> float:
    """A metric of a network in an epoch, or of an ensemble, by its name in records."""
    score: float = {"error": measured["test_error"], **measured.get("test_scores", {})}[metric]
    return score


Status = Literal["done", "diverged"]
CurveEntry = EpochEntry | SynthesisEntry | EnsembleEntry | FidelityEntry


@dataclass(frozen=True)
class Record:
    """What one run left behind. ``replica`` counts from 1.

    ``curve`` has a :data:`CurveEntry` an epoch, batch of images or ensemble, or one of fidelity. ``taken`` gives, for
    each source, the record and the digest of the artifact that was really used. ``flops`` counts training steps,
    backward included, as if every layer had both its gradients and every teacher answered in every step;
    ``flops_spent`` are those that were really spent, with a teacher that was ``teacher_cached`` as what it cost.
    ``seconds`` and ``peak_memory`` (bytes, of the process) are those of all runs that went on ``side_by_side`` with it,
    at most so many; None in older records. ``compiled``: whether its networks went through torch.compile, where a
    record says so. ``fused``: on CUDA, whether ResNets normalised by kdbench's own kernels. ``plugins`` tells
    where each component that is not kdbench's own came from.
    """

    key: str
    id: str
    name: str
    profile: str
    seed: int
    status: Status
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
    flops_spent: int | None = None
    teacher_cached: bool | None = None
    plugins: dict[str, dict[str, Any]] = field(default_factory=dict)
    schema: int = field(default=SCHEMA)

    @property
    def stem(self) -> str:
        """The file name of the record and of its artifact, without suffix."""
        return stem_of(self.id, self.replica)


def stem_of(run_id: str, replica: int) -> str:
    """The file name, without suffix, of a run's record of this number, and of its artifact."""
    return run_id if replica == 1 else f"{run_id}.r{replica}"


class Curve(Sequence[dict[str, Any]]):
    """The curve of a record as its file has it: most of the text, and read only by the few who look at it."""

    def __init__(self, text: str, shown: str) -> None:
        self._text, self._shown = text, shown

    @cached_property
    def _entries(self) -> list[dict[str, Any]]:
        try:
            entries: list[dict[str, Any]] = _loads(self._text)
        except (ValueError, RecursionError) as error:
            raise _no_record(self._shown, error) from None
        if fault := misfit(entries, list[CurveEntry], "curve"):
            raise _no_record(self._shown, fault)
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
    """A record as one sealed JSON object, a line for each field and each epoch so that a diff can be read."""
    values = {"digest": UNSEALED, **asdict(record)}
    for result in values["results"]:
        if not result["scores"]:
            del result["scores"]  # as in the records that were made before there were others
    curve = ",\n  ".join(json.dumps(entry) for entry in values.pop("curve"))
    body = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in values.items()]
    text = "{\n" + ",\n".join([*body, f' "curve": [\n  {curve}\n ]' if curve else ' "curve": []']) + "\n}\n"
    return seal(text.encode()).decode()


def from_json(text: str, shown: str) -> Record:
    """Read a record, whose file is ``shown``.

    Raises:
        StoreError: it is not one, it is not as it was written, or a newer kdbench wrote it.
    """
    try:
        values = _parsed(text, shown)
        schema = values["schema"]
        if isinstance(schema, int) and schema > SCHEMA:
            raise StoreError(f"{shown}: written by a newer kdbench (schema {schema}); update kdbench")
        known = {f.name: values[f.name] for f in fields(Record) if f.name in values}
        if fault := misfit({**known, "curve": []}, Record, "record"):
            raise ValueError(fault)
        if (schema > 1 or "digest" in values) and seal_of(text.encode()) != "intact":
            raise StoreError(f"{shown}: was changed after it was written (its digest differs); {_MEND}")
        return Record(**{**known, "results": [Result(**result) for result in values["results"]]})
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _no_record(shown, error) from None


def _no_record(shown: str, why: object) -> StoreError:
    return StoreError(f"{shown}: not a record ({why}); {_MEND}")


def _parsed(text: str, shown: str) -> dict[str, Any]:
    """The fields of a record; the curve, which :func:`to_json` puts last, is left as text."""
    head, mark, curve = text.partition('\n "curve": ')
    if mark and curve.endswith("]\n}\n"):
        return {**_loads(head.removesuffix(",") + "}"), "curve": Curve(curve.removesuffix("\n}\n"), shown)}
    whole: dict[str, Any] = _loads(text)
    return {**whole, "curve": Curve(json.dumps(whole["curve"]), shown)}


def _loads(text: str) -> Any:
    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no number of JSON")

    return json.loads(text, parse_constant=refuse)


def misfit(value: Any, kind: Any, place: str) -> str | None:
    """Where a JSON value is not of a type, and how; None where it is.

    A type is ``str``, ``int``, ``float`` (a whole number will do; it must be finite), ``bool``, ``Any``, ``Literal``, a
    union, ``list`` or ``Sequence``, ``dict`` with texts as keys, a dataclass, or a ``TypedDict``.
    """
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any or (origin is Literal and value in args):
        return None
    if origin in (Union, UnionType):
        faults = [misfit(value, one, place) for one in args]
        return None if None in faults else next((f for f in faults if f and not f.startswith(f"{place}:")), faults[0])
    if origin in (list, Sequence) and isinstance(value, list):
        return next((f for i, item in enumerate(value) if (f := misfit(item, args[0], f"{place}[{i}]"))), None)
    if origin is dict and isinstance(value, dict):
        return next((f for key, item in value.items() if (f := misfit(item, args[1], f"{place}.{key}"))), None)
    if (is_dataclass(kind) or is_typeddict(kind)) and isinstance(value, dict):
        return _misfit_of_fields(value, kind, place)
    if isinstance(kind, type) and not is_typeddict(kind) and _is(kind, value):
        return None
    return f"{place}: {_short(value)} is not what belongs there"


def _misfit_of_fields(value: dict[str, Any], kind: Any, place: str) -> str | None:
    has_default = set[str]()
    if is_dataclass(kind):
        has_default = {f.name for f in fields(kind) if f.default is not f.default_factory}
    elif is_typeddict(kind):
        has_default = set(kind.__optional_keys__)
    hints = _hints(kind)
    if missing := [name for name in hints if name not in value and name not in has_default]:
        return f"{place}: {missing[0]!r} is missing"
    return next((f for key in hints.keys() & value if (f := misfit(value[key], hints[key], f"{place}.{key}"))), None)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _is(kind: type, value: Any) -> bool:
    if kind in (int, float) and isinstance(value, bool):
        return False
    if kind is float:
        return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return isinstance(value, NoneType if kind is NoneType else kind)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
