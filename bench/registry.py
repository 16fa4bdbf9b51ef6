"""Everything that a recipe can name, by name: what is here, and what plug-ins add; imports no torch."""

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from bench.component import Component
from bench.data import sets
from bench.data.datasets import DatasetInfo
from bench.errors import RecipeError
from bench.methods.ab import AB
from bench.methods.apprentice import Apprentice
from bench.methods.at import AT
from bench.methods.base import Method, Synthesiser
from bench.methods.born_again import CWTM, DKPP
from bench.methods.cc import CC
from bench.methods.codistillation import Codistillation
from bench.methods.conditional import Conditional
from bench.methods.crd import CRD
from bench.methods.data_impressions import DataImpressions
from bench.methods.dkd import DKD
from bench.methods.dml import DML
from bench.methods.error_weighted import ErrorWeighted
from bench.methods.feature_distillation import FeatureDistillation
from bench.methods.ffdwv import FFDWV, FFDWVUniformControl
from bench.methods.fitnet import FitNet
from bench.methods.fsp import FSP
from bench.methods.ft import FT, Paraphrase
from bench.methods.hint import Hint
from bench.methods.kd import KD, DecayingKD, SoftTargets
from bench.methods.nst import NST
from bench.methods.pkt import PKT
from bench.methods.rkd import RKD
from bench.methods.sp import SP
from bench.methods.structured_kd import StructuredKD
from bench.methods.vanilla import LabelSmoothing, Vanilla
from bench.methods.vid import VID
from bench.metrics import Accuracy, ErrorRate, MeanIoU, Metric
from bench.networks.base import Network
from bench.networks.encoder_decoder import EncoderDecoder
from bench.networks.mobile import MobileNetV2, ShuffleNetV1, ShuffleNetV2
from bench.networks.resnet import ResNet, ResNet50
from bench.networks.small import CNN, MLP, LeNet5
from bench.networks.vgg import VGG
from bench.networks.wrn import WRN
from bench.optimizers import SGD, Adam, Optimizer
from bench.quantisers import Quantiser, Ternary, Uniform
from bench.schedules import Constant, Cosine, Decay, Steps

ENGINE_VERSION = 1
DATA_VERSION = 1

C = TypeVar("C", bound=Component)


def _by_name(*components: type[C]) -> dict[str, type[C]]:
    return {component.name: component for component in components}


METHODS: dict[str, type[Method]] = _by_name(
    *(Vanilla, LabelSmoothing, FFDWV, FFDWVUniformControl, KD, SoftTargets, DecayingKD, DML, FSP, Hint),
    *(FitNet, AT, SP, CC, VID, RKD, PKT, AB, Paraphrase, FT, NST, CRD, DKD, StructuredKD),
    *(CWTM, DKPP, Codistillation, Conditional, ErrorWeighted, FeatureDistillation, Apprentice),
)
SYNTHESISERS: dict[str, type[Synthesiser]] = _by_name(DataImpressions)
NETWORKS: dict[str, type[Network]] = _by_name(
    ResNet, ResNet50, WRN, VGG, MobileNetV2, ShuffleNetV1, ShuffleNetV2, LeNet5, CNN, MLP, EncoderDecoder
)
OPTIMIZERS: dict[str, type[Optimizer]] = _by_name(SGD, Adam)
QUANTISERS: dict[str, type[Quantiser]] = _by_name(Uniform, Ternary)
DECAYS: dict[str, type[Decay]] = _by_name(Steps, Constant, Cosine)
METRICS: dict[str, type[Metric]] = _by_name(ErrorRate, Accuracy, MeanIoU)
SETS: dict[str, DatasetInfo] = {info.name: info for info in vars(sets).values() if isinstance(info, DatasetInfo)}

