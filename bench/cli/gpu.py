"""``make gpu``: the options of ``kdbench gpu``, read without typer.

``python -m bench.cli.gpu`` is the same as ``kdbench gpu``, for a machine where nothing can be installed: it needs
torch, numpy, PyYAML and safetensors.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.cli.app import carry_out


def parser() -> argparse.ArgumentParser:
    """The options of ``kdbench gpu``, read without typer, which a bare machine does not have."""
    parser = argparse.ArgumentParser(
        prog="kdbench gpu",
        description="Run as many missing runs as fit in a time budget, the highest priority first, and pack what came"
        " out: records, checkpoints, and the weights that runs to come will take.",
    )
    parser.add_argument("--budget", type=_seconds, default=540, help="seconds there are, packing included [540]")
    parser.add_argument(
        "--out", type=Path, default=Path("build/gpu"), help="folder of the pack, unpacked first [build/gpu]"
    )
    parser.add_argument("--table", action="append", default=[], help="only this table (may be repeated)")
    parser.add_argument("--profile", choices=("paper", "short", "smoke", "smoke-real"), default="paper", help="[paper]")
    parser.add_argument("--data", type=Path, help="folder with the data sets; else KDBENCH_DATA, else data/")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ...; else every GPU of the machine, where there is one")
    parser.add_argument(
        "--at-once", type=_positive, help="runs side by side on each device, at most [4 on a GPU, else 1]"
    )
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")
    return seconds


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def command(arguments: Sequence[str]) -> None:
    """``kdbench gpu`` with its options."""
    options = parser().parse_args(arguments)
    from bench.cli.packing import gpu

    gpu(options.budget, options.out, options.table, options.profile, options.data, options.device, options.at_once)


def main() -> None:
    """The same where nothing is installed."""
    carry_out(lambda: command(sys.argv[1:]))


if __name__ == "__main__":
    main()
