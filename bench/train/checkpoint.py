"""The unfinished state of a run, in one safetensors file written atomically."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypedDict

import torch
from torch import Tensor, nn

from bench.errors import DeviceError, StoreError
from bench.store import CurveEntry
from bench.train.artifacts import Tensors, read, write


class About(TypedDict):
    """What a checkpoint says beside its tensors: the run, how it was begun, and how far it is."""

    id: str
    taken: dict[str, dict[str, str]]
    precision: str
    threads: int
    epoch: int
    seconds: float
    curve: Sequence[CurveEntry]


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
    job: Unfinished, tensors: Mapping[str, Tensor], epoch: int, seconds: float, curve: Sequence[CurveEntry]
) -> None:
    """Write a job's checkpoint at the end of an epoch, or of a batch of images."""
    about: About = {
        "id": job.id,
        "taken": job.taken,
        "precision": job.precision,
        "threads": torch.get_num_threads(),
        "epoch": epoch,
        "seconds": seconds,
        "curve": curve,
    }
    write(job.checkpoint, tensors, about)


def resume(job: Unfinished, into: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Copy a job's checkpoint, if there is one, into live tensors; what :func:`save` was told beside them.

    Sums depend on how many threads share them: the run resumes with as many as it had.

    Raises:
        DeviceError: it was begun in another precision.
        StoreError: it cannot be read, or was begun by another kdbench or with other weights of a source.
    """
    if not job.checkpoint.is_file():
        return None
    kept, about = read(job.checkpoint)
    if About.__required_keys__ - about.keys():
        raise StoreError(
            f"{job.checkpoint} was begun by another kdbench; resume it with that, or delete it to start again"
        )
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
    restore(into, kept, job.checkpoint)
    torch.set_num_threads(about["threads"])
    return about


def tensors_of(modules: Iterable[nn.Module], optimizers: Iterable[torch.optim.Optimizer]) -> Tensors:
    """Every tensor that training changes, by a name that does not depend on the process."""
    tensors = {
        f"{k}.{name}": tensor for k, module in enumerate(modules) for name, tensor in module.state_dict().items()
    }
    for k, optimizer in enumerate(optimizers):
        for i, state in enumerate(optimizer.state.values()):
            tensors |= {f"opt{k}.{i}.{name}": value for name, value in state.items() if isinstance(value, Tensor)}
    return tensors


@torch.no_grad()
def restore(into: Mapping[str, Tensor], kept: Mapping[str, Tensor], path: Path) -> None:
    """Copy kept values into live tensors in place; StoreError if they are not of the same run."""
    if into.keys() != kept.keys() or any(into[name].shape != kept[name].shape for name in into):
        raise StoreError(f"{path}: holds other tensors than this run needs; delete it to start this run again")
    for name, tensor in into.items():
        tensor.copy_(kept[name])
