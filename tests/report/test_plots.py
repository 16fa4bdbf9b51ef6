"""Figures of a whole table."""

import re
from pathlib import Path

import pytest
from matplotlib.image import imread

from bench.errors import UsageError
from bench.graph import plan
from bench.report.forest import forest
from bench.report.plots import cost_plot, forest_plot
from bench.report.table import build
from bench.report.tradeoff import tradeoff
from bench.store import Store
from tests.report.pages import HOSTILE, FakeCosts, fill, library


@pytest.fixture
def drawn(tmp_path: Path):
    """Draws both plots of a table with these labels; returns the paths."""

    def draw(suffix: str, texts: dict[str, str]) -> list[Path]:
        of, store = library(tmp_path, texts), Store(tmp_path / "results")
        if not store.by_key:
            fill(store, of)
        report = build(of, "small", store, FakeCosts())
        paths = [tmp_path / "new" / f"{kind}{suffix}" for kind in ("forest", "cost")]
        forest_plot(forest(report), report.metric, report.title, paths[0])
        cost_plot(tradeoff(report, of.table("small"), FakeCosts()), report.metric, report.title, paths[1])
        return paths

    return draw


@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_the_same_numbers_give_the_same_file(drawn, suffix) -> None:
    first = [path.read_bytes() for path in drawn(suffix, {"kd": "KD"})]
    assert first == [path.read_bytes() for path in drawn(suffix, {"kd": "KD"})]


def test_rows_verdicts_and_what_the_marks_mean_are_told(drawn) -> None:
    forest_svg, cost_svg = (path.read_text() for path in drawn(".svg", {"kd": "KD"}))
    said = re.findall("<!-- (.*?) -->", forest_svg)
    for text in ("Plain", "KD", "Small", "reproduced", "one seed", "margin that does not matter"):
        assert text in said
    assert [text for text in said if text.startswith("not reproduced")]
    # The control has no published value to be compared with.
    assert said.count("KD") == 2  # the row, and its group
    assert "FLOPs of one test image" in cost_svg


@pytest.mark.filterwarnings("ignore:.*Glyph:UserWarning")  # of scripts that the font does not have
def test_long_and_strange_labels_stay_within_the_figure(drawn) -> None:
    for path in drawn(".png", HOSTILE):
        picture = imread(path)[..., :3]
        assert picture.shape[1] in (1900, 2080)
        for edge in (picture[:3], picture[-3:], picture[:, :3], picture[:, -3:]):
            assert edge.min() > 0.95, f"{path.name} is cut off"


def test_another_suffix(drawn) -> None:
    with pytest.raises(UsageError, match=r"a figure is drawn as \.png, \.svg or \.pdf"):
        drawn(".jpg", {})


def test_a_table_with_nothing_to_draw_has_no_lines(tmp_path: Path) -> None:
    of = library(tmp_path, {})
    table = of.table("small")
    table.rows["plain"].published.clear()
    report = build(of, "small", Store(tmp_path / "results"), FakeCosts())
    assert plan(of, ["small"], "paper").runs
    assert forest(report) == ()
