"""``make benchmark``: a table on the terminal, and the same as ``build/benchmark.json``."""

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.benchmark.calibration import calibrate
from bench.benchmark.contenders import FILLING, contenders
from bench.benchmark.measure import Budget, Spread, Times, measure, overhead_percent, ratio, results, with_filling
from bench.benchmark.seeds import per_seed, together
from bench.benchmark.task import WORKLOADS, make_task
from bench.errors import DeviceError, KdbenchError
from bench.files import write_atomic
from bench.train import device as devices
from bench.train.teacher_cache import num_views

ROUNDS, QUICK_ROUNDS = 11, 2
FAIR = (1.0, 1.2)  # what a fair classic loop takes of the bare one's time, where a step is nearly all arithmetic


@dataclass(frozen=True)
class Options:
    """What the command line asks for: workloads, device, how thoroughly, and until when (of the monotonic clock)."""

    names: Sequence[str]
    device: torch.device
    rounds: int
    quick: bool
    compiled: bool
    calibrated: bool
    seeds: int
    until: float


def measured(name: str, options: Options) -> Times:
    """The times of one workload's contenders; each round is told as it comes."""
    workload = WORKLOADS[name]
    task = make_task(workload, options.device, tiny=options.quick)
    budget = (
        Budget(QUICK_ROUNDS, None, options.until)
        if options.quick
        else Budget(options.rounds, workload.seconds, options.until)
    )
    print(f"\n{name}: {workload.table}/{workload.row}, batch {task.batch}, kdbench in {task.precision}", flush=True)

    def say(message: str) -> None:
        print(f"  {message}", flush=True)

    all_contenders = contenders(task, say, compiled=options.compiled and workload.computes)
    if options.seeds > 1:
        all_contenders |= together(task, options.seeds, say)
    times = per_seed(measure(all_contenders, budget, task.steps, options.device, say), options.seeds)
    data = task.run.stage.data
    return with_filling(times, num_views(data.crop_padding, data.flip))


def page(name: str, times: Times) -> str:
    """One workload's table: medians, and ranges over the rounds."""
    lines = [f"{name:<24}{'ms per step':>26}{'faster than bare':>24}{'faster than classic':>24}"]
    for contender, own in times.items():
        if contender != FILLING:
            bare, classic = (_shown(ratio(times, other, contender)) for other in ("bare", "classic"))
            lines.append(f"  {contender:<22}{_shown(Spread.of(own)):>26}{bare:>24}{classic:>24}")
    if FILLING in times:
        lines.append(
            f"  to fill the cache: {_shown(Spread.of(times[FILLING]))} ms a batch; 300x5 (epochs x seeds) and 30x1 are"
            " worked out: a cached step, and that times the share of the teacher's work that such runs still need"
        )
    lines.append(f"  kdbench takes {overhead_percent(times):+.1f} % over bare-same-settings")
    slower = ratio(times, "classic", "bare").median
    if WORKLOADS[name].computes and not FAIR[0] <= slower <= FAIR[1]:
        lines.append(
            f"  WARNING: classic takes {slower:.2f} times bare, not {FAIR[0]} to {FAIR[1]}: on this machine, now, it is"
            " no fair picture of published code; look at bare alone"
        )
    return "\n".join(lines)


def _shown(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.min:.2f} to {spread.max:.2f})"


def written(device: torch.device, all_times: dict[str, Times], calibration: dict[str, float]) -> dict[str, Any]:
    """What the JSON file says."""
    filling = {name: vars(Spread.of(times[FILLING])) for name, times in all_times.items() if FILLING in times}
    entries = {
        "device": {"name": devices.name(device), "bf16_native": devices.computes_bf16(device)},
        "torch": torch.__version__,
        "results": [entry for name, times in all_times.items() for entry in results(name, times)],
        "harness_overhead_percent": {name: overhead_percent(times) for name, times in all_times.items()},
        "cache_filling_ms_per_batch": filling,
    }
    return entries | ({"calibration": calibration} if calibration else {})


def expected(name: str, took: Mapping[str, float]) -> float:
    """Seconds that a workload may take, from what others took: in proportion to their turns."""
    return WORKLOADS[name].seconds * max(own / WORKLOADS[other].seconds for other, own in took.items())


def benchmark(options: Options, out: Path) -> None:
    """Measure the device if that is asked for, then workloads; the JSON file grows with each, tables come last."""
    # The engine and published code both turn it on; here it is on before the first of them runs.
    torch.backends.cudnn.benchmark = True
    native = "native" if devices.computes_bf16(options.device) else "not native"
    print(f"{devices.name(options.device)}; bfloat16 is {native}", flush=True)
    calibration = calibrate(options.device) if options.calibrated else {}
    for what, value in calibration.items():
        print(f"  {what:<24}{value:12.2f}", flush=True)
    all_times: dict[str, Times] = {}
    took: dict[str, float] = {}
    for name in options.names:
        begun = time.monotonic()
        if took and begun + expected(name, took) > options.until:
            print(f"\n{name} left out, for lack of time", flush=True)
            continue
        all_times[name] = measured(name, options)
        took[name] = time.monotonic() - begun
        write_atomic(out, (json.dumps(written(options.device, all_times, calibration), indent=1) + "\n").encode())
        devices.release_memory(options.device)
    for name, times in all_times.items():
        print(f"\n{page(name, times)}")
    print(f"\nMedian and range over the rounds; ratios are taken within a round. Written: {out}")


def main() -> None:
    """The benchmark with its options, from the command line."""
    parser = argparse.ArgumentParser(description="Time kdbench's training step beside plain PyTorch loops.")
    parser.add_argument("--quick", action="store_true", help="two steps of tiny batches: shows that it works, no more")
    parser.add_argument("--only", action="append", choices=WORKLOADS, help="this workload (may be repeated)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of every contender")
    parser.add_argument("--compiled", action="store_true", help="also with torch.compile: minutes more on two cores")
    parser.add_argument("--seeds", type=int, default=1, help="also so many seeds together, by streams and by groups")
    parser.add_argument("--calibrate", action="store_true", help="also what the device itself can do; CUDA only")
    parser.add_argument(
        "--budget", type=float, default=math.inf, help="seconds there are, for workloads in their order"
    )
    parser.add_argument("--out", type=Path, default=Path("build/benchmark.json"), help="the JSON file")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ...")
    args = parser.parse_args()
    try:
        device = devices.choose(args.device)
        if args.calibrate and device.type != "cuda":
            raise DeviceError("make benchmark-gpu needs CUDA, which is not here; make benchmark does without")
        names = args.only or list(WORKLOADS)
        until = time.monotonic() + args.budget
        options = Options(names, device, args.rounds, args.quick, args.compiled, args.calibrate, args.seeds, until)
        benchmark(options, args.out)
    except KdbenchError as error:
        print(f"kdbench: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
