"""``make benchmark``: a table on the terminal, and the same as ``build/benchmark.json``."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from bench.benchmark.contenders import contenders
from bench.benchmark.measure import Effort, Spread, Times, measure, overhead_percent, ratio, results
from bench.benchmark.task import WORKLOADS, make_task
from bench.errors import KdbenchError
from bench.train import device as devices

ROUNDS, QUICK_ROUNDS = 11, 2
FAIR = (1.0, 1.2)  # what a fair classic loop takes of the bare one's time, where a step is nearly all arithmetic


def measured(name: str, where: torch.device, *, quick: bool) -> Times:
    """The times of one workload's contenders; each round is told as it comes."""
    workload = WORKLOADS[name]
    task = make_task(workload, where, tiny=quick)
    effort = Effort(QUICK_ROUNDS, None) if quick else Effort(ROUNDS, workload.seconds)
    print(f"\n{name}: {workload.table}/{workload.row}, batch {task.batch}, kdbench in {task.precision}", flush=True)
    return measure(contenders(task), effort, task.steps, where, lambda said: print(f"  {said}", flush=True))


def page(name: str, times: Times) -> str:
    """One workload's table: medians, and ranges over the rounds."""
    lines = [f"{name:<24}{'ms per step':>26}{'faster than bare':>24}{'faster than classic':>24}"]
    for contender, own in times.items():
        bare, classic = (_shown(ratio(times, other, contender)) for other in ("bare", "classic"))
        lines.append(f"  {contender:<22}{_shown(Spread.of(own)):>26}{bare:>24}{classic:>24}")
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


def written(where: torch.device, all_times: dict[str, Times]) -> dict[str, Any]:
    """What the JSON file says."""
    return {
        "device": {"name": devices.name(where), "bf16_native": devices.computes_bf16(where)},
        "torch": torch.__version__,
        "results": [entry for name, times in all_times.items() for entry in results(name, times)],
        "harness_overhead_percent": {name: overhead_percent(times) for name, times in all_times.items()},
    }


def benchmark(names: Sequence[str], where: torch.device, out: Path, *, quick: bool) -> None:
    """Measure workloads, print their tables, write the JSON file."""
    # The engine and published code both turn it on; here it is on before the first of them runs.
    torch.backends.cudnn.benchmark = True
    native = "native" if devices.computes_bf16(where) else "not native"
    print(f"{devices.name(where)}; bfloat16 is {native}")
    all_times = {name: measured(name, where, quick=quick) for name in names}
    for name, times in all_times.items():
        print(f"\n{page(name, times)}")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(written(where, all_times), indent=1) + "\n", encoding="utf-8")
    print(f"\nMedian and range over the rounds; ratios are taken within a round. Written: {out}")


def main() -> None:
    """The benchmark with its options, from the command line."""
    parser = argparse.ArgumentParser(description="Time kdbench's training step beside plain PyTorch loops.")
    parser.add_argument("--quick", action="store_true", help="two steps of tiny batches: shows that it works, no more")
    parser.add_argument("--only", action="append", choices=WORKLOADS, help="this workload (may be repeated)")
    parser.add_argument("--out", type=Path, default=Path("build/benchmark.json"), help="the JSON file")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ...")
    said = parser.parse_args()
    try:
        benchmark(said.only or list(WORKLOADS), devices.choose(said.device), said.out, quick=said.quick)
    except KdbenchError as error:
        print(f"kdbench: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
