"""HTML pages, the site and the figures of a table, as commands."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.store import Store
from tests.handmade import SMALL, changed, write
from tests.report.pages import Parsed, fill, library

REPO = Path(__file__).parents[2]
Kdbench = Callable[..., tuple[int, str, str]]


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A project with a small table all of whose runs have records, of the paper profile and of the short one."""
    of, store = library(tmp_path, {"kd": "KD"}), Store(tmp_path / "results")
    fill(store, of)
    fill(store, of, "short")
    return tmp_path


def test_a_page_is_printed_like_any_other_format(kdbench: Kdbench, recorded: Path) -> None:
    code, out, err = kdbench("report", "small", "--format", "html")
    assert (code, err) == (0, "")
    assert out.startswith("<!DOCTYPE html>\n")
    assert "short profile: not a result" not in Parsed(out).seen
    assert "All tables" not in Parsed(out).within("a")
    code, out, _ = kdbench("report", "small", "--format", "html", "--profile", "short")
    assert "short profile: not a result" in Parsed(out).seen


def test_a_site_has_a_page_for_each_table_and_an_index(kdbench: Kdbench, recorded: Path) -> None:
    code, out, err = kdbench("site")
    folder = recorded / "results" / "site"
    names = kdbench("list", "--names")[1].split()
    assert (code, err) == (0, "")
    assert f"{len(names)} tables written to {folder / 'index.html'}" in out
    assert {path.stem for path in folder.iterdir()} == {"index", *names}
    index = Parsed((folder / "index.html").read_text(encoding="utf-8"))
    links = [link["href"] for link in index.all("a") if link["href"].endswith(".html")]
    assert links == [f"{name}.html" for name in names]
    page = Parsed((folder / "small.html").read_text(encoding="utf-8"))
    assert page.all("a")[1]["href"] == "index.html"
    # As in the committed tables, what the short profile gave stands beside.
    assert "short profile: not a result" in page.seen


def test_a_site_of_some_tables(kdbench: Kdbench, recorded: Path) -> None:
    assert kdbench("site", "small")[0] == 0
    assert {path.name for path in (recorded / "results" / "site").iterdir()} == {"index.html", "small.html"}
    assert kdbench("site", "smal") == (2, "", "kdbench: no table 'smal'; did you mean 'small'?\n")


def test_both_plots_are_called_after_the_name_that_was_given(kdbench: Kdbench, recorded: Path) -> None:
    code, out, err = kdbench("plot", "ffdwv-table3", "--figure", "new/table.pdf")
    assert (code, err) == (0, "")
    assert out == "forest plot drawn in new/table-forest.pdf\ncost plot drawn in new/table-cost.pdf\n"
    assert all((recorded / "new" / f"table-{kind}.pdf").read_bytes().startswith(b"%PDF") for kind in ("forest", "cost"))
    assert kdbench("plot", "ffdwv-table3")[0] == 0
    assert (recorded / "results" / "figures" / "ffdwv-table3-forest.svg").exists()


def test_networks_that_were_never_counted_leave_out_the_costs(kdbench: Kdbench, recorded: Path) -> None:
    assert kdbench("report", "small", "--format", "html")[0] == 0
    code, out, _ = kdbench("plot", "small", "--figure", "a.svg")
    assert (code, out.splitlines()[1]) == (0, "no cost plot: no row has both a known cost and a number")


def test_a_table_with_nothing_to_draw(kdbench: Kdbench, tmp_path: Path) -> None:
    bare = changed(SMALL, ('      error: {value: 30.0, n: 3, source: "Table 1", protocol: last}\n', ""))
    write(tmp_path, bare)
    assert kdbench("plot", "small") == (
        2,
        "",
        "kdbench: nothing to draw: no row of small has a published value or a run; `kdbench run small` trains\n",
    )
    assert (
        "No row has a published value or a run yet." in Parsed(kdbench("report", "small", "--format", "html")[1]).seen
    )


def test_every_process_writes_the_same_bytes(recorded: Path) -> None:
    command = [sys.executable, "-m", "bench", "report", "small", "--format", "html"]
    pages = {
        subprocess.run(
            command,
            cwd=recorded,
            env={**os.environ, "PYTHONPATH": str(REPO), "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(pages) == 1
