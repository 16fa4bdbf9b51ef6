"""A Ray cluster of three nodes on this machine: the same records as one process, whatever is killed meanwhile."""

# ruff: noqa: E402  (Ray is not installed everywhere)

import os
import signal
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'kdbench[ray]')")

from bench import registry
from bench.build import Builder
from bench.counting import Costs
from bench.data.datasets import DatasetInfo
from bench.errors import UsageError
from bench.executors import choose, cluster
from bench.executors.cluster import ATTEMPTS, Cluster
from bench.executors.inline import Inline
from bench.executors.local import Local
from bench.graph import Run, plan
from bench.recipe import load
from bench.run import Summary, walk
from bench.running import running
from bench.store import Store
from bench.todo import todo
from tests.cli.commands import by_name, finish, start, wait_for_checkpoints
from tests.conftest import TINY
from tests.told import Told

REPO = Path(__file__).parents[2]
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
DASHBOARD = find_spec("aiohttp") is not None  # which ray[default] brings
OFTEN = {"worker_process_setup_hook": "tests.executors.often.keep_checkpoints"}
# Of a row with a teacher of its own for each seed, and of one with one teacher for all.
ROWS = """\
  own:
    {label: Own, group: synthetic, network: small, method: {kd: {temperature: 4.0, soften: both}},
     teacher: "vanilla#same", published: {}}
"""


class Nodes:
    """The three nodes; the driver is on the first, which no test kills."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster as Made

        self.made = Made(initialize_head=True, head_node_args=NODE | {"include_dashboard": DASHBOARD})
        self.others = [self.add(), self.add()]

    def add(self):
        return self.made.add_node(**NODE)

    def kill_one(self) -> None:
        self.made.remove_node(self.others.pop(), allow_graceful=False)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(REPO))  # for the workers
        nodes = Nodes()
        try:
            yield nodes
        finally:
            ray.shutdown()
            nodes.made.shutdown()


@pytest.fixture
def connected(nodes: Nodes) -> Iterator[Nodes]:
    ray.init(address=nodes.made.address, runtime_env=OFTEN, log_to_driver=False, logging_level="error")
    yield nodes
    ray.shutdown()


def planned(folder: Path, *rows: str, seeds: int = 10, epochs: int = 1) -> list[Run]:
    """Some rows, or ``vanilla``, ``kd`` and ``own``, so many seeds of each."""
    text = TINY.replace("seeds: [1, 2]", f"seeds: {[*range(1, seeds + 1)]}").replace("fraction: 0.1", "fraction: 0.05")
    text = text.replace("epochs: 4,", f"epochs: {epochs},").replace("drops: [3], gamma: 0.1", "decay: constant")
    (folder / "recipes" / "tiny").mkdir(parents=True)
    (folder / "recipes" / "tiny" / "table.yaml").write_text(text + ROWS + (LUCKLESS if rows else ""), encoding="utf-8")
    library = load(folder / "recipes")
    return [*plan(library, ["tiny"], "paper", rows=rows or ["vanilla", "kd", "own"]).runs.values()]


class Watcher:
    """Remembers what each run was told; may do something when it is told of an epoch."""

    def __init__(self, after=lambda entry: None) -> None:
        self.after, self.told, self.skipped = after, {}, []

    def begin(self, run, number, count):
        return self.told.setdefault(run.key, Told(self.after))

    def end(self, run, record):
        pass

    def skip(self, run, why):
        self.skipped.append((run, why))


def carry_out(runs: list[Run], folder: Path, watcher: Watcher) -> Summary:
    store = Store(folder / "results")
    made = Cluster(store, Costs(folder / "costs.json", {}), folder / "data", plugins=folder / "plugins")
    return walk(todo(runs, store), made, watcher)


def digests(summary: Summary) -> dict[str, tuple]:
    return {r.key: (r.artifact, [epoch["networks"] for epoch in r.curve], r.replica, r.taken) for r in summary.records}


def alone(runs: list[Run], folder: Path) -> dict[str, tuple]:
    builder = Builder(folder / "data", torch.device("cpu"))
    made = Inline(Local(Store(folder / "alone"), Costs(folder / "costs.json", {}), builder))
    return digests(walk(todo(runs, made.store), made, Watcher()))


def processes(run: Run) -> list[int]:
    """The workers that carry out a run: Ray names them so."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(f"ray::{run.name}#{run.seed}".encode()):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_thirty_runs_with_teachers_are_the_same_to_the_bit_as_in_one_process(connected, tmp_path, monkeypatch) -> None:
    loaded, load_set = [], DatasetInfo.load
    monkeypatch.setattr(
        type(cluster.SETS["synthetic10"]), "load", lambda self, *a, **o: loaded.append(1) or load_set(self, *a, **o)
    )
    runs, watcher = planned(tmp_path), Watcher()
    summary = carry_out(runs, tmp_path, watcher)
    assert len(loaded) == 1
    assert (summary.ended, summary.left, summary.failed, watcher.skipped) == ("done", [], [], [])
    assert len(summary.records) == len(runs) == 30
    assert digests(summary) == alone(runs, tmp_path)
    assert all(record.warnings == [] for record in summary.records)
    store = Store(tmp_path / "results")
    assert all(store.verified(*store.available_artifact(run)) for run in runs)
    assert all(told.epochs == [(1, 1)] for told in watcher.told.values())
    assert [path.name for path in (tmp_path / "results" / "locks").iterdir()] == []


