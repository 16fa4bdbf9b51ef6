"""The documentation is true: its tables are what the commands print, its examples run, what it names exists.

``python tests/test_docs.py`` brings the tables of the README up to date.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bench import __version__

REPO = Path(__file__).parents[1]
PAGES = {
    path.relative_to(REPO).as_posix(): path.read_text(encoding="utf-8")
    for path in (REPO / "README.md", REPO / "CONTRIBUTING.md", REPO / "CHANGELOG.md", *(REPO / "docs").glob("*.md"))
}
README = PAGES["README.md"]
# What a command prints: the head of a table, or how much of each paper there is.
PRINTED = re.compile(r"(<!-- printed (\S+) -->\n```text\n)(.*?)(```\n<!-- /printed -->)", re.DOTALL)
EXAMPLE = re.compile(r"<!-- example: (\w+) ?(\S*) -->\n(?:```\w+\n(.*?)```\n)?", re.DOTALL)


class Tried(NamedTuple):
    """A project folder after the examples of a page: where it lies, and what each command printed.

    ``results`` are what was carried out, its exit code and what it printed, in order.
    """

    folder: Path
    printed: dict[str, str]
    results: list[tuple[str, int, str]]

    def record(self, name: str) -> dict[str, Any]:
        """The one record of that name."""
        records = [json.loads(path.read_text()) for path in (self.folder / "results" / "runs").iterdir()]
        (record,) = [record for record in records if record["name"] == name]
        return record


def kdbench(*words: str) -> str:
    """What a command prints in the repository."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "bench", *words],
        cwd=REPO,
        env={name: value for name, value in os.environ.items() if name != "COLUMNS"},  # its full width
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def printed(name: str) -> str:
    """What ``kdbench coverage`` prints, or title and main grid of a table as printed."""
    if name == "coverage":
        return kdbench("coverage")
    return kdbench("report", name).partition("\n\nHow to read it:")[0] + "\n"


def steps(page: str) -> list[tuple[str, str, str]]:
    """What the examples of a page do, in order; a page that begins with another one has what that writes."""
    found: list[tuple[str, str, str]] = []
    for action, place, text in EXAMPLE.findall(PAGES[page]):
        if action == "begin":
            found += [step for step in steps(f"docs/{place}") if step[0] in ("file", "append")]
        else:
            assert text, f"{page}: {action} {place} is no block"
            found.append((action, place, text))
    return found


