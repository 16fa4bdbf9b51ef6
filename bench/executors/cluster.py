"""Runs on the nodes of a Ray cluster, a task each; the driver alone writes into the folder of results.

Nothing needs to be shared but the code: data sets go into the object store, and so to each node once; what a run takes
from others goes with it, and its record, weights and checkpoints come home. So a run whose node dies goes on elsewhere.
"""

import math
import pickle
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from numpy.typing import NDArray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench import __version__, registry
from bench.build import Builder
from bench.counting import Costs
from bench.errors import DeviceError, UsageError
from bench.executors.inline import Inline
from bench.executors.local import Local
from bench.files import write_atomic
from bench.graph import Run
from bench.record import EpochEntry, Record, SynthesisEntry, from_json
from bench.registry import SETS
from bench.store import Store
from bench.train.progress import Progress, RunFailed

ATTEMPTS = 3
# How often a worker tells how far it is, and hears whether it is to stop.
POST_SECONDS = 0.5
POLL_SECONDS = 0.1
RESOURCES_SECONDS = 5.0

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class _Given:
    """What every worker is told; ``cpus`` and ``gpus`` are of a run."""

    costs: Costs
    plugins: Path | None
    version: str
    cpus: int
    gpus: float
    side_by_side: int


@dataclass(frozen=True)
class _Order:
    """One run to carry out: what was left of it before, and of its sources; ``seconds`` there are for it.

    ``run`` is pickled, to be read when the worker has its plug-ins. ``records`` are by file name, ``artifacts`` are
    references by file name.
    """

    run: bytes
    records: dict[str, str]
    artifacts: dict[str, Any]
    data: Any
    checkpoint: Bytes | None
    seconds: float | None


@dataclass
class _Task:
    """A run in progress at its ``attempt``-th attempt."""

    run: Run
    progress: Progress
    deadline: float | None
    attempt: int = 0
    ref: Any = None


class _Mailbox:
    """Lies beside the driver: what workers tell of their runs, and whether they are to stop."""

    def __init__(self) -> None:
        self.letters: deque[tuple[str, int, list[tuple[str, Any]]]] = deque()
        self.stopping = False

    def post(self, key: str, attempt: int, letters: list[tuple[str, Any]]) -> bool:
        """From a worker; whether it is to stop."""
        self.letters.append((key, attempt, letters))
        return self.stopping

    def take(self, stopping: bool) -> list[tuple[str, int, list[tuple[str, Any]]]]:
        """For the driver: all that came since."""
        self.stopping = stopping
        taken = [*self.letters]
        self.letters.clear()
        return taken


