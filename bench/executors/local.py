"""This machine: builds a run from its recipe and its sources, trains it, and leaves the artifact and the record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
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
from bench.errors import StoreError, WordsError
from bench.executors.choices import caches, compiles
from bench.provenance import commit, libraries
from bench.graph import Run
from bench.methods.base import Method
from bench.networks import Network, build, initialise
from bench.recipe import Subset
from bench.registry import SETS
from bench.schema import Distances
from bench.store import Record, Store
from bench.train import checkpoint, device
from bench.train.engine import Job, Trained, train
from bench.train.ensemble import evaluate
from bench.train.progress import Progress
from bench.train.synthesis import Synthesis, synthesise
from bench.train.teacher_cache import Answers
from bench.train.turns import Turns, heard


class Local:
    """Carries out runs in this process.

    Args:
        store: where sources are taken from and records go.
        costs: multiply-adds of the networks, for the record's FLOPs.
        folder: where data sets lie.
        download: whether a set that is not there may be downloaded into it.
        where: the device.
        side_by_side: how many runs go on at a time at most, for the record.
    """

    def __init__(
        self, store: Store, costs: Costs, folder: Path, *, download: bool, where: torch.device, side_by_side: int = 1
    ) -> None:
        self.store, self.costs, self.folder, self.download, self.device = store, costs, folder, download, where
        self.side_by_side = side_by_side
        self.sets: dict[str, datasets.Images] = {}
        self.answers: tuple[str, Answers] | None = None
        self.threads = torch.get_num_threads()

    def execute(
        self, run: Run, progress: Progress, out_of_time: Callable[[float], bool] = lambda seconds: False
    ) -> Turns[Record]:
        """Carry out one run whose sources are there; after its first turn a GPU holds all that the run will need.

        Raises:
            bench.train.progress.Stopped: time was up; the checkpoint is written.
            torch.OutOfMemoryError: the GPU has too little that is free.
            KdbenchError: data, sources, device or checkpoint are not as the run needs them.
        """
        torch.set_num_threads(self.threads)  # a run that was resumed may have had others
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        found = {edge: self._taken(source) for edge, source in run.sources.items()}
        taken = {edge: {"record": record.stem, "artifact": str(record.artifact)} for edge, (record, _) in found.items()}
        work = _Work(run, {edge: tensors for edge, (_, tensors) in found.items()}, taken, progress, out_of_time)
        carry_out = {"train": self._train, "synthesise": self._synthesise, "evaluate": self._evaluate}[run.kind]
        told: set[str] = set()

        def hear(warning: str) -> None:
            if warning not in told:
                told.add(warning)
                progress.warn(warning)

        precision, trained = yield from heard(carry_out(work), hear)
        record = self._record(work, precision, trained, sorted(told))
        self.store.checkpoint(run).unlink(missing_ok=True)
        return record

    def _taken(self, source: Run) -> tuple[Record, dict[str, torch.Tensor]]:
        found = checkpoint.artifact(self.store, source)
        if found is None:
            raise StoreError(f"{source.name} seed {source.seed}: its weights are not here; run its table first")
        return found

    def _train(self, work: "_Work") -> Turns[tuple[str, Trained]]:
        run, tensors = work.run, work.tensors
        networks = fresh_networks(run)
        if "init" in tensors:
            networks = [_loaded(network, tensors["init"]) for network in networks]
        teachers = [_loaded(make_network(run.teacher, 0), tensors["teacher"])] if run.teacher else []
        pictures = self._pictures(run, tensors.get("transfer_set"))
        job = make_job(run, networks, teachers, pictures, self.device, self.store.checkpoint(run), work.taken)
        if caches(run, len(pictures[0]), self.device):
            job = replace(job, answers=self._answers(run, job.precision, len(pictures[0]), work.taken))
        job = replace(job, compiled=compiles(run, training_flops(run, self.costs), self.device))
        return job.precision, (yield from train(job, work.progress, out_of_time=work.out_of_time))

    def _answers(self, run: Run, precision: str, images: int, taken: dict[str, dict[str, str]]) -> Answers:
        """Those of the last run, if it took the same teacher on the same images; one cache at a time is kept."""
        shown = [taken[edge]["artifact"] for edge in ("teacher", "transfer_set") if edge in taken]
        key = repr((run.recipe["data"], run.stage.schedule.batch, precision, shown))
        if self.answers is None or self.answers[0] != key:
            self.answers = None  # before the next one is allocated
            self.answers = (key, Answers(images, run.stage.data.crop_padding, run.stage.data.flip))
        return self.answers[1]

    def _synthesise(self, work: "_Work") -> Turns[tuple[str, Trained]]:
        teacher = _loaded(make_network(work.run.sources["teacher"], 0), work.tensors["teacher"])
        job = make_synthesis(work.run, teacher, self.device, self.store.checkpoint(work.run), work.taken)
        return job.precision, (yield from synthesise(job, work.progress, out_of_time=work.out_of_time))

    def _evaluate(self, work: "_Work") -> Turns[tuple[str, Trained]]:
        yield
        data, images = work.run.stage.data, self._images(work.run)
        labels = images.test_y[_part(images.test_y, data.test)]
        logits = {int(edge): tensors["logits0"].numpy() for edge, tensors in work.tensors.items()}
        return "float64", evaluate(logits, labels, work.run.ensemble or 1)

    def _images(self, run: Run) -> datasets.Images:
        name = run.stage.data.set
        if name not in self.sets:
            self.sets[name] = SETS[name].load(self.folder, self.download)
        return self.sets[name]

    def _pictures(self, run: Run, transfer_set: dict[str, torch.Tensor] | None) -> tuple[Pictures, Pictures]:
        """What to train on and what to test on."""
        data, images = run.stage.data, self._images(run)
        dtype = device.weights_dtype(device.precision(run.stage.precision, self.device))
        train_part, test_part = _part(images.train_y, data.train), _part(images.test_y, data.test)
        shown, labels = images.train_x[train_part], images.train_y[train_part]
        if transfer_set is not None:
            shown, labels = transfer_set["images"].permute(0, 2, 3, 1).numpy(), transfer_set["labels"].numpy()
        return (
            Pictures(shown, labels, data, self.device, dtype, augment=True),
            Pictures(images.test_x[test_part], images.test_y[test_part], data, self.device, dtype, augment=False),
        )

    def _record(self, work: "_Work", precision: str, trained: Trained, told: list[str]) -> Record:
        run = work.run
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
            precision=precision,
            device=device.name(self.device),
            seconds=round(trained.seconds, 3),
            flops=training_flops(run, self.costs, len(trained.curve)),
            peak_memory=device.peak_memory(self.device),
            libraries=libraries(),
            commit=commit(),
            warnings=told,
            taken=work.taken,
            artifact=None,
            side_by_side=self.side_by_side,
            compiled=trained.compiled,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            replica=self.store.replica(run),
        )
        if trained.status == "done" and trained.tensors:
            path = self.store.artifact(record.stem)
            record = replace(record, artifact=checkpoint.write(path, trained.tensors, {"id": run.id, "seed": run.seed}))
        self.store.add(record)
        return record


@dataclass(frozen=True)
class _Work:
    """A run with what it takes: the tensors of each source's artifact, and how its record names them."""

    run: Run
    tensors: dict[str, dict[str, torch.Tensor]]
    taken: dict[str, dict[str, str]]
    progress: Progress
    out_of_time: Callable[[float], bool]


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


def make_synthesis(
    run: Run, teacher: Network, where: torch.device, unfinished: Path, taken: dict[str, dict[str, str]]
) -> Synthesis:
    """A run that synthesises images, with everything that it needs."""
    entry, spec = registry.SETS[run.stage.data.set], run.stage.method
    return Synthesis(
        id=run.id,
        seed=run.seed,
        stage=run.stage,
        teacher=teacher,
        method=registry.METHODS[spec.name].load()(**spec.params),
        shape=(entry.channels, entry.size, entry.size),
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


def _loaded(network: Network, tensors: dict[str, torch.Tensor]) -> Network:
    """With the weights of a source's first network: the one that its row deploys."""
    own = {name.removeprefix("net0."): value for name, value in tensors.items() if name.startswith("net0.")}
    network.load_state_dict(own)
    return network


def _part(labels: np.ndarray[Any, np.dtype[np.int64]], part: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    if isinstance(part, Subset):
        return views.subset(labels, part.fraction, part.per_class, part.seed)
    return np.arange(len(labels))