WITH_EXAMPLES = [page for page in PAGES if steps(page)]


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tried]:
    """Every page's examples, carried out in a fresh project each, by name of the page."""
    folders = {page: tmp_path_factory.mktemp(Path(page).stem) for page in WITH_EXAMPLES}
    asked = [{"folder": str(folder), "steps": steps(page)} for page, folder in folders.items()]
    environment = {name: value for name, value in os.environ.items() if name != "KDBENCH_DATA"}
    done = subprocess.run(
        [sys.executable, str(REPO / "tests" / "carry_out_examples.py")],
        input=json.dumps(asked),
        env={**environment, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    results = {page: json.loads((folder / "printed.json").read_text()) for page, folder in folders.items()}
    return {
        Path(page).stem: Tried(folders[page], {command: output for command, _, output in printed}, printed)
        for page, printed in results.items()
    }


@pytest.mark.parametrize("page", WITH_EXAMPLES)
def test_every_example_ends_well(page: str, tried: dict[str, Tried]) -> None:
    for command, exit_code, output in tried[Path(page).stem].results:
        assert exit_code == 0, f"{command}: {output}"


def test_the_tables_are_what_the_commands_print() -> None:
    blocks = {name: block for _, name, block, _ in PRINTED.findall(README)}
    assert blocks.keys() == {"ffdwv-table3", "coverage"}
    for name, block in blocks.items():
        assert block == printed(name), "bring it up to date with `python tests/test_docs.py`"


def test_the_counts_of_the_first_screen() -> None:
    from bench.graph import plan
    from bench.profiles import SMOKE_IMAGES
    from bench.recipe import load

    words = {"two": 2, "three": 3, "five": 5, "ten": 10}
    library = load(REPO / "recipes")
    (paper, smoke) = (plan(library, ["ffdwv-table3"], profile) for profile in ("paper", "smoke"))
    ((seeds, epochs),) = re.findall(r"(\w+) seeds of every row, (\d+) epochs each", README)
    assert {len(of_row) for of_row in paper.rows.values()} == {words[seeds]}
    assert {run.stage.schedule.epochs for run in paper.runs.values()} == {int(epochs)}
    ((seeds, steps),) = re.findall(r"(\w+) seeds of every row, (\d+) training steps each", README)
    assert {len(of_row) for of_row in smoke.rows.values()} == {words[seeds]}
    schedules = [run.stage.schedule for run in smoke.runs.values()]
    assert {SMOKE_IMAGES // schedule.batch * schedule.epochs for schedule in schedules} == {int(steps)}


def test_the_readme_is_short() -> None:
    text = PRINTED.sub("", README)
    assert len(text.split()) < 700


def test_a_table(tried: dict[str, Tried]) -> None:
    table = tried["table"]
    assert "all is well" in table.printed["kdbench check"]
    assert "pair/kd seed 2  teacher: pair/teacher seed 1" in table.printed["kdbench run pair --dry-run"]
    assert "depth 56" in table.printed["kdbench cost pair"]
    record = table.record("pair/student")
    assert (record["status"], record["profile"], record["warnings"]) == ("done", "smoke", [])
    assert record["flops"] > 0
    report = table.printed["kdbench report pair --profile smoke"]
    for text in ("30.94", "not a result", "KD improves the student: no runs yet"):
        assert text in report


def test_a_method(tried: dict[str, Tried]) -> None:
    method = tried["method"]
    assert "1 passed" in method.printed["python -m pytest tests/test_confidence_penalty.py"]
    record = method.record("pair/confidence-penalty")
    assert record["recipe"]["method"] == {"name": "confidence_penalty", "params": {"beta": 0.1}}
    assert record["versions"]["method confidence_penalty"] == 1
    assert (record["status"], record["profile"], record["warnings"]) == ("done", "smoke", [])
    for epoch in record["curve"]:
        (network,) = epoch["networks"]
        assert network["loss"]["ce"] > 0
        assert -0.1 * 4.61 < network["loss"]["penalty"] < 0  # the entropy of 100 classes is at most log 100
    report = method.printed["kdbench report pair --profile smoke"]
    assert "ResNet-20 + confidence" in report
    assert "β = 0.1 under the recipe of this table" in report


def test_a_network(tried: dict[str, Tried]) -> None:
    record = tried["network"].record("pair/convmixer")
    assert (record["status"], record["warnings"]) == ("done", [])
    assert record["versions"]["network convmixer"] == 1
    # 2x2 patches of 3 channels; 4 blocks of 5x5 depthwise and 64 pointwise products; 100 classes.
    macs = 16 * 16 * 64 * (12 + 4 * (25 + 64)) + 64 * 100
    assert f"{macs:,}" in tried["network"].printed["kdbench cost pair"]


def test_a_schedule_and_an_optimiser(tried: dict[str, Tried]) -> None:
    polynomial, lion = tried["schedule"].record("pair/polynomial"), tried["optimizer"].record("pair/lion")
    assert (polynomial["status"], polynomial["warnings"]) == (lion["status"], lion["warnings"]) == ("done", [])
    assert polynomial["recipe"]["schedule"]["decay"] == {"name": "polynomial", "params": {"power": 0.9}}
    assert lion["versions"]["optimizer lion"] == 1


def test_a_data_set(tried: dict[str, Tried]) -> None:
    stripes = tried["dataset"]
    assert "300 training and 210 test images" in stripes.printed["kdbench prepare stripes"]
    record = stripes.record("pair/stripes")
    assert (record["status"], record["profile"], record["warnings"]) == ("done", "paper", [])
    assert record["recipe"]["data"]["set"] == "stripes"
    assert [epoch["epoch"] for epoch in record["curve"]] == [1, 2]


def test_a_metric(tried: dict[str, Tried]) -> None:
    record = tried["metric"].record("seg/alone")
    assert (record["status"], record["warnings"]) == ("done", [])
    assert record["versions"]["metric balanced_accuracy"] == 1
    assert record["plugins"]["metric balanced_accuracy"]["name"] == "balanced.py"
    (result,) = record["results"]
    assert result["scores"]["balanced_accuracy"]["last"] == pytest.approx(100 / 6, abs=1e-3)  # all is ground still
    assert "Mean over the classes of the top-1 test accuracy" in tried["metric"].printed[
        "kdbench report seg --profile smoke"
    ].replace("\n", " ")


def test_a_project(tried: dict[str, Tried]) -> None:
    printed = tried["project"].printed
    assert "What I try" in printed["kdbench list"]
    assert "ffdwv-table3" in printed["kdbench list"]
    teacher = "teacher: ffdwv-table2/resnet110-cifar100 seed 1"
    assert f"mine/kd seed 2  {teacher}" in printed["kdbench run mine --dry-run"]
    assert (
        f"mine/logit-distance seed 1  {teacher}" in printed["kdbench run mine --row logit-distance --seed 1 --dry-run"]
    )


def test_from_python(tried: dict[str, Tried]) -> None:
    first, second = (output for _, _, output in tried["api"].results)
    assert "pair/teacher 1 paper-" in first
    record = tried["api"].record("pair/student")
    assert f"done {record['results'][0]['last_error']}" in first
    assert "'ResNet-20': 'no runs yet'" in first
    assert f"torch.Size([4, 100]) {record['results'][0]['last_error']}" in second


def test_the_examples_obey_the_house_style(tried: dict[str, Tried]) -> None:
    ruff = str(Path(sys.executable).with_name("ruff"))
    config = [
        "--config",
        str(REPO / "pyproject.toml"),
        "--config",
        "lint.isort.known-first-party = ['bench', 'plugins']",
    ]
    for command in (["check"], ["format", "--check"]):
        words = [ruff, *command, "--no-cache", *config]
        for folder in [page.folder for page in tried.values() if [*page.folder.rglob("*.py")]]:
            done = subprocess.run([*words, "."], cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout


def code(page: str) -> list[str]:
    """Every code span and every line of a shell block of a page, without comments and what commands print."""
    text = PRINTED.sub("", PAGES[page])
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return lines + re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


CODE = {page: code(page) for page in PAGES}


def test_commands_and_their_options_exist() -> None:
    import typer.main

    from bench.cli import gpu
    from bench.cli.commands import app

    known = options(typer.main.get_command(app), "kdbench")
    known["kdbench gpu"] = {*gpu.parser()._option_string_actions}
    lines = [line for page in PAGES for line in CODE[page] if line.startswith("kdbench ")]
    named = {line: max((name for name in known if line.startswith(name)), key=len) for line in lines}
    assert {named[line] for line in CODE["docs/commands.md"] if line in named} >= {*known}, "it has every command"
    for line, name in named.items():
        placeholder = "kdbench COMMAND" if name == "kdbench" else name
        assert name != "kdbench" or line.startswith(("kdbench -", placeholder)), line
        assert {word for word in line.split() if word.startswith("-")} <= known[name], line


def options(command: Any, name: str) -> dict[str, set[str]]:
    """The options of a command and of those below it, by what a person types."""
    own = {option for parameter in command.params for option in parameter.opts} | {"--help", "-h"}
    below = getattr(command, "commands", {}).items()
    found = {key: value for word, each in below for key, value in options(each, f"{name} {word}").items()}
    return found if below and name != "kdbench" else {name: own} | found


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (REPO / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {page: {line.split()[1] for line in CODE[page] if line.startswith("make ")} for page in PAGES}
    assert named["docs/commands.md"] == targets
    assert set.union(*named.values()) == targets


# Written by running, or by following the examples.
MADE = (
    "results/runs",
    "results/tables",
    "results/site",
    "results/artifacts",
    "results/checkpoints",
    "results/locks",
    "build",
    "data",
    ".venv",
)


@pytest.mark.parametrize("page", PAGES)
def test_files_and_links_exist(page: str) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGES[page]):
        assert ((REPO / page).parent / link).exists(), link
    written = {place for action, place, _ in steps(page)}
    roots = {path.name for path in REPO.iterdir()} - {"recipes", "plugins"}  # those are of a user's project, mostly
    spans = {span for span in CODE[page] if "/" in span and not set(span) & set(" <*") and span.split("/")[0] in roots}
    for name in spans - written:
        assert name.startswith(MADE) or "NAME" in name or (REPO / name).exists(), name


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(([^)#]+)\)", README))
    assert linked >= {page for page in PAGES if page != "README.md"} | {"CITATION.cff", "LICENSE"}


def test_the_layers_are_those_of_the_contract() -> None:
    (block,) = re.findall(r"<!-- layers -->\n```text\n(.*?)```", PAGES["docs/design.md"], re.DOTALL)
    with (REPO / "pyproject.toml").open("rb") as file:
        (contract,) = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    layers = [name.strip() for layer in contract["layers"] for name in layer.split("|")]
    assert [line.split()[0] for line in block.splitlines()] == layers


def test_the_version_is_that_of_the_package() -> None:
    cited = re.findall(r"^version: (.*)$", (REPO / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    changes = re.findall(r"^## (\d+\.\d+\.\d+)", PAGES["CHANGELOG.md"], re.MULTILINE)
    assert [__version__] == cited == changes[:1]


if __name__ == "__main__":
    (REPO / "README.md").write_text(PRINTED.sub(lambda t: t[1] + printed(t[2]) + t[4], README), encoding="utf-8")
