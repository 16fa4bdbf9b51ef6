"""What is to be carried out, and in which order. No run is trained here."""

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bench import run as walking
from bench.errors import StoreError
from bench.files import sha256, write_atomic
from bench.graph import Graph, Run, plan
from bench.project import select
from bench.run import walk
from bench.running import running
from bench.store import Store
from bench.todo import left_out, todo
from bench.train.progress import RunFailed
from tests.handmade import library, record

RETRY = "diverged; `kdbench run small --profile paper --retry-diverged` trains it again"
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
        ("staged.warm", "warm", 1),
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


def test_a_teacher_that_diverged_is_not_trained_again_and_what_needs_it_is_left_out(graph: Graph, store: Store) -> None:
    (large, other), kd, staged = (rows(graph, name) for name in ("large", "kd", "staged"))
    store.add(record(large, status="diverged"))
    everything = [*rows(graph, "large"), *kd, *staged]
    assert named(todo(everything, store)) == [("large", "train", 2)]
    assert left_out(everything, store) == [(run, f"its teacher, small/large seed 1, {RETRY}") for run in (*kd, *staged)]
    assert named(todo(everything, store, retry_diverged=True))[:2] == [("large", "train", 1), ("large", "train", 2)]
    assert left_out(everything, store, retry_diverged=True) == []
    path = store.artifact(f"{large.id}.r2")
    write_atomic(path, b"at the second try")
    store.add(record(large, artifact=sha256(path), replica=2))
    assert todo(everything, store) == [other, *kd, staged[0].sources["init"], *staged]


def test_what_takes_from_a_run_that_is_left_out_is_left_out_too(graph: Graph, store: Store) -> None:
    kd = rows(graph, "kd")[0]
    after = replace(kd, name="small/after", sources={"teacher": kd})
    store.add(record(kd.sources["teacher"], status="diverged"))
    assert [why for _, why in left_out([after], store)] == ["its teacher, small/kd seed 1, is left out too"]


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
        ("staged.warm", "warm", 1),
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


class Pretended:
    """An executor with room for a few runs, which ends the one that was submitted last; ``during`` is called first."""

    def __init__(self, store: Store, places: int = 1, during=lambda run: None) -> None:
        self.store, self.places, self.during = store, places, during
        self.going, self.said, self.stopped, self.interrupted = [], [], 0, False

    @property
    def room(self) -> bool:
        return len(self.going) < self.places

    def submit(self, run, progress, deadline):
        self.said.append(("begins", run))
        self.going.append((run, progress))

    def wait(self, seconds=None):
        run, progress = self.going.pop()
        self.during(run)
        self.said.append(("ends", run))
        progress.warn(run)
        done(self.store, run)
        return run, self.store.current_record(run)

    def stop(self):
        self.stopped += 1

    @property
    def executed(self) -> list[Run]:
        return [run for what, run in self.said if what == "ends"]


class Silent:
    def __init__(self):
        self.begun, self.told, self.skipped, self.ended, self.waited = [], [], [], [], []

    def begin(self, run, number, count):
        self.begun.append((run, number, count))
        return self

    def warn(self, run):
        self.told.append(run)

    def end(self, run, record):
        self.ended.append(run)

    def skip(self, run, why):
        self.skipped.append((run, why))

    def wait(self, run, why):
        self.waited.append(run)


def test_what_another_process_has_trained_meanwhile_is_not_trained_again(graph: Graph, store: Store) -> None:
    first, *rest = todo(rows(graph, "large"), store)
    elsewhere = Store(store.root)
    executor, watcher = Pretended(store, during=lambda run: done(elsewhere, *rest)), Silent()
    summary = walk([first, *rest], executor, watcher)
    assert executor.executed == [first]
    assert watcher.skipped == [(run, "another process has trained it meanwhile") for run in rest]
    assert summary.left == rest


def test_a_run_whose_source_is_not_there_is_left_out(graph: Graph, store: Store) -> None:
    executor, watcher = Pretended(store), Silent()
    walk(rows(graph, "kd")[:1], executor, watcher)
    ((_, why),) = watcher.skipped
    assert why == "its teacher, small/large seed 1, is not trained yet"
    assert executor.executed == []


