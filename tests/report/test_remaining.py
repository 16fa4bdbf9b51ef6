from pathlib import Path

import pytest

from bench.graph import Graph, Run, plan
from bench.record import Result
from bench.report import remaining as module
from bench.report.details import details
from bench.report.remaining import Remaining, devices_here, left, remaining, remaining_rows, state_of
from bench.store import Store
from tests import handmade
from tests.report.pages import FakeCosts

HERE = ["Imaginary GPU"]


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    return plan(handmade.library(tmp_path), ["small"], "paper", rows=["plain", "kd"])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def seeds(graph: Graph, row: str) -> list[Run]:
    return [*graph.rows["small", row].values()]


def test_a_run_takes_as_long_as_its_row_did_here(graph: Graph, store: Store) -> None:
    first, second, third = seeds(graph, "plain")
    store.add(handmade.record(first, seconds=100.0, flops=10**12, side_by_side=2))
    store.add(handmade.record(second, seconds=150.0, flops=10**12))
    assert remaining([first, second, third], store, FakeCosts(), HERE) == Remaining(
        {"done": 2, "missing": 1}, seconds=100.0, rates=2, unknown=0
    )


def test_another_row_goes_at_the_rate_of_the_same_network_and_no_other(graph: Graph, store: Store) -> None:
    (plain, *_), (kd, *_) = seeds(graph, "plain"), seeds(graph, "kd")
    store.add(handmade.record(plain, seconds=100.0, flops=10**12))
    # Each of 500,000 images goes through a student three times and a teacher, of twice as many multiply-adds, once.
    flops = 500_000 * 2 * (3 * 25_000_000 + 50_000_000)
    said = remaining([kd, kd.sources["teacher"]], store, FakeCosts(), HERE)
    assert (said.seconds, said.rates, said.unknown) == (pytest.approx(flops / 1e12 * 100), 1, 1)


@pytest.mark.parametrize(
    "said", [{"device": "Another GPU"}, {"device": "Imaginary GPU 2"}, {"profile": "smoke", "key": "other"}]
)
def test_what_was_made_elsewhere_or_for_a_try_is_no_rate(graph: Graph, store: Store, said: dict[str, str]) -> None:
    first, second, _ = seeds(graph, "plain")
    store.add(handmade.record(first, seconds=100.0, flops=10**12, **said))
    assert remaining([second], store, FakeCosts(), HERE) == Remaining({"missing": 1}, 0.0, rates=0, unknown=1)


def test_a_row_takes_what_its_own_stages_take(tmp_path: Path, store: Store) -> None:
    library = handmade.library(tmp_path)
    graph = plan(library, ["small"], "paper")
    rows = {row.row: row for row in remaining_rows(library.table("small"), graph, store, FakeCosts(), HERE)}
    staged = [*graph.rows["small", "staged"].values()]
    assert rows["staged"].seeds == {"missing": len(staged)}
    # Its first stage is one run for all seeds; the teacher is that of another row.
    assert rows["staged"].left.states == {"missing": len(staged) + 1}
    assert (rows["nothing"].planned, rows["nothing"].left.states) == (0, {})
    with store.lock(staged[0].sources["init"]) as mine:
        assert mine
        (again,) = [
            row
            for row in remaining_rows(library.table("small"), graph, store, FakeCosts(), HERE)
            if row.row == "staged"
        ]
    assert again.seeds == {"running": len(staged)}


def test_threads_do_not_make_another_processor(graph: Graph, store: Store) -> None:
    first, second, _ = seeds(graph, "plain")
    store.add(handmade.record(first, seconds=100.0, device="Some CPU, 1 threads"))
    assert remaining([second], store, FakeCosts(), ["Some CPU"]).seconds == 100.0


def test_how_far_a_run_is(graph: Graph, store: Store) -> None:
    run, old, diverged = seeds(graph, "plain")
    store.add(handmade.record(old, id="paper-0", versions={"engine": 0}))
    store.add(handmade.record(diverged, status="diverged"))
    assert [state_of(each, store) for each in (run, old, diverged)] == ["missing", "older version", "diverged"]
    store.checkpoint(run).parent.mkdir(parents=True)
    store.checkpoint(run).write_bytes(b"any")
    assert state_of(run, store) == "begun"


def test_a_run_that_somebody_holds_is_running(graph: Graph, store: Store) -> None:
    run = seeds(graph, "plain")[0]
    with store.lock(run) as mine:
        assert mine
        assert state_of(run, store) == "running"
    assert state_of(run, store) == "missing"


def test_where_the_system_tells_nothing_there_is_one_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("_CPU", "_GPUS"):
        monkeypatch.setattr(module, name, tmp_path / "none")
    assert len(devices_here()) == 1


def test_a_gpu_is_called_as_records_call_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "0000:00:00.0").mkdir()
    (tmp_path / "0000:00:00.0" / "information").write_text("Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 1\n")
    monkeypatch.setattr(module, "_GPUS", tmp_path)
    assert devices_here() == ["NVIDIA H100 80GB HBM3"]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (Remaining({"done": 3}, 0.0, 0, 0), "Nothing is left to run."),
        (
            Remaining({"missing": 3}, 0.0, 0, 3),
            "Hours left are unknown: no run of such networks was made on here; `kdbench estimate t` times some steps.",
        ),
        (Remaining({"missing": 3}, 36_000.0, 2, 0), "About 10 hours left on here, at the rate of 2 runs made on it."),
        (
            Remaining({"missing": 3, "done": 1}, 5_400.0, 2, 1),
            "At least 1.5 hours left on here, at the rate of 2 runs made on it; of 1 more runs that is unknown;"
            " `kdbench estimate t` times some steps.",
        ),
    ],
)
def test_hours_left_in_a_sentence(said: Remaining, sentence: str) -> None:
    assert left(said, "here", "t") == sentence


def test_the_runs_behind_a_cell(tmp_path: Path, store: Store) -> None:
    library = handmade.library(tmp_path)
    table, graph = library.table("small"), plan(library, ["small"], "paper")
    run = graph.rows["small", "dml"][2]
    networks = [{"loss": {}, "train_error": 1.0, "test_error": error} for error in (30.0, 20.0)]
    results = [Result(31.0, 30.0, 1), Result(21.0, 20.0, 1)]
    store.add(handmade.record(run, results=results, curve=[{**handmade.epoch(1), "networks": networks}]))
    found = details(table, table.rows["dml"], graph, store)
    assert found is not None
    assert [(each.seed, each.state, each.last, each.best) for each in found.runs] == [
        (1, "missing", None, None),
        (2, "done", 26.0, 25.0),
        (3, "missing", None, None),
    ]
    assert found.runs[1].command == "kdbench run small --row dml --seed 2 --profile paper"
    assert [(curve.seed, curve.steps, curve.values) for curve in found.curves] == [(2, (1000,), (25.0,))]
    staged = details(table, table.rows["staged"], graph, store)
    assert staged is not None
    assert staged.runs[1].sources == ("teacher: small/large#1", "init: small/staged.warm#1")
    assert details(table, table.rows["nothing"], graph, store) is None
