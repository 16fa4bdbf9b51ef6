"""What no run could use is refused as a recipe is read: at which line, and why."""

import pickle
import re
import time
from pathlib import Path

import pytest

from bench.cost import training_cost
from bench.counting import Costs
from bench.errors import RecipeError
from bench.graph import plan
from bench.recipe.library import LONGEST_CHAIN, load
from bench.store import Store
from bench.todo import todo
from tests.handmade import SMALL, changed, library, write

SGD = "sgd: {momentum: 0.9, nesterov: true, weight_decay: 1.0e-4}"
PUBLISHED = 'error: {value: 30.0, n: 3, source: "Table 1", protocol: last}'
STUDENT = "student: {resnet: {depth: 8, block: basic, shortcut: A, width: 1.0}}"
MANY = "9" * 5000
KD_METHOD = "    method: {kd: {temperature: 4.0, soften: both}}\n    teacher: large#1\n    assumed"
OF_SIZE = "(its size must be 1e-18 to 1e+18, for float32 to hold its square)"

NUMBERS = [
    (SGD, SGD.replace("0.9", "0"), "row plain.optimizer.sgd: nesterov needs a momentum above 0"),
    (SGD, SGD.replace("0.9", "1.0"), "row plain.optimizer.sgd: momentum must be below 1,"),
    (
        SGD,
        SGD.replace("1.0e-4", "1.0e+19"),
        f"row plain.optimizer.sgd.weight_decay: expected a number, got 1.0e+19 {OF_SIZE}",
    ),
    (
        SGD,
        "adam: {beta1: 0.9, beta2: 1.0, eps: 1.0e-8, weight_decay: 0}",
        "row plain.optimizer.adam: beta1 and beta2 must be below 1",
    ),
    (
        "epochs: 10,",
        "epochs: 1000000000000000000,",
        "row plain.schedule.epochs: at most 1,000,000, got 1000000000000000000",
    ),
    ("epochs: 10,", "epochs: 100000,", None),
    (
        "epochs: 10, batch: 50",
        "epochs: 1000000, batch: 1",
        "row plain.schedule: 50,000,000,000 steps; at most 100,000,000",
    ),
    (
        "{iterations: 100,",
        "{iterations: 100000001,",
        "row staged.stages.warm.schedule.iterations: at most 100,000,000, got 100000001",
    ),
    (
        "batch: 50",
        f"batch: 1{'0' * 30}",
        f"row plain.schedule.batch: expected a whole number, got 1{'0' * 30} (more than 63 bits)",
    ),
    ("batch: 50", "batch: 1000001", "row plain.schedule.batch: at most 1,000,000, got 1000001"),
    ("lr: 0.1,", "lr: 1.0e+300,", f"row plain.schedule.lr: expected a number, got 1.0e+300 {OF_SIZE}"),
    ("lr: 0.1,", "lr: 1.0e-320,", f"row plain.schedule.lr: expected a number, got 1.0e-320 {OF_SIZE}"),
    ("gamma: 0.1", "gamma: 1.0e+10", "row plain.schedule.gamma: 2 drops by 1e+10 take the rate above 1e+18"),
    ("crop_padding: 4", "crop_padding: 32", "row plain.data.crop_padding: must stay below the side of an image, 32"),
    ("crop_padding: 4", "crop_padding: 31", None),
    ("mean: [0.5, 0.5, 0.5]", "mean: [1.5, 0.5, 0.5]", "row plain.data.mean: must be 0 to 1, got 1.5"),
    (
        "  train: all\n",
        "  train: {fraction: 1.0e-6, seed: 0}\n",
        "row plain.data.train: 0 images, of the 50000 of cifar100",
    ),
    (
        "  train: all\n",
        "  train: {per_class: 501, seed: 0}\n",
        "row plain.data.train: 50100 images, of the 50000 of cifar100",
    ),
    (
        "  train: all\n",
        f"  train: {{fraction: 0.1, seed: 1{'0' * 30}}}\n",
        "row plain.data.train.seed: expected a whole number, got 1",
    ),
    ("seeds: [1, 2, 3]", f"seeds: [{MANY}]", f"seeds: expected a whole number, got {MANY[:80]}... (5000 characters)"),
    ("seeds: [1, 2, 3]", f"seeds: [0x{'f' * 5000}]", "seeds: expected a whole number, got 0xfff"),
    ("priority: [3, 2, 1]", f"priority: {':'.join('1' * 3000)}", "row plain.priority: expected a number, got 1:1:1"),
    (KD_METHOD, KD_METHOD.replace("#1", f"#{MANY}"), "row kd: 'large#9999"),
    (
        KD_METHOD,
        KD_METHOD.replace("4.0", "1.0e+300"),
        f"row kd.method.kd.temperature: expected a number, got 1.0e+300 {OF_SIZE}",
    ),
    (STUDENT, STUDENT.replace("8", "6000000000000000002"), "networks.student.resnet: a depth of at most 10,000"),
    (STUDENT, STUDENT.replace("1.0", "128.0"), "networks.student.resnet: a depth of at most 10,000"),
    (
        STUDENT,
        "student: {mlp: {hidden: 1000001}}",
        "networks.student.mlp: hidden: at most 1,000,000 units, got 1000001",
    ),
    ("margin: 0.5", "margin: 101", "margin: must be above 0 and at most 100 points, got 101.0"),
    (PUBLISHED, PUBLISHED.replace("30.0", "-1"), "row plain.published.error: -1 is no error"),
    (PUBLISHED, PUBLISHED.replace("30.0", "101"), "row plain.published.error: 101 is no error"),
    ("params: 0.1", "params: -0.1", "row plain.published.params: -0.1 is no params"),
    ("[student, teacher]", f"[{', '.join(['student'] * 101)}]", "row dml.network: at most 100"),
    (KD_METHOD, KD_METHOD.replace("large#1", f"[{', '.join(['large#1'] * 101)}]"), "row kd.teacher: at most 100"),
    ("labels: {oak_tree: oak,", "labels: {oak_tree: [],", "words.cifar100.labels: class 'oak_tree' has no word"),
    (
        "distances: distances.csv",
        f"distances: {'d' * 300}",
        f"words.cifar100: {'d' * 80}... (300 characters): File name too long",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), NUMBERS)