def test_one_at_a_time_is_the_order_of_the_list(graph: Graph, store: Store) -> None:
    runs, watcher = todo(graph.runs.values(), store), Silent()
    executor = Pretended(store)
    summary = walk(runs, executor, watcher)
    assert executor.executed == watcher.told == watcher.ended == runs
    assert watcher.begun == [(run, number, len(runs)) for number, run in enumerate(runs, 1)]
    assert [record.key for record in summary.records] == [run.key for run in runs]
    assert (summary.left, summary.ended, executor.stopped) == ([], "done", 1)


def test_a_run_tells_other_terminals_of_itself_while_it_goes_on(graph: Graph, store: Store) -> None:
    told = []
    executor = Pretended(store, places=2, during=lambda run: told.append([each.name for each in running(store.root)]))
    walk(rows(graph, "large"), executor, Silent())
    assert told == [["small/large", "small/large"], ["small/large"]]
    assert running(store.root) == []


def test_side_by_side_each_run_waits_for_its_sources_and_for_nothing_else(graph: Graph, store: Store) -> None:
    runs = todo(graph.runs.values(), store)
    executor = Pretended(store, places=3)
    walk(runs, executor, Silent())
    assert executor.said[:3] == [("begins", run) for run in runs if not run.sources]
    for run in runs:
        for source in run.sources.values():
            assert executor.said.index(("ends", source)) < executor.said.index(("begins", run))
    assert sorted(run.id for run in executor.executed) == sorted(run.id for run in runs)


def test_there_are_never_more_runs_than_there_is_room_for(graph: Graph, store: Store) -> None:
    at_a_time, executor = [], Pretended(store, places=2)
    executor.during = lambda run: at_a_time.append(len(executor.going) + 1)
    walk(todo(graph.runs.values(), store), executor, Silent())
    assert max(at_a_time) == 2


def test_what_a_diverged_teacher_would_teach_is_left_out(graph: Graph, store: Store) -> None:
    large, kd = rows(graph, "large")[0], rows(graph, "kd")[:1]
    store.add(record(large, status="diverged"))
    watcher = Silent()
    summary = walk(kd, Pretended(store), watcher)
    assert watcher.skipped == [(kd[0], f"its teacher, small/large seed 1, {RETRY}")]
    assert (summary.left, summary.ended) == (kd, "done")


def test_what_another_process_trains_is_left_to_it_with_all_that_needs_it(graph: Graph, store: Store) -> None:
    runs, watcher, executor = todo(rows(graph, "kd"), store), Silent(), Pretended(store, places=2)
    with Store(store.root).lock(runs[0]):
        summary = walk(runs, executor, watcher)
    why = "its teacher, small/large seed 1, is not trained yet"
    assert watcher.skipped == [
        (runs[0], f"process {os.getpid()} on {os.uname().nodename} is training it"),
        (runs[1], why),
        (runs[2], why),
    ]
    assert (summary.left, executor.executed) == (runs, [])


@pytest.mark.parametrize("ended_by", [KeyboardInterrupt, StoreError])
def test_what_ends_a_walk_stops_the_executor_and_then_lets_go_of_the_locks(graph, store, ended_by) -> None:
    runs, free = rows(graph, "large"), []

    class Broken(Pretended):
        def wait(self, seconds=None):
            raise ended_by

        def stop(self):
            free.extend(mine(run) for run in runs)

    def mine(run: Run) -> bool:
        with Store(store.root).lock(run) as held:
            return held

    if ended_by is KeyboardInterrupt:
        summary = walk(runs, Broken(store, places=2), Silent())
        assert (summary.ended, summary.left) == ("interrupted", runs)
    else:
        with pytest.raises(StoreError):
            walk(runs, Broken(store, places=2), Silent())
    assert free == [False, False]
    assert all(mine(run) for run in runs)


def test_when_one_run_is_out_of_time_no_other_begins_and_those_that_go_on_may_end(graph, store) -> None:
    runs = todo(rows(graph, "large") + rows(graph, "kd"), store)

    class Short(Pretended):
        def wait(self, seconds=None):
            return (self.going.pop()[0], None) if len(self.going) == 2 else super().wait()

    summary = walk(runs, Short(store, places=2), Silent())
    assert [record.key for record in summary.records] == [runs[0].key]
    assert (summary.ended, summary.left) == ("out of time", runs[1:])


