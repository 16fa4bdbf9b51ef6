"""The other engine: images optimised until a frozen network says of them what is asked."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.methods.base import Synthesiser
from bench.recipe import Stage
from bench.record import ImagesEntry, SynthesisEntry
from bench.rng import generator
from bench.train import artifacts, checkpoint, updates
from bench.train import device as devices
from bench.train.engine import CHECKPOINT_SECONDS
from bench.train.progress import Coroutine, Progress, Stopped
from bench.train.results import Outcome


@dataclass(frozen=True)
class Synthesis:
    """All that a synthesis needs, built and loaded; ``shape`` is an image's, (channels, height, width)."""

    id: str
    seed: int
    stage: Stage
    teacher: nn.Module
    method: Synthesiser
    shape: tuple[int, int, int]
    device: torch.device
    precision: str
    checkpoint: Path
    taken: dict[str, dict[str, str]]


def synthesise(
    job: Synthesis, progress: Progress, *, out_of_time: Callable[[float], bool] = lambda seconds: False
) -> Coroutine[Outcome]:
    """Make the images of a run, a batch at a time, from its checkpoint if there is one.

    What a batch holds does not matter to an image: losses are summed, and the network is in evaluation mode. The
    artifact has the images and their labels. It yields once when it is ready, then after each iteration.

    Raises:
        Stopped: ``out_of_time`` said so; asked before each batch, with the seconds that the last one took, and in it.
        DeviceError, StoreError: as :func:`bench.train.engine.train`.
    """
    work = _Work(job)
    work.resume()
    yield
    while work.done < work.batches:
        if out_of_time(work.batch_seconds):
            work.save()
            raise Stopped
        yield from work.one_batch(progress, out_of_time)
    return Outcome("done", [], work.curve, artifacts.of_images(work.images, work.labels.cpu()), work.seconds)


class _Work:
    def __init__(self, job: Synthesis) -> None:
        self.job, method = job, job.method
        devices.keep_freed_memory(job.device)
        self.dtype = devices.weights_dtype(job.precision)
        self.teacher = job.teacher.to(job.device, self.dtype).eval().requires_grad_(False)
        weights = job.teacher.get_parameter("linear.weight").detach().double().cpu().numpy()  # (C, D)
        targets = method.targets(weights, generator(job.seed, "targets"))
        self.targets = torch.from_numpy(targets).to(job.device)  # (N, C) float64
        self.labels = torch.from_numpy(method.classes(len(weights))).to(job.device)  # (N,)
        self.images = torch.zeros(method.count, *job.shape, dtype=torch.float16)  # (N, C, H, W), on the host
        self.batches = -(-method.count // job.stage.schedule.batch)
        self.rates = job.stage.schedule.rates(1)
        self.done, self.seconds, self.batch_seconds, self.saved = 0, 0.0, 0.0, time.monotonic()
        self.curve = list[SynthesisEntry]()

    def one_batch(self, progress: Progress, out_of_time: Callable[[float], bool]) -> Coroutine[None]:
        begun, size = time.monotonic(), self.job.stage.schedule.batch
        own = slice(self.done * size, min((self.done + 1) * size, self.job.method.count))
        images = yield from self._optimised(own, progress, out_of_time)
        entry = self._entry(images, own)
        self.images[own] = images.to("cpu", torch.float16)
        self.done += 1
        self.batch_seconds = time.monotonic() - begun
        self.seconds += self.batch_seconds
        self.curve.append({"epoch": self.done, "networks": [entry], "seconds": round(self.batch_seconds, 3)})
        left = self.seconds / self.done * (self.batches - self.done)
        progress.epoch(self.curve[-1], self.batches, len(images) / self.batch_seconds, left)
        if self.done < self.batches and time.monotonic() - self.saved >= CHECKPOINT_SECONDS:
            self.save()

    def _optimised(self, own: slice, progress: Progress, out_of_time: Callable[[float], bool]) -> Coroutine[Tensor]:
        """Images (B, C, H, W) of one batch, from noise N(0, 1) in the space that the network takes."""
        target = self.targets[own]
        noise = generator(self.job.seed, "noise", self.done).standard_normal((len(target), *self.job.shape))
        images = nn.Parameter(torch.from_numpy(noise).to(self.job.device, self.dtype))
        lr = torch.zeros((), dtype=torch.float32, device=self.job.device)
        optimizer = self.job.stage.optimizer.build([images], lr)
        for step, rate in enumerate(self.rates, 1):
            lr.fill_(float(rate))
            updates.step(optimizer, self._losses(images, target)[0].sum())
            progress.step(self.done + 1, step, len(self.rates))
            if out_of_time(0.0):
                self.save()  # the batches that are whole
                raise Stopped
            yield
        return images.detach()

    def _losses(self, images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Of images (B, C, H, W) and targets (B, C): losses (B,) and logits (B, C)."""
        with devices.autocast(self.job.precision, self.job.device):
            logits = self.teacher(images).logits
        return self.job.method.loss(target.to(self.dtype), logits), logits

    @torch.no_grad()
    def _entry(self, images: Tensor, own: slice) -> ImagesEntry:
        """The loss reached, and the share that the network takes for another class."""
        losses, logits = self._losses(images, self.targets[own])
        wrong = (logits.argmax(1) != self.labels[own]).double().mean()
        loss, error = float(losses.mean()), float(100 * wrong)
        return {"loss": {"cross_entropy": round(loss, 6)}, "train_error": round(error, 4)}

    def save(self) -> None:
        checkpoint.save(self.job, {"images": self.images}, self.done, self.seconds, self.curve)
        self.saved = time.monotonic()

    def resume(self) -> None:
        about = checkpoint.resume(self.job, {"images": self.images}, self.batches)
        if about is not None:
            self.done, self.seconds, self.curve = about["epoch"], about["seconds"], about["curve"]
            self.batch_seconds = self.seconds / max(1, self.done)
