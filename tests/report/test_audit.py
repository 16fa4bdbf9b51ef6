"""Each rule finds what it is for in a small table, and is silent where there is nothing to find."""

from pathlib import Path
from statistics import fmean, stdev

import pytest
from scipy.special import chdtr

from bench.graph import plan
from bench.recipe import Cell, Library, load
from bench.report.audit import RULES, UNLIKELY, Finding, audit
from bench.report.published import Place, places
from bench.store import Store
from tests.handmade import SMALL, changed, library, write

ROOT = Path(__file__).parents[2]
SHIPPED = load(ROOT / "recipes")
PLAIN = '      error: {value: 30.0, n: 3, source: "Table 1", protocol: last}\n'
KD = '      method.temperature: "not stated"\n    published: {}\n'
WORDS = (
    "words:\n  cifar100: {distances: distances.csv, source: vectors, labels: {oak_tree: oak, sea: [deep, sea]}}\n",
    "",
)
FFDWV = ("    method: {ffdwv: {words: cifar100, reading: vectors}}\n", "    method: vanilla\n")
LARGE = "    network: teacher\n    method: vanilla\n    published: {}\n"


def plain(said: str, more: str = "") -> tuple[str, str]:
    """The row's published error, said in another way; and costs."""
    return PLAIN, f'      error: {{{said}, source: "Table 1"}}\n{more}'


def taught(said: str) -> tuple[str, str]:
    """The row that the large network teaches has a published error too."""
    return KD, KD.replace("published: {}", f'published: {{error: {{{said}, source: "Table 1"}}}}')


def teacher(said: str) -> tuple[str, str]:
    return LARGE, LARGE.replace("published: {}", f'published: {{error: {{{said}, source: "Table 1"}}}}')


def found(recipes: Library, rule: str, table: str = "small") -> list[Finding]:
    return [finding for finding in audit(recipes, table) if finding.rule == rule]


@pytest.mark.parametrize(
    ("costs", "odd"),
    [("trcost: 0.97, tecost: 1.38", True), ("trcost: 1.38, tecost: 1.38", False), ("trcost: 0.97", False)],
)
def test_cost_floor(tmp_path: Path, costs: str, odd: bool) -> None:
    lines = "".join(f"      {cost}\n" for cost in costs.split(", "))
    findings = found(library(tmp_path, plain("value: 30.0", lines)), "cost-floor")
    assert [finding.cell for finding in findings] == ["small/plain.trcost"] * odd
    assert not odd or findings[0].numbers == {"trcost": 0.97, "tecost": 1.38}


@pytest.mark.parametrize(
    ("said", "odd"),
    [
        ("value: 30.02, nets: [30.01, 30.02, 30.03]", []),
        ("value: 30.01, nets: [30.01, 30.02, 30.02]", []),  # 30.0167, cut off
        ("value: 30.02, nets: [30.01, 30.02, 30.02]", []),  # and rounded
        ("value: 30.03, nets: [30.01, 30.02, 30.02]", [30.03]),
        ("value: 30.02, spread: 0.010, meaning: sd, nets: [30.01, 30.02, 30.03]", []),
        ("value: 30.02, spread: 0.05, meaning: sd, nets: [30.01, 30.02, 30.03]", [0.05]),
        ("value: 29.03, spread: 0.22, meaning: half-range, nets: [28.81, 29.25]", []),
        ("value: 29.03, spread: 0.44, meaning: half-range, nets: [28.81, 29.25]", [0.44]),
        ("value: 30.02, spread: 0.05, nets: [30.01, 30.02, 30.03]", []),
        ("value: 30.02", []),
    ],
)
def test_average(tmp_path: Path, said: str, odd: list[float]) -> None:
    findings = found(library(tmp_path, plain(said)), "average")
    assert [finding.numbers["printed"] for finding in findings] == odd


