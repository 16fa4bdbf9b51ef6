"""The README is true: its table is what the command prints, its examples run, what it names exists.

``python tests/test_readme.py`` brings its table up to date.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

REPO = Path(__file__).parents[1]
README = (REPO / "README.md").read_text(encoding="utf-8")
TABLE = re.compile(r"(<!-- table (\S+) -->\n```text\n)(.*?)(```\n<!-- /table -->)", re.DOTALL)
EXAMPLE = re.compile(r"<!-- example: (\w+) ?([^\n]*?) ?-->\n```\w+\n(.*?)```\n", re.DOTALL)

# All commands in one process, since torch takes seconds to import: (words of a command, or a script) in, (exit code,
# output) out.
DRIVER = """
import contextlib, io, json, sys
import pytest
from bench.cli.app import main

def run(kind, said):
    if kind == "python":
        return exec(compile(said, "README.md", "exec"), {})
    sys.argv = said
    main() if said[0] == "kdbench" else sys.exit(pytest.main(["-p", "no:cacheprovider", *said[3:]]))

done = []
for kind, said in json.loads(sys.argv[1]):
    out, code = io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            run(kind, said)
        except SystemExit as end:
            code = end.code or 0
    done.append([said, int(code), out.getvalue()])
sys.__stdout__.write(json.dumps(done))
"""


class Tried(NamedTuple):
    """A copy of the project after the README's examples: where it lies, and what each command or script printed."""

    folder: Path
    printed: dict[str, str]

    def record(self, name: str) -> dict:
        """The one record of that name."""
        records = [json.loads(path.read_text()) for path in (self.folder / "results" / "runs").iterdir()]
        (found,) = [record for record in records if record["name"] == name]
        return found


