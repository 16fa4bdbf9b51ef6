"""The loops that are compared. Each does the same work: forward, backward and update of one network, a batch a step.

All of them train kdbench's own networks, so that only the loops differ. Another contender is a function from a task to
its steps, and a line in :func:`contenders`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.benchmark.task import Task
from bench.build import fresh_networks, make_job
from bench.registry import SETS
from bench.train import device as devices
from bench.train.engine import Training
from bench.train.loader import DeviceLoader
from bench.train.loop import WARM_UP
from bench.train.teacher_cache import LogitsCache, is_worthwhile

Steps = Callable[[int], None]
"""Carries out so many training steps, without waiting for the device to finish them."""

CACHED, FILLING = "kdbench-cached", "filling the cache"


def contenders(task: Task, say: Callable[[str], None], *, compiled: bool) -> dict[str, Steps]:
    """Every contender that suits the task, by its name, ready to step; ``say`` is told which had to be left out."""
    contenders = {
        "bare": bare(task),
        "classic": classic(task),
        "bare-same-settings": bare_same_settings(task),
        "kdbench": kdbench(task),
    }
    if task.run.teachers:
        contenders |= cached(task, say)
    if compiled:
        contenders |= compiled_kdbench(task, say)
    return contenders


def bare(task: Task) -> Steps:
    """What a page of PyTorch does: float32, NCHW, batches in memory, nothing read back."""
    loop, batches = _Loop(task, tuned=False), cycle(task.batches(torch.contiguous_format))
    return repeated(lambda: loop.step(*next(batches)), _as_pytorch_comes)


def classic(task: Task) -> Steps:
    """What most published distillation code does: PIL images from worker processes, meters that read every step."""
    from bench.benchmark.loader import endless  # torchvision and Pillow, without which the others can be timed

    loop, batches = _Loop(task, tuned=False), endless(task)
    loss_meter, top1, top5 = _Meter(), _Meter(), _Meter()

    def step() -> None:
        images, labels = (tensor.to(task.device) for tensor in next(batches))
        loss, logits = loop.step(images, labels)
        hits = logits.topk(5, dim=1).indices == labels[:, None]
        loss_meter.update(loss.item(), len(labels))
        top1.update(hits[:, :1].sum().item() * 100 / len(labels), len(labels))
        top5.update(hits.sum().item() * 100 / len(labels), len(labels))

    return repeated(step, _as_pytorch_comes)


def bare_same_settings(task: Task) -> Steps:
    """The page of PyTorch with kdbench's settings: what kdbench takes longer than this, its harness takes."""
    loop, batches = _Loop(task, tuned=True), cycle(task.batches(torch.channels_last))
    if task.device.type == "cuda":
        images, labels = next(batches)
        return repeated(graph(lambda: loop.step(images, labels)))
    return repeated(lambda: loop.step(*next(batches)))


def kdbench(task: Task) -> Steps:
    """The engine as a run uses it: images are gathered and augmented on the device, sums kept; on CUDA as a graph."""
    return ready(training_of(task), task)


def cached(task: Task, say: Callable[[str], None]) -> dict[str, Steps]:
    """The engine with a warm teacher cache; and the filling of one, a batch that the teacher is asked of a step."""
    data, images = task.run.stage.data, len(task.labels)
    cache, epochs = LogitsCache(images, data.crop_padding, data.flip), task.run.stage.schedule.epochs or 1
    if not is_worthwhile(epochs, images, cache.views, SETS[data.set].classes, 1, task.device):
        say(f"{CACHED} left out: no run would have a cache here, for lack of memory")
        return {}
    training = training_of(task, caches=[cache])
    # One batch is computed, which makes the table; the rest may stay zero, since no time depends on what it says.
    training.begin(0, 1)
    cache.known[:] = True
    (teacher,) = training.cached
    teacher.missing[:images].copy_(training.job.train.places[0])
    return {CACHED: ready(training, task), FILLING: teacher.loop.run}


def compiled_kdbench(task: Task, say: Callable[[str], None]) -> dict[str, Steps]:
    """The engine with its networks compiled, where there is a compiler."""
    say("compiling ...")

    def compiled() -> Steps:
        training = training_of(task)
        for network in (*training.job.networks, *training.job.teachers):
            network.compile(dynamic=False)  # in place: weights keep their names
        return ready(training, task)

    return tried("kdbench-compiled", compiled, say)


