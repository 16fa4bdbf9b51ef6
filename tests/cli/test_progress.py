"""What a person sees of a run, in a terminal and in a file."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli import progress
from bench.cli.bars import Bars
from bench.cli.progress import Lines, duration, measured
from bench.cost import Cost
from bench.graph import Run, plan
from bench.metrics import Accuracy, ErrorRate
from bench.pace import Session
from bench.recipe import load
from tests.handmade import record

ENTRY = {"epoch": 1, "networks": [{"loss": {"ce": 1.5, "kd": 0.25}, "test_error": 40.0}]}


@pytest.fixture
def run(project: Path) -> Run:
    return plan(load(project / "recipes"), ["tiny"], "paper").rows["tiny", "kd"][2]


@pytest.fixture
def other(project: Path) -> Run:
    return plan(load(project / "recipes"), ["tiny"], "paper").rows["tiny", "kd"][1]


@pytest.fixture
def session(project: Path, run: Run, other: Run) -> Session:
    return Session([run, other], Counted(), load(project / "recipes"))


class Counted:
    """Every network costs as much."""

    def get(self, *_: object) -> Cost:
        return Cost(1_000_000, 1000)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A terminal of 120 columns."""
    screen = Screen()
    monkeypatch.setattr("bench.cli.bars.terminal", lambda: screen)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    return screen


def begin(watcher: Lines | Bars, run: Run) -> None:
    told = watcher.begin(run, 1, 3)
    told.step(1, 5, 5)
    told.epoch(ENTRY, 4, 1234.5, 61.0)
    told.warn("look out")


def watch(lines: Lines, run: Run, other: Run) -> None:
    begin(lines, run)
    lines.skip(other, "another process is training it")
    lines.end(run, record(run))


def untimed(text: str) -> list[str]:
    """The lines of a log, each of which begins with the time of day."""
    lines = text.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines)
    return [line[9:] for line in lines]


def test_from_the_tenth_step_on_a_log_says_how_long_the_run_and_all_runs_take(run, other, session, capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    lines = Lines(session)
    told = lines.begin(run, 1, 2)
    for step in range(1, 11):
        told.step(1, step, 11)
    *_, ninth, tenth = untimed(capsys.readouterr().out)
    assert ninth == "    epoch 1: step 9/11"
    assert re.fullmatch(r"    epoch 1: step 10/11  \d+\.\d s left, \d+\.\d s for all 2 runs", tenth)


def test_the_table_says_whether_it_is_error_or_accuracy(run, other, session, screen, capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    session.metrics["tiny"] = Accuracy()
    lines = Lines(session)
    begin(lines, run)
    lines.end(run, record(run))
    out = capsys.readouterr().out
    assert "loss 1.750  accuracy 60.00 %" in out
    assert "tiny/kd seed 2: accuracy 70.00 (best 70" in out
    assert "error" not in out
    with Bars(session) as bars:
        begin(bars, other)
    assert "accuracy 60.00 %" in screen.getvalue()


def test_bars_show_the_run_its_rate_and_the_time_left(run, session, screen):
    with Bars(session) as bars:
        begin(bars, run)
    measured = ("loss 1.750", "error 40.00 %", "1,234 images/s", "61 s left")
    for said in ("tiny/kd seed 2", "0/3", "5/20", "epoch 1/4", "tiny/kd seed 2: WARNING: look out", *measured):
        assert said in screen.getvalue()


def test_lines_begin_and_end_each_run_and_nothing_is_said_too_often(run, other, session, capsys):
    watch(Lines(session), run, other)
    lines = untimed(capsys.readouterr().out)
    assert lines[0] == "[1/3] tiny/kd seed 2 ..."
    assert lines[1:3] == ["    WARNING: look out", "    tiny/kd seed 1: left out, another process is training it"]
    assert lines[3].startswith("    tiny/kd seed 2: error ")
    assert len(lines) == 4


def test_a_long_run_is_told_of_now_and_then(run, other, session, capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    watch(Lines(session), run, other)
    lines = untimed(capsys.readouterr().out)
    assert "    epoch 1: step 5/5" in lines
    assert "    epoch 1/4: loss 1.750  error 40.00 %  1,234 images/s  61 s left" in lines


def test_lines_name_their_run_while_there_are_others(run, other, session, capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    lines = Lines(session)
    told, _ = lines.begin(run, 1, 2), lines.begin(other, 2, 2)
    told.step(1, 5, 5)
    lines.end(other, record(other))
    told.step(2, 5, 5)
    lines = untimed(capsys.readouterr().out)
    assert "    tiny/kd seed 2, epoch 1: step 5/5" in lines
    assert any(line.startswith("    epoch 2: step 5/5") for line in lines)


def test_bars_show_one_line_for_each_run_that_goes_on(run, other, session, screen):
    bars = Bars(session)

    def shown():
        return [(task.description, task.completed, task.total) for task in bars.progress.tasks]

    told = [bars.begin(run, 1, 2), bars.begin(other, 2, 2)]
    told[0].step(1, 5, 5)
    told[1].step(2, 5, 5)
    assert shown() == [("all", 0, 2), ("tiny/kd seed 2", 5, 20), ("tiny/kd seed 1", 10, 20)]
    bars.end(run, record(run))
    assert shown() == [("all", 1, 2), ("tiny/kd seed 1", 10, 20)]
    assert "tiny/kd seed 2: error 30.00" in screen.getvalue()


def test_a_loss_that_is_no_number():
    entry = {"networks": [{"loss": {"ce": None, "kd": 1.0}, "test_error": 90.0}]}
    assert measured(entry, ErrorRate()) == "loss NaN  error 90.00 %"
    assert measured(entry, Accuracy()) == "loss NaN  accuracy 10.00 %"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.04, "0.0 s"), (61, "61 s"), (600, "10.0 min"), (7200, "2.0 h"), (2e5, "2.3 d")]
)
def test_durations_are_said_as_people_do(seconds, said):
    assert duration(seconds) == said


def test_bars_show_what_a_run_is_called_and_obey_none_of_it(run, session, screen):
    named = replace(run, name="tiny/[/red]\x1b[2J")
    with Bars(session) as bars:
        bars.begin(named, 1, 1).warn("a \u202egninraw")
        bars.skip(named, "as it is")
    assert "\x1b[2J" not in screen.getvalue()
    assert "tiny/[/red]\\x1b[2J seed 2: WARNING: a \\u202egninraw" in screen.getvalue()
    assert "tiny/[/red]\\x1b[2J seed 2: left out, as it is" in screen.getvalue()
