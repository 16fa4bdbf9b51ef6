"""The options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Profile = Literal["paper", "short", "smoke", "smoke-real"]
TableName = Annotated[str, typer.Argument(metavar="TABLE", help="A table, as `kdbench list` names it.")]
ProfileOption = Annotated[
    Profile | None,
    typer.Option(
        help="paper: as published; short: a tenth of it; smoke: a few steps on synthetic images; smoke-real: on the"
        " real ones. [default: paper on CUDA, or smoke]"
    ),
]
Rows = Annotated[list[str] | None, typer.Option("--row", help="Only this row (may be repeated).")]
Seeds = Annotated[list[int] | None, typer.Option("--seed", help="Only this seed (may be repeated).")]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder with the data sets. [default: $KDBENCH_DATA, else data/]")
]
DeviceOption = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ... [default: cuda where present]")]