# What a plug-in may add, and what a record calls it.
_KINDS: tuple[tuple[type[Any], str, dict[str, Any]], ...] = (
    (Method, "method", METHODS),
    (Synthesiser, "method", SYNTHESISERS),
    (Network, "network", NETWORKS),
    (Optimizer, "optimizer", OPTIMIZERS),
    (Quantiser, "weights", QUANTISERS),
    (Decay, "decay", DECAYS),
    (Metric, "metric", METRICS),
    (DatasetInfo, "set", SETS),
)


@dataclass(frozen=True)
class Plugin:
    """Where a component that is not ours came from.

    Args:
        name: the plug-in's module.
        digest: sha256 of its source files.
        distribution: name and version of what installed it; None for a file beside the recipes.
    """

    name: str
    digest: str
    distribution: str | None = None


# Of each component that a plug-in added, by kind and name as in a run's versions ("method crd").
PLUGINS: dict[str, Plugin] = {}
# Of each plug-in that could not be loaded, the reason.
BROKEN: dict[str, str] = {}
_LOADED: set[str] = set()


def load_plugins(folder: Path | None = None) -> None:
    """Take in what entry points of the group ``kdbench`` name, and the modules of a folder ``plugins/`` if it is there.

    Each once. A module of the folder is a ``NAME.py`` or a package; names that begin with an underscore are left to
    the others to import (``from ._shared import ...``). One that cannot be loaded is told in :data:`BROKEN`: only the
    rows that need it suffer.
    """
    for point in entry_points(group="kdbench"):
        _once(f"entry point {point.name}", lambda point=point: _from_entry_point(point))
    if folder is not None and folder.is_dir():
        package = _package(folder.resolve())
        for path in sorted(folder.resolve().iterdir()):
            if not path.name.startswith((".", "_")) and (path.suffix == ".py" or (path / "__init__.py").is_file()):
                _once(str(path), lambda path=path: _from_file(package, path))


def described(versions: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What a record says of the plug-ins among some components, by kind and name."""
    return {name: asdict(PLUGINS[name]) for name in versions if name in PLUGINS}


def _once(name: str, load: Any) -> None:
    if name not in _LOADED:
        _LOADED.add(name)
        try:
            load()
        except Exception as error:
            reason = " ".join(str(error).split()) or "no reason given"
            BROKEN[name] = f"{type(error).__name__}: {reason}"


def _from_entry_point(point: EntryPoint) -> None:
    point.load()
    module = sys.modules[point.module]
    files = [Path(file) for file in [getattr(module, "__file__", None)] if file]
    dist = f"{point.dist.name} {point.dist.version}" if point.dist else None
    _register(module, Plugin(point.module, _digest(_sources(files[0])) if files else "", dist))


def _package(folder: Path) -> str:
    """A package of the folder's modules, of the same name in every process, so that they can be pickled."""
    name = f"kdbench_plugins_{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return name


def _from_file(package: str, path: Path) -> None:
    module = import_module(f"{package}.{path.stem}")
    own = _sources(path / "__init__.py" if path.is_dir() else path)
    _register(module, Plugin(path.name, _digest([*own, *path.parent.glob("_*.py")])))


def _sources(file: Path) -> list[Path]:
    return sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]


def _digest(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()[:16]


def _register(module: ModuleType, plugin: Plugin) -> None:
    """Take in every component that a module declares: classes with a name, and sets."""
    for value in list(vars(module).values()):
        for base, kind, known in _KINDS:
            named = isinstance(value, type) and issubclass(value, base) and "name" in vars(value)
            if named or (base is DatasetInfo and isinstance(value, base)):
                _add(value, kind, known, plugin)


def _add(component: Any, kind: str, known: dict[str, Any], plugin: Plugin) -> None:
    if known.get(component.name) is component:
        return  # imported from where it was declared
    if component.name in known:
        raise RecipeError(f"there is another {kind} {component.name!r} already")
    known[component.name] = component
    PLUGINS[f"{kind} {getattr(component, 'key_name', None) or component.name}"] = plugin
