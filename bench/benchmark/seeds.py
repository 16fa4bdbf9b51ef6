"""Several seeds of a run together: each with its own stream, or all as one network of grouped convolutions.

A step of these contenders is one of every seed; :func:`per_seed` makes their times comparable to the others'.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional

from bench.benchmark.contenders import Steps, graph, ready, repeated, training_of, tried
from bench.benchmark.measure import Times
from bench.benchmark.task import Task
from bench.build import fresh_networks
from bench.methods.losses import full
from bench.train import device as devices

STREAMS, GROUPED = "kdbench-{}-streams", "{}-grouped"


def together(task: Task, seeds: int, say: Callable[[str], None]) -> dict[str, Steps]:
    """Both contenders; only one network without a teacher is grouped."""
    contenders = {STREAMS.format(seeds): streams(task, seeds, say)}
    if not task.run.teachers:
        contenders |= tried(GROUPED.format(seeds), lambda: grouped(task, seeds), say)
    return contenders


def per_seed(times: Times, seeds: int) -> Times:
    """The times, those of several seeds divided by their number."""
    several = {STREAMS.format(seeds), GROUPED.format(seeds)}
    return {name: [value / seeds for value in own] if name in several else own for name, own in times.items()}


def streams(task: Task, seeds: int, say: Callable[[str], None]) -> Steps:
    """The engine's runs by turns, as its executor takes them; on CUDA each has graphs and a stream of its own."""
    running = []
    for own in of_seeds(task, seeds):
        free, stream = devices.free_memory(task.device), devices.stream_context(task.device)
        with stream:
            training = training_of(own)
            ready(training, own)
        took = (free - devices.free_memory(task.device)) / 2**20
        running.append((stream, training.train_loop))
        if task.device.type == "cuda":
            say(f"seed {len(running)} took {took:.0f} MiB")

    def steps(count: int) -> None:
        turns = [(stream, loop.steps(count)) for stream, loop in running]
        for _ in range(count):
            for stream, turn in turns:
                with stream:
                    next(turn)

    return steps


def grouped(task: Task, seeds: int) -> Steps:
    """One network that is all of them: each convolution has a group a seed (torch.func.vmap lowers to that)."""
    step = Grouped(task, seeds).step
    return repeated(graph(step) if task.device.type == "cuda" else step)


class Grouped:
    """The networks of several seeds with their weights stacked, (seeds, ...), each with its own order and views."""

    def __init__(self, task: Task, seeds: int) -> None:
        self.device, self.precision, own = task.device, task.precision, of_seeds(task, seeds)
        dtype = devices.weights_dtype(self.precision)
        networks = [fresh_networks(one.run)[0].to(task.device, dtype) for one in own]
        self.network = networks[0]
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                # To vmap, weights of a normalisation have its input's type, and bfloat16 does not go with statistics in
                # float32: it takes float32 here, which costs time that a normalisation of the whole would not need.
                module.register_forward_pre_hook(lambda _, given: (full(given[0]), *given[1:]))
        self.parameters, self.buffers = stack_module_state(networks)
        self.loaders, stage = [one.loader for one in own], task.run.stage
        self.positions = torch.arange(stage.schedule.batch, device=task.device)
        rate = torch.tensor(stage.schedule.lr, device=task.device)
        self.optimizer = stage.optimizer.build([*self.parameters.values()], rate)

    def step(self) -> None:
        """One update of every network, on the first batch of its seed's epoch."""
        batches = zip(*(loader.batch(self.positions) for loader in self.loaders), strict=True)
        images, labels, _ = (torch.stack(own) for own in batches)
        with devices.autocast(self.precision, self.device):
            logits = vmap(self._predict)(self.parameters, self.buffers, full(images))
        loss = functional.cross_entropy(full(logits).flatten(0, 1), labels.flatten()) * len(labels)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def _predict(self, parameters: dict[str, Any], buffers: dict[str, Any], images: Tensor) -> Tensor:
        logits: Tensor = functional_call(self.network, (parameters, buffers), (images,)).logits
        return logits


def of_seeds(task: Task, seeds: int) -> list[Task]:
    """The task under the seeds 1, 2, ..."""
    return [replace(task, run=replace(task.run, seed=seed)) for seed in range(1, seeds + 1)]
