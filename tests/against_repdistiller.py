"""The losses and the networks of CRD's benchmark against its authors' code, RepDistiller (Tian et al., ICLR 2020).

    python -m tests.against_repdistiller FOLDER [MDISTILLER]

FOLDER is a checkout of github.com/HobbitLong/RepDistiller, and MDISTILLER one of github.com/megvii-research/mdistiller,
which has DKD; nothing of them is kept here. Each loss, its gradient for
the student's features, and each network with the same weights is computed by both in float64; the largest difference of
each is printed, relative to the largest value. Where one is above 1e-9, the exit code is 1.
"""

import contextlib
import importlib
import io
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.methods.ab import AB
from bench.methods.at import AT
from bench.methods.base import Batch, Method, Outputs, Setup
from bench.methods.cc import CC
from bench.methods.crd import CRD
from bench.methods.dkd import DKD
from bench.methods.fitnet import FitNet
from bench.methods.fsp import FSP
from bench.methods.ft import FT, Paraphrase
from bench.methods.kd import KD
from bench.methods.nst import NST
from bench.methods.pkt import PKT
from bench.methods.rkd import RKD
from bench.methods.sp import SP
from bench.methods.vid import VID
from bench.networks.base import Network
from bench.networks.initial import initialise
from bench.networks.mobile import MobileNetV2, ShuffleNetV1, ShuffleNetV2
from bench.networks.resnet import ResNet, ResNet50
from bench.networks.vgg import VGG
from bench.networks.wrn import WRN
from bench.rng import generator
from tests.methods.contract import Fixed, output_of

TOLERANCE = 1e-9
N, CLASSES, IMAGES = 6, 10, 40
# Channels and sides of the stages: sizes that differ in each way that a regressor can meet, and equal ones.
STUDENT, TEACHER = ((4, 16), (6, 8), (8, 4), (8, 4)), ((6, 8), (6, 16), (8, 4), (10, 4))
NARROW = ((6, 16), (6, 8), (8, 4), (10, 2))
RESNETS = {"resnet8": 8, "resnet14": 14, "resnet20": 20, "resnet32": 32, "resnet56": 56, "resnet110": 110}
NETWORKS: dict[str, Network] = {
    **{name: ResNet(depth, "basic", "B", 1.0) for name, depth in RESNETS.items()},
    **{f"resnet{depth}x4": ResNet(depth, "basic", "B", 4.0, 32) for depth in (8, 32)},
    **{f"wrn_{depth}_{widen}": WRN(depth, widen) for depth in (16, 40) for widen in (1, 2)},
    "ResNet50": ResNet50(),
    "vgg8": VGG(8),
    "vgg13": VGG(13),
    "MobileNetV2": MobileNetV2(0.5),
    "ShuffleV1": ShuffleNetV1(),
    "ShuffleV2": ShuffleNetV2(),
}


class Case:
    """A method on random features: its loss and gradients, and what the authors' code is to be given."""

    def __init__(self, method: Method, student: tuple[tuple[int, int], ...] = STUDENT) -> None:
        self.method, self.student, self.teacher = (
            method,
            output_of(1, student, N, CLASSES),
            output_of(2, TEACHER, N, CLASSES, pool=7),
        )
        self.labels = np.random.default_rng(5).integers(0, CLASSES, IMAGES)
        networks = [Fixed(self.student)], [Fixed(self.teacher)]
        setup = Setup(CLASSES, (), self.labels, (3, 16, 16), *networks, np.random.default_rng(3))
        self.parts = method.parts(setup).double()
        initialise(self.parts, generator(1, "weights/method"), "framework")
        draws = {name: torch.from_numpy(a) for name, a in method.draws(setup, np.random.default_rng(4)).items()}
        self.indices = torch.arange(0, 3 * N, 3)
        images, own = torch.zeros(N, 3, 16, 16), torch.from_numpy(self.labels)[self.indices]
        self.batch = Batch(images, own, self.indices, torch.tensor(0.5), draws)

    def of(self, whose: str, place: str = "") -> list[Tensor]:
        """What each stage gives."""
        features = getattr(self, whose).features
        return [features[f"stage{i}{place}"] for i in range(1, 5)]

    def compared(self, theirs: Callable[["Case"], Tensor], *terms: str) -> float:
        """The relative difference of the sum of some terms and of its gradients, to what ``theirs`` gives.

        Theirs is computed first, from the same parts: ours may change their state.
        """
        values = []
        for compute in (lambda: theirs(self), lambda: self.loss(*terms)):
            leaves = [f.requires_grad_() for f in (*self.student.features.values(), self.student.logits)]
            leaves += [p for p in self.parts.parameters() if p.requires_grad]
            found = torch.autograd.grad(loss := compute(), leaves, allow_unused=True)
            gradients = [torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, found, strict=True)]
            # All together: some of them, as of a bias before a normalisation, are 0 but for rounding.
            values.append([loss.detach(), torch.cat([g.flatten() for g in gradients])])
        return max(difference(own, other) for other, own in zip(*values, strict=True))

    def loss(self, *terms: str) -> Tensor:
        outputs = Outputs([self.student], [self.teacher], self.parts, [], lambda network, images: network(images))
        found = self.method.loss(0, self.batch, outputs)
        return torch.stack([found[name] for name in terms]).sum()


