import re
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from bench.report.curves import Curve
from bench.report.figures import gallery, heatmap, learning_curves, softened


@pytest.mark.parametrize("count", [2, 10, 100])
def test_a_heatmap_is_a_picture_with_light_and_dark_cells(count, tmp_path):
    matrix = np.full((count, count), 0.01) + np.eye(count)
    heatmap([f"class_{i}" for i in range(count)], matrix, "share", "Title", tmp_path / "new" / "map.png")
    picture = imread(tmp_path / "new" / "map.png")
    assert min(picture.shape[:2]) > 500
    assert picture[..., :3].min() < 0.2
    assert picture[..., :3].max() == 1.0


def test_numbers_are_printed_for_few_classes_only(tmp_path):
    for count in (10, 20, 21):
        heatmap(
            [str(i) for i in range(count)], np.full((count, count), 0.125), "share", "Title", tmp_path / f"{count}.svg"
        )
    printed = {count: (tmp_path / f"{count}.svg").read_text().count("<!-- 0.125 -->") for count in (10, 20, 21)}
    assert printed == {10: 100, 20: 400, 21: 0}


def test_the_same_matrix_gives_the_same_svg(tmp_path):
    for name in ("a.svg", "b.svg"):
        heatmap(["cat", "dog"], np.array([[0.7, 0.3], [0.4, 0.6]]), "share", "Title", tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    assert "<!-- cat -->" in text


def test_numbers_on_dark_cells_are_white(tmp_path):
    heatmap(["cat", "dog"], np.array([[0.9, 0.1], [0.1, 0.9]]), "share", "Title", tmp_path / "map.svg")
    cells = re.findall(r"<!-- (0\.\d00) -->\s*<g( style=\"fill: #ffffff\")?", (tmp_path / "map.svg").read_text())
    assert [(number, bool(white)) for number, white in cells] == [
        ("0.900", True),
        ("0.100", False),
        ("0.100", False),
        ("0.900", True),
    ]


def test_matplotlib_is_imported_only_when_a_figure_is_drawn():
    code = "import sys, bench.report.figures; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_a_gallery_stretches_each_image_to_its_own_range(tmp_path):
    ramp = np.linspace(-3, 5, 28 * 28).reshape(1, 1, 28, 28)
    gallery({"dim": ramp * 1e-3, "bright": np.concatenate([ramp, -ramp]) * 1e3}, "Title", tmp_path / "images.png")
    picture = imread(tmp_path / "images.png")[..., :3]
    assert picture.min() < 0.05
    half = picture.shape[0] // 2
    # Whatever their scale, both rows go from black to white.
    assert picture[:half].min() < 0.05
    assert picture[half:].min() < 0.05
    assert len(np.unique(picture[:half].round(2))) > 50


def curves_of(text: str) -> list[str]:
    """The colours of lines that are drawn, legends among them."""
    return re.findall(r"stroke: (#1f77b4|#ff7f0e); stroke-width: 1.4", text)


def test_seeds_of_one_run_are_a_mean_in_a_band_under_the_label_of_their_row(tmp_path):
    first, second = (Curve("table/fsp", seed, (79, 158), (12.0, 20.0 + seed)) for seed in (1, 2))
    alone = Curve("table/alone", 1, (79, 158), (4.0, float("nan")))
    flow = Curve("table/fsp.flow: fsp", 1, (79, 100), (3.0, 0.5))
    panels = {"Loss": [flow], "Test accuracy (%)": [first, alone, second]}
    labels = {"table/fsp": "FSP, 14 layers"}
    for name in ("a.svg", "b.svg"):
        learning_curves(panels, labels, "Title\nshort profile: not a result of the paper", tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    comments = re.findall("<!-- (.*?) -->", text)
    once = {"FSP, 14 layers, 2 seeds", "table/alone", "table/fsp.flow: fsp", "Loss", "Test accuracy (%)"}
    assert once <= {said for said in comments if comments.count(said) == 1}
    assert comments.count("Training step") == 2
    assert "not a result of the paper" in text
    # One line a run in the panels, one each in the legends; one band.
    assert sorted(curves_of(text)) == ["#1f77b4"] * 4 + ["#ff7f0e"] * 2
    assert text.count("FillBetweenPolyCollection") == 1


def test_curves_fill_their_panel_and_a_long_title_is_not_cut_off(tmp_path):
    high = Curve("table/high", 1, (1, 2, 3), (99.0, 99.1, 99.2))
    learning_curves({"Test accuracy (%)": [high]}, {}, "A title of many words " * 12, tmp_path / "a.png")
    picture = imread(tmp_path / "a.png")[..., :3]
    for edge in (picture[:3], picture[-3:], picture[:, :3], picture[:, -3:]):
        assert edge.min() > 0.95
    blue = np.argwhere(np.abs(picture - [0.12, 0.47, 0.71]).max(axis=2) < 0.05)
    assert np.ptp(blue[:, 0]) > 0.4 * picture.shape[0]


def test_the_bar_of_colours_says_what_it_shows(tmp_path):
    heatmap(["cat", "dog"], np.eye(2), "share of a class", "Title", tmp_path / "map.svg")
    assert "<!-- share of a class (square-root scale) -->" in (tmp_path / "map.svg").read_text()


@pytest.mark.parametrize("channels", [1, 3])
def test_softened_probabilities_stand_beside_their_image(tmp_path, channels):
    soft = np.array([[0.9, 0.1], [0.6, 0.4]])
    image = np.full((4, 4, channels), 255, np.uint8)
    image[0, 0, 0] = 0
    shapes = []
    for name, shown in (("with.png", image), ("without.png", None)):
        softened(["cat", "dog"], soft, [1, 20], shown, "Title", tmp_path / name)
        shapes.append(imread(tmp_path / name).shape)
    assert shapes[0][1] - shapes[1][1] == 360
    assert shapes[0][0] == shapes[1][0]
