"""References between rows and tables, and the recipes that are shipped."""

import re
from pathlib import Path

import pytest

from bench import registry
from bench.errors import RecipeError, UsageError
from bench.recipe import load
from tests.handmade import SMALL, changed, library, write

ROOT = Path(__file__).parents[2]
SHIPPED = load(ROOT / "recipes")
KD = "    method: {kd: {temperature: 4.0, soften: both}}\n    teacher: large#1\n"
LARGE_METHOD = "    network: teacher\n    method: vanilla\n"
WARM = "      warm: {seed: 1, method: vanilla, schedule: {iterations: 100, drops: [50]}}\n"


def taught_by(reference: str) -> tuple[str, str]:
    return KD, KD.replace("large#1", reference)


def large_taught_by(reference: str) -> tuple[str, str]:
    return LARGE_METHOD, f"    network: teacher\n{KD.replace('large#1', reference)}"


def fault_of(folder: Path, *changes: tuple[str, str]) -> tuple[str, str]:
    """The message without its place, and the text of the line that it names."""
    with pytest.raises(RecipeError) as raised:
        library(folder, *changes)
    found = re.fullmatch(r"recipes/paper/table\.yaml:(\d+): (.+)", str(raised.value))
    assert found, str(raised.value)
    return found[2], changed(SMALL, *changes).splitlines()[int(found[1]) - 1].strip()


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("smal/large#1", "no table 'smal'; did you mean 'small'?"),
        ("larg#1", "no row 'larg' in small; did you mean 'large'?"),
        ("large.warm#1", "row 'large' has no stage 'warm'; known: train"),
        ("large#4", "row 'large' has no seed 4; its seeds are [1, 2, 3]"),
        ("nothing#1", "row 'nothing' trains nothing"),
        ("large", "row 'kd' has no stage 'large'; known: train (a run of another row is written ROW#1 or ROW#same)"),
    ],
)
def test_an_edge_to_what_is_not_there(tmp_path: Path, reference: str, message: str) -> None:
    said, line = fault_of(tmp_path, taught_by(reference))
    assert said.startswith(message)
    assert line == f"teacher: {reference}"


def test_every_source_is_a_seed_of_the_row_that_it_names(tmp_path: Path) -> None:
    spread = (KD, f"    sources: [1, 3, 4]\n{KD.replace('#1', '#source')}")
    said, line = fault_of(tmp_path, spread)
    assert said == "row 'large' has no seed 4; its seeds are [1, 2, 3]"
    assert line == "teacher: large#source"


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("plian", "no row 'plian' in small; did you mean 'plain'?"),
        ("smal/plain", "no table 'smal'; did you mean 'small'?"),
        ("plain", "row kd.compared_with: 'kd' publishes no error"),
    ],
)
def test_what_a_published_number_is_compared_with(tmp_path: Path, named: str, message: str) -> None:
    said, _ = fault_of(tmp_path, (KD, f"    compared_with: {named}\n{KD}"))
    assert said == message


def test_an_edge_to_no_stage_of_the_row(tmp_path: Path) -> None:
    said, line = fault_of(tmp_path, ("        init: warm\n", "        init: warn\n"))
    assert said.startswith("row 'staged' has no stage 'warn'; did you mean 'warm'?")
    assert line == "init: warn"


@pytest.mark.parametrize(
    ("changes", "message", "line"),
    [
        (
            [taught_by("kd#1")],
            "a run would take from itself: small/kd takes from small/kd",
            "teacher: kd#1",
        ),
        (
            [taught_by("large#1"), large_taught_by("kd#same")],
            "a run would take from itself: small/kd takes from small/large takes from small/kd",
            "teacher: kd#same",
        ),
        (
            [("        teacher: large#1\n", "        teacher: staged#1\n")],
            "a run would take from itself: small/staged takes from small/staged",
            "teacher: staged#1",
        ),
        (
            [(WARM, WARM.replace("{seed", "{init: task, seed"))],
            "a run would take from itself: small/staged.task takes from small/staged.warm takes from small/staged.task",
            "warm: {init: task",
        ),
    ],
)
def test_a_cycle(tmp_path: Path, changes: list[tuple[str, str]], message: str, line: str) -> None:
    said, at = fault_of(tmp_path, *changes)
    assert said == message
    assert at.startswith(line)


def test_a_cycle_through_the_stages_of_another_row(tmp_path: Path) -> None:
    warm = (
        "      warm:\n        seed: 1\n        method: {kd: {temperature: 4.0, soften: both}}\n        teacher: kd#1\n"
    )
    said, line = fault_of(tmp_path, taught_by("staged.warm#1"), (WARM, warm))
    assert said == "a run would take from itself: small/staged.warm takes from small/kd takes from small/staged.warm"
    assert line == "teacher: staged.warm#1"


def test_a_chain_is_no_cycle(tmp_path: Path) -> None:
    found = library(tmp_path, taught_by("staged#same"), ("        teacher: large#1\n", "        teacher: words#1\n"))
    assert found.stage(found.table("small").rows["kd"].stages[0].teachers[0]).name == "task"


def test_a_teacher_of_other_classes(tmp_path: Path) -> None:
    said, line = fault_of(tmp_path, (LARGE_METHOD, f"    data: {{set: cifar10}}\n{LARGE_METHOD}"))
    assert said == "small/large is trained on cifar10, whose classes or channels are not those of cifar100"
    assert line == "teacher: large#1"


