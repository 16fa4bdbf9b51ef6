"""Names, parameter schemas, versions and import paths of everything a recipe can name; imports no torch.

One line a component. ``version`` is a small integer, raised whenever the numbers that the component
produces change: a run's id contains the versions of just the components that it uses.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

from bench import shapes
from bench.schema import Distances, NonNegative, Positive, PositiveInt

ENGINE_VERSION = 1
DATA_VERSION = 1


@dataclass(frozen=True)
class Component:
    """``path`` is ``module:attribute``; ``params`` maps each parameter, all of them required, to its type.

    ``check``, without torch, takes the parameters and raises RecipeError where they do not go together.
    """

    path: str
    version: int
    params: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[..., object] | None = None

    def load(self) -> Any:
        """Import and return the component's class or function."""
        module, _, attribute = self.path.partition(":")
        return getattr(import_module(module), attribute)


@dataclass(frozen=True)
class NetworkEntry(Component):
    """A network; ``features``, without torch, gives channels and side of its feature maps that methods may compare.

    It takes the side of the images and the network's parameters.
    """

    features: Callable[..., shapes.Features] = lambda **_: {}


@dataclass(frozen=True)
class MethodEntry(Component):
    """A method; ``teachers`` is how many it needs, ``group`` whether it trains several networks together.

    ``kind`` is what a run of it does: train networks, or synthesise images from its teacher. ``compare``, without
    torch, takes the student's and the teacher's features and the parameters, and raises RecipeError where this method
    cannot compare these networks.
    """

    teachers: int = 0
    group: bool = False
    kind: Literal["train", "synthesise"] = "train"
    compare: Callable[..., None] | None = None


@dataclass(frozen=True)
class DataSet(Component):
    """A data set: ``path`` loads it, ``fingerprint`` is the digest of its canonical order (``bench.data``).

    A set that is ``made`` procedurally is always at hand; ``stand_in`` names the one that the smoke profile takes
    where the real set is absent.
    """

    classes: int = 0
    channels: int = 0
    size: int = 0
    train: int = 0
    test: int = 0
    fingerprint: str = ""
    made: bool = False
    stand_in: str | None = None


# One line a component.
# fmt: off
NETWORKS: Mapping[str, NetworkEntry] = {
    "resnet": NetworkEntry("bench.networks.resnet:ResNet", 1, {"depth": PositiveInt, "block": Literal["basic", "bottleneck"], "shortcut": Literal["A", "B"], "width": Positive}, shapes.resnet, shapes.resnet_features),
    "lenet5": NetworkEntry("bench.networks.lenet:LeNet5", 1, {"width": Literal["full", "half", "half_convolutions"]}),
    "cnn": NetworkEntry("bench.networks.plain:CNN", 1),
    "mlp": NetworkEntry("bench.networks.plain:MLP", 1, {"hidden": PositiveInt}),
}

METHODS: Mapping[str, MethodEntry] = {
    "vanilla": MethodEntry("bench.methods.vanilla:Vanilla", 1),
    "ffdwv": MethodEntry("bench.methods.ffdwv:FFDWV", 1, {"words": Distances, "reading": Literal["vectors", "rows"]}),
    "label_smoothing": MethodEntry("bench.methods.label_smoothing:LabelSmoothing", 1, {"words": Distances, "reading": Literal["vectors", "rows"]}),
    "kd": MethodEntry("bench.methods.kd:KD", 1, {"temperature": Positive, "soften": Literal["both", "teacher"]}, teachers=1),
    "soft_targets": MethodEntry("bench.methods.soft_targets:SoftTargets", 1, {"temperature": Positive}, teachers=1),
    "dml": MethodEntry("bench.methods.dml:DML", 1, group=True),
    "fsp": MethodEntry("bench.methods.fsp:FSP", 1, {"weight": Positive, "matrices": Literal["sections", "cross"]}, teachers=1, compare=shapes.compare_fsp),
    "hint": MethodEntry("bench.methods.hint:Hint", 1, {"hint": tuple[str, ...], "guided": tuple[str, ...], "channels": tuple[tuple[PositiveInt, ...], ...]}, teachers=1, compare=shapes.compare_hints),
    "kd_decay": MethodEntry("bench.methods.kd_decay:DecayingKD", 1, {"temperature": Positive, "start": NonNegative, "end": NonNegative}, teachers=1),
    "data_impressions": MethodEntry("bench.methods.data_impressions:DataImpressions", 1, {"count": PositiveInt, "scalings": tuple[Positive, ...], "temperature": Positive}, teachers=1, kind="synthesise"),
}

OPTIMIZERS: Mapping[str, Component] = {
    "sgd": Component("bench.train.optim:sgd", 1, {"momentum": NonNegative, "nesterov": bool, "weight_decay": NonNegative}),
    "adam": Component("bench.train.optim:adam", 1, {"beta1": NonNegative, "beta2": NonNegative, "eps": Positive, "weight_decay": NonNegative}),
}

SETS: Mapping[str, DataSet] = {
    "cifar10": DataSet("bench.data.datasets:from_torchvision", 1, classes=10, channels=3, size=32, train=50000, test=10000, fingerprint="0b77c5f5f09b35eb", stand_in="synthetic10"),
    "cifar100": DataSet("bench.data.datasets:from_torchvision", 1, classes=100, channels=3, size=32, train=50000, test=10000, fingerprint="02ada2715d74d485", stand_in="synthetic100"),
    "mnist": DataSet("bench.data.datasets:from_torchvision", 1, classes=10, channels=1, size=28, train=60000, test=10000, fingerprint="c3225418d270c3d9", stand_in="synthetic-digits"),
    "fashionmnist": DataSet("bench.data.datasets:from_torchvision", 1, classes=10, channels=1, size=28, train=60000, test=10000, fingerprint="021756277b37bcc3", stand_in="synthetic-digits"),
    "synthetic10": DataSet("bench.data.synthetic:make", 1, made=True, classes=10, channels=3, size=32, train=2000, test=1000, fingerprint="d4257e41ca0d6c6d"),
    "synthetic100": DataSet("bench.data.synthetic:make", 1, made=True, classes=100, channels=3, size=32, train=2000, test=1000, fingerprint="098634852b99ebd3"),
    "synthetic-digits": DataSet("bench.data.synthetic:make", 1, made=True, classes=10, channels=1, size=28, train=2000, test=1000, fingerprint="7c785dcd4f1a26b4"),
}
# fmt: on
