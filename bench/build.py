"""What a run needs, built from its recipe and from what other runs left: networks, images, and the engine's job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.data.datasets import Dataset
from bench.data.subset import subset
from bench.errors import RecipeError
from bench.graph import Run
from bench.methods.base import Method, Setup, Synthesiser
from bench.networks.initial import initialise
from bench.recipe import Data, Subset
from bench.recipe.model import teacher_edge
from bench.registry import SETS
from bench.rng import generator
from bench.train import artifacts
from bench.train import device as devices
from bench.train.job import Job
from bench.train.loader import DeviceLoader
from bench.train.synthesis import Synthesis


@dataclass(frozen=True)
class Inputs:
    """What a run takes from others, by the name of the edge.

    Args:
        tensors: of each source's artifact.
        taken: its record and the digest of its artifact, as a record names them.
    """

    tensors: Mapping[str, artifacts.Tensors] = field(default_factory=dict)
    taken: dict[str, dict[str, str]] = field(default_factory=dict)


class Builder:
    """Builds jobs for one device; a data set is read once.

    Args:
        folder: where data sets lie.
        device: where jobs will be carried out.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.folder, self.device = folder, device
        self.datasets: dict[str, Dataset] = {}

    def job(self, run: Run, inputs: Inputs, checkpoint: Path) -> Job:
        """A training, with its networks as other runs left them or as its seed draws them."""
        networks = fresh_networks(run)
        if "init" in inputs.tensors:
            networks = [_loaded(network, inputs.tensors["init"]) for network in networks]
        teachers = [
            _loaded(make_network(teacher), inputs.tensors[teacher_edge(i)]) for i, teacher in enumerate(run.teachers)
        ]
        job = make_job(run, networks, teachers, *self.loaders(run, inputs), self.device, checkpoint, inputs.taken)
        if "init" in inputs.tensors:
            artifacts.take_on(job.parts, job.method.takes_on, inputs.tensors["init"])
        return job

    def synthesis(self, run: Run, inputs: Inputs, checkpoint: Path) -> Synthesis:
        """A synthesis of images for its teacher."""
        teacher = _loaded(make_network(run.teachers[0]), inputs.tensors["teacher"])
        return make_synthesis(run, teacher, self.device, checkpoint, inputs.taken)

    def loaders(self, run: Run, inputs: Inputs) -> tuple[DeviceLoader, DeviceLoader]:
        """The images to train on and those to test on."""
        data, seen = run.stage.data, parts(self._dataset(run), run.stage.data)
        dtype = images_dtype(run, self.device)
        images: NDArray[Any] = seen.train_x
        labels = seen.train_y
        if "transfer_set" in inputs.tensors:
            made, their_labels = artifacts.images(inputs.tensors["transfer_set"])
            images, labels = made.permute(0, 2, 3, 1).numpy(), their_labels.numpy()
        return (
            DeviceLoader(images, labels, data, self.device, dtype, augment=True),
            DeviceLoader(seen.test_x, seen.test_y, data, self.device, dtype, augment=False),
        )

    def test_labels(self, run: Run) -> NDArray[np.int64]:
        """The labels of the images to test on, one after the other, as logits (N, C) are kept."""
        return parts(self._dataset(run), run.stage.data).test_y.reshape(-1)

    def _dataset(self, run: Run) -> Dataset:
        name = run.stage.data.set
        if name not in self.datasets:
            self.datasets[name] = SETS[name].load(self.folder)
        return self.datasets[name]


def images_dtype(run: Run, device: torch.device) -> torch.dtype:
    """The type of a run's images on a device: what its networks multiply in, but where a mean of pixels is shown."""
    reached = devices.precision(run.stage.precision, device)
    whole = all(own.stage.data.resolution is None for own in (run, *run.teachers))
    return devices.images_dtype(reached) if whole else devices.weights_dtype(reached)


def make_job(
    run: Run,
    networks: Sequence[nn.Module],
    teachers: Sequence[nn.Module],
    train: DeviceLoader,
    test: DeviceLoader,
    device: torch.device,
    checkpoint: Path,
    taken: dict[str, dict[str, str]],
) -> Job:
    """A training with everything that the engine needs."""
    stage = run.stage
    assert isinstance(stage.method, Method)
    setup = make_setup(run, train.labels, networks, teachers)
    return Job(
        id=run.id,
        seed=run.seed,
        stage=stage,
        networks=networks,
        teachers=teachers,
        method=stage.method,
        parts=make_parts(run, setup),
        setup=setup,
        train=train,
        test=test,
        device=device,
        precision=devices.precision(stage.precision, device),
        checkpoint=checkpoint,
        taken=taken,
        taught_at=[teacher.stage.data.resolution for teacher in run.teachers],
    )


