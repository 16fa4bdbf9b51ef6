"""What a finished run leaves for others: tensors in a safetensors file, and the names that they have in it.

Networks leave ``net0.<parameter or buffer>``, ... in the precision of their weights, and ``logits0``, ... of the test
images, (N, C) float16. Modules that a method hands on leave ``parts.<name>.<parameter or buffer>``. A synthesis leaves
``images``, (N, C, H, W) float16, and ``labels``, (N,).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from bench.errors import StoreError
from bench.files import write_atomic
from bench.graph import Run
from bench.record import Record
from bench.store import Store

Tensors = dict[str, Tensor]


def of_networks(networks: Sequence[nn.Module], logits: Sequence[Tensor]) -> Tensors:
    """The artifact of a training, from its networks and the test logits (N, C) of each."""
    weights = {f"net{k}.{name}": t for k, network in enumerate(networks) for name, t in network.state_dict().items()}
    return weights | {f"logits{k}": own for k, own in enumerate(logits)}


def of_parts(parts: nn.Module, names: Sequence[str]) -> Tensors:
    """What is kept of a method's own modules: those that it hands on, by ``names``."""
    own = {name: getattr(parts, name).state_dict() for name in names}
    return {f"parts.{name}.{place}": tensor for name, state in own.items() for place, tensor in state.items()}


def take_on(parts: nn.Module, names: Sequence[str], artifact: Mapping[str, Tensor]) -> None:
    """Give the modules of ``names`` the state that the run of an artifact handed on."""
    for name in names:
        prefix = f"parts.{name}."
        handed = {key.removeprefix(prefix): tensor for key, tensor in artifact.items() if key.startswith(prefix)}
        getattr(parts, name).load_state_dict(handed)


def of_images(images: Tensor, labels: Tensor) -> Tensors:
    """The artifact of a synthesis: images (N, C, H, W) as a network takes them, and their labels (N,)."""
    return {"images": images, "labels": labels}


def weights(artifact: Mapping[str, Tensor], k: int = 0) -> Tensors:
    """The state of the k-th network of a training; the first one is what its row deploys."""
    prefix = f"net{k}."
    return {name.removeprefix(prefix): tensor for name, tensor in artifact.items() if name.startswith(prefix)}


def logits(artifact: Mapping[str, Tensor], k: int = 0) -> Tensor:
    """The test logits (N, C) of the k-th network of a training."""
    return artifact[f"logits{k}"]


def images(artifact: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The images (N, C, H, W) of a synthesis and their labels (N,)."""
    return artifact["images"], artifact["labels"]


def load(store: Store, run: Run) -> tuple[Record, Tensors] | None:
    """The record of a run whose artifact is here, and its tensors, verified; None if it is not here."""
    here = store.available_artifact(run)
    return None if here is None else (here[0], read(store.verified(*here)))


def write(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    """Write tensors and a JSON value in one atomic step; returns the file's sha256."""
    data = to_bytes(tensors, {"about": json.dumps(about)})
    write_atomic(path, data)
    return hashlib.sha256(data).hexdigest()


def to_bytes(tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> bytes:
    """Tensors and what is said beside them, as a safetensors file has them."""
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, metadata)


def read(path: Path) -> Tensors:
    """The tensors (on the CPU) of a file; StoreError if it cannot be read."""
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); delete it to start this run again") from None
