"""This machine: builds a run from its recipe and its sources, trains it, and leaves the artifact and the record."""

import os
import platform
import subprocess
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import registry
from bench.cost import Costs, training_flops
from bench.data import datasets, views
from bench.data.names import CLASSES
from bench.data.pictures import Pictures
from bench.data.wordvectors import read_distances
from bench.draws import generator
from bench.errors import DeviceError, StoreError, WordsError
from bench.graph import Run
from bench.methods.base import Method
from bench.networks import Network, build, initialise
from bench.recipe import Subset
from bench.schema import Distances
from bench.store import Record, Store
from bench.train import checkpoint, device
from bench.train.engine import Job, Trained, train
from bench.train.progress import Progress

LIBRARIES = ("torch", "numpy", "torchvision")


class Local:
    """Carries out runs one after the other in this process.

    Args:
        store: where sources are taken from and records go.
        costs: multiply-adds of the networks, for the record's FLOPs.
        folder: where data sets lie.
        download: whether a set that is not there may be downloaded into it.
        where: the device.
    """

    def __init__(self, store: Store, costs: Costs, folder: Path, *, download: bool, where: torch.device) -> None:
        self.store, self.costs, self.folder, self.download, self.device = store, costs, folder, download, where
        self.sets: dict[str, datasets.Images] = {}

    def execute(
        self, run: Run, progress: Progress, out_of_time: Callable[[float], bool] = lambda seconds: False
    ) -> Record:
        """Train one run whose sources are there.

        Raises:
            bench.train.progress.Stopped: time was up; the checkpoint is written.
            KdbenchError: data, sources, device or checkpoint are not as the run needs them.
        """
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        networks = fresh_networks(run)
        taken: dict[str, dict[str, str]] = {}
        teachers = []
        for edge, source in run.sources.items():
            record, tensors = self._taken(source)
            taken[edge] = {"record": record.stem, "artifact": str(record.artifact)}
            if edge == "teacher":
                teachers.append(_loaded(make_network(source, 0), tensors))
            else:
                networks = [_loaded(network, tensors) for network in networks]
        pictures = self._pictures(run, device.weights_dtype(device.precision(run.stage.precision, self.device)))
        job = make_job(run, networks, teachers, pictures, self.device, self.store.checkpoint(run), taken)
        with warnings.catch_warnings(record=True) as caught:
            try:
                trained = train(job, progress, out_of_time=out_of_time)
            except torch.OutOfMemoryError:
                raise DeviceError(f"{run.name}: {device.name(self.device)} has too little free memory for it") from None
        record = self._record(run, job, trained, sorted({str(warning.message) for warning in caught}))
        job.checkpoint.unlink(missing_ok=True)
        return record

    def _taken(self, source: Run) -> tuple[Record, dict[str, torch.Tensor]]:
        usable = self.store.usable(source)
        if usable is None:
            raise StoreError(f"{source.name} seed {source.seed}: its weights are not here; run its table first")
        record, path = usable
        return record, checkpoint.read(self.store.verified(record, path))[0]

    def _pictures(self, run: Run, dtype: torch.dtype) -> tuple[Pictures, Pictures]:
        data = run.stage.data
        if data.set not in self.sets:
            self.sets[data.set] = datasets.load(data.set, self.folder, self.download)
        images = self.sets[data.set]
        train_part, test_part = _part(images.train_y, data.train), _part(images.test_y, data.test)
        return (
            Pictures(images.train_x[train_part], images.train_y[train_part], data, self.device, dtype, augment=True),
            Pictures(images.test_x[test_part], images.test_y[test_part], data, self.device, dtype, augment=False),
        )

    def _record(self, run: Run, job: Job, trained: Trained, told: list[str]) -> Record:
        record = Record(
            key=run.key,
            id=run.id,
            name=run.name,
            profile=run.profile,
            seed=run.seed,
            status=trained.status,
            recipe=run.recipe,
            results=trained.results,
            curve=trained.curve,
            versions=run.versions,
            precision=job.precision,
            device=device.name(self.device),
            seconds=round(trained.seconds, 3),
            flops=training_flops(run, self.costs, len(trained.curve)),
            peak_memory=device.peak_memory(self.device),
            libraries=_libraries(),
            commit=commit(),
            warnings=told,
            taken=job.taken,
            artifact=None,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            replica=self.store.replica(run),
        )
        if trained.status == "done":
            path = self.store.artifact(record.stem)
            record = replace(record, artifact=checkpoint.write(path, trained.tensors, {"id": run.id, "seed": run.seed}))
        self.store.add(record)
        return record


def make_job(
    run: Run,
    networks: Sequence[Network],
    teachers: Sequence[Network],
    pictures: tuple[Pictures, Pictures],
    where: torch.device,
    unfinished: Path,
    taken: dict[str, dict[str, str]],
) -> Job:
    """A run with everything that the engine needs; ``pictures`` are those to train and to test on."""
    return Job(
        id=run.id,
        seed=run.seed,
        stage=run.stage,
        networks=networks,
        teachers=teachers,
        method=make_method(run),
        train=pictures[0],
        test=pictures[1],
        device=where,
        precision=device.precision(run.stage.precision, where),
        checkpoint=unfinished,
        taken=taken,
    )


def fresh_networks(run: Run) -> list[Network]:
    """The networks of a run with the initial weights of its seed: the k-th of a group is the same in every row."""
    networks = [make_network(run, k) for k in range(len(run.stage.networks))]
    for k, network in enumerate(networks):
        initialise(network, generator(run.seed, f"weights/{k}"))
    return networks


def make_network(run: Run, k: int) -> Network:
    """The k-th network of a run, for its set's images."""
    entry, spec = registry.SETS[run.stage.data.set], run.stage.networks[k]
    return build(spec.name, spec.params, entry.classes, entry.channels, entry.size)


def make_method(run: Run) -> Method:
    """Build a run's method; word distances are read from their file, trainable parts begin with the seed's weights."""
    spec, set_name = run.stage.method, run.stage.data.set
    params = {
        key: _distances(value, set_name) if isinstance(value, Distances) else value
        for key, value in spec.params.items()
    }
    method: Method = registry.METHODS[spec.name].load()(registry.SETS[set_name].classes, **params)
    initialise(method, generator(run.seed, "weights/method"))
    return method


def _distances(words: Distances, set_name: str) -> torch.Tensor:
    """The distances between a set's classes; WordsError where the file is about other classes."""
    table, names = read_distances(words.file), CLASSES.get(set_name)
    if len(table.classes) != registry.SETS[set_name].classes or (names is not None and table.classes != names):
        raise WordsError(f"{words.file}: these are not the classes of {set_name}, in its order")
    return torch.from_numpy(table.matrix)


def commit() -> str | None:
    """The commit of the code, marked where files differ from it; from KDBENCH_COMMIT on a machine without git."""
    root = Path(__file__).parents[2]
    try:
        head = _git(root, "rev-parse", "HEAD")
        return f"{head} and local changes" if _git(root, "status", "--porcelain", "bench", "recipes") else head
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("KDBENCH_COMMIT")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _loaded(network: Network, tensors: dict[str, torch.Tensor]) -> Network:
    """With the weights of a source's first network: the one that its row deploys."""
    own = {name.removeprefix("net0."): value for name, value in tensors.items() if name.startswith("net0.")}
    network.load_state_dict(own)
    return network


def _part(labels: np.ndarray[Any, np.dtype[np.int64]], part: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    if isinstance(part, Subset):
        return views.subset(labels, part.fraction, part.per_class, part.seed)
    return np.arange(len(labels))


def _libraries() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