def kdbench(*words: str) -> str:
    """What a command prints in the repository."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "bench", *words], cwd=REPO, capture_output=True, text=True, check=True
    )
    return done.stdout


def head(table: str) -> str:
    """Title and main grid of a table as printed."""
    return kdbench("report", table).partition("\n\nHow to read it:")[0] + "\n"


def write_examples(folder: Path) -> list[tuple[str, str | list[str]]]:
    """Carry out what the examples say to write; returns the scripts and commands to run, in order."""
    steps: list[tuple[str, str | list[str]]] = []
    for action, place, text in EXAMPLE.findall(README):
        name, _, mapping = place.partition(" ")
        path = folder / name
        if action == "file":
            assert not path.exists(), f"{name} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif action == "append":
            path.write_text(path.read_text(encoding="utf-8").rstrip("\n") + "\n" + text, encoding="utf-8")
        elif action == "insert":
            opening = re.compile(rf"^{mapping}: .* = \{{\n", re.MULTILINE)
            changed, times = opening.subn(lambda found, text=text: found[0] + text, path.read_text(encoding="utf-8"))
            assert times == 1, f"{mapping} in {name}"
            path.write_text(changed, encoding="utf-8")
        elif action == "python":
            steps.append((action, text))
        else:
            assert action == "run"
            steps += [(action, line.split()) for line in text.splitlines()]
    return steps


@pytest.fixture(scope="module")
def tried(tmp_path_factory) -> Tried:
    """Every example of the README, carried out in a copy of the project."""
    folder = tmp_path_factory.mktemp("kdbench")
    for name in ("bench", "recipes"):
        shutil.copytree(REPO / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "results/costs.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(REPO / name, folder / name)
    steps = write_examples(folder)
    kept = {name: value for name, value in os.environ.items() if name != "KDBENCH_DATA"}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(steps)],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    for said, code, printed in results:
        assert code == 0, f"{said}: {printed}"
    return Tried(folder, {said if isinstance(said, str) else " ".join(said): printed for said, _, printed in results})


def test_the_table_is_what_the_command_prints():
    ((_, table, block, _),) = TABLE.findall(README)
    assert block == head(table), "bring it up to date with `python tests/test_readme.py`"


def test_the_counts_of_the_first_screen():
    from bench.graph import plan
    from bench.profiles import SMOKE_IMAGES
    from bench.recipe import load

    library = load(REPO / "recipes")
    paper, smoke = (plan(library, ["ffdwv-table3"], profile) for profile in ("paper", "smoke"))
    assert "five seeds of every row, 300 epochs each" in README
    assert {len(seeds) for seeds in paper.rows.values()} == {5}
    assert {run.stage.schedule.epochs for run in paper.runs.values()} == {300}
    assert "two seeds of every row, 16 training steps each" in README
    assert {len(seeds) for seeds in smoke.rows.values()} == {2}
    schedules = [run.stage.schedule for run in smoke.runs.values()]
    assert {SMOKE_IMAGES // schedule.batch * schedule.epochs for schedule in schedules} == {16}


def test_the_method_example(tried):
    (tested,) = [printed for said, printed in tried.printed.items() if "pytest" in said]
    assert "1 passed" in tested
    record = tried.record("ffdwv-table3/confidence-penalty-resnet32")
    assert record["recipe"]["method"] == {"name": "confidence_penalty", "params": {"beta": 0.1}}
    assert record["versions"]["method confidence_penalty"] == 1
    assert (record["status"], record["profile"], record["warnings"]) == ("done", "smoke", [])
    for epoch in record["curve"]:
        (network,) = epoch["networks"]
        assert network["loss"]["ce"] > 0
        assert -0.1 * 4.61 < network["loss"]["penalty"] < 0  # the entropy of 100 classes is at most log 100
    report = tried.printed["kdbench report ffdwv-table3 --profile smoke"]
    assert "Confidence penalty" in report
    assert "β = 0.1 under the recipe of this table" in report


def test_the_table_example(tried):
    assert "all is well" in tried.printed["kdbench check"]
    planned = tried.printed["kdbench run crd-table1 --dry-run"]
    assert "crd-table1/kd seed 2  teacher: crd-table1/teacher seed 1" in planned
    assert "depth 56" in tried.printed["kdbench cost crd-table1"]
    record = tried.record("crd-table1/student")
    assert (record["status"], record["profile"], record["warnings"]) == ("done", "smoke", [])
    assert record["flops"] > 0
    report = tried.printed["kdbench report crd-table1 --profile smoke"]
    for text in ("30.94", "not a result", "KD improves the student: no runs yet", "weighs the terms 0.1 and 0.9"):
        assert text in report


def test_the_data_set_example(tried):
    assert "300 training and 210 test images" in tried.printed["kdbench prepare stripes"]
    record = tried.record("crd-table1/stripes")
    assert (record["status"], record["profile"], record["warnings"]) == ("done", "paper", [])
    assert record["recipe"]["data"]["set"] == "stripes"
    assert [epoch["epoch"] for epoch in record["curve"]] == [1, 2]


def test_the_examples_obey_the_house_style(tried):
    ruff = [Path(sys.executable).with_name("ruff"), "--no-cache"]
    files = ("bench/methods/confidence_penalty.py", "bench/registry.py", "tests")
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([ruff[0], *command, *ruff[1:], *files], cwd=tried.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def code() -> list[str]:
    """Every code span and every line of a block, without tables, examples of output and comments."""
    text = TABLE.sub("", README)
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return lines + re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def test_commands_and_their_options_exist():
    import typer.main

    from bench.cli.app import app

    commands = typer.main.get_command(app).commands
    known = {name: {opt for p in command.params for opt in p.opts} | {"--help"} for name, command in commands.items()}
    said = [line.split()[1:] for line in code() if line.startswith("kdbench ")]
    assert {words[0] for words in said} - {"COMMAND"} == set(known), "the README names every command"
    for name, *words in said:
        if name in known:
            assert {word for word in words if word.startswith("-")} <= known[name], name


def test_make_targets_exist():
    targets = set(re.findall(r"^([\w-]+):", (REPO / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {line.split()[1] for line in code() if line.startswith("make ")}
    assert named == targets


# Written by running, or by following the examples.
MADE = ("results/runs", "results/tables", "results/artifacts", "results/checkpoints", "build", "data", ".venv")


def test_files_and_links_exist():
    from_examples = {place.split()[0] for action, place, _ in EXAMPLE.findall(README) if action == "file"}
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    roots = {path.name for path in REPO.iterdir()}
    spans = {span for span in code() if "/" in span and " " not in span and span.partition("/")[0] in roots}
    assert "bench/registry.py" in spans
    for name in {*links, *spans} - from_examples:
        assert name.startswith(MADE) or (REPO / name).exists(), name


def test_the_rooms_are_those_of_the_contract():
    (block,) = re.findall(r"<!-- rooms -->\n```text\n(.*?)```", README, re.DOTALL)
    with (REPO / "pyproject.toml").open("rb") as file:
        (contract,) = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    layers = [room.strip() for layer in contract["layers"] for room in layer.split("|")]
    assert [line.split()[0] for line in block.splitlines()] == layers


if __name__ == "__main__":
    (REPO / "README.md").write_text(TABLE.sub(lambda t: t[1] + head(t[2]) + t[4], README), encoding="utf-8")
