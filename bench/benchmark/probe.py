"""``make probe-gpu``: the first minutes on a GPU, told as they come, and kept in a folder.

Does a training step become a CUDA graph; does the graph give what the eager step gives; what is a step made of, kernel
by kernel; how do runs side by side scale. It needs what ``make gpu`` needs, and is the same on a CPU, without graphs.
"""

import argparse
import json
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from bench.benchmark.calibration import calibrate
from bench.benchmark.contenders import training_of
from bench.benchmark.measure import seconds
from bench.benchmark.seeds import streams
from bench.benchmark.task import Task, Workload, make_task
from bench.errors import DeviceError, KdbenchError
from bench.files import write_atomic
from bench.networks.modules.base import fuses
from bench.provenance import libraries
from bench.train import device as devices
from bench.train.engine import Training

COMPARED, PROFILED, SHOWN = 10, 2, 25
EPOCH = 391  # steps, of 50,000 images in batches of 128

Kernel = tuple[str, float, float]
"""Name, launches a step and microseconds a step."""


@dataclass
class Findings:
    """What was found so far, on the terminal and in a JSON file, which is whole after each of them."""

    path: Path
    found: dict[str, Any] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)

    def add(self, what: str, value: Any) -> None:
        """Tell one more."""
        self.found[what] = value
        print(f"[{time.monotonic() - self.begun:6.1f} s] {what}: {value}", flush=True)
        write_atomic(self.path, (json.dumps(self.found, indent=1) + "\n").encode())


def probe(task: Task, out: Path, counts: Sequence[int], steps: int, *, calibrated: bool) -> None:
    """All questions of one row; each answer is kept at once.

    Args:
        task: the row, on a device.
        out: the folder.
        counts: of runs side by side.
        steps: that are timed.
        calibrated: whether the device's own limits are measured first.
    """
    findings = Findings(out / f"probe-{task.run.name.partition('/')[2]}.json")
    findings.add("device", devices.name(task.device))
    findings.add("libraries", libraries())
    findings.add("fused normalisation", fuses(task.device))
    if calibrated:
        findings.add("limits", calibrate(task.device))
    training = training_of(task)
    begun = time.monotonic()
    captured(training, out / "capture-error.txt")
    findings.add("seconds until captured", round(time.monotonic() - begun, 1))
    graphs = training.train_loop.graphs
    for name, own in {"graph": graphs, "eager": {}}.items() if graphs else {"eager": {}}.items():
        training.train_loop.graphs = own
        findings.add(f"{name}, sums of {COMPARED} steps", sums(training, min(COMPARED, task.steps)))
        findings.add(f"{name}, ms a step", milliseconds(training, min(steps, task.steps)))
    training.train_loop.graphs = graphs
    table = kernels(training)
    lines = [f"{took:10.1f} us {count:7.1f} x  {name}" for name, count, took in table]
    write_atomic(findings.path.with_suffix(".txt"), ("\n".join(lines) + "\n").encode())
    findings.add("kernels a step", round(sum(count for _, count, _ in table), 1))
    findings.add("busy us a step", round(sum(took for *_, took in table), 1))
    print("\n".join(line[:120] for line in lines[:SHOWN]), flush=True)
    del training, graphs
    for count in counts:
        devices.release_memory(task.device)
        findings.add(f"{count} at once, ms a step a run", side_by_side(task, count, min(steps, task.steps)))
        each = findings.found[f"{count} at once, ms a step a run"] / 1000
        findings.add(f"{count} at once, seconds an epoch a run, without its test", round(EPOCH * each, 3))


def captured(training: Training, path: Path) -> None:
    """Record the run's steps; where that fails, the whole chain of errors is kept."""
    try:
        training.capture()
    except DeviceError:
        write_atomic(path, traceback.format_exc().encode())
        raise


@torch.no_grad()
def _put_back(training: Training, kept: Sequence[torch.Tensor]) -> None:
    for tensor, value in zip(training.state(), kept, strict=False):
        tensor.copy_(value)


def sums(training: Training, steps: int) -> dict[str, float]:
    """What some steps of the first epoch add up to; weights are put back."""
    kept = [tensor.detach().clone() for tensor in training.state()]
    _begun(training, steps).run(steps)
    told = {name: float(total) for name, total in training.sums.read().items()}
    _put_back(training, kept)
    return told


def milliseconds(training: Training, steps: int) -> float:
    """A step of the run alone, the second time."""
    loop = _begun(training, steps)
    both = [seconds(loop.run, steps, training.job.device) for _ in range(2)]
    return round(1000 * both[1] / steps, 4)


def kernels(training: Training) -> list[Kernel]:
    """What a step is made of, what takes longest first; on a CPU its operations."""
    cuda = training.job.device.type == "cuda"
    loop = _begun(training, PROFILED)
    with profile(activities=[ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]) as profiled:
        seconds(loop.run, PROFILED, training.job.device)
    table: dict[str, list[float]] = defaultdict(list)
    for event in profiled.events() or ():
        took = event.device_time if cuda else event.self_cpu_time_total
        if took:
            table[event.name].append(took)
    rows = [(name, len(own) / PROFILED, sum(own) / PROFILED) for name, own in table.items()]
    return sorted(rows, key=lambda row: -row[2])


def side_by_side(task: Task, count: int, steps: int) -> float:
    """Milliseconds of a step of each of several runs that go on at a time, the second time."""
    together = streams(task, count, lambda message: None)
    both = [seconds(together, steps, task.device) for _ in range(2)]
    return round(1000 * both[1] / steps / count, 4)


def _begun(training: Training, steps: int) -> Any:
    training.begin(0, steps)
    training.mode(training=True)
    return training.train_loop


def main(arguments: Sequence[str] | None = None) -> None:
    """The probe with its options, from the command line."""
    parser = argparse.ArgumentParser(
        description="What a training step is on this device, and how runs side by side do."
    )
    parser.add_argument("--out", type=Path, default=Path("build/gpu"), help="folder of what is found [build/gpu]")
    parser.add_argument("--table", default="ffdwv-table2", help="[ffdwv-table2]")
    parser.add_argument("--row", default="resnet32-cifar100", help="of the table [resnet32-cifar100]")
    parser.add_argument("--streams", default="1,4,8", help="how many runs at a time, one after the other [1,4,8]")
    parser.add_argument("--steps", type=int, default=100, help="that are timed [100]")
    parser.add_argument("--calibrate", action="store_true", help="also what the device itself can do; CUDA only")
    parser.add_argument("--tiny", action="store_true", help="tiny batches of few images: shows that it works, no more")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ...")
    options = parser.parse_args(arguments)
    try:
        device = devices.choose(options.device)
        task = make_task(Workload(options.table, options.row, 1.0, computes=True), device, tiny=options.tiny)
        counts = [int(count) for count in options.streams.split(",")]
        probe(task, options.out, counts, options.steps, calibrated=options.calibrate and device.type == "cuda")
    except (KdbenchError, ValueError) as error:
        print(f"kdbench: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