def make_synthesis(
    run: Run, teacher: nn.Module, device: torch.device, checkpoint: Path, taken: dict[str, dict[str, str]]
) -> Synthesis:
    """A synthesis with everything that it needs."""
    info, method = SETS[run.stage.data.set], run.stage.method
    assert isinstance(method, Synthesiser)
    return Synthesis(
        id=run.id,
        seed=run.seed,
        stage=run.stage,
        teacher=teacher,
        method=method,
        shape=(info.channels, info.size, info.size),
        device=device,
        precision=devices.precision(run.stage.precision, device),
        checkpoint=checkpoint,
        taken=taken,
    )


def fresh_networks(run: Run) -> list[nn.Module]:
    """The networks of a run with the initial weights of its seed: the k-th of a group is the same in every row."""
    networks = [make_network(run, k) for k in range(len(run.stage.networks))]
    for k, network in enumerate(networks):
        initialise(network, generator(run.seed, f"weights/{k}"), run.stage.initial)
    return networks


def make_network(run: Run, k: int = 0) -> nn.Module:
    """The k-th network of a run, for its set's images; its weights are still to come.

    Raises:
        RecipeError: it has dropout, which draws from a generator that no checkpoint holds.
    """
    info, declared = SETS[run.stage.data.set], run.stage.networks[k]
    network = declared.build(info.classes, info.channels, info.size)
    _refuse_dropout(network, run, f"network {declared.name!r}")
    return network


def make_setup(
    run: Run, labels: NDArray[np.int64], networks: Sequence[nn.Module], teachers: Sequence[nn.Module]
) -> Setup:
    """What a method may know when it makes its parts and its draws; ``labels`` are of the training images."""
    info = SETS[run.stage.data.set]
    return Setup(
        classes=info.classes,
        class_names=info.class_names,
        labels=labels,
        image=(info.channels, info.size, info.size),
        students=networks,
        teachers=teachers,
        generator=generator(run.seed, "parts"),
    )


def make_parts(run: Run, setup: Setup) -> nn.Module:
    """A method's own modules; those that are trained begin with the weights of the run's seed and a rule."""
    assert isinstance(run.stage.method, Method)
    parts = run.stage.method.parts(setup)
    _refuse_dropout(parts, run, f"method {run.stage.method.name!r}")
    initialise(parts, generator(run.seed, "weights/method"), run.stage.method.initial or run.stage.initial)
    return parts


def _refuse_dropout(module: nn.Module, run: Run, noun: str) -> None:
    # A module that is never trained keeps what it drops.
    dropping = [m for m in module.modules() if isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0 and m.training]
    if dropping:
        raise RecipeError(
            f"{run.stage.location}: {noun} has {type(dropping[0]).__name__} with p = {dropping[0].p}, whose draws no"
            " checkpoint can hold; build it with p = 0"
        )


def _loaded(network: nn.Module, artifact: artifacts.Tensors) -> nn.Module:
    """With the weights of a source's first network: the one that its row deploys."""
    network.load_state_dict(artifacts.weights(artifact))
    return network


def parts(dataset: Dataset, data: Data) -> Dataset:
    """What of a set a run trains on, and what it is tested on; nothing of the test set where some of it is held out."""
    train = _part(dataset.train_y, data.train)
    if data.validation is None:
        test = _part(dataset.test_y, data.test)
        return Dataset(dataset.train_x[train], dataset.train_y[train], dataset.test_x[test], dataset.test_y[test])
    held_out = train[_part(dataset.train_y[train], data.validation)]
    kept = np.setdiff1d(train, held_out, assume_unique=True)
    return Dataset(dataset.train_x[kept], dataset.train_y[kept], dataset.train_x[held_out], dataset.train_y[held_out])


def _part(labels: NDArray[np.int64], part: Literal["all"] | Subset) -> NDArray[np.int64]:
    """Indices of the images of a part, from the labels of all; where an image has many, no part is balanced by them."""
    if isinstance(part, Subset):
        one_each = labels if labels.ndim == 1 else np.zeros(len(labels), dtype=np.int64)
        return subset(one_each, part.fraction, part.per_class, part.seed)
    return np.arange(len(labels))
