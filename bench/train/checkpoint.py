"""The unfinished state of a run, in one safetensors file written atomically."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from bench.errors import StoreError
from bench.store import write_atomic

Tensors = dict[str, Tensor]


def tensors_of(modules: Iterable[nn.Module], optimizers: Iterable[torch.optim.Optimizer]) -> Tensors:
    """Every tensor that training changes, by a name that does not depend on the process."""
    found = {f"{k}.{name}": tensor for k, module in enumerate(modules) for name, tensor in module.state_dict().items()}
    for k, optimizer in enumerate(optimizers):
        for i, state in enumerate(optimizer.state.values()):
            found |= {f"opt{k}.{i}.{name}": value for name, value in state.items() if isinstance(value, Tensor)}
    return found


def write(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    """Write tensors and a JSON value in one atomic step; returns the file's sha256."""
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = save(kept, {"about": json.dumps(about)})
    write_atomic(path, data)
    return hashlib.sha256(data).hexdigest()


def read(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """The tensors (on the CPU) and the JSON value of a file; StoreError if it cannot be read."""
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["about"])  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); delete it to start this run again") from None


@torch.no_grad()
def restore(into: Mapping[str, Tensor], kept: Mapping[str, Tensor], path: Path) -> None:
    """Copy kept values into live tensors in place; StoreError if they are not of the same run."""
    if into.keys() != kept.keys() or any(into[name].shape != kept[name].shape for name in into):
        raise StoreError(f"{path}: holds other tensors than this run needs; delete it to start this run again")
    for name, tensor in into.items():
        tensor.copy_(kept[name])
