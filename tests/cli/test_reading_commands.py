"""The commands that only read: what they print, how they fail, and that none of them waits for torch."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import __version__
from bench.graph import Run, plan
from bench.recipe import load
from bench.record import Record
from bench.store import Store
from tests.handmade import SMALL, changed, epoch, record, write

REPO = Path(__file__).parents[2]
COMMANDS = [
    "list",
    "check",
    "verify",
    "run",
    "report",
    "audit",
    "coverage",
    "survey",
    "cost",
    "estimate",
    "prepare",
    "gpu",
    "collect",
    "site",
    "plot",
]
FIGURES = ["similarity", "temperature", "impressions", "curves"]
SIMILARITY = ["figure", "similarity", "cifar10"]
Kdbench = Callable[..., tuple[int, str, str]]


def test_list_tells_how_much_of_each_table_is_done(kdbench: Kdbench, tmp_path: Path) -> None:
    runs = plan(load(write(tmp_path)), ["small"], "paper").runs
    Store(tmp_path / "results").add(record(next(iter(runs.values()))))
    code, out, err = kdbench("list")
    assert (code, err) == (0, "")
    assert ["small", "7", f"1/{len(runs)}"] in [line.split()[:3] for line in out.splitlines()]


def test_check_counts_what_it_has_read(kdbench: Kdbench, tmp_path: Path) -> None:
    found = load(REPO / "recipes", write(tmp_path))
    rows = sum(len(table.rows) for table in found.tables.values())
    runs = len(plan(found, found.tables, "paper").runs)
    assert kdbench("check") == (0, f"{len(found.tables)} tables, {rows} rows, {runs} runs: all is well\n", "")


@pytest.mark.parametrize("form", ["text", "markdown", "latex", "csv", "json"])
def test_report_in_each_format(kdbench: Kdbench, form: str) -> None:
    code, out, err = kdbench("report", "ffdwv-table3", "--format", form)
    assert (code, err) == (0, "")
    assert "28.83" in out
    if form == "json":
        assert json.loads(out)["table"] == "ffdwv-table3"
    if form == "csv":
        lines = list(csv.reader(out.splitlines()))
        assert len({len(line) for line in lines if line}) == 1


def test_report_without_a_format_is_text(kdbench: Kdbench) -> None:
    assert kdbench("report", "ffdwv-table3") == kdbench("report", "ffdwv-table3", "--format", "text")


def test_a_report_fits_the_columns_that_there_are(kdbench: Kdbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    full = kdbench("report", "efficiency")[1]
    for columns in (100, 80, 44):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert max(map(len, kdbench("report", "efficiency")[1].splitlines())) <= columns
        for command in (["coverage"], ["list", "efficiency"], ["list"]):
            room = max(columns, 48) if command == ["list"] else columns
            said = kdbench(*command)[1].partition("\n\n")[0]
            assert max(map(len, said.splitlines())) <= room, command
    for columns in ("", "0", "wide"):
        monkeypatch.setenv("COLUMNS", columns)
        assert kdbench("report", "efficiency")[1] == full


def test_a_report_in_brief_and_of_some_rows(kdbench: Kdbench) -> None:
    code, brief, err = kdbench("report", "efficiency", "--brief", "--row", "fashion-teacher", "--row", "mnist-teacher")
    assert (code, err) == (0, "")
    assert "Claims:" in brief
    assert brief.count("Teacher (CNN)") == 2
    assert "Student, T = 10" not in brief.partition("Verdict")[2]
    assert "Notes" not in brief
    page = kdbench("report", "efficiency", "--row", "fashion-teacher", "--format", "html")[1]
    assert (
        page.count('class="label"') <= 1
        or "LeNet-5-Half" not in page.partition('id="table"')[2].partition("</table>")[0]
    )


def test_a_page_can_be_written_too(kdbench: Kdbench, tmp_path: Path) -> None:
    page = kdbench("report", "zskd", "--format", "html")[1]
    code, out, _ = kdbench("report", "zskd", "--format", "html", "--write")
    assert (code, out) == (0, f"written to {tmp_path / 'results' / 'site' / 'zskd.html'}\n")
    assert (tmp_path / "results" / "site" / "zskd.html").read_text(encoding="utf-8") == page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--write", "--row", "mnist-zskd"], "--write is for a whole table"),
        (["--write", "--brief"], "--write is for a whole table"),
        (["--write", "--format", "csv"], "--write is for a whole table"),
        (["--brief", "--format", "json"], "--brief is for people"),
        (["--brief", "--format", "html"], "a page has everything"),
        (["--row", "mnist-zksd"], "no row 'mnist-zksd' in zskd; did you mean 'mnist-zskd'?"),
    ],
)
def test_what_a_report_cannot_be(kdbench: Kdbench, options: list[str], message: str) -> None:
    code, out, err = kdbench("report", "zskd", *options)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_report_writes_the_table_in_the_project(kdbench: Kdbench, tmp_path: Path) -> None:
    code, _, _ = kdbench("report", "ffdwv-table2", "--write")
    written = (tmp_path / "results" / "tables" / "ffdwv-table2.md").read_text(encoding="utf-8")
    assert code == 0
    assert written.strip() == kdbench("report", "ffdwv-table2", "--format", "markdown")[1].strip()


def test_audit_of_one_table_and_of_all(kdbench: Kdbench, tmp_path: Path) -> None:
    code, out, err = kdbench("audit", "ffdwv-table3")
    assert (code, err) == (0, "")
    assert "cost-floor: ffdwv-table3/ffdwv-resnet32.trcost (trcost 0.97, tecost 1.38)\n  A training step" in out
    assert out.endswith("found in the published numbers of 1 table\n")
    write(tmp_path)
    assert kdbench("audit", "small") == (0, "nothing found in the published numbers of 1 table\n", "")
    code, everything, _ = kdbench("audit")
    assert out.rpartition("\n\n")[0] in everything
    assert code == 0


def test_audit_as_json(kdbench: Kdbench) -> None:
    code, out, _ = kdbench("audit", "efficiency", "--format", "json")
    found = {finding["cell"]: finding for finding in json.loads(out)}
    assert code == 0
    assert found["efficiency/fashion-student.accuracy"].keys() == {"rule", "cell", "numbers", "sentence"}
    assert found["efficiency/fashion-student.accuracy"]["numbers"] == {
        "printed": 98.15,
        "error": 1.85,
        "other error": 9.22,
    }


def test_coverage_counts_the_numbers_of_each_paper(kdbench: Kdbench, tmp_path: Path) -> None:
    write(tmp_path)
    code, out, err = kdbench("coverage")
    assert (code, err) == (0, "")
    (line,) = [line for line in out.splitlines() if line.startswith("Nobody et al.")]
    # An error to be trained and a size that was never counted.
    assert line.split()[-7:] == ["2", "0", "1", "1", "0", "1", "0"]


@pytest.mark.parametrize("form", ["text", "markdown", "csv", "json"])
def test_survey_in_each_format(kdbench: Kdbench, form: str) -> None:
    code, out, err = kdbench("survey", "--format", form)
    assert (code, err) == (0, "")
    assert "Variational Information Distillation" in out
    if form == "text":
        assert kdbench("survey") == (0, out, "")
    if form == "json":
        assert len(json.loads(out)["works"]) == 19


def test_cost_tells_each_network_once_for_a_set(kdbench: Kdbench) -> None:
    code, out, _ = kdbench("cost", "ffdwv-table3")
    assert code == 0
    assert [line.split()[-5:] for line in out.splitlines()[2:4]] == [
        ["cifar100", "472,756", "69,130,496", "1.3826", "1.8910"],
        ["cifar100", "1,736,564", "253,155,584", "5.0631", "6.9463"],
    ]


@pytest.mark.parametrize("columns", [100, 80, 56])
def test_costs_and_what_an_estimate_says_fit_the_columns_that_there_are(
    columns: int, kdbench: Kdbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for command in ("cost", "ffdwv-table3"), ("estimate", "efficiency", "--device", "cpu"):
        code, out, err = kdbench(*command)
        assert code == 0, err
        assert max(map(len, out.splitlines())) <= columns, command
    for row in ("fashion-student-kd", "cifar10-teacher"):
        assert f"{row}: " in out
    assert "multiply-adds" in kdbench("cost", "ffdwv-table3")[1]


def test_cost_counts_what_quantised_weights_take_and_the_report_shows_it(project: Path, kdbench: Kdbench) -> None:
    recipe = project / "recipes" / "tiny" / "table.yaml"
    weights = "weights: {uniform: {ends: quantised, bits: 4, bucket: 256}}"
    text = recipe.read_text().replace("columns: [error, trcost, tecost]", "columns: [error, size]")
    recipe.write_text(text.replace("method: vanilla,", f"method: vanilla, {weights},"), encoding="utf-8")
    code, out, err = kdbench("cost", "tiny")
    assert code == 0, err
    named = [line for line in out.splitlines() if line.startswith("resnet")]
    quantised = [line for line in named if "uniform (ends quantised, bits 4, bucket 256)" in line]
    full = [line for line in named if "uniform" not in line]
    assert (len(quantised), len(full)) == (1, 1)
    parameters = int(full[0].split()[-4].replace(",", ""))
    small, large = float(quantised[0].split()[-1]), float(full[0].split()[-1])
    assert large == pytest.approx(parameters * 4 / 1e6, abs=1e-4)
    # Half a byte each, and eight for every bucket; most tensors fill their last one in part.
    assert parameters / 2 + 8 * parameters / 256 < small * 1e6 < parameters
    report = kdbench("report", "tiny", "--format", "csv")[1].splitlines()
    column = report[0].split(",").index("size_derived")
    sizes = {line.split(",")[1]: float(line.split(",")[column]) for line in report[1:]}
    assert sizes["vanilla"] == pytest.approx(small, abs=1e-4)
    assert sizes["kd"] == sizes["dml"] == pytest.approx(large, abs=1e-4)


def test_similarity_prints_a_small_set_whole(kdbench: Kdbench) -> None:
    code, out, _ = kdbench(*SIMILARITY)
    rows = [line.split() for line in out.splitlines()[2:]]
    assert code == 0
    assert len(rows) == 10
    assert all(abs(sum(map(float, row[1:])) - 1) < 0.01 for row in rows)


def test_similarity_as_csv_and_figure(kdbench: Kdbench, tmp_path: Path) -> None:
    named = ("--csv", "a.csv", "--figure", "a.svg", "--figure", "a.png")
    code, out, _ = kdbench(*SIMILARITY, *named)
    lines = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()
    assert code == 0
    assert len([line for line in lines if not line.startswith("#")]) == 11
    assert "<svg" in (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "# made by: kdbench figure similarity cifar10" in lines
    assert "heat map drawn in a.svg" in out


def gone(run: Run, *epochs: tuple[float | None, float]) -> Record:
    """A record of a run that went so: cross-entropy and test error after each epoch."""
    curve = [epoch(number, error) for number, (_, error) in enumerate(epochs, start=1)]
    for entry, (loss, _) in zip(curve, epochs, strict=True):
        entry["networks"][0]["loss"]["ce"] = loss
    return record(run, curve=curve)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """The small recipe, with short records of a row of two stages and of a plain one."""
    planned = plan(load(write(tmp_path)), ["small"], "short", rows=["plain", "staged"], seeds=[1]).runs.values()
    runs, store = {run.name: run for run in planned}, Store(tmp_path / "results")
    store.add(gone(runs["small/staged.warm"], (4.5, 99.0)))
    store.add(gone(runs["small/staged"], (3.0, 60.0)))
    store.add(gone(runs["small/plain"], (3.5, 70.0)))
    return tmp_path


def test_curves_of_a_row_of_a_stage_of_it_and_in_a_figure(kdbench: Kdbench, trained: Path) -> None:
    named = ("small/staged#1", "small/plain#1", "--loss", "small/staged.warm#1", "--profile", "short")
    code, out, err = kdbench("figure", "curves", *named, "--figure", "curves.svg")
    assert (code, err) == (0, "")
    # A tenth of 100 iterations, and of 10 epochs of 1000 steps.
    assert [line.split() for line in out.splitlines()[2:5]] == [
        ["Loss,", "mean", "over", "the", "epoch", "small/staged.warm:", "ce", "#1", "4.5", "4.5", "10"],
        ["Test", "error", "(%)", "small/staged", "#1", "60", "60", "1,000"],
        ["Test", "error", "(%)", "small/plain", "#1", "70", "70", "1,000"],
    ]
    drawn = (trained / "curves.svg").read_text(encoding="utf-8")
    assert "A small table" in drawn
    assert "short profile: not a result of the paper" in drawn


def test_curves_of_a_run_that_diverged_end_in_nan(kdbench: Kdbench, tmp_path: Path) -> None:
    (run,) = plan(load(write(tmp_path)), ["small"], "paper", rows=["plain"], seeds=[2]).runs.values()
    Store(tmp_path / "results").add(gone(run, (3.5, 70.0), (None, 99.0)))
    code, out, _ = kdbench("figure", "curves", "--loss", "small/plain#2")
    assert (code, out.split()[-3:]) == (0, ["3.5", "nan", "2,000"])


def test_what_a_record_calls_a_loss_steers_no_terminal(kdbench: Kdbench, tmp_path: Path) -> None:
    (run,) = plan(load(write(tmp_path)), ["small"], "paper", rows=["plain"], seeds=[2]).runs.values()
    networks = [{"loss": {"\x1b[2J\u202ece": 1.0}, "train_error": 1.0, "test_error": 1.0}]
    Store(tmp_path / "results").add(record(run, curve=[{**epoch(1), "networks": networks}]))
    code, out, _ = kdbench("figure", "curves", "--loss", "small/plain#2")
    assert (code, "small/plain: \\x1b[2J\\u202ece" in out, "\x1b" in out) == (0, True, False)


@pytest.mark.parametrize("arguments", [["report", "\x1b[2J"], ["list", "--\x1b[2J"], ["gpu", "--\x1b[2J"]])
def test_what_is_typed_steers_no_terminal(kdbench: Kdbench, arguments: list[str]) -> None:
    code, _, err = kdbench(*arguments)
    assert (code, "\\x1b[2J" in err, "\x1b" in err) == (2, True, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a run, as in efficiency/mnist-teacher#1"),
        (["small/plain"], "'small/plain' names no run; write TABLE/ROW#SEED, as in efficiency/mnist-teacher#1"),
        (["small/plain#2"], "small/plain#2 has no record; `kdbench run small/plain#2 --profile short` trains it"),
        (["small/staged.worm#1"], "row 'staged' of small has no stage 'worm'; did you mean 'warm'?"),
        (["small/nothing#1"], "row 'nothing' of small has no run of seed 1"),
    ],
)
def test_curves_that_cannot_be_shown(kdbench: Kdbench, trained: Path, arguments: list[str], message: str) -> None:
    assert kdbench("figure", "curves", *arguments, "--profile", "short") == (2, "", f"kdbench: {message}\n")


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("command", [*COMMANDS, *(f"figure {name}" for name in FIGURES)])
def test_help(kdbench: Kdbench, command: str, option: str) -> None:
    code, out, err = kdbench(*command.split(), option)
    assert (code, err) == (0, "")
    assert f"kdbench {command}" in out.splitlines()[0]
    *group, name = command.split()
    assert f"  {name}" in kdbench(*group, option)[1]


def test_version(kdbench: Kdbench) -> None:
    assert kdbench("--version") == (0, f"kdbench {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "ffdwv-table4"], "no table 'ffdwv-table4'; did you mean 'ffdwv-table3'?"),
        (["audit", "eficiency"], "no table 'eficiency'; did you mean 'efficiency'?"),
        (["cost", "fdwv-table3"], "no table 'fdwv-table3'; did you mean 'ffdwv-table3'?"),
        (["figure", "similarity", "cifar11"], "no word distances for 'cifar11'; did you mean 'cifar10'?"),
        ([*SIMILARITY, "--table", "x"], "no table 'x'; known: crd-small, "),
        ([*SIMILARITY, "--length", "unit"], "--length, --distance and --distances need --vectors FILE"),
        ([*SIMILARITY, "--figure", "a.xyz"], "a.xyz: a figure is drawn as .png, .svg or .pdf"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(kdbench: Kdbench, arguments: list[str], message: str) -> None:
    code, _, err = kdbench(*arguments)
    assert code == 2
    assert err.startswith("kdbench: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("number", ["nan", "inf", "-1", "0", "1e-320", "1e400"])
def test_a_temperature_or_a_budget_that_is_none(kdbench: Kdbench, number: str) -> None:
    message = "kdbench: a temperature is a number from 1e-18 to 1e+18\n"
    assert kdbench("figure", "temperature", "efficiency/mnist-teacher#1", f"--at={number}") == (2, "", message)
    if number != "1e-320":
        code, _, err = kdbench("gpu", f"--budget={number}")
        assert (code, f"--budget: {number} is no number of seconds above 0" in err) == (2, True)


@pytest.mark.parametrize(
    "command", [["list"], ["check"], ["report", "small"], ["audit"], ["coverage"], ["cost"], SIMILARITY]
)
def test_a_broken_recipe_is_one_line_with_its_place(kdbench: Kdbench, tmp_path: Path, command: list[str]) -> None:
    write(tmp_path, changed(SMALL, ("metric: error\n", "metrc: error\n")))
    message = "kdbench: recipes/paper/table.yaml:4: table: unknown key 'metrc'; did you mean 'metric'?\n"
    assert kdbench(*command) == (2, "", message)


def test_a_corrupted_record_is_one_line_with_its_place(kdbench: Kdbench, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "results" / "runs").mkdir(parents=True)
    (tmp_path / "results" / "runs" / "paper-1.json").write_text("{")
    code, out, err = kdbench("list")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "runs/paper-1.json: not a record" in err


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["report"], ["report", "ffdwv-table2", "--format", "pdf"], ["list", "--nonsense"]]
)
def test_a_command_line_that_cannot_be_parsed_has_exit_code_2(kdbench: Kdbench, arguments: list[str]) -> None:
    code, out, err = kdbench(*arguments)
    assert (code, out) == (2, "")
    assert "Usage: " in err
    assert "Traceback" not in err


WITHOUT_TORCH = """
import sys
from bench.cli.app import main
for line in sys.argv[1].split(";"):
    sys.argv = ["kdbench", *line.split()]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, (line, ended.code)
    assert "torch" not in sys.modules, line
"""
READING = (
    "--help;list;check;report ffdwv-table2;report ffdwv-table3 --format json;audit;coverage;survey;cost;"
    "figure similarity cifar10 --figure a.svg;run dml-table2 --profile paper --dry-run;"
    "figure curves dml-table2/dml#1 --figure b.svg;report dml-table2 --format html;site dml-table2;"
    "plot dml-table2 --figure c.png"
)


def test_no_reading_command_imports_torch(tmp_path: Path) -> None:
    planned = plan(load(REPO / "recipes"), ["dml-table2"], "paper", rows=["dml"], seeds=[1])
    Store(tmp_path / "results").add(record(planned.rows["dml-table2", "dml"][1]))
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(REPO)!r})\n{WITHOUT_TORCH}", READING]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
