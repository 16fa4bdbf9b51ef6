"""What a run's key and id depend on, which runs rows share, profiles, and the order of a plan."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import registry
from bench.errors import UsageError
from bench.graph import Graph, Run, plan
from bench.recipe import Library, Stage, load
from bench.schedules import Steps
from tests.handmade import DISTANCES, SMALL, library, write

SHIPPED = load(Path(__file__).parents[1] / "recipes")
PAPER = plan(SHIPPED, SHIPPED.tables, "paper")
LARGE_METHOD = "    network: teacher\n    method: vanilla\n"
PLAIN = "    network: student\n    method: vanilla\n    priority"
KD = "    method: {kd: {temperature: 4.0, soften: both}}\n    teacher: large#1\n"
DML_NETWORK = "network: [student, teacher]"
WORDS_METHOD = "{ffdwv: {words: cifar100, reading: vectors}}"


def runs_of(found: Library, table: str = "small", **how: Any) -> dict[str, Run]:
    """The run of seed 1 of every row."""
    profile = how.pop("profile", "paper")
    return {row: runs[1] for (_, row), runs in plan(found, [table], profile, **how).rows.items() if 1 in runs}


@pytest.fixture
def runs(tmp_path: Path) -> Callable[..., dict[str, Run]]:
    return lambda *changes, **how: runs_of(library(tmp_path, *changes), **how)


Runs = Callable[..., dict[str, Run]]


def keys(found: dict[str, Run]) -> dict[str, str]:
    return {row: run.key for row, run in found.items()}


def ids(found: dict[str, Run]) -> dict[str, str]:
    return {row: run.id for row, run in found.items()}


@pytest.mark.parametrize(
    "change",
    [
        ("label: Plain", "label: Simple"),
        ("group: Large\n", "group: Big\n"),
        ("value: 30.0", "value: 31.0"),
        ("    priority: [3, 2, 1]\n", ""),
        ("  schedule.batch:", "  schedule.lr:"),
        ("margin: 0.5", "margin: 1.0"),
        ("title: ", "deviations: [on another planet]\ntitle: "),
        ("better: kd, worse: plain", "better: dml, worse: kd"),
        ("report: mean", "report: first"),
        ("labels: {oak_tree: oak, sea: [deep, sea]}", "labels: {}"),
        ("schedule: {epochs: 10, batch: 50,", "schedule: {batch: 50, epochs: 10,"),
        ("data:\n  set: cifar100\n  train: all\n", "# a comment\ndata:\n  train: all\n  set: cifar100\n"),
        (
            f"    network: student\n{KD}",
            f"    network: {{resnet: {{width: 1.0, depth: 8, block: basic, shortcut: A}}}}\n{KD}",
        ),
    ],
    ids=lambda change: change[0].strip()[:20],
)
def test_what_moves_no_number_is_not_in_a_key(runs: Runs, change: tuple[str, str]) -> None:
    assert ids(runs(change)) == ids(runs())


def test_the_names_of_tables_rows_and_distances_are_not_in_a_key(runs: Runs) -> None:
    before = runs()
    renamed = runs(("table: small", "table: other"), ("  words:\n    label", "  speech:\n    label"), table="other")
    assert renamed["speech"].id == before["words"].id
    distances = [("  cifar100: {dist", "  animals: {dist"), (WORDS_METHOD, WORDS_METHOD.replace("cifar100", "animals"))]
    assert runs(*distances)["words"].id == before["words"].id


def test_the_place_of_the_recipe_is_not_in_a_key(tmp_path: Path) -> None:
    assert ids(runs_of(library(tmp_path / "a"))) == ids(runs_of(library(tmp_path / "b" / "c")))


def test_the_order_of_keys_is_not_in_a_key(tmp_path: Path) -> None:
    def reversed_(said: Any, path: str = "") -> Any:
        if not isinstance(said, dict):
            return said
        # Of rows and stages the order says something: which comes first, which is the result.
        names = said if path in ("rows", "stages") else reversed(said)
        return {name: reversed_(said[name], name) for name in names}

    text = yaml.safe_dump(reversed_(yaml.safe_load(SMALL)), sort_keys=False)
    assert ids(runs_of(load(write(tmp_path, text)))) == ids(runs_of(library(tmp_path / "as it was")))


@pytest.mark.parametrize(
    "change",
    [
        ("  set: cifar100", "  set: synthetic100"),
        ("  train: all", "  train: {fraction: 0.5, seed: 0}"),
        ("test: {fraction: 0.5, seed: 0}", "test: {fraction: 0.5, seed: 1}"),
        ("crop_padding: 4", "crop_padding: 2"),
        ("padding_mode: constant", "padding_mode: reflect"),
        ("flip: true", "flip: false"),
        ("mean: [0.5, 0.5, 0.5]", "mean: [0.5, 0.5, 0.4]"),
        ("std: [0.25, 0.25, 0.25]", "std: [0.25, 0.25, 0.2]"),
        ("epochs: 10", "epochs: 11"),
        ("epochs: 10", "iterations: 10"),
        ("batch: 50", "batch: 51"),
        ("lr: 0.1", "lr: 0.2"),
        ("drops: [5, 8]", "drops: [5]"),
        ("gamma: 0.1", "gamma: 0.2"),
        ("momentum: 0.9", "momentum: 0.8"),
        ("nesterov: true", "nesterov: false"),
        ("weight_decay: 1.0e-4", "weight_decay: 2.0e-4"),
        ("precision: auto", "precision: float32"),
        ("{depth: 8, block: basic, shortcut: A, width: 1.0}", "{depth: 20, block: basic, shortcut: A, width: 1.0}"),
        (
            "{depth: 8, block: basic, shortcut: A, width: 1.0}",
            "{depth: 11, block: bottleneck, shortcut: A, width: 1.0}",
        ),
        ("{depth: 8, block: basic, shortcut: A, width: 1.0}", "{depth: 8, block: basic, shortcut: B, width: 1.0}"),
        ("{depth: 8, block: basic, shortcut: A, width: 1.0}", "{depth: 8, block: basic, shortcut: A, width: 2.0}"),
        (PLAIN, PLAIN.replace("vanilla", WORDS_METHOD)),
    ],
    ids=lambda change: change[1].strip()[-25:],
)
def test_what_moves_numbers_changes_the_key(runs: Runs, change: tuple[str, str]) -> None:
    assert runs(change)["plain"].key != runs()["plain"].key


@pytest.mark.parametrize(
    ("row", "change"),
    [
        ("kd", (KD, KD.replace("4.0", "3.0"))),
        ("kd", (KD, KD.replace("both", "teacher"))),
        ("kd", (KD, KD.replace("large#1", "large#2"))),
        ("kd", (KD, KD.replace("large#1", "words#1"))),
        ("words", ("reading: vectors", "reading: rows")),
        ("dml", ("update: sequential", "update: joint")),
        ("dml", (DML_NETWORK, "network: [teacher, student]")),
        ("dml", (DML_NETWORK, "network: [student, student]")),
        ("staged", ("iterations: 100", "iterations: 200")),
        ("staged", ("warm: {seed: 1", "warm: {seed: 2")),
    ],
)
def test_what_a_method_says_changes_its_key(runs: Runs, row: str, change: tuple[str, str]) -> None:
    assert runs(change)[row].key != runs()[row].key


def test_every_field_of_a_stage_is_in_the_recipe_of_its_run(runs: Runs) -> None:
    # No number, or in the key as sources and seed.
    elsewhere = {"name", "location", "teacher_cache", "teachers", "init", "transfer_set", "seed", "initial", "metric"}
    elsewhere |= {"weights"}  # left out where all are in full precision
    assert set(runs()["kd"].recipe) == {field.name for field in fields(Stage)} - elsewhere | {"kind"}


def test_seeds_have_keys_of_their_own(tmp_path: Path) -> None:
    found = plan(library(tmp_path), ["small"], "paper").rows["small", "plain"]
    assert len({run.key for run in found.values()}) == 3


def test_profiles_have_keys_of_their_own(runs: Runs) -> None:
    found = [runs(profile=profile)["plain"] for profile in ("paper", "short", "smoke")]
    assert len({run.key for run in found}) == 3
    assert [run.id.split("-")[0] for run in found] == ["paper", "short", "smoke"]


def test_a_profile_is_in_the_key_even_where_it_changes_nothing(runs: Runs) -> None:
    one_epoch = ("epochs: 10, batch: 50, lr: 0.1, drops: [5, 8]", "epochs: 1, batch: 50, lr: 0.1, drops: []")
    paper, short = runs(one_epoch)["plain"], runs(one_epoch, profile="short")["plain"]
    assert paper.recipe == short.recipe
    assert paper.key != short.key


def test_another_teacher_is_another_key(runs: Runs) -> None:
    before, after = runs(), runs((LARGE_METHOD, f"    schedule: {{lr: 0.2}}\n{LARGE_METHOD}"))
    assert {row for row in before if before[row].key != after[row].key} == {"large", "kd", "staged"}


def test_other_distances_are_another_key(tmp_path: Path) -> None:
    before = keys(runs_of(library(tmp_path)))
    distances = tmp_path / "recipes" / "paper" / "distances.csv"
    distances.write_text(f"# another comment\n{DISTANCES}", encoding="utf-8")
    assert keys(runs_of(load(tmp_path / "recipes"))) == before
    distances.write_text(DISTANCES.replace("1", "2"), encoding="utf-8")
    after = keys(runs_of(load(tmp_path / "recipes")))
    assert {row for row in before if before[row] != after[row]} == {"words"}


def test_another_fingerprint_is_another_key(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys(runs())
    monkeypatch.setitem(registry.SETS, "cifar100", replace(registry.SETS["cifar100"], fingerprint="other"))
    after = keys(runs())
    assert all(before[row] != after[row] for row in before)


@pytest.mark.parametrize(
    ("known", "name", "users"),
    [
        ("METHODS", "kd", {"kd", "staged"}),
        ("METHODS", "dml", {"dml"}),
        ("METHODS", "ffdwv_uniform_control", set()),
        ("METHODS", "vanilla", {"plain", "large", "kd", "staged"}),  # kd and staged: their teacher's id changes
        ("NETWORKS", "resnet", {"plain", "large", "kd", "words", "dml", "staged"}),
        ("OPTIMIZERS", "sgd", {"plain", "large", "kd", "words", "dml", "staged"}),
    ],
)
def test_a_version_changes_the_ids_of_just_those_that_use_it(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, known: str, name: str, users: set[str]
) -> None:
    keys_before, ids_before = keys(runs()), ids(runs())
    component = getattr(registry, known)[name]
    monkeypatch.setattr(component, "version", component.version + 1)
    ids_after = ids(runs())
    assert keys(runs()) == keys_before
    assert {row for row in ids_before if ids_before[row] != ids_after[row]} == users


@pytest.mark.parametrize("name", ["cifar100", "cifar10"])
def test_a_version_of_a_set_changes_the_ids_of_those_that_use_it(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    keys_before, ids_before = keys(runs()), ids(runs())
    monkeypatch.setitem(registry.SETS, name, replace(registry.SETS[name], version=registry.SETS[name].version + 1))
    ids_after = ids(runs())
    assert keys(runs()) == keys_before
    assert all((ids_after[row] != ids_before[row]) == (name == "cifar100") for row in ids_before)


def test_how_weights_are_represented_and_its_version_are_in_the_id(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    ternary = "    weights: {ternary: {ends: full, threshold: 0.7}}\n"
    change = PLAIN, PLAIN.replace("    priority", f"{ternary}    priority")
    assert runs(change)["plain"].key != runs()["plain"].key
    assert runs(change)["plain"].versions == {**runs()["plain"].versions, "weights ternary": 1}
    before = runs(change)["plain"].id
    monkeypatch.setattr(registry.QUANTISERS["ternary"], "version", 2)
    assert runs(change)["plain"].id != before


@pytest.mark.parametrize("name", ["ENGINE_VERSION", "DATA_VERSION"])
def test_the_versions_of_engine_and_data_are_in_every_id(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    keys_before, ids_before = keys(runs()), ids(runs())
    monkeypatch.setattr(registry, name, getattr(registry, name) + 1)
    ids_after = ids(runs())
    assert keys(runs()) == keys_before
    assert all(ids_after[row] != ids_before[row] for row in ids_before)


@pytest.mark.parametrize(
    ("table", "row", "key"),
    [
        ("ffdwv-table2", "resnet32-cifar100", "298d66326f6e0f31"),
        ("ffdwv-table3", "kd-resnet32", "4888a7a25be3f0cd"),
    ],
)
def test_keys_of_real_runs_are_pinned(table: str, row: str, key: str) -> None:
    # A record is found by its key. If this fails and the recipe was not meant to change, a field was added or
    # renamed, or a value is written differently: undo that, or every record that exists is orphaned. If the recipe
    # itself was corrected on purpose, its old records no longer count: put the new key here, and say so in the commit.
    assert PAPER.rows[table, row][1].key == key


def test_the_teacher_of_one_table_is_a_row_of_the_other() -> None:
    students, teachers = (
        PAPER.rows[row] for row in (("ffdwv-table3", "kd-resnet32"), ("ffdwv-table2", "resnet110-cifar100"))
    )
    assert [student.teachers for student in students.values()] == [[teacher] for teacher in teachers.values()]


@pytest.mark.parametrize("network", ["resnet32", "resnet110"])
def test_rows_that_say_the_same_in_two_tables_share_their_runs(network: str) -> None:
    here = PAPER.rows["ffdwv-table2", f"ffdwv-{network}-cifar100"]
    there = PAPER.rows["ffdwv-table3", f"ffdwv-{network}"]
    assert [run.id for run in here.values()] == [run.id for run in there.values()]
    assert all(here[seed] is there[seed] for seed in here)


def test_a_row_of_the_other_table_is_planned_only_as_a_source() -> None:
    graph = plan(SHIPPED, ["ffdwv-table3"], "paper", rows=["kd-resnet32"])
    assert [(run.name, run.seed) for run in graph.runs.values()] == [
        (name, seed) for seed in range(1, 6) for name in ("ffdwv-table2/resnet110-cifar100", "ffdwv-table3/kd-resnet32")
    ]


def test_one_teacher_for_all_seeds_or_each_its_own(tmp_path: Path) -> None:
    def teachers(reference: str) -> list[int]:
        found = library(tmp_path, (KD, KD.replace("large#1", reference)))
        return [run.teachers[0].seed for run in plan(found, ["small"], "paper").rows["small", "kd"].values()]

    assert teachers("large#2") == [2, 2, 2]
    assert teachers("large#same") == [1, 2, 3]


def test_a_teacher_may_be_a_stage_of_its_row(runs: Runs) -> None:
    before = runs((KD, KD.replace("large#1", "staged.warm#1")))
    assert before["kd"].teachers == [before["staged"].sources["init"]]
    last = runs((KD, KD.replace("large#1", "staged#1")))
    assert last["kd"].teachers == [last["staged"]]


def test_a_stage_with_its_own_seed_is_trained_once_for_all_seeds(tmp_path: Path) -> None:
    found = plan(library(tmp_path), ["small"], "paper", rows=["staged"]).rows["small", "staged"]
    assert len({run.key for run in found.values()}) == 3
    assert len({id(run.sources["init"]) for run in found.values()}) == 1
    assert found[3].sources["init"].seed == 1


def test_a_stage_without_a_seed_takes_the_rows(tmp_path: Path) -> None:
    found = plan(library(tmp_path, ("warm: {seed: 1, ", "warm: {")), ["small"], "paper").rows["small", "staged"]
    assert [run.sources["init"].seed for run in found.values()] == [1, 2, 3]


SPREAD = ("    stages:\n", "    sources: [1, 1, 3]\n    stages:\n")
STAGED = ("        teacher: large#1\n", "        teacher: large#source\n")
WARMED = (
    "warm: {seed: 1, method: vanilla, ",
    "warm: {seed: source, method: {kd: {temperature: 4.0, soften: both}}, teacher: large#source, ",
)


def test_a_row_may_spread_its_seeds_over_sources(tmp_path: Path) -> None:
    found = plan(library(tmp_path, SPREAD, STAGED, WARMED), ["small"], "paper").rows["small", "staged"]
    assert [run.seed for run in found.values()] == [1, 2, 3]
    for run, source in zip(found.values(), (1, 1, 3), strict=True):
        warm = run.sources["init"]
        assert (run.teachers[0].seed, warm.seed, warm.teachers[0].seed) == (source, source, source)
    assert found[1].sources["init"] is found[2].sources["init"]


def test_a_source_is_the_same_run_as_the_one_of_that_seed(tmp_path: Path) -> None:
    whole = plan(library(tmp_path, SPREAD, STAGED, WARMED), ["small"], "paper").rows["small", "staged"]
    one = (WARMED[0], WARMED[1].replace("seed: source", "seed: 1").replace("#source", "#1"))
    fixed = plan(library(tmp_path / "one", one), ["small"], "paper").rows["small", "staged"]
    assert [whole[seed].key for seed in (1, 2)] == [fixed[seed].key for seed in (1, 2)]
    assert whole[3].key != fixed[3].key


def test_another_row_keeps_its_own_sources(tmp_path: Path) -> None:
    taught = (KD, KD.replace("large#1", "staged#same"))
    graph = plan(library(tmp_path, SPREAD, STAGED, WARMED, taught), ["small"], "paper")
    students, staged = graph.rows["small", "kd"], graph.rows["small", "staged"]
    assert [run.teachers[0] for run in students.values()] == [*staged.values()]


def test_stages_may_stand_on_one_line(tmp_path: Path) -> None:
    start = SMALL.index("    stages:\n      warm")
    end = SMALL.index("    published: {}\n  nothing")
    warm, task = "{seed: 1, method: vanilla, schedule: {epochs: 5, drops: []}}", "{init: warm, method: vanilla}"
    text = f"{SMALL[:start]}    stages: {{warm: {warm}, task: {task}}}\n{SMALL[end:]}"
    found = plan(load(write(tmp_path, text)), ["small"], "paper").rows["small", "staged"]
    assert [run.sources["init"].stage.name for run in found.values()] == ["warm", "warm", "warm"]


def test_two_rows_may_share_stages_by_a_yaml_alias(tmp_path: Path) -> None:
    row = "  other: {label: Other, group: Small, network: teacher, stages: *both, published: {}}\n"
    changes = [("    stages:\n", "    stages: &both\n"), ("  nothing: {", f"{row}  nothing: {{")]
    found = runs_of(library(tmp_path, *changes))
    assert found["other"].stage.networks != found["staged"].stage.networks


def test_a_plan_lists_sources_before_what_takes_from_them() -> None:
    for order in (list(PAPER.runs.values()), PAPER.by_priority()):
        place = {run.key: i for i, run in enumerate(order)}
        assert all(place[source.key] < place[run.key] for run in order for source in run.sources.values())


def test_the_most_valuable_runs_come_first() -> None:
    first = [(run.name, run.seed) for run in PAPER.by_priority()[:6]]
    pair = ["ffdwv-table2/resnet32-cifar100", "ffdwv-table2/ffdwv-resnet32-cifar100"]
    assert first == [(name, seed) for seed in (1, 2, 3) for name in pair]


def test_priorities_never_rise_but_for_a_source() -> None:
    order = PAPER.by_priority()
    taken = {source.key for run in order for source in run.sources.values()}
    values = [PAPER.priority[run.key] for run in order if run.key not in taken]
    assert values == sorted(values, reverse=True)


def test_a_source_is_worth_what_the_best_run_that_needs_it_is(tmp_path: Path) -> None:
    graph = plan(library(tmp_path, (KD, f"    priority: 9\n{KD}")), ["small"], "paper")
    teacher, student = graph.rows["small", "large"][1], graph.rows["small", "kd"][1]
    assert (graph.priority[teacher.key], graph.priority[student.key]) == (9.0, 9.0)
    assert [run.name for run in graph.by_priority()][:2] == ["small/large", "small/kd"]


def test_short_is_a_tenth_of_the_schedule_and_all_the_data(runs: Runs) -> None:
    before = runs(("epochs: 10", "epochs: 300"), ("drops: [5, 8]", "drops: [150, 225]"))["plain"].stage
    after = runs(("epochs: 10", "epochs: 300"), ("drops: [5, 8]", "drops: [150, 225]"), profile="short")["plain"].stage
    assert after.schedule == replace(before.schedule, epochs=30, decay=Steps((15, 22), 0.1))
    assert after.data == before.data


def test_short_scales_iterations_too(runs: Runs) -> None:
    warm = runs(profile="short")["staged"].sources["init"]
    assert (warm.stage.schedule.iterations, warm.stage.schedule.decay) == (10, Steps((5,), 0.1))


def test_drops_that_meet_in_a_short_schedule_are_one(runs: Runs) -> None:
    schedule = runs(profile="short")["plain"].stage.schedule
    assert (schedule.epochs, schedule.decay) == (1, Steps((), 0.1))


def test_smoke_is_a_few_steps_on_a_few_images(runs: Runs) -> None:
    stage = runs(profile="smoke")["plain"].stage
    entry = registry.SETS["synthetic100"]
    assert (stage.schedule.epochs, stage.schedule.decay, stage.schedule.batch) == (2, Steps((1,), 0.1), 32)
    parts = [(stage.data.train, entry.train), (stage.data.test, entry.test)]
    assert [round(part.fraction * size) for part, size in parts] == [256, 200]  # type: ignore[union-attr, operator]


def test_smoke_never_raises_the_batch(runs: Runs) -> None:
    assert runs(("batch: 50", "batch: 8"), profile="smoke")["plain"].stage.schedule.batch == 8


def test_smoke_has_two_seeds_unless_others_are_named(tmp_path: Path) -> None:
    found = library(tmp_path)
    assert list(plan(found, ["small"], "smoke").rows["small", "plain"]) == [1, 2]
    assert list(plan(found, ["small"], "smoke", seeds=[3]).rows["small", "plain"]) == [3]


def test_smoke_takes_the_stand_in_and_smoke_real_the_set_itself(runs: Runs) -> None:
    synthetic, real = (runs(profile=profile)["plain"] for profile in ("smoke", "smoke-real"))
    assert (synthetic.stage.data.set, real.stage.data.set) == ("synthetic100", "cifar100")
    assert synthetic.stage.schedule == real.stage.schedule
    assert real.id.startswith("smoke-real-")


@pytest.mark.parametrize("profile", ["paper", "short"])
def test_no_other_profile_takes_a_stand_in(runs: Runs, profile: str) -> None:
    assert runs(profile=profile)["plain"].stage.data.set == "cifar100"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"rows": ["plian"]}, "no row 'plian'; did you mean 'plain'?"),
        ({"seeds": [9]}, "no seed 9; known: 1, 2, 3"),
    ],
)
def test_a_row_or_seed_that_is_not_there(tmp_path: Path, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        plan(library(tmp_path), ["small"], "paper", **asked)
    assert str(raised.value) == message


def test_a_row_that_trains_nothing_has_no_runs(tmp_path: Path) -> None:
    assert ("small", "nothing") not in plan(library(tmp_path), ["small"], "paper").rows


def many(found: Library, rows: int, seeds: int) -> Library:
    """A table of rows that differ in their rate."""
    table = found.table("small")
    row = table.rows["plain"]
    copies = {
        f"row{i}": replace(
            row,
            name=f"row{i}",
            seeds=tuple(range(1, seeds + 1)),
            priority=(0.0,) * seeds,
            stages=tuple(
                replace(s, location=f"a:{i}", schedule=replace(s.schedule, lr=0.1 + i / rows)) for s in row.stages
            ),
        )
        for i in range(rows)
    }
    return Library({"many": replace(table, name="many", rows=copies)})


def test_a_plan_of_ten_thousand_runs(tmp_path: Path) -> None:
    graph: Graph = plan(many(library(tmp_path), rows=100, seeds=100), ["many"], "paper")
    assert len({run.id for run in graph.runs.values()}) == 10_000


ENSEMBLE = ("columns: [error, trcost, params]", "columns: [error, ensemble]\nnets: 2")


def test_an_ensemble_is_an_evaluation_over_all_seeds_of_a_row(tmp_path: Path) -> None:
    found = plan(library(tmp_path, ENSEMBLE), ["small"], "paper")
    run = found.ensembles["small", "plain"][0]
    assert (run.kind, run.ensemble, run.seed) == ("evaluate", 2, 0)
    assert dict(run.sources) == {str(seed): trained for seed, trained in found.rows["small", "plain"].items()}
    assert run.recipe.keys() == {"kind", "data", "ensemble"}
    assert run.versions.keys() == {"engine", "data", "set cifar100"}
    assert list(found.runs.values()).index(run) > max(list(found.runs.values()).index(s) for s in run.sources.values())


def test_no_ensemble_of_a_part_of_the_seeds_or_where_no_column_shows_it(tmp_path: Path) -> None:
    recipes = library(tmp_path, ENSEMBLE)
    assert plan(recipes, ["small"], "paper", seeds=[1, 2]).ensembles == {}
    assert plan(library(tmp_path / "other"), ["small"], "paper").ensembles == {}
    smoke = plan(recipes, ["small"], "smoke").ensembles["small", "plain"][0]
    assert (smoke.ensemble, smoke.sources.keys()) == (2, {"1", "2"})


def test_an_ensemble_is_of_nets_that_share_the_papers_one_source(tmp_path: Path) -> None:
    found = plan(library(tmp_path, ENSEMBLE, SPREAD, STAGED, WARMED), ["small"], "paper")
    assert found.ensembles["small", "staged"][0].sources.keys() == {"1", "2"}


def test_an_ensemble_is_another_run_for_other_members_or_sizes(tmp_path: Path) -> None:
    (column, said), key = ENSEMBLE, ("small", "plain")
    runs = [
        plan(library(tmp_path / name, (column, text), *more), ["small"], "paper").ensembles[key][0].key
        for name, text, more in (
            ("a", said, ()),
            ("b", said.replace("nets: 2", "nets: 3"), ()),
            ("c", said, (("momentum: 0.9", "momentum: 0.8"),)),
        )
    ]
    assert len(set(runs)) == 3
