"""The survey's tables: every row, in words that come from the recipes that stand for it."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import registry
from bench.errors import RecipeError
from bench.graph import plan
from bench.recipe import Library, Stages, load
from bench.report.formats import survey as formats
from bench.report.survey import Surveyed, stages_of, surveyed
from bench.store import Store
from tests.handmade import SMALL, changed, record, write

ROOT = Path(__file__).parents[2]
# As the survey prints them.
TABLE_I = ["6", "2", "11", "7", "1 (Ex. 1)", "1 (Ex. 2)", "4", "5", "9"]
TABLE_II = ["14", "15", "16", "17", "8", "10", "13", "12", "18"]
WORK = """    "{name}":
      cites: "A. Nybody: A work"
      objective: Accuracy
      says: {{data: "-", teacher: Single, knowledge: Soft labels, method: "-", student: Single}}
      sets: MNIST
      number: none
      source: nowhere
{more}"""
OTHER = "      standing: other domain\n      waits: for films\n"
FOUR = {"5": "", "6": "", "7": OTHER, "8": ""}


def survey_of(folder: Path, text: str = SMALL, works: dict[str, str] = FOUR) -> Library:
    """Recipes beside a survey of some works."""
    recipes = write(folder, text)
    listed = "".join(WORK.format(name=name, more=more) for name, more in works.items())
    (recipes / "survey.yaml").write_text(f"paper: Somebody\ntables:\n  Table I:\n{listed}", encoding="utf-8")
    return load(recipes)


def entries(found: Library, folder: Path) -> dict[str, Surveyed]:
    return {entry.name: entry for entry in surveyed(found, Store(folder / "results"))}


@pytest.fixture(scope="module")
def shipped() -> Library:
    return load(ROOT / "recipes")


@pytest.fixture(scope="module")
def standing(shipped: Library) -> dict[str, Surveyed]:
    return entries(shipped, ROOT)


def test_every_row_of_both_tables_is_there_in_order(shipped: Library) -> None:
    tables = {table: list(works) for table, works in shipped.survey.tables.items()}
    assert tables == {"Table I": TABLE_I, "Table II": TABLE_II, "In the text alone": ["3"]}


def test_a_work_runs_or_says_what_it_waits_for(standing: dict[str, Surveyed]) -> None:
    for name, entry in standing.items():
        assert (entry.standing == "runs") != bool(entry.work.waits), name
    assert {name for name, entry in standing.items() if entry.standing == "runs"} >= {
        *("1 (Ex. 1)", "1 (Ex. 2)", "3", "7", "9", "10", "11", "17", "18")
    }
    assert {name: standing[name].standing for name in ("5", "8", "12", "13", "14", "15")} == {
        **dict.fromkeys(("5", "8", "13", "14", "15"), "other domain"),
        "12": "needs data",
    }


def test_stages_of_shipped_works(standing: dict[str, Surveyed]) -> None:
    assert standing["9"].here == Stages(
        data="cifar10: all, 20 %, 10 %, 2 %",
        teacher="one, wrn (40, 2)",
        knowledge="mutual information",
        method="intermediate layers",
        student="one, wrn (16, 1), of the teacher's kind",
    )
    assert standing["7"].here == Stages(
        data="mnist: all; fashionmnist: all; images made by data_impressions",
        teacher="one, lenet5 (full)",
        knowledge="soft labels",
        method="output",
        student="one, lenet5 (half_convolutions), of the teacher's kind",
    )
    ensemble = standing["1 (Ex. 1)"].here
    assert ensemble is not None
    assert (ensemble.teacher, ensemble.method) == ("10 together, resnet (20, basic, B, 1.0)", "output; aggregated")
    born_again, peers = standing["11"].here, standing["3"].here
    assert born_again is not None
    assert "sequential" in born_again.method
    assert peers is not None
    assert peers.teacher == "2 peers; 4 peers"


def test_stages_of_rows_by_hand(tmp_path: Path) -> None:
    parts = ("  train: all\n", "  train: {per_class: 5, seed: 0}\n  validation: {fraction: 0.25, seed: 0}\n")
    large = "    network: teacher\n    method: vanilla\n"
    found = survey_of(
        tmp_path, changed(SMALL, parts, (large, large.replace("vanilla", "{label_smoothing: {epsilon: 0.1}}")))
    )
    rows = found.table("small").rows
    assert stages_of(found, [rows["staged"]]) == Stages(
        data="cifar100: 5 images a class; validation: 25 %",
        teacher="one, resnet (14, basic, A, 1.0)",
        knowledge="soft labels",
        method="output",
        student="one, resnet (8, basic, A, 1.0), of the teacher's kind, initialised by warm",
    )
    together = "2 together, resnet (8, basic, A, 1.0); resnet (14, basic, A, 1.0)"
    dml = stages_of(found, [rows["dml"]])
    assert (dml.teacher, dml.method, dml.student) == ("2 peers", "output; mutual", together)
    # Of a row beside which one is taught, nothing is said; alone, it is what there is.
    assert stages_of(found, [rows["plain"], rows["dml"]]) == dml
    assert stages_of(found, [rows["words"]]).knowledge == "distances of class words"
    assert stages_of(found, [rows["plain"]]).teacher == "none"


def test_a_table_stands_for_a_work_and_a_row_for_another(tmp_path: Path) -> None:
    text = changed(
        SMALL, ("metric: error", "metric: error\nsurvey: 5"), ("    label: KD\n", "    label: KD\n    survey: 6\n")
    )
    found = entries(survey_of(tmp_path, text), tmp_path)
    assert found["6"].rows == ("small/kd",)
    assert len(found["5"].rows) == 6
    assert (found["7"].standing, found["8"].standing) == ("other domain", "no recipe")


def test_what_a_row_stands_for_is_no_part_of_a_run(tmp_path: Path) -> None:
    plain = {run.name: run.id for run in plan(survey_of(tmp_path), ["small"], "paper").runs.values()}
    told = survey_of(tmp_path, changed(SMALL, ("metric: error", "metric: error\nsurvey: 5")))
    assert {run.name: run.id for run in plan(told, ["small"], "paper").runs.values()} == plain


def test_runs_that_are_done_are_counted(tmp_path: Path) -> None:
    found = survey_of(tmp_path, changed(SMALL, ("    label: KD\n", "    label: KD\n    survey: 6\n")))
    run = plan(found, ["small"], "paper").rows["small", "kd"][2]
    store = Store(tmp_path / "results")
    store.add(record(run))
    (entry,) = (entry for entry in surveyed(found, store) if entry.name == "6")
    assert (entry.standing, entry.done, entry.planned) == ("runs", 1, 3)


def test_a_work_whose_rows_all_wait_waits(tmp_path: Path) -> None:
    waiting = '  nothing: {label: Left out, group: Large, survey: 6, waits: "for a set", published: {}}\n'
    text = changed(SMALL, ("  nothing: {label: Left out, group: Large, published: N/A}\n", waiting))
    entry = entries(survey_of(tmp_path, text), tmp_path)["6"]
    assert (entry.standing, entry.here, entry.rows) == ("waits", None, ("small/nothing",))


FAULTS = {
    "no such work": (
        ("    label: KD\n", "    label: KD\n    survey: 55\n"),
        "the survey has no work '55'; did you mean '5'?",
    ),
    "no work": (
        ("    label: KD\n", "    label: KD\n    survey: [5]\n"),
        "row kd.survey: expected a whole number or a text",
    ),
    "below 1": (("    label: KD\n", "    label: KD\n    survey: 0\n"), "row kd.survey: must be 1 or more, got 0"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_row_that_stands_for_nothing_is_refused(tmp_path: Path, fault: str) -> None:
    change, says = FAULTS[fault]
    with pytest.raises(RecipeError, match=r"table\.yaml:\d+: ") as error:
        survey_of(tmp_path, changed(SMALL, change))
    assert says in str(error.value)


def test_a_fault_in_the_survey_has_its_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"recipes/survey\.yaml:\d+: .*'wait'; did you mean 'waits'"):
        survey_of(tmp_path, works={"5": "      wait: for films\n"})


def test_every_method_says_what_it_distils() -> None:
    for name, method in registry.METHODS.items():
        if method.knowledge is None:
            continue
        assert method.knowledge.kind, name
        # What is taken from another network is taken somewhere.
        assert bool(method.knowledge.location) == (method.needs.teacher != "none" or method.needs.group), name


@pytest.mark.parametrize("write_in", [formats.to_text, formats.to_markdown])
def test_a_page_has_every_work_its_stages_and_its_number(
    write_in: Callable[[str, list[Surveyed]], str], standing: dict[str, Surveyed]
) -> None:
    page = write_in("Somebody", list(standing.values()))
    for table in ("Table I", "Table II", "In the text alone"):
        assert table in page
    assert "Somebody" in page
    for told in ("91.85 %", "survey-vid (4", "→ mutual information", "0/20 done", "other domain", "Stated:"):
        assert told in page


def test_csv_has_a_line_for_each_row(standing: dict[str, Surveyed]) -> None:
    lines = {line["work"]: line for line in csv.DictReader(formats.to_csv("", list(standing.values())).splitlines())}
    assert list(lines) == [*TABLE_I, *TABLE_II, "3"]
    vid, video = lines["9"], lines["5"]
    assert (vid["says_knowledge"], vid["here_knowledge"], vid["planned"]) == (
        "Mutual information",
        "mutual information",
        "20",
    )
    assert vid["says_teacher"] == "Single, complex"
    assert vid["rows"].split() == [f"survey-vid/vid-{share}" for share in (100, 20, 10, 2)]
    assert (video["standing"], video["here_student"], video["rows"]) == ("other domain", "", "")
    assert lines["10"]["says_data"] == ""


def test_json_has_everything(standing: dict[str, Surveyed]) -> None:
    whole = json.loads(formats.to_json("Somebody", list(standing.values())))
    assert whole["paper"] == "Somebody"
    assert len(whole["works"]) == 19
    vid = next(work for work in whole["works"] if work["name"] == "9")
    assert (vid["standing"], vid["here"]["data"]) == ("runs", "cifar10: all, 20 %, 10 %, 2 %")
    assert vid["work"]["says"]["student"] == "Single, simplified teacher"
