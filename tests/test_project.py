"""A folder of one's own: which one it is, and what stands in it beside what kdbench brings along."""

from pathlib import Path

import pytest

from bench import project as projects
from bench.errors import RecipeError, UsageError
from bench.graph import Run, plan
from bench.project import SHIPPED, Project, resolve_run
from bench.recipe import load
from bench.store import Store
from tests.handmade import SMALL, changed, record, write

PLAIN = "    network: student\n    method: vanilla\n"
RESNET110 = "ffdwv-table2/resnet110-cifar100#1"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_registry: None) -> Path:
    """An empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KDBENCH_DATA", raising=False)
    return tmp_path


def test_an_empty_folder_has_the_shipped_tables_and_results_of_its_own(here: Path) -> None:
    project = Project.find()
    assert (project.root, project.results, project.data) == (here, here / "results", here / "data")
    assert project.library().tables.keys() == load(SHIPPED / "recipes").tables.keys()
    assert len(project.store().by_key) > 100
    assert list(here.iterdir()) == []


def test_the_nearest_folder_with_recipes_is_the_project(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here)
    inside = here / "results" / "tables"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert Project.find().root == here
    assert "small" in Project.find().library().tables


def test_the_checkout_is_doubled_in_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SHIPPED)
    project = Project.find()
    assert project.library().tables.keys() == load(SHIPPED / "recipes").tables.keys()
    assert project.store().folders == [SHIPPED / "results"]


def test_a_folder_with_results_alone_has_recipes_of_its_own_later(here: Path) -> None:
    (here / "results").mkdir()
    assert Project.find().store().folders == [here / "results", SHIPPED / "results"]


@pytest.mark.parametrize(("named", "variable"), [("a", None), (None, "b"), ("a", "b")])
def test_the_data_folder_is_the_named_one_else_the_variable_s(
    monkeypatch: pytest.MonkeyPatch, named: str | None, variable: str | None
) -> None:
    if variable:
        monkeypatch.setenv("KDBENCH_DATA", variable)
    project = Project.find(Path(named) if named else None)
    assert project.data == Path(named or variable or "")
    assert project.data_was_named


def test_a_shipped_row_teaches_and_its_committed_record_counts(here: Path) -> None:
    text = changed(
        SMALL,
        (PLAIN, f"{PLAIN.replace('vanilla', '{kd: {temperature: 4.0, soften: both}}')}    teacher: {RESNET110}\n"),
    )
    write(here, text)
    library = Project.find().library()
    run = plan(library, ["small"], "paper", rows=["plain"]).rows["small", "plain"][1]
    (teacher,) = run.teachers
    assert teacher.name == "ffdwv-table2/resnet110-cifar100"
    assert teacher.key == resolve_run(library, RESNET110, "paper").key


def test_two_tables_of_one_name_are_told_with_both_files(here: Path) -> None:
    write(here, changed(SMALL, ("table: small\n", "table: dml-table2\n")))
    with pytest.raises(RecipeError) as raised:
        Project.find().library()
    assert "recipes/paper/table.yaml:1: table 'dml-table2' is also in " in str(raised.value)
    assert str(SHIPPED / "recipes" / "dml" / "table2.yaml") in str(raised.value)


def test_plug_ins_beside_the_recipes_are_taken_in(here: Path) -> None:
    (here / "plugins").mkdir()
    (here / "plugins" / "plain_too.py").write_text(
        "from dataclasses import dataclass\nfrom bench.methods.vanilla import Vanilla\n\n\n"
        "@dataclass(frozen=True)\nclass PlainToo(Vanilla):\n    name = 'plain_too'\n"
    )
    write(here, changed(SMALL, (PLAIN, PLAIN.replace("vanilla", "plain_too"))))
    library = Project.find().library()
    assert library.unreadable == {}
    assert resolve_run(library, "small/plain#1", "paper").stage.method.name == "plain_too"


def test_a_row_that_cannot_be_read_says_why(here: Path) -> None:
    write(here, changed(SMALL, (PLAIN, PLAIN.replace("vanilla", "nothing_like_it"))))
    with pytest.raises(UsageError, match=r"row 'plain' of small cannot be read: .*'nothing_like_it' is not known"):
        resolve_run(Project.find().library(), "small/plain#1", "paper")


@pytest.fixture
def shipped(here: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A folder that stands for what is brought along: one recipe, the record of one run, the cost of one network."""
    folder = here / "brought along"
    run = plan(load(write(folder)), ["small"], "paper").rows["small", "plain"][1]
    Store(folder / "results").add(record(run))
    monkeypatch.setattr(projects, "SHIPPED", folder)
    return run


def test_shipped_records_and_costs_are_read_and_results_are_the_project_s(here: Path, shipped: Run) -> None:
    from bench.cost import Cost

    brought, project = here / "brought along" / "results", Project.find()
    (network,) = shipped.stage.networks
    geometry = (100, 3, 32)
    (brought / "costs.json").write_text("{}")
    assert project.costs().get(network, *geometry) is None
    costs = project.costs()
    costs.add(network, *geometry, Cost(1, 2))
    costs.write()
    (brought / "costs.json").write_bytes((here / "results" / "costs.json").read_bytes())
    (here / "results" / "costs.json").unlink()
    project.costs().write()
    assert project.costs().get(network, *geometry) == Cost(1, 2)
    assert not (here / "results" / "costs.json").exists()

    store = project.store()
    assert store.current(shipped) == record(shipped)
    path = store.add(record(shipped, replica=store.replica(shipped)))
    assert path == here / "results" / "runs" / f"{shipped.id}.r2.json"
    assert [file.name for file in (brought / "runs").iterdir()] == [f"{shipped.id}.json"]
