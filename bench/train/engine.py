"""One engine for every method: the steps of a run, its evaluation after each epoch, and its resumption."""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.data.pictures import Pictures
from bench.data.views import Draws, epoch_draws
from bench.methods.base import Method, Outputs
from bench.networks.base import Network, Output
from bench.recipe import Stage
from bench.registry import OPTIMIZERS
from bench.store import Result
from bench.train import checkpoint, device, schedule, sums
from bench.train.progress import Progress, Stopped
from bench.train.speed import Batches
from bench.train.teacher_cache import Answers, TeacherCache
from bench.train.turns import Turns
from bench.train.updates import UPDATES

TEST_BATCH = 1000
CHECKPOINT_SECONDS = 10.0


@dataclass(frozen=True)
class Job:
    """All that a run needs, built and loaded: the engine knows nothing of files but its checkpoint.

    ``taken`` names what was loaded from other runs; a checkpoint goes on only with the same. With ``answers``, the
    teacher's logits are looked up there, and it is asked only of views that are new. ``compiled`` puts the networks
    through torch.compile: other bits, so it is not chosen by a clock.
    """

    id: str
    seed: int
    stage: Stage
    networks: Sequence[Network]
    teachers: Sequence[Network]
    method: Method
    train: Pictures
    test: Pictures
    device: torch.device
    precision: str
    checkpoint: Path
    taken: dict[str, dict[str, str]]
    answers: Answers | None = None
    compiled: bool = False


@dataclass(frozen=True)
class Trained:
    """What training gave: ``tensors`` holds each network's weights and its float16 test logits."""

    status: str
    results: list[Result]
    curve: list[dict[str, Any]]
    tensors: dict[str, Tensor]
    seconds: float
    compiled: bool = False


def train(
    job: Job, progress: Progress, *, out_of_time: Callable[[float], bool] = lambda seconds: False
) -> Turns[Trained]:
    """Train a run to its end, from its checkpoint if there is one: a turn to make it ready, then one for each step.

    Args:
        job: the run.
        progress: told of every step and epoch.
        out_of_time: asked before each epoch, with the seconds that the last one took (True ends with a checkpoint),
            and within it, with 0 (True gives this epoch up).

    Raises:
        Stopped: ``out_of_time`` said so.
        DeviceError: the checkpoint was begun in another precision.
        StoreError: the checkpoint cannot be read, or was begun with other weights of a source.
    """
    run = Training(job)
    run.resume()
    run.capture()
    yield
    while run.epoch < run.epochs and run.status == "done":
        if out_of_time(run.epoch_seconds):
            run.save()
            raise Stopped
        yield from run.one_epoch(progress, out_of_time)
    return run.finish()


