"""The other engine: images optimised until a frozen network says of them what is asked."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.draws import generator
from bench.methods.data_impressions import DataImpressions
from bench.networks.base import Network
from bench.recipe import Stage
from bench.registry import OPTIMIZERS
from bench.train import checkpoint, device, schedule
from bench.train.engine import CHECKPOINT_SECONDS, Trained
from bench.train.progress import Progress, Stopped
from bench.train.turns import Turns


@dataclass(frozen=True)
class Synthesis:
    """All that a synthesis needs, built and loaded; ``shape`` is an image's, (channels, height, width)."""

    id: str
    seed: int
    stage: Stage
    teacher: Network
    method: DataImpressions
    shape: tuple[int, int, int]
    device: torch.device
    precision: str
    checkpoint: Path
    taken: dict[str, dict[str, str]]


def synthesise(
    job: Synthesis, progress: Progress, *, out_of_time: Callable[[float], bool] = lambda seconds: False
) -> Turns[Trained]:
    """Make all images, a batch at a time, each from its own noise; from the checkpoint if there is one.

    What a batch holds does not matter to an image: losses are summed, and the network is in evaluation mode. The
    artifact has ``images``, float16 (N, C, H, W) as the network takes them (normalised), and their ``labels``, (N,).

    A turn makes it ready, then there is one for each iteration.

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
    return Trained("done", [], work.curve, {"images": work.images, "labels": work.labels.cpu()}, work.seconds)


class _Work:
    def __init__(self, job: Synthesis) -> None:
        self.job, method = job, job.method
        self.dtype = device.weights_dtype(job.precision)
        self.teacher = job.teacher.to(job.device, self.dtype).eval().requires_grad_(False)
        weights = job.teacher.linear.weight.double().cpu().numpy()
        self.targets = torch.from_numpy(method.targets(weights, generator(job.seed, "targets"))).to(job.device)
        self.labels = torch.from_numpy(method.classes(len(weights))).to(job.device)
        self.images = torch.zeros(method.count, *job.shape, dtype=torch.float16)
        self.batches = -(-method.count // job.stage.schedule.batch)
        self.rates = schedule.rates(job.stage.schedule, 1)
        self.done, self.seconds, self.batch_seconds, self.saved = 0, 0.0, 0.0, time.monotonic()
        self.curve = list[dict[str, Any]]()

    def one_batch(self, progress: Progress, out_of_time: Callable[[float], bool]) -> Turns[None]:
        begun, size = time.monotonic(), self.job.stage.schedule.batch
        own = slice(self.done * size, min((self.done + 1) * size, self.job.method.count))
        images = yield from self._optimised(own, progress, out_of_time)
        entry = self._entry(images, own)
        self.images[own] = images.to("cpu", torch.float16)
        self.done += 1
        self.batch_seconds = time.monotonic() - begun
        self.seconds += self.batch_seconds
        self.curve.append({**entry, "seconds": round(self.batch_seconds, 3)})
        left = self.seconds / self.done * (self.batches - self.done)
        progress.epoch(entry, self.batches, len(images) / self.batch_seconds, left)
        if self.done < self.batches and time.monotonic() - self.saved >= CHECKPOINT_SECONDS:
            self.save()

    def _optimised(self, own: slice, progress: Progress, out_of_time: Callable[[float], bool]) -> Turns[Tensor]:
        """Images (B, C, H, W) of one batch, from noise N(0, 1) in the space that the network takes."""
        target = self.targets[own]
        noise = generator(self.job.seed, "noise", self.done).standard_normal((len(target), *self.job.shape))
        images = nn.Parameter(torch.from_numpy(noise).to(self.job.device, self.dtype))
        lr = torch.zeros((), dtype=torch.float32, device=self.job.device)
        spec = self.job.stage.optimizer
        optimizer = OPTIMIZERS[spec.name].load()([images], lr, **spec.params)
        for step, rate in enumerate(self.rates, 1):
            lr.fill_(float(rate))
            optimizer.zero_grad(set_to_none=True)
            self._losses(images, target)[0].sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            progress.step(self.done + 1, step, len(self.rates))
            if out_of_time(0.0):
                raise Stopped
            yield
        return images.detach()

    def _losses(self, images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        with device.autocast(self.job.precision, self.job.device):
            logits = self.teacher(images).logits
        return self.job.method.loss(target.to(self.dtype), logits), logits

    @torch.no_grad()
    def _entry(self, images: Tensor, own: slice) -> dict[str, Any]:
        """One line of the curve: the loss reached, and the share that the network takes for another class."""
        losses, logits = self._losses(images, self.targets[own])
        wrong = (logits.argmax(1) != self.labels[own]).double().mean()
        loss, error = float(losses.mean()), float(100 * wrong)
        network = {"loss": {"cross_entropy": round(loss, 6)}, "train_error": round(error, 4)}
        return {"epoch": self.done + 1, "networks": [network]}

    def save(self) -> None:
        checkpoint.keep(self.job, {"images": self.images}, self.done, self.seconds, self.curve)
        self.saved = time.monotonic()

    def resume(self) -> None:
        about = checkpoint.resume(self.job, {"images": self.images})
        if about is not None:
            self.done, self.seconds, self.curve = about["epoch"], about["seconds"], about["curve"]
            self.batch_seconds = self.seconds / max(1, self.done)