def test_a_number_or_a_list_that_no_run_could_use(tmp_path: Path, old: str, new: str, message: str | None) -> None:
    if message is None:
        library(tmp_path, (old, new))
        return
    with pytest.raises(RecipeError) as raised:
        library(tmp_path, (old, new))
    place = re.match(r"recipes/paper/table\.yaml:(\d+): ", str(raised.value))
    assert place, str(raised.value)
    assert str(raised.value)[place.end() :].startswith(message)
    assert len(str(raised.value)) < 400
    # What is wrong with a block that stands in several lines is told at its key.
    shown = changed(SMALL, (old, new)).splitlines()[int(place[1]) - 1]
    assert any(line in shown or shown in line for line in new.splitlines())


def test_ensembles_of_too_many_subsets(tmp_path: Path) -> None:
    seeds = ("seeds: [1, 2, 3]", f"seeds: {list(range(1, 31))}")
    with pytest.raises(RecipeError, match=r"row plain\.nets: 30 seeds have more than 10,000 subsets of 15"):
        library(tmp_path, seeds, ("    priority: [3, 2, 1]\n", "    nets: 15\n"))


def test_a_table_without_rows(tmp_path: Path) -> None:
    text = SMALL.partition("claims:\n")[0] + "rows: {}\n"
    with pytest.raises(RecipeError, match=r"table\.yaml:\d+: rows: at least one"):
        load(write(tmp_path, text))


@pytest.mark.parametrize(
    "nested",
    [
        f"{'[' * 500}{']' * 500}",
        f"{'{a: ' * 500}1{'}' * 500}",
        f"{'[' * 5000}",
        "".join(f"\n{' ' * depth}a:" for depth in range(1, 500)),
    ],
)
def test_blocks_within_each_other(tmp_path: Path, nested: str) -> None:
    with pytest.raises(RecipeError, match=r"table\.yaml:\d+: not valid YAML: more than 50 blocks within each other"):
        library(tmp_path, ("columns: [error, trcost, params]", f"columns: {nested}"))


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("label: Two stages", 'label: "\\ud800"', "row staged.label: the character U+D800"),
        ("label: Two stages", 'label: "\\e[31mred"', "row staged.label: the character U+001B"),
        ('title: "A small', 'title: "\\u202EA small', "title: the character U+202E"),
        (
            'assumed:\n  schedule.batch: "',
            'assumed:\n  schedule.batch: "\\r',
            "assumed.schedule.batch: the character U+000D",
        ),
        ("  plain:\n", '  "pl\\u202Eain":\n', "rows: 'pl\\u202eain' is no key"),
        ("table: small", 'table: "sm\\tall"', "table: 'sm\\tall' is no name"),
        ("table: small", "table: --all", "table: '--all' is no name"),
        ("table: small", f"table: {'t' * 101}", f"table: '{'t' * 80}... (101 characters)' is no name: 100 characters"),
        ("  plain:\n", f"  {'p' * 101}:\n", f"rows: '{'p' * 80}... (101 characters)' is no key"),
        ("label: Two stages", "label: Two\x1bstages", "the character U+001B cannot stand in a recipe"),
        ("label: Two stages", "label: Two\0stages", "the character U+0000 cannot stand in a recipe"),
    ],
)
def test_text_that_cannot_be_seen(tmp_path: Path, old: str, new: str, place: str) -> None:
    with pytest.raises(RecipeError) as raised:
        library(tmp_path, (old, new))
    assert re.fullmatch(r"recipes/paper/table\.yaml:\d+", str(raised.value).partition(": ")[0])
    assert str(raised.value).partition(": ")[2].startswith(place)