def tried(name: str, make: Callable[[], Steps], say: Callable[[str], None]) -> dict[str, Steps]:
    """A contender after its first step; none, and ``say`` is told why, where that cannot be carried out."""
    try:
        steps = make()
        steps(1)
    except RuntimeError as error:
        say(f"{name} left out: {str(error).strip().partition(chr(10))[0]}")
        return {}
    return {name: steps}


def training_of(task: Task, **more: Any) -> Training:
    """The task as the engine is given it, with ``more`` fields of its job."""
    data, networks = task.run.stage.data, fresh_networks(task.run)
    test = DeviceLoader(task.images[:1], task.labels[:1], data, task.device, torch.float32, augment=False)
    job = make_job(task.run, networks, task.teachers(), task.loader, test, task.device, Path(), {})
    return Training(replace(job, **more))


def ready(training: Training, task: Task) -> Steps:
    """Training steps of an epoch that has begun; on CUDA as graphs."""
    training.capture()
    training.begin(0, task.steps)
    training.mode(training=True)
    return training.train_loop.run


class _Loop:
    """The update of a plain script, with PyTorch's own optimiser, in float32 and NCHW.

    ``tuned``, it has kdbench's precision and layout, and the optimiser is fused.
    """

    def __init__(self, task: Task, *, tuned: bool) -> None:
        self.device, self.precision = task.device, task.precision if tuned else "float32"
        layout = torch.channels_last if tuned else torch.contiguous_format
        self.student, *self.teachers = (
            network.to(task.device, memory_format=layout)  # type: ignore[call-overload]
            for network in (*fresh_networks(task.run), *task.teachers())
        )
        stage = task.run.stage
        optimizer = _OPTIMIZERS[stage.optimizer.name]
        options = stage.optimizer.params | ({"fused": True} if tuned else {})
        self.optimizer = optimizer([*self.student.parameters()], stage.schedule.lr, **options)
        self.temperature: float = stage.method.params.get("temperature", 1.0)

    def step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One update; loss and logits stay on the device."""
        logits = self.predict(self.student, images)
        loss = functional.cross_entropy(logits, labels)
        for teacher in self.teachers:
            with torch.no_grad():
                target = functional.softmax(self.predict(teacher, images) / self.temperature, dim=1)
            log_p = functional.log_softmax(logits / self.temperature, dim=1)
            loss = loss + self.temperature**2 * functional.kl_div(log_p, target, reduction="batchmean")
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach(), logits.detach()

    def predict(self, network: nn.Module, images: Tensor) -> Tensor:
        with devices.autocast(self.precision, self.device):
            logits: Tensor = network(images).logits.float()
            return logits


def _adam(
    parameters: list[nn.Parameter], lr: float, *, beta1: float, beta2: float, fused: bool | None = None, **others: Any
) -> torch.optim.Optimizer:
    replayed = bool(fused) and parameters[0].is_cuda
    return torch.optim.Adam(parameters, lr, (beta1, beta2), fused=fused, capturable=replayed, **others)


_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {"sgd": torch.optim.SGD, "adam": _adam}


class _Meter:
    """A running mean, as training scripts keep one."""

    def __init__(self) -> None:
        self.sum, self.count = 0.0, 0

    def update(self, value: float, count: int) -> None:
        self.sum += value * count
        self.count += count


def _as_pytorch_comes() -> AbstractContextManager[object]:
    """TensorFloat-32 convolutions, PyTorch's default, which kdbench turns off; the benchmark mode that scripts set."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=True)


def repeated(step: Callable[[], object], within: Callable[[], AbstractContextManager[object]] = nullcontext) -> Steps:
    """A step, carried out as often as is asked."""

    def steps(count: int) -> None:
        with within():
            for _ in range(count):
                step()

    return steps


def graph(step: Callable[[], object]) -> Callable[[], None]:
    """A replay of the step as one CUDA graph; always of the same tensors, whose values the time does not depend on."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        step()

    def replay(_kept: Callable[[], object] = step) -> None:
        captured.replay()  # a graph keeps none of the tensors that its steps use

    return replay
