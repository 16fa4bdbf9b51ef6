"""What is to be carried out, and in which order. No run is trained here."""

from pathlib import Path

import pytest

from bench.graph import Graph, Run, plan
from bench.run import todo, walk
from bench.store import Store, sha256, write_atomic
from tests.handmade import library, record

KD = "    method: {kd: {temperature: 4.0, soften: both}}\n    teacher: large#1\n"


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """Three seeds of a row; one seed of its teacher, which is a row too; and a row of two stages with that teacher."""
    found = library(tmp_path_factory.mktemp("recipe"))
    return plan(found, ["small"], "paper", rows=["large", "kd", "staged"], seeds=[1, 2])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def done(store: Store, *runs: Run, weights: bool = True, **said: object) -> None:
    """Leave a record of each run, and its weights."""
    for run in runs:
        path = store.artifact(run.id)
        write_atomic(path, run.id.encode())
        store.add(record(run, artifact=sha256(path), **said))
        if not weights:
            path.unlink()


def rows(graph: Graph, name: str) -> list[Run]:
    return list(graph.rows["small", name].values())


def named(runs: list[Run]) -> list[tuple[str, str, int]]:
    return [(run.name.removeprefix("small/"), run.stage.name, run.seed) for run in runs]


def test_all_that_has_no_record_sources_first(graph: Graph, store: Store) -> None:
    assert named(todo(graph.runs.values(), store)) == [
        ("large", "train", 1),
        ("large", "train", 2),
        ("kd", "train", 1),
        ("kd", "train", 2),
        ("staged", "warm", 1),
        ("staged", "task", 1),
        ("staged", "task", 2),
    ]


def test_a_source_comes_first_even_where_it_is_asked_for_later(graph: Graph, store: Store) -> None:
    asked = [*rows(graph, "kd"), *rows(graph, "large")]
    assert named(todo(asked, store)) == [
        ("large", "train", 1),
        ("kd", "train", 1),
        ("kd", "train", 2),
        ("large", "train", 2),
    ]


def test_the_order_asked_for_is_kept(graph: Graph, store: Store) -> None:
    done(store, *rows(graph, "large"))
    assert named(todo(reversed(rows(graph, "kd")), store)) == [("kd", "train", 2), ("kd", "train", 1)]


def test_what_has_a_record_is_not_trained_again(graph: Graph, store: Store) -> None:
    done(store, *rows(graph, "large"), rows(graph, "kd")[0])
    assert named(todo([*rows(graph, "large"), *rows(graph, "kd")], store)) == [("kd", "train", 2)]


def test_a_record_of_an_older_version_is_not_current(graph: Graph, store: Store) -> None:
    large = rows(graph, "large")[0]
    store.add(record(large, id="paper-old"))
    assert todo([large], store) == [large]


def test_what_diverged_is_tried_again_only_when_asked(graph: Graph, store: Store) -> None:
    large = rows(graph, "large")[0]
    store.add(record(large, status="diverged"))
    assert todo([large], store) == []
    assert todo([large], store, retry_diverged=True) == [large]


def test_what_was_done_at_the_second_try_is_not_tried_again(graph: Graph, store: Store) -> None:
    large = rows(graph, "large")[0]
    store.add(record(large, status="diverged"))
    done(store, large, replica=store.replica(large))
    assert todo([large], store, retry_diverged=True) == []


def test_a_source_whose_weights_are_gone_is_trained_again(graph: Graph, store: Store) -> None:
    done(store, *rows(graph, "large"), weights=False)
    runs = todo([*rows(graph, "large"), *rows(graph, "kd")], store)
    assert named(runs) == [("large", "train", 1), ("kd", "train", 1), ("kd", "train", 2)]
    assert store.replica(runs[0]) == 2


def test_lost_weights_that_nothing_needs_are_not_trained_again(graph: Graph, store: Store) -> None:
    done(store, *rows(graph, "large"), *rows(graph, "kd"), weights=False)
    assert todo([*rows(graph, "large"), *rows(graph, "kd")], store) == []


def test_lost_weights_are_followed_to_the_sources_of_the_source(graph: Graph, store: Store) -> None:
    task = rows(graph, "staged")
    done(store, *rows(graph, "large"), task[0].sources["init"], weights=False)
    assert named(todo(task, store)) == [
        ("large", "train", 1),
        ("staged", "warm", 1),
        ("staged", "task", 1),
        ("staged", "task", 2),
    ]


def test_a_source_that_is_here_is_not_followed(graph: Graph, store: Store) -> None:
    task = rows(graph, "staged")[0]
    done(store, *task.sources.values())
    assert todo([task], store) == [task]


def test_a_run_that_two_rows_need_is_trained_once(graph: Graph, store: Store) -> None:
    found = todo([*rows(graph, "kd"), *rows(graph, "staged")], store)
    assert len(found) == len({run.key for run in found})
    assert named(found).count(("large", "train", 1)) == 1


class Other:
    """An executor during whose first run another process finishes all the rest."""

    def __init__(self, store: Store, rest: list[Run]) -> None:
        self.store, self.rest, self.executed = store, rest, []

    def execute(self, run, progress, out_of_time):
        self.executed.append(run)
        done(Store(self.store.root), *self.rest)
        done(self.store, run)
        return self.store.current(run)


class Silent:
    def __init__(self):
        self.skipped = []

    def begin(self, run, number, count):
        pass

    def end(self, run, record):
        pass

    def skip(self, run, why):
        self.skipped.append((run, why))


def test_what_another_process_has_trained_meanwhile_is_not_trained_again(graph: Graph, store: Store) -> None:
    first, *rest = todo(rows(graph, "large"), store)
    executor, watcher = Other(store, rest), Silent()
    summary = walk([first, *rest], executor, watcher)
    assert executor.executed == [first]
    assert watcher.skipped == [(run, "another process has trained it meanwhile") for run in rest]
    assert summary.left == rest


def test_a_run_whose_source_is_not_there_is_left_out(graph: Graph, store: Store) -> None:
    executor, watcher = Other(store, []), Silent()
    walk(rows(graph, "kd")[:1], executor, watcher)
    ((_, why),) = watcher.skipped
    assert why == "its teacher, small/large seed 1, is not trained yet"
    assert executor.executed == []
