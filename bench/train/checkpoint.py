"""The unfinished state of a run, in one safetensors file written atomically."""

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, Protocol, TypedDict

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from bench import files
from bench.errors import DeviceError, StoreError
from bench.files import UNSEALED, seal, seal_of, set_aside, write_atomic
from bench.record import CurveEntry, EpochEntry, SynthesisEntry, misfit
from bench.train.artifacts import Tensors, to_bytes


class Partial(TypedDict):
    """How far an epoch is that was stopped within: its steps, seconds, and sums so far, which may be NaN."""

    step: int
    seconds: float
    sums: dict[str, Any]


class About(TypedDict):
    """What a checkpoint says beside its tensors: the run, how it was begun, and how far it is."""

    id: str
    taken: dict[str, dict[str, str]]
    precision: str
    threads: int
    epoch: int
    seconds: float
    curve: list[EpochEntry] | list[SynthesisEntry]
    answered: list[int]
    partial: NotRequired[Partial | None]


class Unfinished(Protocol):
    """A job that may be stopped: what its checkpoint is about, and where it lies."""

    @property
    def id(self) -> str:
        """Of the run."""

    @property
    def precision(self) -> str:
        """The one that it reached; a checkpoint is resumed only in the same."""

    @property
    def taken(self) -> dict[str, dict[str, str]]:
        """What was loaded from other runs; a checkpoint is resumed only with the same."""

    @property
    def checkpoint(self) -> Path:
        """The file."""


def save(
    job: Unfinished,
    tensors: Mapping[str, Tensor],
    epoch: int,
    seconds: float,
    curve: Sequence[CurveEntry],
    answered: Sequence[int] = (),
    partial: Partial | None = None,
) -> None:
    """Write a job's checkpoint, sealed, at the end of an epoch, or of a batch of images; or within an epoch.

    ``answered`` is how many images each cached teacher was shown; ``epoch`` and ``seconds`` are of whole epochs, and
    ``partial`` is of the one that was stopped within.
    """
    about = {
        "id": job.id,
        "taken": job.taken,
        "precision": job.precision,
        "threads": torch.get_num_threads(),
        "epoch": epoch,
        "seconds": seconds,
        "curve": curve,
        "answered": [*answered],
        "partial": partial,
    }
    write_atomic(job.checkpoint, seal(to_bytes(tensors, {"about": json.dumps(about), "digest": UNSEALED})))


def resume(job: Unfinished, into: Mapping[str, Tensor], epochs: int) -> dict[str, Any] | None:
    """Copy a job's checkpoint, if there is one, into live tensors; what :func:`save` was told beside them.

    ``epochs`` is how many the whole run has: a checkpoint is of an earlier one.

    One that is damaged, or not of this job, is set aside with a warning: the run begins again. Sums depend on how many
    threads share them: the run resumes with as many as it had.

    Raises:
        DeviceError: it was begun in another precision.
        StoreError: it was begun with other weights of a source.
    """
    if not job.checkpoint.is_file():
        return None
    data = job.checkpoint.read_bytes()
    try:
        about = checked(data, job.id, epochs)
        check_beginning(job, about)
        kept = load(data)
        check_tensors(into, kept)
    except (ValueError, SafetensorError) as fault:
        aside = set_aside(job.checkpoint)
        warnings.warn(f"{job.checkpoint.name}: {fault}; kept as {aside.name}, the run begins again", stacklevel=2)
        return None
    copy(kept, into)
    torch.set_num_threads(about["threads"])
    return about


def checked(data: bytes, run_id: str, epochs: int) -> dict[str, Any]:
    """What a checkpoint's bytes say beside the tensors; ValueError if they are not those of this run, unfinished."""
    seal_is = seal_of(data)
    if seal_is == "broken":
        raise ValueError("is damaged: its digest differs")
    if seal_is == "none":
        raise ValueError("no checkpoint, or one that another version of kdbench began")
    header = files.about(data)
    if fault := misfit(header, About, "checkpoint"):
        raise ValueError(fault)
    if header["id"] != run_id:
        raise ValueError(f"is that of another run, {header['id']!r}")
    if not 0 <= header["epoch"] < epochs or [e["epoch"] for e in header["curve"]] != [*range(1, header["epoch"] + 1)]:
        raise ValueError(f"is of epoch {header['epoch']} of {epochs}, with a curve of {len(header['curve'])}")
    return header


def tensors_of(modules: Iterable[nn.Module], optimizers: Iterable[torch.optim.Optimizer]) -> Tensors:
    """Every tensor that training changes, by a name that does not depend on the process."""
    tensors = {
        f"{k}.{name}": tensor for k, module in enumerate(modules) for name, tensor in module.state_dict().items()
    }
    for k, optimizer in enumerate(optimizers):
        for i, state in enumerate(optimizer.state.values()):
            tensors |= {f"opt{k}.{i}.{name}": value for name, value in state.items() if isinstance(value, Tensor)}
    return tensors


def check_beginning(job: Unfinished, about: Mapping[str, Any]) -> None:
    """DeviceError or StoreError if a job would go on in another precision, or with other inputs, than it began with."""
    if about["precision"] != job.precision:
        raise DeviceError(
            f"{job.checkpoint} was begun in {about['precision']}, this device would resume in {job.precision}; resume"
            " it where it was begun, or delete it to start this run again"
        )
    if about["taken"] != job.taken:
        raise StoreError(
            f"{job.checkpoint} was begun with other weights of its {' and '.join(job.taken)}; bring them back, or"
            " delete it to start this run again"
        )


def check_tensors(into: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> None:
    """ValueError if kept values are not of the names, shapes and types of live tensors."""
    if {name: (t.shape, t.dtype) for name, t in into.items()} != {name: (t.shape, t.dtype) for name, t in kept.items()}:
        raise ValueError("holds other tensors than this run has")


@torch.no_grad()
def copy(kept: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> None:
    """Copy kept values into live tensors, in place."""
    for name, tensor in into.items():
        tensor.copy_(kept[name])