@pytest.mark.parametrize(
    ("said", "odd"),
    [
        ("spread: 0.01, meaning: sd, n: 3", True),
        ("spread: 0.01, meaning: se, n: 3", True),
        ("spread: 0.005, meaning: half-range, n: 2", False),  # of two runs, chance does that
        ("spread: 0.01, meaning: unknown, n: unknown", True),
        ("spread: 0.30, meaning: sd, n: 3", False),
        ("spread: 0.10, meaning: sd, n: 3", False),
        ("spread: 0.10, meaning: sd, n: 20", True),
        ("n: 3", False),
    ],
)
def test_small_spread(tmp_path: Path, said: str, odd: bool) -> None:
    findings = found(library(tmp_path, plain(f"value: 30.0, {said}")), "small-spread")
    assert [finding.cell for finding in findings] == ["small/plain.error"] * odd


def test_the_least_spread_is_half_that_of_as_many_coins(tmp_path: Path) -> None:
    # Half of the test set, as the recipe says: 5,000 images; √(0.3 · 0.7 / 5000) is 0.648 %.
    recipes = library(tmp_path, plain("value: 30.0"))
    (place,) = places(recipes, recipes.table("small"))
    assert place.images == 5000
    assert place.least_spread == pytest.approx(0.324, abs=0.001)


def test_none_of_our_own_cells_has_a_spread_that_the_rule_finds() -> None:
    store, graph, seen = Store(ROOT / "results"), plan(SHIPPED, SHIPPED.tables, "paper"), 0
    for (table, row), runs in graph.rows.items():
        records = [record for run in runs.values() if (record := store.latest_record(run)) is not None]
        errors = [record.results[0].last_error for record in records if record.results[0].last_error is not None]
        if len(errors) >= 3:
            cell = Cell(fmean(errors), source="ours")
            least = Place(SHIPPED, SHIPPED.table(table), SHIPPED.table(table).rows[row], cell).least_spread
            assert least is not None
            seen += 1
            assert chdtr(len(errors) - 1, (len(errors) - 1) * (stdev(errors) / least) ** 2) > UNLIKELY
    assert seen > 10


@pytest.mark.parametrize(
    ("said", "odd"),
    [
        ("value: 30.04, n: 1", False),  # 5,000 images: steps of 0.02
        ("value: 30.03, n: 1", True),
        ("value: 30.03", True),  # one run, as far as is known
        ("value: 30.03, n: 2", False),
        ("value: 30.03, spread: 0.1", False),  # a mean of who knows how many
        ("value: 30.0267, n: 3", False),
        ("value: 30.0200, n: 3", False),
        ("value: 30.0250, n: 3", True),
        ("value: 30.02, nets: [30.01, 30.03]", True),
        ("value: 30, n: 1", False),
    ],
)
def test_granularity(tmp_path: Path, said: str, odd: bool) -> None:
    assert bool(found(library(tmp_path, plain(said)), "granularity")) == odd


def two_papers(folder: Path, said: str, other: str, *changes: tuple[str, str]) -> Library:
    """The small table, and another paper's with one number."""
    write(folder, changed(SMALL, plain(said)))
    text = changed(SMALL, plain(other), ("table: small", "table: other"), ("Nobody et al.", "Somebody"), *changes)
    return load(write(folder, text, "other.yaml"))


@pytest.mark.parametrize(
    ("said", "other", "odd"),
    [
        ("value: 29.03, spread: 0.22", "value: 29.03, spread: 0.22", (1, 1)),
        ("value: 29.03, spread: 0.22", "value: 29.03, spread: 0.22, nets: [28.81, 29.25]", (1, 0)),
        ("value: 29.03, spread: 0.22", "value: 29.03, spread: 0.23", (0, 0)),
        ("value: 29.03, spread: 0.22", "value: 29.04, spread: 0.22", (0, 0)),
        ("value: 29.03, spread: 0.22", "value: 29.03", (0, 0)),
        ("value: 29.03", "value: 29.03", (1, 1)),
    ],
)
def test_equal_elsewhere(tmp_path: Path, said: str, other: str, odd: tuple[int, int]) -> None:
    recipes = two_papers(tmp_path, said, other)
    assert (len(found(recipes, "equal-elsewhere")), len(found(recipes, "equal-elsewhere", "other"))) == odd


def test_equal_on_another_set_or_without_a_spread_of_another_network_is_chance(tmp_path: Path) -> None:
    sets = two_papers(
        tmp_path / "a", "value: 29.03", "value: 29.03", ("  set: cifar100", "  set: cifar10"), WORDS, FFDWV
    )
    networks = two_papers(
        tmp_path / "b", "value: 29.03", "value: 29.03", ("student: {resnet: {depth: 8", "student: {resnet: {depth: 20")
    )
    for recipes in (sets, networks):
        assert not found(recipes, "equal-elsewhere")