@pytest.mark.skipif(not DASHBOARD, reason="Ray has no dashboard here (pip install 'ray[default]')")
def test_the_dashboard_shows_what_status_shows(connected, tmp_path) -> None:
    from ray.util.state import list_tasks

    runs, seen = planned(tmp_path, "vanilla", seeds=2, epochs=300), []

    def look(entry) -> None:
        """Ray tells its dashboard about once a second what goes on; until then the driver waits here."""
        if seen:
            return
        status = {f"{own.name}#{own.seed}" for own in running(tmp_path / "results")}
        until = time.monotonic() + 20
        while time.monotonic() < until and not seen:
            going_on = {task.name for task in list_tasks(filters=[("state", "=", "RUNNING")])}
            if going_on:
                seen.append((status, going_on, {task.name for task in list_tasks()}))
            time.sleep(0.2)

    assert carry_out(runs, tmp_path, Watcher(look)).ended == "done"
    ((status, going_on, named),) = seen
    assert status == going_on == {"tiny/vanilla#1", "tiny/vanilla#2"}
    # Its table has runs alone: what workers and driver say to each other is not in it.
    assert not [name for name in named if "Mailbox" in name]


def test_a_node_and_a_worker_that_are_killed_lose_nothing(connected, tmp_path) -> None:
    runs = planned(tmp_path, seeds=2, epochs=40)
    store = Store(tmp_path / "results")
    killed = []

    def kill(entry) -> None:
        """A worker once it has left a checkpoint; a node later, when each node has a run."""
        started = [run for run in runs if store.checkpoint(run).is_file()]
        if not killed and started and (pids := processes(started[0])):
            killed.append(started[0])
            os.kill(pids[0], signal.SIGKILL)
        elif len(killed) == 1 and entry["epoch"] > 5:
            killed.append(None)
            connected.kill_one()

    watcher = Watcher(kill)
    summary = carry_out(runs, tmp_path, watcher)
    connected.others.append(connected.add())
    assert len(killed) == 2
    assert (summary.ended, summary.left, summary.failed) == ("done", [], [])
    assert digests(summary) == alone(runs, tmp_path)
    told = watcher.told[killed[0].key]
    assert any(f"attempt 1 of {ATTEMPTS} ended so" in message for message in told.warnings)
    again = [epoch for i, (epoch, _) in enumerate(told.epochs) if epoch in [e for e, _ in told.epochs[:i]]]
    assert 1 not in again  # it resumed from its checkpoint
    assert len(list((tmp_path / "results" / "runs").iterdir())) == len(runs)