def test_without_time_nothing_begins(graph: Graph, store: Store) -> None:
    runs, executor = rows(graph, "large"), Pretended(store)
    summary = walk(runs, executor, Silent(), seconds=5, reserve=5)
    assert (summary.ended, summary.left, executor.said) == ("out of time", runs, [])


@pytest.mark.parametrize("ends", ["with a record", "without one"])
def test_who_waits_takes_what_another_process_has_done_or_does_what_it_has_not(graph, store, monkeypatch, ends) -> None:
    monkeypatch.setattr(walking, "LOOK_SECONDS", 0.001)
    runs, executor, elsewhere, held = todo(rows(graph, "kd"), store), Pretended(store), Store(store.root), ExitStack()

    class Waiting(Silent):
        def wait(self, run, why):
            super().wait(run, why)
            if ends == "with a record":
                done(elsewhere, run)
            held.close()

    watcher = Waiting()
    held.enter_context(elsewhere.lock(runs[0]))
    summary = walk(runs, executor, watcher, wait=True)
    assert watcher.waited == runs[:1]
    assert summary.ended == "done"
    assert executor.executed == (runs[1:] if ends == "with a record" else runs)
    assert all(store.current_record(run) for run in runs)


def test_who_waits_does_meanwhile_what_can_be_done(graph, store, monkeypatch) -> None:
    monkeypatch.setattr(walking, "LOOK_SECONDS", 0.001)
    (first, other), held = rows(graph, "large"), ExitStack()
    executor, watcher = Pretended(store, during=lambda run: held.close()), Silent()
    held.enter_context(Store(store.root).lock(first))
    walk([first, other], executor, watcher, wait=True)
    assert executor.executed == [other, first]


def test_who_waits_has_no_more_time_than_there_is(graph, store, monkeypatch) -> None:
    monkeypatch.setattr(walking, "LOOK_SECONDS", 0.001)
    runs, executor = rows(graph, "large")[:1], Pretended(store)
    with Store(store.root).lock(runs[0]):
        summary = walk(runs, executor, Silent(), wait=True, seconds=0.05)
    assert (summary.ended, summary.left, executor.executed) == ("out of time", runs, [])


def test_who_waits_stops_when_it_is_told_to(graph, store, monkeypatch) -> None:
    monkeypatch.setattr(walking, "LOOK_SECONDS", 0.001)
    runs, executor = rows(graph, "large")[:1], Pretended(store)

    class Interrupting(Silent):
        def wait(self, run, why):
            executor.interrupted = True

    with Store(store.root).lock(runs[0]):
        summary = walk(runs, executor, Interrupting(), wait=True)
    assert (summary.ended, summary.left) == ("terminated", runs)


def test_what_fails_is_told_and_the_rest_is_done(graph: Graph, store: Store) -> None:
    runs, watcher = todo(graph.runs.values(), store), Silent()

    class Failing(Pretended):
        def wait(self, seconds=None):
            if self.going[-1][0] is runs[0]:
                raise RunFailed(self.going.pop()[0], "no luck")
            return super().wait()

    executor = Failing(store)
    summary = walk(runs, executor, watcher)
    hindered = [run for run in runs if runs[0] in run.sources.values() or run.name == "small/staged"]
    assert [str(failure) for failure in summary.failed] == ["small/large seed 1: no luck"]
    assert watcher.skipped[0] == (runs[0], "it failed: no luck")
    assert {run.key for run, _ in watcher.skipped[1:]} == {run.key for run in hindered}
    assert summary.left == [run for run in runs if run is runs[0] or run in hindered]


@pytest.mark.parametrize("count", [1, 2, 3, 20])
def test_shares_are_the_whole_together_each_with_its_sources(tmp_path: Path, count: int) -> None:
    whole = select(library(tmp_path), "small", "paper")
    shares = [whole.share(number, count) for number in range(1, count + 1)]
    assert {run.key for share in shares for run in share.needed} == {run.key for run in whole.needed}
    for share in shares:
        keys = [run.key for run in share.needed]
        assert all(source.key in keys[:i] for i, run in enumerate(share.needed) for source in run.sources.values())
    assert sum(len(share.asked) for share in shares) >= len(whole.asked)