@pytest.mark.parametrize(
    ("better", "worse", "odd"),
    [
        ("value: 29.0", "value: 30.0", False),  # one run each: 1.96 · √2 · 0.32 = 0.90
        ("value: 29.2", "value: 30.0", True),
        ("value: 30.4", "value: 30.0", True),  # no gain at all
        ("value: 29.0, spread: 0.72", "value: 30.0", True),
        ("value: 29.5, spread: 0.1, meaning: sd, n: 5", "value: 30.0, spread: 0.1, meaning: sd, n: 5", False),
        ("value: 29.9, spread: 0.1, meaning: sd, n: 5", "value: 30.0, spread: 0.1, meaning: sd, n: 5", True),
        ("value: 29.5, spread: 0.1, meaning: se, n: 5", "value: 29.7, spread: 0.1, meaning: se, n: 5", True),
    ],
)
def test_gain_in_noise(tmp_path: Path, better: str, worse: str, odd: bool) -> None:
    findings = found(library(tmp_path, plain(worse), taught(better)), "gain-in-noise")
    assert [finding.cell for finding in findings] == ["small/kd.error"] * odd


@pytest.mark.parametrize(("student", "odd"), [(12.4, True), (12.6, False), (24.0, False)])
def test_beyond_the_network_that_teaches_it(tmp_path: Path, student: float, odd: bool) -> None:
    # The plain row has the network that the large one teaches in another row.
    recipes = library(tmp_path, plain(f"value: {student}"), teacher("value: 25.0"))
    assert [finding.cell for finding in found(recipes, "beyond-stronger")] == ["small/plain.error"] * odd


@pytest.mark.parametrize(("other", "odd"), [(70.0, True), (50.0, False)])
def test_beyond_the_same_network_in_another_paper(tmp_path: Path, other: float, odd: bool) -> None:
    recipes = two_papers(tmp_path, "value: 30.0", f"value: {other}")
    assert [finding.cell for finding in found(recipes, "beyond-stronger")] == ["small/plain.error"] * odd
    assert not found(recipes, "beyond-stronger", "other")


def test_accuracies_are_held_to_the_same(tmp_path: Path) -> None:
    text = changed(SMALL, plain("value: 87.6"), teacher("value: 75.0")).replace("error", "accuracy")
    (finding,) = found(load(write(tmp_path, text)), "beyond-stronger")
    assert finding.numbers == {"printed": 87.6, "error": 12.4, "other error": 25.0}


def test_what_has_no_published_numbers_has_no_findings(tmp_path: Path) -> None:
    assert (
        audit(library(tmp_path, ("    published:\n" + PLAIN + "      params: 0.1\n", "    published: {}\n")), "small")
        == []
    )


# The shipped tables: what every reader should know of is found by rule.
KNOWN = {
    ("cost-floor", "ffdwv-table3/ffdwv-resnet32.trcost"): {"trcost": 0.97, "tecost": 1.38},
    ("cost-floor", "ffdwv-table3/ffdwv-resnet110.trcost"): {"trcost": 0.59, "tecost": 5.05},
    ("equal-elsewhere", "ffdwv-table3/dml-resnet32.error"): {"printed": 29.03, "spread": 0.22},
    ("beyond-stronger", "efficiency/fashion-student.accuracy"): {"printed": 98.15, "error": 1.85, "other error": 9.22},
    ("beyond-stronger", "efficiency/fashion-lenet5.accuracy"): {"printed": 98.91, "error": 1.09, "other error": 9.16},
}


@pytest.mark.parametrize(("rule", "cell"), KNOWN)
def test_the_shipped_tables(rule: str, cell: str) -> None:
    (finding,) = [
        finding for finding in audit(SHIPPED, cell.partition("/")[0]) if (finding.rule, finding.cell) == (rule, cell)
    ]
    assert finding.numbers == KNOWN[rule, cell]
    assert finding.sentence.endswith(".")


def test_every_rule_is_tried_here() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{rule}"' in tested for rule in RULES)
