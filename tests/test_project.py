"""A project of one's own, beside what kdbench brings along."""

import shutil
from pathlib import Path

import pytest

from bench.cost import Cost
from bench.errors import RecipeError, UsageError
from bench.graph import plan
from bench.networks.small import MLP
from bench.project import SHIPPED, Project, resolve_run
from bench.store import Store
from tests.conftest import TINY
from tests.handmade import changed, record


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the current one."""
    monkeypatch.delenv("KDBENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str, name: str = "table.yaml") -> None:
    (folder / "recipes" / "own").mkdir(parents=True, exist_ok=True)
    (folder / "recipes" / "own" / name).write_text(text, encoding="utf-8")


def test_an_empty_folder_is_a_project_of_what_is_shipped(alone: Path) -> None:
    project = Project.find()
    assert (project.root, project.data, project.results) == (alone, alone / "data", alone / "results")
    assert "ffdwv-table3" in project.library().tables
    assert len(project.store().by_key) >= 129
    assert not list(alone.iterdir())


def test_a_project_is_found_from_within(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(alone, TINY)
    (alone / "notes" / "deep").mkdir(parents=True)
    monkeypatch.chdir(alone / "notes" / "deep")
    assert Project.find().root == alone
    assert {"tiny", "efficiency"} <= Project.find().library().tables.keys()


def test_the_checkout_itself_is_not_doubled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SHIPPED)
    project = Project.find()
    assert project.shipped_results is None
    assert "efficiency" in project.library().tables


def test_data_lie_where_one_says(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDBENCH_DATA", str(alone / "elsewhere"))
    assert (Project.find().data, Project.find().data_was_named) == (alone / "elsewhere", True)
    assert Project.find(alone / "here").data == alone / "here"


def test_a_shipped_row_teaches_one_of_ones_own(alone: Path) -> None:
    text = changed(
        TINY,
        ("set: synthetic10", "set: cifar10"),
        ("    teacher: vanilla#1\n", "    teacher: ffdwv-table2/resnet110-cifar10#1\n"),
    )
    write(alone, text)
    library = Project.find().library()
    student = plan(library, ["tiny"], "paper").rows["tiny", "kd"][1]
    (teacher,) = student.teachers
    assert teacher.key == resolve_run(library, "ffdwv-table2/resnet110-cifar10#1", "paper").key


def test_a_table_of_a_shipped_name_is_an_error_that_names_both(alone: Path) -> None:
    write(alone, changed(TINY, ("table: tiny", "table: zskd")))
    with pytest.raises(RecipeError) as raised:
        Project.find().library()
    shipped = SHIPPED / "recipes" / "zskd" / "table.yaml"
    assert str(raised.value) == f"recipes/own/table.yaml:1: table 'zskd' is also in {shipped}"


def test_shipped_records_count_and_are_never_written_to(alone: Path) -> None:
    shipped = alone / "shipped"
    write(alone, TINY)
    run = plan(Project.find().library(), ["tiny"], "paper", rows=["vanilla"], seeds=[1]).rows["tiny", "vanilla"][1]
    Store(shipped).add(record(run))
    store = Store(alone / "results", shipped)
    assert store.current_record(run) == record(run)
    assert store.replica(run) == 2
    store.add(record(run, replica=2))
    assert [path.name for path in (shipped / "runs").iterdir()] == [f"{run.id}.json"]
    assert [path.name for path in (alone / "results" / "runs").iterdir()] == [f"{run.id}.r2.json"]
    text = (shipped / "runs" / f"{run.id}.json").read_text()
    store.merge(text, f"{run.id}.json", "a pack")
    assert not (alone / "results" / "runs" / f"{run.id}.json").exists()


def test_what_only_tried_a_row_out_elsewhere_is_no_record_here(alone: Path) -> None:
    shipped = alone / "shipped"
    write(alone, TINY)
    library = Project.find().library()
    for profile in ("smoke", "smoke-real"):
        run = plan(library, ["tiny"], profile, rows=["vanilla"], seeds=[1]).rows["tiny", "vanilla"][1]
        Store(shipped).add(record(run))
        assert Store(shipped).current_record(run) is not None
        store = Store(alone / "results", shipped)
        assert store.current_record(run) is None
        store.refresh(run)
        assert store.current_record(run) is None
        assert store.replica(run) == 1


def test_shipped_costs_are_looked_up_and_not_copied(alone: Path) -> None:
    costs = Project.find().costs()
    net = MLP(hidden=32)
    assert costs.get(net, 10, 1, 28) is not None
    costs.write()
    assert not (alone / "results").exists()
    costs.add(MLP(hidden=7), 10, 1, 28, Cost(1, 2))
    costs.write()
    again = Project.find().costs()
    assert again.get(MLP(hidden=7), 10, 1, 28) == Cost(1, 2)
    assert "hidden=32" not in (alone / "results" / "costs.json").read_text()


@pytest.mark.usefixtures("fresh_registry")
def test_plugins_beside_the_recipes_are_taken_in(alone: Path) -> None:
    shutil.copytree(Path(__file__).parent / "plugins" / "project", alone, dirs_exist_ok=True)
    library = Project.find().library()
    assert library.unreadable == {}
    assert plan(library, ["examples"], "paper").rows["examples", "crd"][1].versions["method own_crd"] == 1


@pytest.mark.usefixtures("fresh_registry")
def test_a_row_that_cannot_be_read_says_why(alone: Path) -> None:
    write(alone, changed(TINY, ("method: vanilla", "method: nothing_like_it")))
    with pytest.raises(UsageError, match=r"row 'vanilla' of tiny cannot be read: .*'nothing_like_it' is not known"):
        resolve_run(Project.find().library(), "tiny/vanilla#1", "paper")


@pytest.mark.parametrize("name", ["efficiency", "efficiency/mnist-teacher", "efficiency/mnist-teacher#x"])
def test_what_names_no_run(alone: Path, name: str) -> None:
    with pytest.raises(UsageError, match="names no run; write TABLE/ROW#SEED"):
        resolve_run(Project.find().library(), name, "paper")
