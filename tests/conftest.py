import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.recipe import Table

# On tiny networks, two threads only wait for each other: several times slower where the cores are busy; and only with
# as many threads are weights the same to the bit as another process has trained them. Said before torch is imported,
# so that the tests that need no torch do not have to.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the real data sets: KDBENCH_DATA, else data/ in the repository."""
    folder = Path(os.environ.get("KDBENCH_DATA") or Path(__file__).parents[1] / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} does not exist (set KDBENCH_DATA to a folder that has it)")
    return folder


KINDS = ("METHODS", "SYNTHESISERS", "NETWORKS", "OPTIMIZERS", "QUANTISERS", "DECAYS", "SETS", "PLUGINS", "BROKEN")
_TABLES: dict[tuple[object, ...], tuple["Table", list[object]]] = {}


@pytest.fixture(autouse=True)
def shipped_tables_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of tests begin with all shipped recipes: a process reads each of their files once.

    But once more wherever anything of what reads them is another than before, as where a test adds to it.
    """
    from bench import nodes, registry, schema
    from bench.recipe import blocks, checks, library, model, reader, stages

    shipped = Path(__file__).parents[1] / "recipes"

    def read_table(path: Path, name: str) -> "Table":
        if not path.is_relative_to(shipped):
            return reader.read_table(path, name)
        reading = [
            value
            for module in (nodes, schema, registry, blocks, checks, model, reader, stages)
            for value in vars(module).values()
        ]
        reading += [value for kind in ("METRICS", *KINDS) for value in getattr(registry, kind).values()]
        key = (path, name, *map(id, reading))
        if key not in _TABLES:
            _TABLES[key] = reader.read_table(path, name), reading  # kept, so that no other thing has their place
        table, _ = _TABLES[key]
        return replace(table, rows={**table.rows})

    monkeypatch.setattr(library, "read_table", read_table)


@contextmanager
def registry_restored() -> Iterator[None]:
    """The registry of components as it was, afterwards: what plug-ins add is gone."""
    from bench import registry

    before = {kind: dict(getattr(registry, kind)) for kind in KINDS}
    loaded = set(registry._LOADED)
    try:
        yield
    finally:
        for kind in KINDS:
            getattr(registry, kind).clear()
            getattr(registry, kind).update(before[kind])
        registry._LOADED.clear()
        registry._LOADED.update(loaded)


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output is as wide as it needs: workers of a test session are told how wide their terminal is."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def as_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps and sums are counted as on CUDA, where the host waits for any value, on the CPU too."""
    monkeypatch.setattr("bench.train.device.is_host", lambda device: False)


@pytest.fixture
def fresh_registry() -> Iterator[None]:
    """The registry without what this test adds, afterwards."""
    with registry_restored():
        yield


TINY = """\
table: tiny
title: "A table that trains in seconds"
paper: "none"
metric: error
columns: [error, trcost, tecost]
grouped_by: Data
margin: 0.5
seeds: [1, 2]
networks:
  small: {resnet: {depth: 8, block: basic, shortcut: A, width: 0.5}}
data:
  set: synthetic10
  train: {fraction: 0.1, seed: 0}
  test: {fraction: 0.1, seed: 0}
  crop_padding: 2
  padding_mode: reflect
  flip: true
  mean: [0.5, 0.5, 0.5]
  std: [0.25, 0.25, 0.25]
schedule: {epochs: 4, batch: 48, lr: 0.05, drops: [3], gamma: 0.1}
optimizer: {sgd: {momentum: 0.9, nesterov: true, weight_decay: 1.0e-4}}
precision: float32
rows:
  vanilla: {label: Vanilla, group: synthetic, network: small, method: vanilla, priority: 3, published: {}}
  kd:
    label: KD
    group: synthetic
    network: small
    method: {kd: {temperature: 3.0, soften: both}}
    teacher: vanilla#1
    priority: 2
    published: {}
  dml:
    label: DML
    group: synthetic
    network: [small, small]
    method: dml
    update: sequential
    report: mean
    priority: 1
    published: {}
"""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of recipes with one that trains on synthetic images in seconds; for all tests, so not to be changed."""
    recipes = tmp_path_factory.mktemp("tiny") / "recipes"
    (recipes / "tiny").mkdir(parents=True)
    (recipes / "tiny" / "table.yaml").write_text(TINY, encoding="utf-8")
    return recipes


@pytest.fixture
def project(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder, and the current one, with the tiny recipe."""
    shutil.copytree(tiny, tmp_path / "recipes")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the drivers of tests/torture counted."""
    reports = [r for found in terminalreporter.stats.values() for r in found if getattr(r, "when", None) == "call"]
    counts = [row for report in reports for name, row in report.user_properties if name == "counts"]
    if counts:
        from tests.torture.__main__ import HEAD

        terminalreporter.section("torture")
        terminalreporter.write_line("\n".join([HEAD, *counts]))
