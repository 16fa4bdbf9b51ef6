"""What 10,000 planned runs and 1,000 records cost, counted: files opened, folders listed. Nothing is timed."""

from pathlib import Path

import pytest

from bench import store as stores
from bench.store import Store
from bench.todo import todo
from tests import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("load")
    load.lay(folder)
    return folder


def of_runs(counter: dict[str, int]) -> dict[str, int]:
    return {path: count for path, count in counter.items() if "/results/" in path}


def test_planning_opens_the_recipe_and_no_result(folder: Path) -> None:
    with load.opened() as counter:
        _, graph = load.planned(folder)
        assert len({run.id for run in graph.runs.values()}) == load.ROWS * load.SEEDS == 10_000
    assert of_runs(counter) == {}


def test_what_is_to_do_opens_each_record_once(folder: Path) -> None:
    graph = load.planned(folder)[1]
    with load.opened() as counter:
        runs = todo(graph.runs.values(), Store(folder / "results"))
    # Of the five rows with records three are teachers', two of which have students that need their weights again.
    assert len(runs) >= 9_000
    assert set(of_runs(counter).values()) == {1}
    assert len(of_runs(counter)) == load.RECORDED * load.SEEDS == 1_000


def test_a_report_opens_each_record_once(folder: Path) -> None:
    with load.opened() as counter:
        text = load.report(folder)
    assert text.count("n=200") == load.RECORDED
    assert set(of_runs(counter).values()) == {1}
    assert len(of_runs(counter)) == 1_000


def test_a_driver_opens_no_file_of_a_run_twice_and_lists_no_folder_for_each(folder: Path, monkeypatch) -> None:
    listed: list[Path] = []
    files = stores.record_files
    monkeypatch.setattr(stores, "record_files", lambda own: listed.append(own) or files(own))
    looked: list[str] = []
    available = Store.available_artifact
    monkeypatch.setattr(Store, "available_artifact", lambda self, run: looked.append(run.id) or available(self, run))
    with load.opened() as counter:
        done = load.driven(folder, 4)
    assert done == 4 * load.SEEDS
    assert len(listed) == 1
    # When planning, when walking, and with the lock in hand: no more for a thousand runs than for one.
    assert len(looked) <= 6 * done
    locks = {path: count for path, count in counter.items() if path.endswith(".lock")}
    assert len(locks) == done
    assert set(locks.values()) == {1}
    written = {path: count for path, count in counter.items() if "/runs/" in path and ".part" in path}
    assert len(written) == done
    assert set(written.values()) == {1}
