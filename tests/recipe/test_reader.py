"""Every kind of fault that one recipe can have: what is said, and at which line."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import RecipeError
from bench.quantisers import Ternary
from bench.recipe import Cell, Ref, Subset, Table
from bench.recipe.reader import read_table
from bench.recipe.stages import digest_of
from bench.schedules import Cosine, Steps
from tests.handmade import SMALL, changed, write

PLAIN_METHOD = "    network: student\n    method: vanilla\n    priority"
KD = "    method: {kd: {temperature: 4.0, soften: both}}\n    teacher: large#1\n"
WORDS_METHOD = "method: {ffdwv: {words: cifar100, reading: vectors}}"
ERROR = 'error: {value: 30.0, n: 3, source: "Table 1", protocol: last}'
DML = "    update: sequential\n    report: mean\n"


def table_of(folder: Path, text: str) -> Table:
    return read_table(write(folder, text) / "paper" / "table.yaml", "table.yaml")


def fault_of(folder: Path, text: str) -> tuple[str, str]:
    """The message without its place, and the text of the line that it names.

    A component that is not known spoils its row alone, which then says why; any other fault spoils the table.
    """
    try:
        rows = table_of(folder, text).rows.values()
        message = next(row.unreadable for row in rows if row.unreadable)
    except RecipeError as error:
        message = str(error)
    found = re.fullmatch(r"table\.yaml:(\d+): (.+)", message)
    assert found, message
    return found[2], (text.splitlines() or [""])[int(found[1]) - 1].strip()


TERNARY = "{ternary: {ends: full, threshold: 0.7}}"

# (what to replace, by what, the message, the line at which it must be)
KEYS = [
    ("metric: error\n", "metrc: error\n", "table: unknown key 'metrc'; did you mean 'metric'?", "metrc: error"),
    ("metric: error\n", "", "table: key 'metric' is missing", "table: small"),
    ("metric: error\n", "metric: error\nmetric: error\n", "table: key 'metric' is given twice", "metric: error"),
    (
        "    priority: [3",
        "    prioriti: [3",
        "row plain: unknown key 'prioriti'; did you mean 'priority'?",
        "prioriti: [3, 2, 1]",
    ),
    ("    label: Plain\n", "", "row plain: key 'label' is missing", "plain:"),
    (PLAIN_METHOD, "    method: vanilla\n    priority", "row plain: key 'network' is missing", "plain:"),
    (
        "        init: warm\n",
        "        inti: warm\n",
        "row staged.stages.task: unknown key 'inti'; did you mean 'init'?",
        "inti: warm",
    ),
    (
        "        init: warm\n        method: {kd: {temperature: 4.0, soften: both}}\n",
        "        init: warm\n",
        "row staged.stages.task: key 'method' is missing",
        "task:",
    ),
    ("  flip: true\n", "  flipp: true\n", "row plain.data: unknown key 'flipp'; did you mean 'flip'?", "flipp: true"),
    ("  flip: true\n", "", "row plain.data: key 'flip' is missing", "plain:"),
    ("  flip: true\n", "  flip: true\n  flip: false\n", "data: key 'flip' is given twice", "flip: false"),
    (
        "schedule: {epochs: 10, batch: 50",
        "schedule: {epochs: 10, bach: 50",
        "row plain.schedule: unknown key 'bach'; did you mean 'batch'?",
        "schedule: {epochs: 10, bach",
    ),
    (" batch: 50,", "", "row plain.schedule: key 'batch' is missing", "plain:"),
    (ERROR, ERROR.replace("source", "sorce"), "row plain.published.error: unknown key 'sorce'", "error: {value"),
    (ERROR, "eror: 30.0", "row plain.published: unknown key 'eror'; did you mean 'error'?", "eror: 30.0"),
    (ERROR, "error: {value: 30.0}", "row plain.published.error: key 'source' is missing", "error: {value: 30.0}"),
    ("better: kd, ", "", "claims: key 'better' is missing", "- {text"),
]

TYPES = [
    ("margin: 0.5", "margin: half", "margin: expected a number, got 'half'", "margin: half"),
    ("lr: 0.1,", "lr: '0.1',", "row plain.schedule.lr: expected a number, got '0.1'", "schedule: {epochs: 10"),
    (
        "weight_decay: 1.0e-4",
        "weight_decay: 1e-4",
        "row plain.optimizer.sgd.weight_decay: expected a number, got '1e-4' (YAML needs a point in it: 1.0e-4)",
        "optimizer:",
    ),
    ("crop_padding: 4", "crop_padding: true", "row plain.data.crop_padding: expected a whole number, got true", "crop"),
    ("crop_padding: 4", "crop_padding: -1", "row plain.data.crop_padding: must be 0 or more, got -1", "crop_padding"),
    (
        "flip: true\n",
        "flip: true\n  resolution: 12\n",
        "row plain.data.resolution: a side to which images of 32 pixels can be reduced (1, 2, 4, 8, 16), got 12",
        "resolution: 12",
    ),
    ("flip: true\n", "flip: true\n  resolution: 32\n", "row plain.data.resolution: a side to which", "resolution: 32"),
    ("flip: true", "flip: 1", "row plain.data.flip: expected true or false, got 1", "flip: 1"),
    ("seeds: [1, 2, 3]", "seeds: 3", "seeds: expected a list, got 3", "seeds: 3"),
    ("seeds: [1, 2, 3]", "seeds: [0]", "seeds: must be 1 or more, got 0", "seeds: [0]"),
    ("seeds: [1, 2, 3]", "seeds: []", "seeds: at least one, and each once", "seeds: []"),
    ("seeds: [1, 2, 3]", "seeds: [1, 1]", "seeds: at least one, and each once", "seeds: [1, 1]"),
    (
        "    label: Plain\n",
        "    label: 32\n",
        'row plain.label: expected a text, got 32 (as a text: "32")',
        "label: 32",
    ),
    ("priority: [3, 2, 1]", "priority: [3, 2]", "row plain.priority: 3 seeds but 2 numbers", "priority: [3, 2]"),
    ("priority: [3, 2, 1]", "priority: high", "row plain.priority: expected a number, got 'high'", "priority: high"),
    (
        "columns: [error, trcost, params]",
        "columns: [error, cost]",
        "columns: 'cost' is not known; did you mean 'trcost'?",
        "columns: [error, cost]",
    ),
    (
        "error: {value: 30.0,",
        "accuracy: {value: 30.0,",
        "row plain.published: this table's metric is 'error', not 'accuracy'",
        "accuracy: {value: 30.0,",
    ),
    (
        "padding_mode: constant",
        "padding_mode: zero",
        "row plain.data.padding_mode: expected constant or reflect, got 'zero'",
        "padding_mode: zero",
    ),
    (
        "precision: auto",
        "precision: half",
        "row plain.precision: expected auto or float32 or bfloat16 or float64, got 'half'",
        "precision: half",
    ),
    ("rows:\n", "rows: []\nnothing:\n", "table: unknown key 'nothing'", "nothing:"),
    (
        "    published: {}\n  kd:",
        "    published: 30.0\n  kd:",
        "row large.published: expected N/A or keys and values, got 30.0",
        "published: 30.0",
    ),
    (
        ERROR,
        "error: 30.0",
        "row plain.published.error: give value, spread, meaning, n, source and protocol",
        "error: 3",
    ),
    (
        ERROR,
        ERROR.replace("n: 3", "n: few"),
        "row plain.published.error.n: expected a whole number or unknown, got 'few'",
        "error: {value",
    ),
    ("table: small", "table: small/1", "table: 'small/1' is no name: without blanks and '/', '.', '#'", "table: small"),
    ("  plain:\n", "  plain.1:\n", "rows: 'plain.1' is no name: without blanks and '/', '.', '#'", "plain.1:"),
    ("      warm: {", "      'warm up': {", "row staged.stages: 'warm up' is no name", "'warm up': {seed"),
]

NAMES = [
    (
        PLAIN_METHOD,
        PLAIN_METHOD.replace("vanilla", "vanila"),
        "row plain.method: 'vanila' is not known;",
        "method: van",
    ),
    (KD, KD.replace("kd:", "kdd:"), "row kd.method: 'kdd' is not known; did you mean 'kd'?", "method: {kdd"),
    (
        KD,
        KD.replace("temperature: 4.0, ", ""),
        "row kd.method.kd: key 'temperature' is missing",
        "method: {kd: {soften",
    ),
    (
        KD,
        KD.replace("soften", "alhpa: 0.9, soften"),
        "row kd.method.kd: unknown key 'alhpa'; did you mean 'alpha'?",
        "method: {kd: {temperature: 4.0, alhpa",
    ),
    (KD, KD.replace("4.0", "0"), "row kd.method.kd.temperature: must be above 0, got 0.0", "method: {kd"),
    (
        KD,
        KD.replace("both", "student"),
        "row kd.method.kd.soften: expected both or teacher, got 'student'",
        "method: {",
    ),
    (
        KD,
        KD.replace("}}", "}, vanilla: {}}"),
        "row kd.method: one name with its parameters, got kd, vanilla",
        "method: {kd",
    ),
    (
        PLAIN_METHOD,
        PLAIN_METHOD.replace("vanilla", "{vanilla: {alpha: 1}}"),
        "row plain.method.vanilla: unknown key 'alpha'; known: none",
        "method: {vanilla",
    ),
    (
        PLAIN_METHOD,
        PLAIN_METHOD.replace("student", "studnet"),
        "row plain.network: no network 'studnet' under 'networks'; did you mean 'student'?",
        "network: studnet",
    ),
    (
        "student: {resnet:",
        "student: {resnest:",
        "networks.student: 'resnest' is not known; did you mean 'resnet'?",
        "student: {resnest",
    ),
    (
        "depth: 8, block: basic, shortcut: A, width: 1.0",
        "depth: 33, block: basic, shortcut: A, width: 1.0",
        "networks.student.resnet: depth 33: a ResNet of basic blocks has a depth of 6n+2; the nearest: 32 or 38",
        "student: {resnet: {depth: 33",
    ),
    (
        "depth: 8, block: basic, shortcut: A, width: 1.0",
        "depth: 8, block: basic, shortcut: A, width: 0.3",
        "networks.student.resnet: width 0.3: 16, 32 and 64 times the width must be whole numbers",
        "student: {resnet",
    ),
    (
        PLAIN_METHOD,
        PLAIN_METHOD.replace("student", "{resnet: {depth: 9, block: bottleneck, shortcut: A, width: 1.0}}"),
        "row plain.network.resnet: depth 9: a ResNet of bottleneck blocks has a depth of 9n+2; the nearest: 11",
        "network: {resnet: {depth: 9",
    ),
    (
        "optimizer: {sgd:",
        "optimizer: {sdg:",
        "row plain.optimizer: 'sdg' is not known; did you mean 'sgd'?",
        "optimizer: {sdg",
    ),
    (
        "  set: cifar100",
        "  set: cifar1000",
        "row plain.data: data set 'cifar1000' is not known; did you mean 'cifar100'?",
        "set: cifar1000",
    ),
    (
        WORDS_METHOD,
        WORDS_METHOD.replace("words: cifar100", "words: cifar10"),
        "row words.method.ffdwv.words: no word distances 'cifar10' under 'words'; did you mean 'cifar100'?",
        "method: {ffdwv: {words: cifar10,",
    ),
    (
        "distances: distances.csv",
        "distances: distance.csv",
        "words.cifar100: there is no file 'distance.csv' beside this recipe",
        "cifar100: {distances",
    ),
]

SHAPES = [
    ("epochs: 10, ", "", "row plain.schedule: give epochs or iterations, one of the two", "plain:"),
    (
        "epochs: 10, ",
        "epochs: 10, iterations: 100, ",
        "row plain.schedule: give epochs or iterations, one of the two",
        "schedule: {epochs: 10, iterations",
    ),
    (
        "drops: [5, 8]",
        "drops: [8, 5]",
        "row plain.schedule.drops: must rise and stay below the length, 10",
        "schedule: {epochs",
    ),
    (
        "drops: [5, 8]",
        "drops: [5, 5]",
        "row plain.schedule.drops: must rise and stay below the length, 10",
        "schedule: {epochs",
    ),
    (
        "drops: [5, 8]",
        "drops: [5, 10]",
        "row plain.schedule.drops: must rise and stay below the length, 10",
        "schedule: {epochs",
    ),
    (
        "iterations: 100, drops: [50]",
        "iterations: 50, drops: [50]",
        "row staged.stages.warm.schedule.drops: must rise and stay below the length, 50",
        "warm: {seed: 1",
    ),
    (
        "mean: [0.5, 0.5, 0.5]",
        "mean: [0.5]",
        "row plain.data.mean: one number for each channel of cifar100",
        "mean: [0.5]",
    ),
    (
        "std: [0.25, 0.25, 0.25]",
        "std: [0.25, 0.25]",
        "row plain.data.std: one number for each channel of cifar100",
        "std: [0.25, 0.25]",
    ),
    ("std: [0.25, 0.25, 0.25]", "std: [0, 1, 1]", "row plain.data.std: must be above 0, got 0.0", "std: [0, 1, 1]"),
    (
        "test: {fraction: 0.5, seed: 0}",
        "test: {fraction: 0.5, per_class: 5, seed: 0}",
        "row plain.data.test: give fraction or per_class, one of the two",
        "test: {fraction",
    ),
    (
        "test: {fraction: 0.5, seed: 0}",
        "test: {seed: 0}",
        "row plain.data.test: give fraction or per_class, one of the two",
        "test: {seed",
    ),
    (
        "test: {fraction: 0.5, seed: 0}",
        "test: {fraction: 2.0, seed: 0}",
        "row plain.data.test.fraction: must be above 0 and at most 1, got 2.0",
        "test: {fraction",
    ),
    ("    teacher: large#1\n    assumed", "    assumed", "row kd: method 'kd' needs 'teacher'", "method: {kd"),
    (
        PLAIN_METHOD,
        f"    teacher: large#1\n{PLAIN_METHOD}",
        "row plain: method 'vanilla' takes no 'teacher'",
        "teacher: large#1",
    ),
    (
        "[student, teacher]",
        "student",
        "row dml: method 'dml' trains a group: give a list of two or more",
        "network: st",
    ),
    ("[student, teacher]", "[student]", "row dml: method 'dml' trains a group: give a list", "network: [student]"),
    (
        PLAIN_METHOD,
        PLAIN_METHOD.replace("student", "[student, student]"),
        "row plain: method 'vanilla' trains one network, got 2",
        "network: [student, student]",
    ),
    (
        PLAIN_METHOD,
        PLAIN_METHOD.replace("student", "[]"),
        "row plain: method 'vanilla' trains one network, got 0",
        "network: []",
    ),
    (
        "[student, teacher]",
        "[[student, teacher]]",
        "row dml.network: expected a text, got a list",
        "network: [[student, teacher]]",
    ),
    (
        "    update: sequential\n",
        "",
        "row dml: method 'dml' needs 'update: sequential', 'simultaneous' or 'joint'",
        "method: dml",
    ),
    (
        "    update: sequential\n",
        "    update: sequental\n",
        "row dml.update: expected sequential or simultaneous or joint",
        "update: sequental",
    ),
    (
        PLAIN_METHOD,
        f"    update: joint\n{PLAIN_METHOD}",
        "row plain: method 'vanilla' takes no 'update'",
        "update: joint",
    ),
    (
        "    report: mean\n",
        "",
        "row dml: a group of networks must say 'report: first' or 'report: mean'",
        "dml:",
    ),
    ("report: mean", "report: best", "row dml.report: expected first or mean, got 'best'", "report: best"),
    (
        PLAIN_METHOD,
        f"    report: mean\n{PLAIN_METHOD}",
        "row plain: a single network must not say 'report: first' or 'report: mean'",
        "report: mean",
    ),
    (
        "      task:\n        init: warm\n",
        "      task:\n        seed: 1\n        init: warm\n",
        "row staged: with a 'seed' here its 3 seeds would be one run",
        "task:",
    ),
    (
        "published: N/A",
        "network: student, published: N/A",
        "row nothing (N/A): unknown key 'network'; known: group, label, notes, published",
        "nothing: {label",
    ),
]

REFERENCES = [
    ("better: kd,", "better: kdd,", "claims: 'kdd' is no row; did you mean 'kd'?", "- {text"),
    ("worse: plain", "worse: nothing", "claims: 'nothing' trains nothing", "- {text"),
    (
        KD,
        KD.replace("#1", "#"),
        "row kd: 'large#' names no seed; write large#1, large#same or large#source",
        "teacher: large#",
    ),
    (
        KD,
        KD.replace("#1", "#one"),
        "row kd: 'large#one' names no seed; write large#1, large#same or large#source",
        "teacher: large",
    ),
    (
        KD,
        KD.replace("#1", "#²"),
        "row kd: 'large#²' names no seed; write large#1, large#same or large#source",
        "teacher: large",
    ),
    (
        KD,
        KD.replace("large#1", "small/large"),
        "row kd: 'small/large' names no seed; write small/large#1, small/large#same or small/large#source",
        "teacher: small/large",
    ),
    (KD, KD.replace("large#1", "''"), "row kd: '' names no seed", "teacher: ''"),
    (KD, KD.replace("large#1", "[[large#1]]"), "row kd: expected a text, got a list", "teacher: [[large#1]]"),
]

ASSUMED = [
    (
        "  schedule.batch:",
        "  schedule.bacth:",
        "assumed: 'schedule.bacth' is no field here; did you mean 'schedule.batch'?",
        "schedule.bacth:",
    ),
    ("  schedule.batch:", "  batch:", "assumed: 'batch' is no field here", "batch:"),
    ("  schedule.batch:", "  schedule.iteration:", "assumed: 'schedule.iteration' is no field here", "schedule.it"),
    (
        "  schedule.batch:",
        "  optimizer.adam.momentum:",
        "assumed: 'optimizer.adam.momentum' is no field",
        "optimizer.ad",
    ),
    (
        "      method.temperature:",
        "      method.temprature:",
        "row kd.assumed: 'method.temprature' is no field here; did you mean 'method.temperature'?",
        "method.temprature:",
    ),
    ("      method.temperature:", "      words:", "row kd.assumed: 'words' is no field here", 'words: "not stated"'),
    ("      method.temperature:", "      update:", "row kd.assumed: 'update' is no field here", "update:"),
    ("      method.temperature:", "      init:", "row kd.assumed: 'init' is no field here", "init:"),
    (
        "      method.temperature:",
        "      published.error:",
        "row kd.assumed: 'published.error' is no field",
        "published",
    ),
    ("      method.temperature:", "      report:", "row kd.assumed: 'report' is no field here", "report:"),
    (
        "      method.temperature:",
        "      data.train.fraction:",
        "row kd.assumed: 'data.train.fraction' is no field",
        "da",
    ),
    (
        PLAIN_METHOD,
        f"    assumed: {{teacher: not stated}}\n{PLAIN_METHOD}",
        "row plain.assumed: 'teacher' is no field here",
        "assumed: {teacher",
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "message", "line"),
    [*KEYS, *TYPES, *NAMES, *SHAPES, *REFERENCES, *ASSUMED],
    ids=lambda text: re.sub(r"\W+", " ", text)[:30],
)
def test_a_fault_is_said_at_its_line(tmp_path: Path, old: str, new: str, message: str, line: str) -> None:
    said, at = fault_of(tmp_path, changed(SMALL, (old, new)))
    assert said.startswith(message)
    assert at.startswith(line)


@pytest.mark.parametrize(
    "path",
    [
        *("data", "data.mean", "data.crop_padding", "data.test.fraction", "network", "network.resnet.shortcut"),
        *("network.depth", "method", "method.kd", "method.temperature", "method.kd.soften", "teacher", "precision"),
        *("schedule", "schedule.batch", "optimizer", "optimizer.sgd", "optimizer.sgd.weight_decay"),
        "optimizer.momentum",
    ],
)
def test_an_assumption_may_name_every_field_of_its_row(tmp_path: Path, path: str) -> None:
    text = changed(SMALL, ("      method.temperature:", f"      {path}:"))
    assert table_of(tmp_path, text).rows["kd"].assumed == {path: "not stated"}


@pytest.mark.parametrize(
    ("row", "path"),
    [
        *(
            ("    priority: [3, 2, 1]\n", path)
            for path in ("published.error", "published.error.protocol", "published.params")
        ),
        ("    update: sequential\n", "report"),
    ],
)
def test_an_assumption_may_be_of_what_is_published_and_reported(tmp_path: Path, row: str, path: str) -> None:
    text = changed(SMALL, (row, f"{row}    assumed: {{{path}: inferred}}\n"))
    assert {path: "inferred"} in [row.assumed for row in table_of(tmp_path, text).rows.values()]


@pytest.mark.parametrize(
    "path",
    ["words", "method.temperature", "teacher", "init", "update", "schedule.iterations", "published.error.source"],
)
def test_an_assumption_of_a_table_may_name_a_field_of_any_row(tmp_path: Path, path: str) -> None:
    assert table_of(tmp_path, changed(SMALL, ("  schedule.batch:", f"  {path}:"))).assumed == {path: "not stated"}


def test_a_row_that_the_paper_leaves_out_trains_nothing(tmp_path: Path) -> None:
    row = table_of(tmp_path, SMALL).rows["nothing"]
    assert (row.stages, row.published, row.label) == ((), {}, "Left out")


def test_a_block_of_a_row_is_laid_over_the_tables_key_by_key(tmp_path: Path) -> None:
    text = changed(SMALL, (PLAIN_METHOD, f"    schedule: {{lr: 0.2}}\n    data: {{flip: false}}\n{PLAIN_METHOD}"))
    stage = table_of(tmp_path, text).rows["plain"].stages[0]
    assert (stage.schedule.lr, stage.schedule.epochs, stage.schedule.decay) == (0.2, 10, Steps((5, 8), 0.1))
    assert (stage.data.flip, stage.data.crop_padding) == (False, 4)


def test_a_decay_by_name_replaces_the_tables_steps_and_the_other_way_round(tmp_path: Path) -> None:
    cosine = changed(SMALL, (PLAIN_METHOD, f"    schedule: {{decay: cosine, warmup: 2}}\n{PLAIN_METHOD}"))
    rows = table_of(tmp_path, cosine).rows
    schedule = rows["plain"].stages[0].schedule
    assert (schedule.decay, schedule.warmup, schedule.epochs) == (Cosine(), 2, 10)
    assert rows["large"].stages[0].schedule.decay == Steps((5, 8), 0.1)
    both = changed(cosine, ("drops: [5, 8], gamma: 0.1", "decay: constant"), ("drops: [50]", "drops: [50], gamma: 0.1"))
    assert table_of(tmp_path, both).rows["plain"].stages[0].schedule.decay == Cosine()
    steps = changed(both, ("decay: cosine, warmup: 2", "drops: [4], gamma: 0.5"))
    assert table_of(tmp_path, steps).rows["plain"].stages[0].schedule.decay == Steps((4,), 0.5)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (KD, KD.replace("#1", "#source"), "row kd: 'source' needs 'sources', one number for each seed of the row"),
        (KD, f"    sources: [1, 1, 2]\n{KD}", "row kd.sources: no stage takes a 'source'; write ROW#source"),
        (KD, f"    sources: [1, 2]\n{KD.replace('#1', '#source')}", "row kd.sources: 3 seeds but 2 numbers"),
        (KD, f"    sources: [1, 0, 2]\n{KD.replace('#1', '#source')}", "row kd.sources: must be 1 or more, got 0"),
        (
            KD,
            f"    hypothesis_of: plain\n{KD}",
            "row kd.hypothesis_of: 'kd' has a verdict of its own; mark it 'unscored'",
        ),
        (
            KD,
            f"    hypothesis_of: plan\n    unscored: x\n{KD}",
            "row kd.hypothesis_of: no row 'plan'; did you mean 'plain'?",
        ),
        (KD, f"    hypothesis_of: large\n    unscored: x\n{KD}", "row kd.hypothesis_of: 'large' has no verdict"),
        (KD, f"    bounded_by: large\n{KD}", "row kd.bounded_by: 'kd' has no verdict"),
        (PLAIN_METHOD, f"    bounded_by: kd\n{PLAIN_METHOD}", "row plain.bounded_by: 'kd' has a verdict of its own"),
        (
            PLAIN_METHOD,
            f"    weights: [full, {TERNARY}]\n{PLAIN_METHOD}",
            "row plain: method 'vanilla': 'weights': one for each of its 1 networks, {name: {...}} or full; got 2",
        ),
        (
            PLAIN_METHOD,
            f"    weights: {{uniform: {{ends: full, bits: 32, bucket: 256}}}}\n{PLAIN_METHOD}",
            "row plain.weights.uniform: bits: at most 16, got 32; without 'weights' they are float32",
        ),
    ],
)
def test_what_does_not_fit_together(tmp_path: Path, old: str, new: str, message: str) -> None:
    said, _ = fault_of(tmp_path, changed(SMALL, (old, new)))
    assert said.startswith(message)


def test_rows_that_name_others(tmp_path: Path) -> None:
    kd = f"    hypothesis_of: plain\n    unscored: a hypothesis\n{KD}"
    rows = table_of(tmp_path, changed(SMALL, (KD, kd), (PLAIN_METHOD, f"    bounded_by: kd\n{PLAIN_METHOD}"))).rows
    assert (rows["kd"].hypothesis_of, rows["plain"].bounded_by, rows["kd"].bounded_by) == ("plain", "kd", None)


def test_an_ensemble_of_teachers_is_a_list(tmp_path: Path) -> None:
    stage = table_of(tmp_path, changed(SMALL, (KD, KD.replace("large#1", "[large#1, large#2]")))).rows["kd"].stages[0]
    assert [ref.seed for ref in stage.teachers] == [1, 2]
    assert {edge: ref.seed for edge, ref in stage.edges.items()} == {"teacher": 1, "teacher.2": 2}


def test_one_teacher_where_a_method_takes_no_more(tmp_path: Path) -> None:
    fsp = "    method: {fsp: {weight: 1.0, matrices: sections}}\n    teacher: [large#1, large#2]\n"
    said, line = fault_of(tmp_path, changed(SMALL, (KD, fsp), ("      method.temperature", "      method.weight")))
    assert said == "row kd: method 'fsp' takes one teacher, got 2"
    assert line.startswith("teacher: [large#1")


def test_initial_weights_are_a_choice_of_table_and_row(tmp_path: Path) -> None:
    text = changed(SMALL, ("precision: auto\n", "precision: auto\ninitial: framework\n"))
    rows = table_of(tmp_path, changed(text, (PLAIN_METHOD, f"    initial: he_all\n{PLAIN_METHOD}"))).rows
    assert (rows["plain"].stages[0].initial, rows["large"].stages[0].initial) == ("he_all", "framework")
    assert table_of(tmp_path, SMALL).rows["plain"].stages[0].initial == "he_fan_out"


def test_weights_are_represented_as_a_row_or_a_stage_says(tmp_path: Path) -> None:
    text = changed(SMALL, (PLAIN_METHOD, f"    weights: {TERNARY}\n{PLAIN_METHOD}"))
    (stage,) = table_of(tmp_path, text).rows["plain"].stages
    assert stage.weights == (stage.deployed_weights,) == (Ternary(ends="full", threshold=0.7),)
    assert stage.identity["weights"] == [{"name": "ternary", "params": {"ends": "full", "threshold": 0.7}}]
    whole = table_of(tmp_path, changed(SMALL, (PLAIN_METHOD, f"    weights: full\n{PLAIN_METHOD}"))).rows["plain"]
    assert whole.stages[0].identity == table_of(tmp_path, SMALL).rows["plain"].stages[0].identity


def test_a_length_in_the_other_unit_replaces_the_tables(tmp_path: Path) -> None:
    warm, task = table_of(tmp_path, SMALL).rows["staged"].stages
    assert (warm.schedule.epochs, warm.schedule.iterations) == (None, 100)
    assert (task.schedule.epochs, task.schedule.iterations) == (10, None)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("large#1", ("small", "large", "", 1)),
        ("large#same", ("small", "large", "", None)),
        ("large#source", ("small", "large", "", "source")),
        ("other/large#2", ("other", "large", "", 2)),
        ("other/large.flow#2", ("other", "large", "flow", 2)),
        ("flow", ("small", "kd", "flow", None)),
    ],
)
def test_an_edge_names_table_row_stage_and_seed(tmp_path: Path, said: str, expected: tuple[object, ...]) -> None:
    sources = "    sources: [1, 2, 3]\n" if "source" in said else ""
    text = changed(SMALL, (KD, sources + KD.replace("large#1", said)))
    line = next(i for i, row in enumerate(text.splitlines(), 1) if row.startswith("    teacher: "))
    assert table_of(tmp_path, text).rows["kd"].stages[0].teachers == (Ref(*expected, f"table.yaml:{line}"),)


def test_published_numbers_may_be_bare_where_they_are_counted(tmp_path: Path) -> None:
    published = table_of(tmp_path, SMALL).rows["plain"].published
    assert published["params"] == Cell(0.1, source="")
    assert published["error"] == Cell(30.0, "Table 1", n=3, protocol="last")


def test_a_part_of_a_set(tmp_path: Path) -> None:
    data = table_of(tmp_path, SMALL).rows["plain"].stages[0].data
    assert (data.train, data.test) == ("all", Subset(seed=0, fraction=0.5))


def test_one_priority_stands_for_every_seed(tmp_path: Path) -> None:
    rows = table_of(tmp_path, changed(SMALL, ("priority: [3, 2, 1]", "priority: 7"))).rows
    assert (rows["plain"].priority, rows["kd"].priority) == ((7.0, 7.0, 7.0), (0.0, 0.0, 0.0))


def test_comments_and_line_endings_of_distances_do_not_count(tmp_path: Path) -> None:
    for name, content in (("a", b"# one\na,1\nb,2\n"), ("b", b"a,1\r\nb,2\r\n\r\n# two"), ("c", b"a,1\nb,3\n")):
        (tmp_path / name).write_bytes(content)
    assert digest_of(tmp_path / "a") == digest_of(tmp_path / "b") != digest_of(tmp_path / "c")


TOKENS = [
    *"[]{}:,&*!#|>'\"",
    "&a",
    "*a",
    "<<",
    "- ",
    "---",
    "!!int",
    "!!set",
    "0",
    "-1",
    ".inf",
    "null",
    "\t",
    "\0",
    "²",
]
PLACES = [match.span() for match in re.finditer(r"[\w./#\"-]+|[\[\]{}:,]|\n", SMALL)]


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_is_written_there_it_is_a_table_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    start, end = data.draw(st.sampled_from(PLACES))
    words = [SMALL[slice(*place)] for place in PLACES[::7]]
    text = SMALL[:start] + data.draw(st.sampled_from(["", *TOKENS, *words])) + SMALL[end:]
    try:
        table_of(tmp_path_factory.getbasetemp() / "fuzz", text)
        said = ""
    except RecipeError as error:
        said = str(error)
    assert re.fullmatch(r"(table\.yaml:\d+: .+)?", said)  # and no line break