def test_initial_weights_of_another_network(tmp_path: Path) -> None:
    said, line = fault_of(tmp_path, (WARM, WARM.replace("{seed", "{network: teacher, seed")))
    assert said == "small/staged.warm trains another network, so its weights cannot be the initial ones"
    assert line == "init: warm"


FSP = "    method: {fsp: {weight: 1.0, matrices: sections}}\n    teacher: large#1\n"


def test_flow_matrices_of_different_shapes(tmp_path: Path) -> None:
    assert library(tmp_path, (KD, FSP), ("      method.temperature", "      method.weight"))
    wide = ("teacher: {resnet: {depth: 14, block: basic, shortcut: A, width: 1.0", "width: 1.0", "width: 4.0")
    said, line = fault_of(
        tmp_path, (KD, FSP), ("      method.temperature", "      method.weight"), (wide[0], wide[0].replace(*wide[1:]))
    )
    assert said == (
        "method 'fsp': feature 'stage1.first' has 16 channels in the student and 64 in the teacher, so their FSP"
        " matrices have no distance; give both networks the same width"
    )
    assert line == "teacher: large#1"


@pytest.mark.parametrize(
    ("hint", "guided", "channels", "message"),
    [
        ("[stage2]", "[stage2]", "[[32, 64]]", "the channels of 'stage2' and 'stage2' are [32, 32], not [32, 64]"),
        ("[stage1]", "[stage2]", "[[32, 16]]", "'stage2' is 16 pixels wide and 'stage1' 32; name layers of one size"),
        ("[pool]", "[stage2]", "[[32, 32]]", "the teacher's 'pool' is no feature map"),
        ("[stage2]", "[stage4]", "[[32, 32]]", "the student's network gives no feature map 'stage4'; known: stem, "),
    ],
)
def test_hints_that_no_regressor_can_compare(
    tmp_path: Path, hint: str, guided: str, channels: str, message: str
) -> None:
    method = f"    method: {{hint: {{hint: {hint}, guided: {guided}, channels: {channels}}}}}\n    teacher: large#1\n"
    said, line = fault_of(tmp_path, (KD, method), ("      method.temperature", "      method.guided"))
    assert said.startswith(f"method 'hint': {message}")
    assert line == "teacher: large#1"


@pytest.mark.parametrize(
    "params",
    [
        "{hint: [stage2, stage3], guided: [stage2], channels: [[32, 32]]}",
        "{hint: [], guided: [], channels: []}",
    ],
)
def test_hints_without_their_layers(tmp_path: Path, params: str) -> None:
    method = f"    method: {{hint: {params}}}\n    teacher: large#1\n"
    said, line = fault_of(tmp_path, (KD, method), ("      method.temperature", "      method.guided"))
    assert said == "row kd.method.hint: hint, guided and channels: one entry each for every pair of layers"
    assert line.startswith("method: {hint")


def test_two_files_that_define_one_table(tmp_path: Path) -> None:
    write(tmp_path, SMALL, "a.yaml")
    folder = write(tmp_path, f"# a copy\n{SMALL}", "b.yaml")
    with pytest.raises(RecipeError) as raised:
        load(folder)
    first = tmp_path / "recipes" / "paper" / "a.yaml"
    assert str(raised.value) == f"recipes/paper/b.yaml:2: table 'small' is also in {first}"


def test_rows_may_take_from_another_table(tmp_path: Path) -> None:
    write(tmp_path)
    text = changed(SMALL, ("table: small", "table: other"), taught_by("small/large#2"))
    found = load(write(tmp_path, text, "other.yaml"))
    reference = found.table("other").rows["kd"].stages[0].teachers[0]
    assert found.row(reference) is found.table("small").rows["large"]


def test_no_folder_of_recipes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder of recipes at"):
        load(tmp_path / "recipes")


def test_no_such_table(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no table 'smal'; did you mean 'small'"):
        library(tmp_path).table("smal")


@pytest.mark.parametrize("name", SHIPPED.tables)
def test_every_shipped_row_says_where_its_published_error_stands(name: str) -> None:
    for row in SHIPPED.table(name).rows.values():
        assert "error" not in row.published or row.published["error"].source
        assert row.published or row.unscored or not row.stages


def test_every_shipped_table_stands_in_a_file_of_its_own() -> None:
    files = sorted((ROOT / "recipes").glob("*/*.yaml"))
    assert sorted(table.file for table in SHIPPED.tables.values()) == files


METHOD_WORDS = {name.split("_")[0] for name in registry.METHODS} | {"uniform", "smoothing"}
NETWORK = re.compile(r"(resnet|wrn|vgg|mobilenet|shufflenet|shuffle|lenet)\w*")
SET_WORDS = ("cifar10", "cifar100", "mnist", "fashion", "cub200")
ROWS = [(table.name, row) for table in SHIPPED.tables.values() for row in table.rows]


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_a_row_is_named_by_its_method_then_its_network_with_its_data_set_at_one_end(table: str, row: str) -> None:
    """Words in lower case between hyphens: ``kd-resnet32-one``, ``ffdwv-resnet110-cifar10``, ``mnist-student-kd``."""
    words = row.split("-")
    assert all(re.fullmatch(r"[a-z0-9]+", word) for word in words)
    methods = [i for i, word in enumerate(words) if word in METHOD_WORDS]
    networks = [i for i, word in enumerate(words) if NETWORK.fullmatch(word)]
    assert not methods or not networks or max(methods) < min(networks)
    assert all(i in (0, len(words) - 1) for i, word in enumerate(words) if word in SET_WORDS)
