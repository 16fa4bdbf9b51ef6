"""The folder of an exported network: its weights, a model card, and what is needed to build it again.

``kdbench.json`` is sealed, and names the digest of ``model.safetensors``: a folder that was changed is not loaded.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
import yaml
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as tensors_in
from torch import Tensor

from bench import __version__, registry, schema
from bench.errors import KdbenchError, StoreError, UsageError
from bench.export.card import Exported, model_card
from bench.files import UNSEALED, seal, seal_of, write_atomic
from bench.networks.base import Network
from bench.networks.modules.base import NetworkModule
from bench.profiles import Profile
from bench.project import Project, no_weights, select
from bench.record import misfit
from bench.report.table import build
from bench.train import artifacts
from bench.train import device as devices
from bench.train.loader import normalise, reduced

WEIGHTS, ABOUT, CARD = "model.safetensors", "kdbench.json", "README.md"
SCHEMA = 1
_AGAIN = "export it again, or copy the whole folder again"


@dataclass(frozen=True)
class About:
    """What builds a network again, and where it comes from.

    Args:
        kdbench: the version that wrote this.
        network: its name, as recipes say it.
        params: its parameters.
        version: of its component, when it was trained.
        classes: their number.
        channels: of an image.
        size: side of an image.
        class_names: in the order of the logits.
        mean: of each channel, of pixels in 0 to 1.
        std: of each channel.
        precision: in which it was trained and tested.
        data: the set that it was trained on.
        fingerprint: of that set.
        run: ``TABLE/ROW#SEED``.
        profile: of the run.
        record: of the run; its file's name, without suffix.
        test_error: in %, after the last epoch.
        weights: sha256 of the file with the weights.
        resolution: side to which images are reduced first; None where they are shown as they are.
    """

    kdbench: str
    network: str
    params: dict[str, Any]
    version: int
    classes: int
    channels: int
    size: int
    class_names: list[str]
    mean: list[float]
    std: list[float]
    precision: str
    data: str
    fingerprint: str
    run: str
    profile: str
    record: str
    test_error: float
    weights: str
    resolution: int | None = None
    schema: int = SCHEMA


@dataclass(frozen=True)
class Preprocess:
    """Images as they are stored, to images as the network takes them.

    Args:
        mean: of each channel, of pixels in 0 to 1.
        std: of each channel.
        dtype: of the network's weights.
        resolution: side to which images are reduced, before they are enlarged again; None leaves them as they are.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype: torch.dtype = torch.float32
    resolution: int | None = None

    def __call__(self, images: NDArray[Any] | Tensor) -> Tensor:
        """Normalise bytes (N, H, W, C) to (N, C, H, W), on the device that they are on; ValueError for others."""
        pixels = torch.as_tensor(images)
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[3] != len(self.mean):
            raise ValueError(
                f"images are uint8 (N, H, W, {len(self.mean)}), these are {pixels.dtype} {tuple(pixels.shape)}"
            )
        rows = (torch.tensor(own, dtype=torch.float32, device=pixels.device) for own in (self.mean, self.std))
        mean, std = (own.repeat(pixels.shape[1] * pixels.shape[2]) for own in rows)
        return reduced(normalise(pixels.permute(0, 3, 1, 2), mean, std, self.dtype), self.resolution)