DRIVER = f"""
import ray
from bench.cli.app import main
ray.init(runtime_env={OFTEN!r}, log_to_driver=False, logging_level="error")
main()
"""


def test_a_driver_that_is_killed_resumes_with_all_that_came_home(nodes, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", nodes.made.address)
    runs = planned(tmp_path, seeds=2, epochs=20)
    command = ("run", "tiny", "--on", "ray", "--row", "vanilla", "--row", "own")
    process = start(tmp_path, *command, code=DRIVER)
    try:
        wait_for_checkpoints(tmp_path, seconds=240)  # workers of a cluster take long to start
    finally:
        process.kill()
        finish(process)
    before = {path: path.read_bytes() for path in (tmp_path / "results" / "runs").glob("*.json")}
    code, out, err = finish(start(tmp_path, *command, code=DRIVER))
    assert (code, err) == (0, "")
    assert "profile paper on ray: " in out
    assert all(path.read_bytes() == data for path, data in before.items())
    needed = [run for run in runs if not run.name.endswith("kd")]
    expected = {key: value[0] for key, value in alone(needed, tmp_path).items()}
    assert {record["key"]: record["artifact"] for record in by_name(tmp_path).values()} == expected
    assert len(list((tmp_path / "results" / "runs").iterdir())) == len(needed)


PLUGIN = """
from dataclasses import dataclass
from bench.methods.vanilla import Vanilla

@dataclass(frozen=True)
class Luckless(Vanilla):
    name = "luckless"

    def loss(self, k, batch, outputs):
        raise RuntimeError("no luck")
"""
LUCKLESS = """\
  luckless: {label: Luckless, group: synthetic, network: small, method: luckless, published: {}}
  after:
    {label: After, group: synthetic, network: small, method: {kd: {temperature: 3.0, soften: both}},
     teacher: "luckless#same", published: {}}
"""


@pytest.mark.usefixtures("fresh_registry")
def test_what_fails_for_good_is_told_and_the_rest_is_done(connected, tmp_path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "luckless.py").write_text(PLUGIN, encoding="utf-8")
    registry.load_plugins(tmp_path / "plugins")
    runs = planned(tmp_path, "vanilla", "luckless", "after", seeds=1)
    luckless, after = (next(run for run in runs if run.name == f"tiny/{name}") for name in ("luckless", "after"))
    watcher = Watcher()
    summary = carry_out(runs, tmp_path, watcher)
    (failure,) = summary.failed
    assert str(failure) == f"tiny/luckless seed 1: {ATTEMPTS} attempts, the last ended so: no luck"
    assert len(watcher.told[luckless.key].warnings) == ATTEMPTS - 1
    assert sorted(run.name for run in summary.left) == ["tiny/after", "tiny/luckless"]
    assert watcher.skipped[1:] == [(after, "its teacher, tiny/luckless seed 1, is not trained yet")]
    assert [record.name for record in summary.records] == ["tiny/vanilla"]


def test_when_it_is_interrupted_each_run_leaves_its_checkpoint_here(connected, tmp_path) -> None:
    runs = planned(tmp_path, seeds=1, epochs=400)
    store = Store(tmp_path / "results")
    made = Cluster(store, Costs(tmp_path / "costs.json", {}), tmp_path / "data")
    summary = walk(todo(runs, store), made, Watcher(lambda entry: made.interrupt()))
    assert (summary.ended, summary.records) == ("terminated", [])
    assert store.checkpoint(runs[0]).is_file()


def test_another_place_or_no_ray_is_told(tmp_path, monkeypatch) -> None:
    store, costs = Store(tmp_path), Costs(tmp_path / "costs.json", {})
    with pytest.raises(UsageError, match="--on slurm: write ray, or the address of a Ray cluster"):
        choose.make_executor(store, costs, tmp_path, [], 1, on="slurm")
    monkeypatch.setitem(sys.modules, "bench.executors.cluster", None)
    with pytest.raises(UsageError, match="pip install 'kdbench\\[ray\\]' brings it"):
        choose.make_executor(store, costs, tmp_path, [], 1, on="ray")