class Cluster:
    """Carries out runs as tasks of a Ray cluster.

    Args:
        store: where sources are taken from and records go.
        costs: multiply-adds of the networks, for the records' FLOPs.
        folder: where data sets lie on this machine.
        address: ``ray://host:port``; None is the cluster of this machine, which is started if there is none.
        per_gpu: how many runs share a GPU; where the cluster has none, each run has a core.
        plugins: the folder of plug-ins, which must be there on every node.

    Raises:
        DeviceError: there is no such cluster.
    """

    def __init__(
        self,
        store: Store,
        costs: Costs,
        folder: Path,
        *,
        address: str | None = None,
        per_gpu: int = 1,
        plugins: Path | None = None,
    ) -> None:
        self.store, self.folder, self.interrupted = store, folder, False
        self.connected = not ray.is_initialized()
        if self.connected:
            _connect(address)
        gpus = 1 / per_gpu if ray.cluster_resources().get("GPU") else 0.0
        self.given = _Given(costs, plugins, __version__, 1, gpus, per_gpu if gpus else 1)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.mailbox = (
            ray.remote(_Mailbox).options(num_cpus=0, scheduling_strategy=here, enable_task_events=False).remote()
        )
        self.carry_out = ray.remote(_carry_out)
        self.tasks: dict[str, _Task] = {}  # by the key of the run
        self.objects: dict[str, Any] = {}  # in the object store: data sets by name, artifacts by file name
        self.places, self.counted = 0, -math.inf

    @property
    def room(self) -> bool:
        """Whether some node can take one more run; nodes come and go."""
        if time.monotonic() - self.counted > RESOURCES_SECONDS:
            self.counted, there = time.monotonic(), ray.cluster_resources()
            cpus = there.get("CPU", 0) / self.given.cpus
            self.places = int(min(cpus, there.get("GPU", 0) / self.given.gpus) if self.given.gpus else cpus)
        # A cluster that has just begun, or lost its last node, may say that it has nothing: one run waits for it there.
        return len(self.tasks) < max(1, self.places)

    def submit(self, run: Run, progress: Progress, deadline: float | None) -> None:
        """Hand the run to the cluster."""
        self.tasks[run.key] = task = _Task(run, progress, deadline)
        self._begin(task)

    def wait(self, seconds: float = math.inf) -> tuple[Run, Record | None] | None:
        """Tell what the workers say until a run ends, or for so many seconds.

        Raises:
            RunFailed: a run ended :data:`ATTEMPTS` times in an error, or with its node.
        """
        until = time.monotonic() + seconds
        while True:
            by_ref = {task.ref: task for task in self.tasks.values()}
            ended, _ = ray.wait([*by_ref], timeout=POLL_SECONDS)
            self._read_letters()
            for task in (by_ref[ref] for ref in ended):
                try:
                    return self._bring_home(task, ray.get(task.ref))
                except (ray.exceptions.RayError, OSError) as error:
                    self._try_again(task, error)
            if time.monotonic() >= until:
                return None

    def interrupt(self) -> None:
        """Have each run stop at its next step, with a checkpoint."""
        self.interrupted = True

    def stop(self) -> None:
        """Give up what is in progress."""
        for task in self.tasks.values():
            ray.cancel(task.ref, force=True)
        self.tasks.clear()
        ray.kill(self.mailbox)
        if self.connected:
            ray.shutdown()

    def _begin(self, task: _Task) -> None:
        task.attempt += 1
        run, checkpoint = task.run, self.store.checkpoint(task.run)
        sources = [found for source in run.sources.values() if (found := self.store.available_artifact(source))]
        before = [record for record in self.store.by_key.get(run.key, []) if record.id == run.id]
        order = _Order(
            run=pickle.dumps(run),
            records={f"{r.stem}.json": self._text(r) for r in (*before, *(record for record, _ in sources))},
            artifacts={f"{r.stem}.safetensors": self._kept(path.name, lambda p=path: _read(p)) for r, path in sources},
            data=self._kept(run.stage.data.set, lambda: SETS[run.stage.data.set].load(self.folder)),
            checkpoint=_read(checkpoint) if checkpoint.is_file() else None,
            seconds=None if task.deadline is None else task.deadline - time.monotonic(),
        )
        options = {"num_cpus": self.given.cpus, "num_gpus": self.given.gpus, "max_retries": 0}
        name = f"{run.name}#{run.seed}"
        task.ref = self.carry_out.options(name=name, **options).remote(self.given, order, task.attempt, self.mailbox)

    def _text(self, record: Record) -> str:
        paths = (folder / "runs" / f"{record.stem}.json" for folder in self.store.folders)
        return next(path for path in paths if path.exists()).read_text(encoding="utf-8")

    def _kept(self, name: str, make: Any) -> Any:
        if name not in self.objects:
            self.objects[name] = ray.put(make())
        return self.objects[name]

    def _read_letters(self) -> None:
        for key, attempt, letters in ray.get(self.mailbox.take.remote(self.interrupted)):
            task = self.tasks.get(key)
            if task is None or task.attempt != attempt:
                continue  # of a worker that was believed lost
            for what, values in letters:
                if what == "checkpoint":
                    write_atomic(self.store.checkpoint(task.run), values[0].tobytes())
                else:
                    getattr(task.progress, what)(*values)

    def _bring_home(self, task: _Task, result: "tuple[str, Bytes | None] | None") -> tuple[Run, Record | None]:
        """Write what a run left: its weights first, since a record says that all is there."""
        del self.tasks[task.run.key]
        if result is None:
            return task.run, None
        text, artifact = result
        record = from_json(text, task.run.name)
        if artifact is not None:
            write_atomic(self.store.artifact(record.stem), artifact.tobytes())
        self.store.merge(text, f"{record.stem}.json", task.run.name)
        self.store.checkpoint(task.run).unlink(missing_ok=True)
        return task.run, record

    def _try_again(self, task: _Task, error: Exception) -> None:
        why = str(getattr(error, "cause", None) or error).strip().partition("\n")[0]
        if task.attempt >= ATTEMPTS:
            del self.tasks[task.run.key]
            raise RunFailed(task.run, f"{ATTEMPTS} attempts, the last ended so: {why}")
        task.progress.warn(f"attempt {task.attempt} of {ATTEMPTS} ended so: {why}")
        self.counted = -math.inf
        self._begin(task)


