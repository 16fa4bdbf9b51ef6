"""This machine: carries out one run at a time, and leaves its artifact and its record."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import torch

from bench import registry
from bench.build import Builder, Inputs
from bench.cost import images_shown, training_flops
from bench.counting import Costs
from bench.executors.policy import should_cache_teacher
from bench.graph import Run
from bench.methods.base import Method
from bench.networks.modules.base import fuses
from bench.project import no_weights
from bench.provenance import commit, libraries
from bench.recipe.model import teacher_edge
from bench.record import Record
from bench.store import Store
from bench.train import artifacts
from bench.train import device as devices
from bench.train.engine import train
from bench.train.fidelity import fidelity
from bench.train.job import Job
from bench.train.progress import Coroutine, Progress, capture_warnings
from bench.train.results import Outcome, ensembles
from bench.train.synthesis import synthesise
from bench.train.teacher_cache import LogitsCache


@dataclass(frozen=True)
class _Request:
    """A run to carry out, what it takes from others, whom to tell, and when to stop."""

    run: Run
    inputs: Inputs
    progress: Progress
    out_of_time: Callable[[float], bool]


class Local:
    """Carries out runs in this process.

    Args:
        store: where sources are taken from and records go.
        costs: multiply-adds of the networks, for the record's FLOPs.
        builder: who builds them, and for which device.
        side_by_side: how many runs are in progress at a time at most, for the record.
    """

    def __init__(self, store: Store, costs: Costs, builder: Builder, side_by_side: int = 1) -> None:
        self.store, self.costs, self.builder, self.device = store, costs, builder, builder.device
        self.side_by_side = side_by_side
        self.caches: dict[str, LogitsCache] = {}
        self.threads = torch.get_num_threads()

    def execute(
        self, run: Run, progress: Progress, out_of_time: Callable[[float], bool] = lambda seconds: False
    ) -> Coroutine[Record]:
        """Carry out one run whose sources are there; after its first step a GPU holds all that the run will need.

        Raises:
            bench.train.progress.Stopped: time was up; the checkpoint is written.
            torch.OutOfMemoryError: the GPU has too little that is free.
            KdbenchError: data, sources, device or checkpoint are not as the run needs them.
        """
        torch.set_num_threads(self.threads)  # a run that was resumed may have had others
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        request = _Request(run, self._inputs(run), progress, out_of_time)
        carry_out = {"train": self._train, "synthesise": self._synthesise, "evaluate": self._evaluate}[run.kind]
        heard: set[str] = set()

        def hear(message: str) -> None:
            if message not in heard:
                heard.add(message)
                progress.warn(message)

        precision, outcome = yield from capture_warnings(carry_out(request), hear)
        record = self._record(request, precision, outcome, sorted(heard))
        self.store.checkpoint(run).unlink(missing_ok=True)
        return record

    def _inputs(self, run: Run) -> Inputs:
        """The artifacts of a run's sources; UsageError where one is not here."""
        sources = {edge: artifacts.load(self.store, source) for edge, source in run.sources.items()}
        tensors, taken = {}, {}
        for edge, source in sources.items():
            if source is None:
                raise no_weights(run.sources[edge], self.store)
            record, tensors[edge] = source
            taken[edge] = {"record": record.stem, "artifact": str(record.artifact)}
        return Inputs(tensors, taken)

    def _train(self, request: _Request) -> Coroutine[tuple[str, Outcome]]:
        run = request.run
        job = self.builder.job(run, request.inputs, self.store.checkpoint(run))
        if should_cache_teacher(run, len(job.train), self.device):
            job = replace(job, caches=self._caches(run, job))
        outcome = yield from train(job, request.progress, out_of_time=request.out_of_time)
        return job.precision, outcome

    def _caches(self, run: Run, job: Job) -> list[LogitsCache]:
        """One a teacher: that of the last run, if it took the same teacher on the same images, or a new one."""
        data, shown = run.stage.data, job.taken.get("transfer_set", {}).get("artifact")
        teachers = [job.taken[teacher_edge(i)]["artifact"] for i in range(len(job.teachers))]
        keys = [repr((run.recipe["data"], run.stage.schedule.batch, job.precision, t, shown)) for t in teachers]
        # What this run does not need is let go before it allocates its own.
        self.caches = {key: cache for key, cache in self.caches.items() if key in keys}
        for key in keys:
            self.caches.setdefault(key, LogitsCache(len(job.train), data.crop_padding, data.flip))
        return [self.caches[key] for key in keys]

    def _synthesise(self, request: _Request) -> Coroutine[tuple[str, Outcome]]:
        job = self.builder.synthesis(request.run, request.inputs, self.store.checkpoint(request.run))
        outcome = yield from synthesise(job, request.progress, out_of_time=request.out_of_time)
        return job.precision, outcome

    def _evaluate(self, request: _Request) -> Coroutine[tuple[str, Outcome]]:
        yield
        if request.run.fidelity:
            return "float64", self._fidelity(request)
        logits = {int(seed): artifacts.logits(own).numpy() for seed, own in request.inputs.tensors.items()}
        run = request.run
        labels = self.builder.test_labels(run)
        return "float64", ensembles(logits, labels, run.ensemble or 1, run.stage.metric)

    def _fidelity(self, request: _Request) -> Outcome:
        logits = {edge: artifacts.logits(own).numpy() for edge, own in request.inputs.tensors.items()}
        method = request.run.stage.method
        similarity = method.class_similarity() if isinstance(method, Method) else None
        labels = self.builder.test_labels(request.run)
        entry = fidelity(logits["student"], labels, logits.get("teacher"), similarity)
        return Outcome("done", [], [entry], {}, 0.0)

    def _record(self, request: _Request, precision: str, outcome: Outcome, messages: list[str]) -> Record:
        run = request.run
        record = Record(
            key=run.key,
            id=run.id,
            name=run.name,
            profile=run.profile,
            seed=run.seed,
            status=outcome.status,
            recipe=run.recipe,
            results=outcome.results,
            curve=outcome.curve,
            versions=run.versions,
            precision=precision,
            device=devices.name(self.device),
            seconds=round(outcome.seconds, 3),
            flops=training_flops(run, self.costs, len(outcome.curve)),
            flops_spent=_spent(run, outcome),
            teacher_cached=outcome.cached,
            peak_memory=devices.peak_memory(self.device),
            libraries=libraries() | devices.cudnn(self.device),
            commit=commit(),
            warnings=messages,
            taken=request.inputs.taken,
            artifact=None,
            side_by_side=self.side_by_side,
            fused=fuses(self.device) if self.device.type == "cuda" else None,
            plugins=registry.described(run.versions),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            replica=self.store.replica(run),
        )
        if outcome.status == "done" and outcome.tensors:
            path, about = self.store.artifact(record.stem), {"id": run.id, "seed": run.seed}
            record = replace(record, artifact=artifacts.write(path, outcome.tensors, about))
        self.store.add(record)
        return record


def _spent(run: Run, outcome: Outcome) -> int | None:
    """FLOPs that a training really spent; a synthesis spends what its formula says."""
    if outcome.step_flops is None:
        return None
    return round(outcome.step_flops * images_shown(run, len(outcome.curve)) + outcome.answer_flops)