def export(project: Project, name: str, profile: Profile, folder: Path) -> About:
    """Write the network that a run deploys, its first one, into a new folder.

    Args:
        project: where its record and its weights lie.
        name: ``TABLE/ROW[.STAGE]#SEED``.
        profile: of the run.
        folder: that is made; one with files in it is refused.

    Raises:
        UsageError: there is no such run, it trains no network, its weights are not here, or the folder is taken.
        StoreError: the weights are not those that the record names.
    """
    library, store = project.library(), project.store()
    chosen = select(library, name, profile)
    (run,) = chosen.asked
    if run.kind != "train":
        raise UsageError(f"{name} trains no network")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already; name a new folder, nothing was overwritten")
    if (kept := artifacts.load(store, run)) is None:
        raise no_weights(run, store)
    record, tensors = kept
    info, network, data = registry.SETS[run.stage.data.set], run.stage.networks[0], run.stage.data
    weights = artifacts.to_bytes(artifacts.weights(tensors), {"format": "pt"})
    error = record.results[0].last_error
    assert error is not None, "a run that is done has errors"
    about = About(
        kdbench=__version__,
        network=network.name,
        params=network.identity["params"],
        version=network.version,
        classes=info.classes,
        channels=info.channels,
        size=info.size,
        class_names=[*info.shown_names],
        mean=[*data.mean],
        std=[*data.std],
        precision=record.precision,
        data=info.name,
        fingerprint=info.fingerprint,
        run=name,
        profile=profile,
        record=record.stem,
        test_error=error,
        weights=hashlib.sha256(weights).hexdigest(),
        resolution=data.resolution,
    )
    costs = project.costs()
    line = next(line for line in build(library, chosen.table, store, costs).lines if line.name == chosen.rows[0])
    card = model_card(Exported(run, record, library.table(chosen.table), line, costs, folder.name))
    write_atomic(folder / WEIGHTS, weights)
    write_atomic(folder / CARD, card.encode())
    write_atomic(folder / ABOUT, seal((json.dumps({"digest": UNSEALED, **asdict(about)}, indent=1) + "\n").encode()))
    return about


def load(folder: str | Path) -> NetworkModule:
    """The network in a folder that ``kdbench export`` wrote, in evaluation mode, on the CPU.

    ``network(network.preprocess(images))`` gives logits (N, classes) and features; ``network.about`` says what it is.

    Raises:
        StoreError: the folder is none of these, or was changed; or the network is a plug-in's that is not here.
    """
    folder = Path(folder)
    about = _about(folder / ABOUT)
    try:
        weights = (folder / WEIGHTS).read_bytes()
        if hashlib.sha256(weights).hexdigest() != about.weights:
            raise StoreError(f"{folder / WEIGHTS}: was changed after it was exported (its digest differs); {_AGAIN}")
        network: Any = _component(about, folder).build(about.classes, about.channels, about.size)
        dtype = devices.weights_dtype(about.precision)
        network.load_state_dict(tensors_in(weights))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise StoreError(f"{folder / WEIGHTS}: cannot be read ({_first_line(error)}); {_AGAIN}") from None
    # The memory format of training: with it, the logits are those of the record to the bit.
    network.to(dtype=dtype, memory_format=torch.channels_last).eval()
    network.preprocess = Preprocess(tuple(about.mean), tuple(about.std), dtype, about.resolution)
    network.about = about
    return network  # type: ignore[no-any-return]


def _about(path: Path) -> About:
    """What a folder says of itself, if it is as it was written."""
    try:
        data = path.read_bytes()
        values = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        what = f"no folder that `kdbench export` wrote: {path.name} cannot be read ({_first_line(error)})"
        raise StoreError(f"{path.parent}: {what}") from None
    if seal_of(data) != "intact":
        raise StoreError(f"{path}: was changed after it was exported (its digest differs); {_AGAIN}")
    if fault := misfit(values, About, "export"):
        raise StoreError(f"{path}: {fault}; {_AGAIN}")
    about = About(**{f.name: values[f.name] for f in fields(About) if f.name in values})
    if about.schema > SCHEMA:
        raise StoreError(f"{path}: written by a newer kdbench, {about.kdbench}; update kdbench")
    return about


def _component(about: About, folder: Path) -> Network:
    """The network as recipes name it, read as they are; a plug-in's where it is here."""
    if about.network not in registry.NETWORKS:
        Project.find().load_plugins()
    kind = registry.NETWORKS.get(about.network)
    if kind is None:
        known = schema.nearest(about.network, registry.NETWORKS)
        raise StoreError(f"{folder}: network {about.network!r} is not known, its plug-in is not here; {known}")
    if kind.version != about.version:
        raise StoreError(
            f"{folder}: {about.network!r} is of version {about.version} there and of {kind.version} here, which gives"
            f" other numbers; kdbench {about.kdbench} loads it"
        )
    node = yaml.compose(yaml.safe_dump(about.params), yaml.SafeLoader)
    assert node is not None, "a mapping is one"
    try:
        network: Network = schema.read(kind, node, about.network)
    except KdbenchError as error:
        raise StoreError(f"{folder}: {error}") from None
    return network


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