class Training:
    """One run in progress: its networks on the device, its sums, its place in the schedule."""

    def __init__(self, job: Job) -> None:
        self.job, stage = job, job.stage
        dtype = device.weights_dtype(job.precision)
        for network in (*job.networks, *job.teachers):
            network.to(job.device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
            if job.compiled:
                network.compile(dynamic=False)  # in place: weights keep their names
        job.method.to(job.device, dtype).train()
        for teacher in job.teachers:
            device.rounded(teacher.eval().requires_grad_(False), job.precision)
        self.teacher_buffers = [b.clone() for t in job.teachers for b in t.buffers()]
        self.batches = Batches(self._train_batch, len(job.train), stage.schedule.batch, job.device)
        self.tests = Batches(self._test_batch, len(job.test), min(TEST_BATCH, len(job.test)), job.device)
        self.total = stage.schedule.steps(len(self.batches))
        self.epochs = stage.schedule.passes(len(self.batches))
        self.rates = torch.from_numpy(schedule.rates(stage.schedule, len(self.batches)))
        self.shares = torch.arange(self.total, dtype=torch.float64) / self.total
        self.epoch_rates = torch.zeros(len(self.batches), dtype=dtype, device=job.device)
        self.epoch_shares = torch.zeros_like(self.epoch_rates)
        self.lr = torch.zeros((), dtype=torch.float32, device=job.device)
        component = OPTIMIZERS[stage.optimizer.name].load()
        # A method's own trainable parts go with the first network.
        trained = [[*n.parameters(), *(job.method.parameters() if k == 0 else ())] for k, n in enumerate(job.networks)]
        self.optimizers = [component(parameters, self.lr, **stage.optimizer.params) for parameters in trained]
        self.update = UPDATES[stage.update or "joint"]
        self.cache = None if job.answers is None else self._cache(job.answers)
        self.sums = sums.Sums(job.device)
        self.logits = [
            torch.zeros(len(job.test), job.method.classes, dtype=torch.float16, device=job.device) for _ in job.networks
        ]
        self.epoch, self.seconds, self.epoch_seconds, self.saved = 0, 0.0, 0.0, time.monotonic()
        self.status, self.curve = "done", list[dict[str, Any]]()
        self.drawn: tuple[int, Draws] | None = None

    def _cache(self, answers: Answers) -> TeacherCache:
        (teacher,), batch = self.job.teachers, min(self.job.stage.schedule.batch, len(self.job.train))
        return TeacherCache(answers, lambda images: self._forward(teacher, images).logits, self.job.train, batch)

    # One batch: no value comes back to the host here.

    def _train_batch(self, positions: Tensor) -> None:
        images, labels = self.job.train.batch(positions)
        # Not epoch_rates[positions[0] // batch]: to index with a tensor of no dimension, PyTorch reads it on the host.
        step = positions[:1] // self.job.stage.schedule.batch
        self.lr.copy_(self.epoch_rates.index_select(0, step)[0])
        progress = self.epoch_shares.index_select(0, step)[0]
        teachers = self._taught(images, positions)

        def loss(k: int, students: Sequence[Output]) -> Tensor:
            terms = self.job.method.loss(k, labels, Outputs(students, teachers, progress))
            for name, term in terms.items():
                self.sums.add(f"{k}.{name}", term.detach() * len(labels))
            self.sums.add(f"{k}.hits", (students[k].logits.detach().argmax(1) == labels).sum())
            return torch.stack(list(terms.values())).sum()

        self.update(self.job.networks, self.optimizers, lambda network: self._forward(network, images), loss)

    @torch.no_grad()
    def _taught(self, images: Tensor, positions: Tensor) -> list[Output]:
        if self.cache is not None:
            return [Output(self.cache.answer(self.job.train.order[positions]), {})]
        return [self._forward(teacher, images) for teacher in self.job.teachers]

    def _forward(self, network: Network, images: Tensor) -> Output:
        with device.autocast(self.job.precision, self.job.device):
            return network(images)

    @torch.no_grad()
    def _test_batch(self, positions: Tensor) -> None:
        images, labels = self.job.test.batch(positions)
        for k, network in enumerate(self.job.networks):
            logits = self._forward(network, images).logits
            self.logits[k].index_copy_(0, positions, logits.to(torch.float16))
            self.sums.add(f"{k}.test", (logits.argmax(1) == labels).sum())

    # One epoch.

    def one_epoch(self, progress: Progress, out_of_time: Callable[[float], bool]) -> Turns[None]:
        """Train and evaluate; read the sums once; keep a checkpoint. A turn for each batch."""
        begun, first = time.monotonic(), self.epoch * len(self.batches)
        steps = min(len(self.batches), self.total - first)
        self.begin(first, steps)
        self.mode(training=True)
        for step in self.batches.launched(steps):
            progress.step(self.epoch + 1, step, steps)
            if out_of_time(0.0):
                raise Stopped
            yield
        self.mode(training=False)
        for _ in self.tests.launched(len(self.tests)):
            yield
        # The device is still at work: what the next epoch needs from the host is made meanwhile.
        self._draws(self.epoch + 1)
        shown = min(steps * self.job.stage.schedule.batch, len(self.job.train))
        entry = self._entry(self.epoch + 1, shown, float(self.rates[first + steps - 1]))
        self.epoch += 1
        self.epoch_seconds = time.monotonic() - begun
        self.seconds += self.epoch_seconds
        entry["seconds"] = round(self.epoch_seconds, 3)
        self.curve.append(entry)
        if sums.diverged(entry["networks"]):
            self.status = "diverged"
        left = self.seconds / self.epoch * (self.epochs - self.epoch)
        progress.epoch(entry, self.epochs, shown / self.epoch_seconds, left)
        if self.epoch < self.epochs and time.monotonic() - self.saved >= CHECKPOINT_SECONDS:
            self.save()

    def begin(self, first: int, steps: int) -> None:
        """Lay out an epoch on the device: its order and views, rates and progress of its steps; sums begin at zero."""
        draws = self._draws(self.epoch)
        self.job.train.draw(draws)
        self.epoch_rates[:steps].copy_(self.rates[first : first + steps])
        self.epoch_shares[:steps].copy_(self.shares[first : first + steps])
        self.sums.zero()
        if self.cache is not None:
            # Last, for a copy from the host waits for whatever its stream has to do.
            self.cache.fill(draws, max(1, steps) * self.job.stage.schedule.batch)

    def _draws(self, epoch: int) -> Draws:
        if self.drawn is None or self.drawn[0] != epoch:
            data = self.job.stage.data
            made = epoch_draws(self.job.seed, epoch, len(self.job.train), data.crop_padding, data.flip)
            self.drawn = epoch, made
        return self.drawn[1]

    def mode(self, *, training: bool) -> None:
        """Training or evaluation, for every network that is trained."""
        for network in self.job.networks:
            network.train(training)

    def _entry(self, epoch: int, shown: int, lr: float) -> dict[str, Any]:
        """One line of the curve; the only place where values come back to the host."""
        networks = sums.network_entries(self.sums.read(), len(self.job.networks), shown, len(self.job.test))
        return {"epoch": epoch, "lr": round(lr, 10), "networks": networks}

    # Start, stop, end.

    def _tensors(self) -> checkpoint.Tensors:
        return checkpoint.tensors_of((*self.job.networks, self.job.method), self.optimizers)

    def _changing(self) -> Iterator[Tensor]:
        yield from self._tensors().values()
        yield from self.sums.totals.values()

    def capture(self) -> None:
        """On CUDA, record a training and a test batch as graphs; where that fails, say so and launch each step."""
        if self.job.device.type != "cuda":
            return
        torch.backends.cudnn.benchmark = True
        self.begin(self.epoch * len(self.batches), 0)
        try:
            if self.cache is not None:
                # What it writes is what it would write again.
                self.cache.batches.capture(tuple)
            self.mode(training=True)
            self.batches.capture(self._changing)
            self.mode(training=False)
            self.tests.capture(self._changing)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            warnings.warn(f"no CUDA graph, so steps are several times slower: {reason}", stacklevel=2)
            for batches in (self.batches, self.tests, *([self.cache.batches] if self.cache else [])):
                batches.graphs.clear()

    def save(self) -> None:
        """Write the checkpoint of an epoch's end."""
        checkpoint.keep(self.job, self._tensors(), self.epoch, self.seconds, self.curve)
        self.saved = time.monotonic()

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        about = checkpoint.resume(self.job, self._tensors())
        if about is not None:
            self.epoch, self.seconds, self.curve = about["epoch"], about["seconds"], about["curve"]
            self.epoch_seconds = self.seconds / max(1, self.epoch)

    def finish(self) -> Trained:
        """Results of the last and of the best epoch, weights and logits."""
        frozen = [b for t in self.job.teachers for b in t.buffers()]
        if not all(torch.equal(a, b) for a, b in zip(self.teacher_buffers, frozen, strict=True)):
            raise AssertionError("a frozen teacher's buffers changed during training")
        tensors = {f"net{k}.{name}": t for k, n in enumerate(self.job.networks) for name, t in n.state_dict().items()}
        tensors |= {f"logits{k}": logits for k, logits in enumerate(self.logits)}
        results = sums.results(self.curve, self.status)
        return Trained(self.status, results, self.curve, tensors, self.seconds, self.job.compiled)