def _connect(address: str | None) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError, ImportError) as error:
        raise DeviceError(f"no Ray cluster at {address or 'hand'}: {str(error).partition(chr(10))[0]}") from None


def _read(path: Path) -> Bytes:
    return np.fromfile(path, np.uint8)


# In a worker.


def _carry_out(given: _Given, order: _Order, attempt: int, mailbox: Any) -> "tuple[str, Bytes | None] | None":
    """Carry out a run in a folder of its own; the text of its record and its artifact, or None if it was stopped."""
    if given.version != __version__:
        raise UsageError(f"a node has kdbench {__version__}, and the driver has {given.version}: install the same")
    registry.load_plugins(given.plugins)
    run: Run = pickle.loads(order.run)
    torch.set_num_threads(given.cpus)
    with tempfile.TemporaryDirectory(prefix="kdbench-") as folder:
        store = _laid_out(Path(folder), order, run)
        builder = Builder(Path(folder), torch.device("cuda" if given.gpus else "cpu"))
        builder.datasets[run.stage.data.set] = ray.get(order.data)
        inline = Inline(Local(store, given.costs, builder, given.side_by_side))
        letters = _Letters(store.checkpoint(run))
        inline.submit(run, letters, None if order.seconds is None else time.monotonic() + order.seconds)
        while (ended := inline.wait(POST_SECONDS)) is None:
            if ray.get(mailbox.post.remote(run.key, attempt, letters.take())):
                inline.interrupt()
        ray.get(mailbox.post.remote(run.key, attempt, letters.take()))
        record = ended[1]
        if record is None:
            return None
        text = (store.root / "runs" / f"{record.stem}.json").read_text(encoding="utf-8")
        return text, None if record.artifact is None else _read(store.artifact(record.stem))


def _laid_out(folder: Path, order: _Order, run: Run) -> Store:
    for name, text in order.records.items():
        write_atomic(folder / "runs" / name, text.encode())
    for name, artifact in order.artifacts.items():
        write_atomic(folder / "artifacts" / name, ray.get(artifact).tobytes())
    store = Store(folder)
    if order.checkpoint is not None:
        write_atomic(store.checkpoint(run), order.checkpoint.tobytes())
    return store


@dataclass
class _Letters:
    """The progress of a run since it was last taken: of its steps the last one, and its checkpoint if it is new."""

    checkpoint: Path
    step_: tuple[int, int, int] | None = None
    others: list[tuple[str, Any]] = field(default_factory=list)
    written: int = 0

    def step(self, epoch: int, step: int, steps: int) -> None:
        self.step_ = epoch, step, steps

    def epoch(
        self, entry: EpochEntry | SynthesisEntry, epochs: int, images_per_second: float, seconds_left: float
    ) -> None:
        self.others.append(("epoch", (entry, epochs, images_per_second, seconds_left)))

    def warn(self, message: str) -> None:
        self.others.append(("warn", (message,)))

    def take(self) -> list[tuple[str, Any]]:
        taken, self.others = [*self.others], []
        if self.step_ is not None:
            taken.append(("step", self.step_))
            self.step_ = None
        if self.checkpoint.is_file() and (now := self.checkpoint.stat().st_mtime_ns) != self.written:
            self.written = now
            taken.append(("checkpoint", (_read(self.checkpoint),)))
        return taken