@pytest.mark.parametrize("text", ["müßig, ελληνικά, 中文", "a\tb", "first\nsecond", "👩‍🔬 – ½"])
def test_text_of_any_script_is_read(tmp_path: Path, text: str) -> None:
    folder = write(tmp_path, changed(SMALL, ("label: Two stages", f"label: {text!r}".replace("'", '"'))))
    assert load(folder).table("small").rows["staged"].label == text


def chained(count: int, teachers: str = "[r{0}#1]", *, backwards: bool = False) -> str:
    """Rows each of which is taught by the one before."""
    head = SMALL.partition("claims:\n")[0]
    rows = ["  r0: {label: R, group: g, network: student, method: vanilla, published: {}}"]
    for i in range(1, count):
        method = "method: {kd: {temperature: 4.0, soften: both}}"
        teacher = f"teacher: {teachers.format(i - 1)}"
        rows.append(f"  r{i}: {{label: R, group: g, network: student, {method}, {teacher}, published: {{}}}}")
    return f"{head}rows:\n" + "\n".join(reversed(rows) if backwards else rows) + "\n"


@pytest.mark.parametrize("backwards", [False, True])
def test_a_chain_of_1500_teachers_is_refused_at_its_line_within_seconds(tmp_path: Path, backwards: bool) -> None:
    text, begun = chained(1500, backwards=backwards), time.monotonic()
    with pytest.raises(RecipeError) as raised:
        load(write(tmp_path, text))
    line = 1 + next(i for i, row in enumerate(text.splitlines()) if row.startswith(f"  r{LONGEST_CHAIN}:"))
    assert str(raised.value) == (
        f"recipes/paper/table.yaml:{line}: this is run 101 of a chain in which each takes from the one before;"
        " 100 at most"
    )
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("backwards", [False, True])
def test_a_chain_that_is_as_long_as_one_may_be_is_planned_priced_and_pickled(tmp_path: Path, backwards: bool) -> None:
    found = load(write(tmp_path, chained(LONGEST_CHAIN, backwards=backwards)))
    graph = plan(found, ["small"], "paper", seeds=[1])
    last = graph.rows["small", f"r{LONGEST_CHAIN - 1}"][1]
    assert [run.key for run in graph.by_priority()] == [run.key for run in todo(graph.runs.values(), Store(tmp_path))]
    assert training_cost(found.table("small").rows["r1"], last, Costs(tmp_path / "costs.json", {})) == (None, None)
    assert pickle.loads(pickle.dumps(last)).id == last.id


def test_runs_that_many_ways_lead_to_are_looked_at_once(tmp_path: Path) -> None:
    """Forty rows, each taught by two seeds of the one before: a million million ways through them."""
    found = load(write(tmp_path, chained(40, "[r{0}#1, r{0}#2]")))
    graph = plan(found, ["small"], "paper", seeds=[1, 2])
    assert len(graph.by_priority()) == len(todo(graph.runs.values(), Store(tmp_path))) == 80
    training_cost(found.table("small").rows["r39"], graph.rows["small", "r39"][1], Costs(tmp_path / "costs.json", {}))


def test_a_chain_of_rows_behind_one_that_is_not_known(tmp_path: Path) -> None:
    text = chained(1500, backwards=True).replace("method: vanilla", "method: vanila")
    unreadable = load(write(tmp_path, text)).unreadable
    assert len(unreadable) == 1500
