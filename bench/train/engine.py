"""One engine for every method: the steps of a run, its evaluation after each epoch, and its resumption."""

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

import torch
from torch import Tensor, nn

from bench.errors import DeviceError
from bench.methods.base import Batch, Method, Outputs
from bench.metrics import last_and_best, measured
from bench.networks.modules.base import Output, by_label
from bench.record import EpochEntry, Status
from bench.rng import generator
from bench.train import artifacts, checkpoint
from bench.train import device as devices
from bench.train.job import Job
from bench.train.leaves import LeafWeights
from bench.train.loader import EpochRandomness, reduced
from bench.train.loop import CapturedLoop, Places, Scheduled, first_reason
from bench.train.progress import Coroutine, Progress, Stopped
from bench.train.results import TEST, Outcome, diverged, network_entries
from bench.train.sums import make_sums
from bench.train.teacher_cache import CachedTeacher, LogitsCache
from bench.train.updates import UPDATES

TEST_BATCH = 1000
CHECKPOINT_SECONDS = 10.0


def train(
    job: Job, progress: Progress, *, out_of_time: Callable[[float], bool] = lambda seconds: False
) -> Coroutine[Outcome]:
    """Train a run to its end, from its checkpoint if there is one.

    It yields once when it is ready, then after each step. The artifact has each network's weights and test logits.

    Args:
        job: the run.
        progress: told of every step and epoch.
        out_of_time: asked before each epoch, with the seconds that the last one took, and within it, with 0; True
            ends with a checkpoint.

    Raises:
        Stopped: ``out_of_time`` said so.
        DeviceError: the checkpoint was begun in another precision.
        StoreError: the checkpoint cannot be read, or was begun with other weights of a source.
    """
    run = Training(job)
    run.resume()
    run.count()
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
        self.job, stage, self.dtype = job, job.stage, devices.weights_dtype(job.precision)
        devices.keep_freed_memory(job.device)
        for module in (*job.networks, *job.teachers, job.parts):
            module.to(job.device, self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        for teacher in job.teachers:
            devices.cast_frozen_(teacher.eval().requires_grad_(False), job.precision)
        self.teacher_buffers = [b.clone() for t in job.teachers for b in t.buffers()]

        self.train_loop = CapturedLoop(
            self._train_batch, len(job.train), stage.schedule.batch, job.device, on_host=devices.is_host(job.device)
        )
        self.test_loop = CapturedLoop(self._test_batch, len(job.test), min(TEST_BATCH, len(job.test)), job.device)
        per_epoch = len(self.train_loop)
        self.total, self.epochs = stage.schedule.steps(per_epoch), stage.schedule.num_epochs(per_epoch)
        self.rates = torch.from_numpy(stage.schedule.rates(per_epoch))  # (total,) float64, on the host
        shares = torch.arange(self.total, dtype=torch.float64) / self.total
        self.schedule = [
            Scheduled(self.rates, per_epoch, torch.float32, job.device),
            Scheduled(shares, per_epoch, self.dtype, job.device),
        ]
        self.lr, self.progress = (own.now for own in self.schedule)
        self.draws: dict[str, Tensor] = {}  # the method's own of this epoch, by name, in the shapes that it gives

        trained = [list(network.parameters()) for network in job.networks]
        trained[0] += [parameter for parameter in job.parts.parameters() if parameter.requires_grad]
        self.optimizers = [stage.optimizer.build(parameters, self.lr) for parameters in trained]
        rounded = devices.leaf_dtype(job.precision, job.device)
        self.leaves = dict[nn.Module, LeafWeights]()
        represented = stage.weights or (None,) * len(job.networks)
        for network, optimizer, quantiser in zip(job.networks, self.optimizers, represented, strict=True):
            if rounded or quantiser:
                self.leaves[network] = LeafWeights(network, rounded, quantiser)
                self.leaves[network].attach(optimizer)
        self.has_after_step = type(job.method).after_step is not Method.after_step
        # For one network all updates are the same, and this one has the least to do.
        self.update = UPDATES[stage.update or "simultaneous"]
        self.teachers = [*zip(job.teachers, job.taught_at or (None,) * len(job.teachers), strict=True)]
        frozen = self.teachers if job.caches else ()
        self.cached = [self._cached(*teacher, own) for teacher, own in zip(frozen, job.caches, strict=True)]

        self.sums = make_sums(job.device)
        self.metrics = measured(stage.metric)
        shape = len(job.test), job.test.labels_each, job.setup.classes
        self.logits = [torch.zeros(shape, dtype=torch.float16, device=job.device) for _ in job.networks]
        self.epoch, self.seconds, self.epoch_seconds, self.saved = 0, 0.0, 0.0, time.monotonic()
        self.status: Status = "done"
        self.curve = list[EpochEntry]()
        self.partial: checkpoint.Partial | None = None  # of an epoch that was stopped within
        self.answered = [0] * len(self.cached)  # images, by each cached teacher
        self.step_flops: float | None = None
        self.teacher_flops = [0.0] * len(self.cached)
        self.next_randomness: tuple[int, EpochRandomness, dict[str, Tensor]] | None = None

    def _cached(self, teacher: nn.Module, side: int | None, cache: LogitsCache) -> CachedTeacher:
        # On CUDA, where bits are not the same from one process to the next anyway, in the batches of a test.
        batch = TEST_BATCH if self.job.device.type == "cuda" else self.job.stage.schedule.batch
        return CachedTeacher(
            cache,
            lambda images: self._forward(teacher, reduced(images, side)).logits,
            self.job.train,
            min(batch, len(self.job.train)),
        )

    # One batch: no value comes back to the host here, where that is not the device.

    def _train_batch(self, places: Places) -> None:
        job, (batch, whole) = self.job, self._batch(places)
        teachers = self._taught(batch, whole)

        def outputs(students: Sequence[Output]) -> Outputs:
            return Outputs(students, teachers, job.parts, job.networks, self._forward)

        def loss(k: int, students: Sequence[Output]) -> Tensor:
            terms = job.method.loss(k, batch, outputs(students))
            for name, term in terms.items():
                self.sums.add(f"{k}.{name}", term, len(batch.labels))
            self.sums.hits(f"{k}.hits", students[k].logits, batch.labels)
            first, *others = terms.values()
            return torch.stack([first, *others]).sum() if others else first

        students = self.update(
            job.networks, self.optimizers, lambda network: self._forward(network, batch.images), loss
        )
        if self.has_after_step:
            with torch.no_grad():
                job.method.after_step(batch, outputs(students))

    def _batch(self, places: Places) -> tuple[Batch, Tensor]:
        """What stands at places of the epoch's order, as the students see it, and the images (B, C, H, W) whole.

        Also sets the rate and the progress of their step.
        """
        images, labels, indices = self.job.train.batch(places)
        for own in self.schedule:
            own.take(self.train_loop.step)
        seen = reduced(images, self.job.stage.data.resolution)
        return Batch(seen, labels, indices, self.progress, self.draws), images

    @torch.no_grad()
    def _taught(self, batch: Batch, whole: Tensor) -> list[Output]:
        if self.cached:
            return [Output(teacher.logits(batch.indices), {}) for teacher in self.cached]
        return [self._forward(teacher, reduced(whole, side)) for teacher, side in self.teachers]

    def _forward(self, network: nn.Module, images: Tensor) -> Output:
        """What a network says; pixels that have labels of their own are so many samples, one after the other."""
        leaves = self.leaves.get(network)
        with devices.autocast(self.job.precision, self.job.device):
            output: Output = network(images) if leaves is None else leaves.forward(images)
        return Output(by_label(output.logits), output.features)

    @torch.no_grad()
    def _test_batch(self, places: Tensor) -> None:
        whole, labels, _ = self.job.test.batch(places)
        images = reduced(whole, self.job.stage.data.resolution)
        for k, network in enumerate(self.job.networks):
            logits = self._forward(network, images).logits
            self.logits[k].index_copy_(0, places, logits.to(torch.float16).view(-1, *self.logits[k].shape[1:]))
            for metric in self.metrics:
                for name, count in metric.counts(logits, labels).items():
                    self.sums.add(f"{k}.{TEST}{metric.name}.{name}", count)

    # One epoch.

    def one_epoch(self, progress: Progress, out_of_time: Callable[[float], bool]) -> Coroutine[None]:
        """Train and evaluate; read the sums once; keep a checkpoint. Yields after each batch."""
        begun, first = time.monotonic(), self.epoch * len(self.train_loop)
        steps = min(len(self.train_loop), self.total - first)
        self.begin(first, steps)
        done = 0
        if self.partial is not None:
            self.sums.restore(self.partial["sums"])
            begun, done = begun - self.partial["seconds"], self.partial["step"]
        self.mode(training=True)
        for step in self.train_loop.steps(steps, done):
            progress.step(self.epoch + 1, step, steps)
            if out_of_time(0.0):
                self._stop(step, time.monotonic() - begun)
            if step == (steps + 1) // 2:
                # The device has work for a while: what the next epoch needs from the host is made meanwhile.
                self._randomness(self.epoch + 1)
            yield
        self.mode(training=False)
        for _ in self.test_loop.steps(len(self.test_loop)):
            if out_of_time(0.0):
                self._stop(steps, time.monotonic() - begun)
            yield
        shown = min(steps * self.job.stage.schedule.batch, len(self.job.train))
        # The only place where values come back to the host.
        labels = shown * self.job.train.labels_each
        networks = network_entries(self.sums.read(), len(self.job.networks), labels, self.metrics)
        self.epoch, self.partial = self.epoch + 1, None
        self.epoch_seconds = time.monotonic() - begun
        self.seconds += self.epoch_seconds
        lr, seconds = round(float(self.rates[first + steps - 1]), 10), round(self.epoch_seconds, 3)
        self.curve.append({"epoch": self.epoch, "lr": lr, "networks": networks, "seconds": seconds})
        if diverged(networks):
            self.status = "diverged"
        left = self.seconds / self.epoch * (self.epochs - self.epoch)
        progress.epoch(self.curve[-1], self.epochs, shown / self.epoch_seconds, left)
        unfinished = self.epoch < self.epochs and self.status == "done"
        if unfinished and time.monotonic() - self.saved >= CHECKPOINT_SECONDS:
            self.save()

    def begin(self, first: int, steps: int) -> None:
        """Lay out an epoch on the device, from step ``first`` of the run: randomness, rates; sums begin at zero.

        All of it in place, for a captured graph to see.
        """
        randomness, draws = self._randomness(self.epoch)
        self.job.train.begin_epoch(randomness)
        for name, drawn in draws.items():
            devices.upload_(self.draws.setdefault(name, torch.empty_like(drawn, device=self.job.device)), drawn)
        for own in self.schedule:
            own.begin_epoch(first, steps)
        self.sums.zero()
        for i, teacher in enumerate(self.cached):
            self.answered[i] += teacher.fill(randomness, max(1, steps) * self.job.stage.schedule.batch)

    def _randomness(self, epoch: int) -> tuple[EpochRandomness, dict[str, Tensor]]:
        """The loader's and the method's, the latter in the run's precision where it is no whole number."""
        if self.next_randomness is None or self.next_randomness[0] != epoch:
            job, data = self.job, self.job.stage.data
            own = EpochRandomness.draw(job.seed, epoch, len(job.train), data.crop_padding, data.flip)
            drawn = job.method.draws(job.setup, generator(job.seed, "method", epoch))
            tensors = {name: torch.from_numpy(array) for name, array in drawn.items()}
            draws = {name: t.to(self.dtype) if t.is_floating_point() else t for name, t in tensors.items()}
            self.next_randomness = epoch, own, draws
        return self.next_randomness[1:]

    def mode(self, *, training: bool) -> None:
        """Training or evaluation, for every network that is trained."""
        for network in self.job.networks:
            network.train(training)

    # Start, stop, end.

    def _tensors(self) -> artifacts.Tensors:
        return checkpoint.tensors_of((*self.job.networks, self.job.parts), self.optimizers)

    def state(self) -> Iterator[Tensor]:
        """Every tensor that a step changes."""
        yield from self._tensors().values()
        for leaves in self.leaves.values():
            yield from leaves.tensors
        yield from self.sums.tensors

    def count(self) -> None:
        """What an image costs in a training step, and each cached teacher for one: FLOPs really spent."""
        self.begin(self.epoch * len(self.train_loop), 0)
        self.mode(training=True)
        self.step_flops = self.train_loop.flops(self.state) / min(self.train_loop.batch, self.train_loop.n)
        # What a teacher writes is what it would write again.
        self.teacher_flops = [teacher.loop.flops(tuple) / teacher.loop.batch for teacher in self.cached]

    def capture(self) -> None:
        """On CUDA, record a training and a test batch as graphs, unless KDBENCH_GRAPHS=0 asks for none.

        Raises:
            DeviceError: they cannot be recorded. After that PyTorch's allocator may be left as in a capture, so that
                this process is not to go on without them.
        """
        if self.job.device.type != "cuda":
            return
        if os.environ.get("KDBENCH_GRAPHS") == "0":
            warnings.warn("no CUDA graphs, as KDBENCH_GRAPHS=0 says: steps are several times slower", stacklevel=2)
            return
        torch.backends.cudnn.benchmark = True
        try:
            for teacher in self.cached:
                # What it writes is what it would write again.
                teacher.loop.capture(tuple)
            self.mode(training=True)
            self.train_loop.capture(self.state)
            self.mode(training=False)
            self.test_loop.capture(self.state)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise DeviceError(
                f"no CUDA graph of a step: {first_reason(error)}; the same command with KDBENCH_GRAPHS=0 runs without"
                " graphs, several times slower"
            ) from error

    def save(self) -> None:
        """Write the checkpoint of an epoch's end, or of where one was stopped within."""
        checkpoint.save(self.job, self._tensors(), self.epoch, self.seconds, self.curve, self.answered, self.partial)
        self.saved = time.monotonic()

    def _stop(self, step: int, seconds: float) -> NoReturn:
        """Stop after so many steps of an epoch, and seconds of it; the test that may have begun begins again."""
        sums = {name: value.tolist() for name, value in self.sums.read().items() if f".{TEST}" not in name}
        self.partial = {"step": step, "seconds": seconds, "sums": sums}
        self.save()
        raise Stopped

    def resume(self) -> None:
        """Take the checkpoint's state, if there is one."""
        about = checkpoint.resume(self.job, self._tensors(), self.epochs)
        if about is not None:
            self.epoch, self.seconds, self.curve = about["epoch"], about["seconds"], about["curve"]
            self.epoch_seconds = self.seconds / max(1, self.epoch)
            self.partial = about.get("partial")
            # A cache that is there now may not have been there before.
            self.answered = about["answered"] if len(about["answered"]) == len(self.cached) else self.answered
            for leaves in self.leaves.values():
                leaves.refresh()

    def finish(self) -> Outcome:
        """Results of the last and of the best epoch, weights and logits."""
        frozen = [b for t in self.job.teachers for b in t.buffers()]
        if not all(torch.equal(a, b) for a, b in zip(self.teacher_buffers, frozen, strict=True)):
            raise AssertionError("a frozen teacher's buffers changed during training")
        for leaves in self.leaves.values():
            leaves.deploy()
        tensors = artifacts.of_networks(self.job.networks, [own.flatten(0, 1) for own in self.logits])
        tensors |= artifacts.of_parts(self.job.parts, self.job.method.hands_on)
        answers = sum(flops * images for flops, images in zip(self.teacher_flops, self.answered, strict=True))
        results = last_and_best(self.curve, self.status, self.metrics)
        cached = bool(self.cached) if self.job.teachers else None
        return Outcome(self.status, results, self.curve, tensors, self.seconds, self.step_flops, answers, cached)
