"""Runs in worker processes: one on a CPU, where small networks gain little from a second thread; a few on each GPU.

A worker has one pipe to this process, shared with no one, so that a worker that is killed can block nobody.
"""

import math
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from threading import Thread
from typing import Any

import torch

from bench import registry
from bench.build import Builder
from bench.counting import Costs
from bench.errors import DeviceError, KdbenchError
from bench.executors.inline import Inline
from bench.executors.local import Local
from bench.graph import Run
from bench.record import EpochEntry, Record, SynthesisEntry
from bench.store import Store
from bench.train.progress import Progress

STEP_SECONDS = 0.1
STOP_SECONDS = 10.0


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, eq=False)
class _Worker:
    process: SpawnProcess
    pipe: "Connection[Any, Any]"


@dataclass(frozen=True)
class _Arguments:
    """What a worker is told when it starts; ``results`` are the folders of the store, ``each`` its runs at a time."""

    results: Sequence[Path]
    costs: Costs
    folder: Path
    plugins: Path | None
    threads: int
    each: int


@dataclass(frozen=True)
class _Task:
    worker: _Worker
    run: Run
    progress: Progress


class Processes:
    """Carries out runs in worker processes that start when they are needed.

    Args:
        store: where sources are taken from and records go.
        costs: multiply-adds of the networks, for the record's FLOPs.
        folder: where data sets lie; nothing is downloaded into it.
        devices: of each worker; several may have the same.
        threads: of each worker.
        each: how many runs a worker has at a time, at most.
        plugins: the folder of plug-ins, without which no worker could take their runs.
    """

    def __init__(
        self,
        store: Store,
        costs: Costs,
        folder: Path,
        *,
        devices: Sequence[torch.device],
        threads: int,
        each: int = 1,
        plugins: Path | None = None,
    ) -> None:
        self.store, self.devices = store, devices
        self.arguments = _Arguments(store.folders, costs, folder, plugins, threads, each)
        self.workers: list[_Worker] = []
        self.tasks: dict[str, _Task] = {}  # by the key of the run
        self.interrupted = False

    @property
    def room(self) -> bool:
        """Whether a worker can take one more run, or is yet to be started."""
        return len(self.tasks) < len(self.devices) * self.arguments.each

    def submit(self, run: Run, progress: Progress, deadline: float | None) -> None:
        """Hand the run to the worker that has least to do: an idle one, or a new one while there are devices."""
        busy = [task.worker for task in self.tasks.values()]
        least = min(self.workers, key=busy.count, default=None)
        if least is None or (least in busy and len(self.workers) < len(self.devices)):
            least = self._start()
        task = self.tasks[run.key] = _Task(least, run, progress)
        try:
            task.worker.pipe.send((run, deadline))
        except OSError:
            raise _lost(task) from None

    def _start(self) -> _Worker:
        spawn = get_context("spawn")
        ours, theirs = spawn.Pipe()
        device = self.devices[len(self.workers)]
        side_by_side = self.arguments.each * self.devices.count(device)
        process = spawn.Process(target=_work, args=(theirs, self.arguments, device, side_by_side), daemon=True)
        # Ctrl-C in a terminal reaches all processes. Workers inherit that it is ignored: this process stops them.
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            process.start()
        finally:
            signal.signal(signal.SIGINT, handler)
        theirs.close()
        self.workers.append(_Worker(process, ours))
        return self.workers[-1]

    def wait(self, seconds: float = math.inf) -> tuple[Run, Record | None] | None:
        """Tell what the workers say until a run ends, or for so many seconds; DeviceError if a worker was killed."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            busy = {task.worker: task for task in self.tasks.values()}
            ready = connection.wait([worker.pipe for worker in busy], None if left == math.inf else left)
            for worker in [worker for worker in busy if worker.pipe in ready]:
                try:
                    key, what, value = worker.pipe.recv()
                except (EOFError, OSError):
                    worker.process.join(STOP_SECONDS)
                    if not self.interrupted:
                        raise _lost(busy[worker]) from None
                    return self.tasks.pop(busy[worker].run.key).run, None
                if what == "failed":
                    raise value
                if what == "ended":
                    run = self.tasks.pop(key).run
                    self.store.refresh(run)
                    return run, value
                getattr(self.tasks[key].progress, what)(*value)
        return None

    def interrupt(self) -> None:
        """Have each run stop at its next step, with a checkpoint."""
        self.interrupted = True
        for worker in self.workers:
            worker.process.terminate()

    def stop(self) -> None:
        """End every worker, within a moment; what it is at keeps a checkpoint."""
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            worker.process.join(STOP_SECONDS)
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
        self.workers.clear()
        self.tasks.clear()


def _lost(task: _Task) -> DeviceError:
    """What became of a worker that is gone; one that failed by a fault of ours has printed its traceback."""
    task.worker.process.join(STOP_SECONDS)
    code = task.worker.process.exitcode or 0
    how = f"was killed ({signal.Signals(-code).name}), perhaps for lack of memory" if code < 0 else f"ended ({code})"
    return DeviceError(
        f"{task.run.name} seed {task.run.seed}: the process that trained it {how}; the same command resumes, and"
        " --at-once says how many runs there are at a time"
    )


# In a worker.


def _work(pipe: "Connection[Any, Any]", given: _Arguments, device: torch.device, side_by_side: int) -> None:
    """Carry out the runs that come through the pipe, until the worker is told to end or its parent is gone."""
    inline: Inline | None = None

    def end(*_: object) -> None:
        """At once where nothing is to be lost, else when each run has written its checkpoint."""
        if inline is None or not inline.active:
            sys.exit()
        inline.interrupt()

    signal.signal(signal.SIGTERM, end)
    Thread(target=_end_with_parent, daemon=True).start()
    registry.load_plugins(given.plugins)  # a run that comes through the pipe may need them
    with suppress(EOFError, BrokenPipeError):
        try:
            inline = _executor(given, device, side_by_side)
        except (KdbenchError, OSError) as error:
            pipe.send((None, "failed", error))
            return
        while not inline.interrupted or inline.active:
            try:
                if not inline.interrupted:
                    _take(pipe, inline)
                inline.turn()
            except (KdbenchError, OSError) as error:
                pipe.send((None, "failed", error))
            while inline.ended:
                run, record = inline.ended.pop()
                pipe.send((run.key, "ended", record))
    # What is left to do on the way out is not to be interrupted.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _take(pipe: "Connection[Any, Any]", inline: Inline) -> None:
    """Begin the runs that there are and that there is room for; with nothing else to do, wait for one."""
    while inline.room and (not inline.active or pipe.poll()):
        run, deadline = pipe.recv()
        inline.store.refresh(run, *run.sources.values())
        inline.submit(run, _Teller(pipe, run.key), deadline)


def _executor(given: _Arguments, device: torch.device, side_by_side: int) -> Inline:
    torch.set_num_threads(given.threads)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    local = Local(Store(*given.results), given.costs, Builder(given.folder, device), side_by_side)
    return Inline(local, given.each)


def _end_with_parent() -> None:
    """A parent that was killed can tell nobody."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


class _Teller:
    """Sends the progress of a run through the pipe, steps at most ten times a second; to nobody, if nobody is there."""

    def __init__(self, pipe: "Connection[Any, Any]", key: str) -> None:
        self.pipe, self.key, self.sent = pipe, key, 0.0

    def step(self, epoch: int, step: int, steps: int) -> None:
        if time.monotonic() - self.sent >= STEP_SECONDS or step == steps:
            self.sent = time.monotonic()
            self._send("step", epoch, step, steps)

    def epoch(
        self, entry: EpochEntry | SynthesisEntry, epochs: int, images_per_second: float, seconds_left: float
    ) -> None:
        self._send("epoch", entry, epochs, images_per_second, seconds_left)

    def warn(self, message: str) -> None:
        self._send("warn", message)

    def _send(self, what: str, *values: object) -> None:
        with suppress(OSError):  # a parent that is gone ends this process, with a checkpoint
            self.pipe.send((self.key, what, values))