def difference(own: Tensor, other: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    largest = max(own.abs().max().item(), other.abs().max().item())
    return (own - other).abs().max().item() / largest if largest else 0.0


def losses(repd: SimpleNamespace) -> Iterator[tuple[str, float]]:
    """The differences of the losses, by method."""
    zoo = repd.zoo
    kd = Case(KD(temperature=4.0, soften="both", alpha=0.9, hard=0.1))
    yield "KD", kd.compared(lambda c: 0.9 * zoo.DistillKL(4.0)(c.student.logits, c.teacher.logits), "kd")

    for i in range(1, 5):
        fitnet = Case(FitNet(weight=100.0, layer=f"stage{i}"))
        yield f"FitNet, stage {i}", fitnet.compared(lambda c, i=i: 100 * _fitnet(repd, c, i - 1), "hint")

    def summed(criterion: Any) -> Callable[[Case], Tensor]:
        return lambda c: torch.stack(criterion(c.of("student"), c.of("teacher"))).sum()

    yield "AT", Case(AT(weight=1000.0)).compared(lambda c: 1000 * summed(zoo.Attention())(c), "at")
    yield "NST", Case(NST(weight=50.0)).compared(lambda c: 50 * summed(zoo.NSTLoss())(c), "nst")

    def similarity(c: Case) -> Tensor:
        return 3000 * zoo.Similarity()(c.of("student")[-1:], c.of("teacher")[-1:])[0].squeeze()

    yield "SP", Case(SP(weight=3000.0)).compared(similarity, "sp")

    def pools(c: Case) -> tuple[Tensor, Tensor]:
        return c.student.features["pool"], c.teacher.features["pool"]

    def correlation(c: Case) -> Tensor:
        embedded = [embed(pool) for embed, pool in zip(c.parts.embed, pools(c), strict=True)]
        return 0.02 * zoo.Correlation()(*embedded)

    yield "CC", Case(CC(weight=0.02)).compared(correlation, "cc")
    rkd = Case(RKD(distance=25.0, angle=50.0))
    yield "RKD", rkd.compared(lambda c: zoo.RKDLoss()(*pools(c)), "distance", "angle")
    yield "PKT", Case(PKT(weight=30000.0)).compared(lambda c: 30000 * zoo.PKT()(*_copies(pools(c))), "pkt")
    yield "VID", Case(VID(weight=1.0)).compared(lambda c: _vid(repd, c), "vid")
    yield "FSP", Case(FSP(weight=1.0, matrices="cross"), TEACHER).compared(lambda c: _fsp(repd, c), "fsp")
    yield "AB", Case(AB(weight=0.003)).compared(lambda c: _ab(repd, c), "ab")
    yield "AB, where some shapes are equal", Case(AB(weight=0.003), NARROW).compared(lambda c: _ab(repd, c), "ab")
    yield "FT, its paraphraser", Case(Paraphrase()).compared(lambda c: _paraphrase(repd, c), "paraphrase")
    yield "FT", Case(FT(weight=200.0)).compared(lambda c: 200 * _ft(repd, c), "ft")
    crd = Case(CRD(weight=0.8, negatives=20, dim=5))
    yield "CRD", crd.compared(lambda c: 0.8 * _crd(repd, c), "crd")
    # Once more: the constants are set, and the memory has moved in both.
    yield "CRD, a second batch", crd.compared(lambda c: 0.8 * _crd(repd, c), "crd")


def _fitnet(repd: SimpleNamespace, case: Case, i: int) -> Tensor:
    own, other = case.of("student")[i], case.of("teacher")[i]
    regress = _with(repd.util.ConvReg(own.shape, other.shape), case.parts.regressor)
    return repd.zoo.HintLoss()(regress(own), other)


def _vid(repd: SimpleNamespace, case: Case) -> Tensor:
    total = []
    for gaussian, own, other in zip(case.parts.gaussians, case.of("student"), case.of("teacher"), strict=True):
        loss = repd.zoo.VIDLoss(own.shape[1], other.shape[1], other.shape[1])
        state = dict(zip(loss.regressor.state_dict(), gaussian.mean.parameters(), strict=True))
        named = {"log_scale": gaussian.variance.raw} | {f"regressor.{name}": value for name, value in state.items()}
        total.append(_called(loss, named, own, other))
    return torch.stack(total).sum()


def _fsp(repd: SimpleNamespace, case: Case) -> Tensor:
    own, other = ([o.features["stem"], *case.of(w)] for o, w in ((case.student, "student"), (case.teacher, "teacher")))
    return torch.stack(repd.zoo.FSP([f.shape for f in own], [f.shape for f in other])(own, other)).sum()


def _ab(repd: SimpleNamespace, case: Case) -> Tensor:
    own, other = case.of("student", ".before"), case.of("teacher", ".before")
    connector = repd.util.Connector([f.shape for f in own], [f.shape for f in other])
    return torch.stack(repd.zoo.ABLoss(len(own))(_with(connector, case.parts.connectors)(own), other)).sum()


def _paraphrase(repd: SimpleNamespace, case: Case) -> Tensor:
    feature = case.of("teacher")[-1]
    paraphraser = _with(repd.util.Paraphraser(feature.shape), case.parts.paraphraser)
    return nn.functional.mse_loss(paraphraser(feature)[1], feature)


def _ft(repd: SimpleNamespace, case: Case) -> Tensor:
    own, other = case.of("student")[-1], case.of("teacher")[-1]
    paraphraser = _with(repd.util.Paraphraser(other.shape), case.parts.paraphraser)
    translator = _with(repd.util.Translator(own.shape, other.shape), case.parts.translator)
    return repd.zoo.FactorTransfer()(translator(own), paraphraser(other, is_factor=True))


def _crd(repd: SimpleNamespace, case: Case) -> Tensor:
    """With our memory and constants, and the negatives that we drew."""
    method, parts = case.method, case.parts
    drawn = method._drawn(parts, case.batch)
    negatives = torch.stack([row.nonzero()[:, 0].repeat_interleave(row[row > 0].long()) for row in drawn])
    pools = case.student.features["pool"], case.teacher.features["pool"]
    options = SimpleNamespace(feat_dim=method.dim, n_data=IMAGES, s_dim=pools[0].shape[1], t_dim=pools[1].shape[1])
    options.nce_k, options.nce_t, options.nce_m = method.negatives, method.temperature, method.momentum
    loss = repd.crd.CRDLoss(options).double()
    constants = [float(method.negatives), method.temperature, parts.student_z, parts.teacher_z, method.momentum]
    # The anchor of each memory is the other network's embedding, and so is its constant.
    constants[2], constants[3] = constants[3], constants[2]
    loss.contrast.params = torch.tensor([float(c) for c in constants], dtype=torch.float64)
    loss.contrast.memory_v1, loss.contrast.memory_v2 = parts.student_memory.clone(), parts.teacher_memory.clone()
    linear = dict(zip(("embed_s.linear", "embed_t.linear"), parts.embed, strict=True))
    state = {f"{name}.{k}": v for name, own in linear.items() for k, v in own.named_parameters()}
    index = torch.cat([case.indices[:, None], negatives], dim=1)
    return _called(loss, state, *pools, case.indices, index).squeeze()


def _with(module: nn.Module, own: nn.Module) -> Callable[..., Any]:
    """A module of theirs with the parameters of ours, in the same order; gradients flow to ours."""
    names = [name for name, _ in module.named_parameters()]
    state = dict(zip(names, own.parameters(), strict=True))
    return lambda *arguments, **more: _called(module, state, *arguments, **more)


def _called(module: nn.Module, state: Mapping[str, Tensor], *arguments: Any, **more: Any) -> Any:
    return torch.func.functional_call(module.double(), dict(state), arguments, more)


def _copies(tensors: tuple[Tensor, ...]) -> list[Tensor]:
    """For code that changes what it is given."""
    return [tensor.clone() for tensor in tensors]


@torch.no_grad()
def networks(repd: SimpleNamespace) -> Iterator[tuple[str, float]]:
    """The differences of logits and features between networks of the same weights, by network."""
    x = torch.from_numpy(np.random.default_rng(6).normal(size=(2, 3, 32, 32)))
    for name, declared in NETWORKS.items():
        with contextlib.redirect_stdout(io.StringIO()):
            theirs = repd.models[name](100) if name == "MobileNetV2" else repd.models[name](num_classes=100)
        own = declared.build(100, 3, 32).double()
        initialise(own, generator(1, "weights/0"))
        for parameter, other in zip(theirs.double().parameters(), own.parameters(), strict=True):
            parameter.copy_(other)
        found = own(x)
        features, logits = theirs(x, is_feat=True)
        before, _ = theirs(x, is_feat=True, preact=True)
        stages = [key for key in found.features if key.startswith("stage") and "." not in key]
        pairs = [(found.logits, logits)]
        pairs += [(found.features[k], f) for k, f in zip(["stem", *stages, "pool"], features, strict=True)]
        pairs += [(found.features[f"{k}.before"], f) for k, f in zip(stages, before[1:-1], strict=True)]
        yield name, max(difference(*pair) for pair in pairs)


def decoupled(folder: Path) -> Iterator[tuple[str, float]]:
    """The difference of DKD, without its warm-up, to its authors' code."""
    package = ModuleType("dkd_authors")
    package.__path__ = [str(folder / "mdistiller" / "distillers")]
    base = ModuleType("dkd_authors._base")
    base.Distiller = object
    sys.modules |= {package.__name__: package, base.__name__: base}
    theirs = importlib.import_module("dkd_authors.DKD").dkd_loss

    def loss(case: Case) -> Tensor:
        return theirs(case.student.logits, case.teacher.logits, case.batch.labels, 1.0, 8.0, 4.0)

    yield "DKD", Case(DKD(temperature=4.0, target=1.0, others=8.0)).compared(loss, "target", "others")


def load(folder: Path) -> SimpleNamespace:
    """The modules of a checkout that are compared."""
    sys.path.insert(0, str(folder))
    try:
        import crd.criterion
        import crd.memory
        import distiller_zoo
        import models
        import models.util
    finally:
        sys.path.remove(str(folder))
    # Its sampler, which is not asked here, wants a GPU.
    crd.memory.AliasMethod.cuda = lambda self: None
    return SimpleNamespace(zoo=distiller_zoo, crd=crd.criterion, util=models.util, models=models.model_dict)


def main(folder: str, mdistiller: str | None = None) -> int:
    """Print every difference."""
    warnings.simplefilter("ignore")
    sys.dont_write_bytecode = True
    with contextlib.redirect_stdout(io.StringIO()):
        repd = load(Path(folder))
        found = {
            **dict(losses(repd)),
            **dict(decoupled(Path(mdistiller)) if mdistiller else ()),
            **dict(networks(repd)),
        }
    for name, value in found.items():
        print(f"{name:32} {value:.1e}{'' if value <= TOLERANCE else '  differs'}")
    return int(max(found.values()) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) in (2, 3) else __doc__)
