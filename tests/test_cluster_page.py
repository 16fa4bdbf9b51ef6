"""The batch script of docs/cluster.md is one, and asks kdbench for what it knows."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer.main

from bench.cli.commands import app

PAGE = (Path(__file__).parents[1] / "docs" / "cluster.md").read_text(encoding="utf-8")
((SCRIPT),) = re.findall(r"<!-- sbatch -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
LINES = re.findall(r"(?:^|`|srun )kdbench (run [^\n`]*|estimate [^\n`]*)", PAGE, re.MULTILINE)


def test_it_is_a_script_that_bash_reads() -> None:
    assert SCRIPT.startswith("#!/bin/bash\n#SBATCH ")
    subprocess.run(["bash", "-n"], input=SCRIPT, text=True, check=True)


def test_its_options_are_before_its_first_command() -> None:
    """sbatch reads no further."""
    lines = SCRIPT.splitlines()
    options = [number for number, line in enumerate(lines) if line.startswith("#SBATCH ")]
    assert options == [*range(1, len(options) + 1)]
    assert all(re.fullmatch(r"#SBATCH --[a-z-]+(=\S+)?", lines[number]) for number in options)


def test_there_are_commands() -> None:
    assert any("--wait" in line for line in LINES)
    assert any("--shard" in line for line in LINES)
    assert any("--on ray://" in line for line in LINES)


@pytest.mark.parametrize("line", LINES)
def test_its_commands_have_options_that_there_are(line: str) -> None:
    name, *words = shlex.split(line.replace("$SLURM_ARRAY_TASK_ID", "3"))
    command = typer.main.get_command(app).commands[name]
    context = command.make_context(name, words)
    assert context.args == []
