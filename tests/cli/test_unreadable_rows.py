"""Rows that cannot be read for want of a plug-in: told in one line each, and the others carry on."""

from collections.abc import Callable
from pathlib import Path

import pytest

Kdbench = Callable[..., tuple[int, str, str]]
LEFT_OUT = "kdbench: tiny/dml is left out: "

pytestmark = pytest.mark.usefixtures("fresh_registry")


@pytest.fixture
def broken(project: Path) -> Path:
    """The tiny project, with one row whose method is in a plug-in that cannot be loaded."""
    recipe = project / "recipes" / "tiny" / "table.yaml"
    text = recipe.read_text(encoding="utf-8")
    assert text.count("method: dml\n") == 1
    recipe.write_text(text.replace("method: dml\n", "method: no_such_method\n"), encoding="utf-8")
    (project / "plugins").mkdir()
    (project / "plugins" / "mine.py").write_text("import no_such_module_anywhere\n")
    return project


@pytest.mark.parametrize(
    "arguments", [("list",), ("report", "tiny"), ("run", "tiny", "--profile", "paper", "--dry-run")]
)
def test_reading_carries_on_without_them(broken: Path, kdbench: Kdbench, arguments: tuple[str, ...]) -> None:
    code, out, err = kdbench(*arguments)
    assert (code, err.count("\n")) == (0, 1)
    assert err.startswith(LEFT_OUT)
    assert "'no_such_method' is not known" in err
    assert "mine.py could not be loaded (ModuleNotFoundError: No module named 'no_such_module_anywhere')" in err
    assert "tiny" in out


def test_another_table_says_nothing_of_them(broken: Path, kdbench: Kdbench) -> None:
    code, out, err = kdbench("report", "ffdwv-table3")
    assert (code, err) == (0, "")
    assert "28.83" in out


def test_the_other_rows_are_trained(broken: Path, kdbench: Kdbench) -> None:
    code, out, err = kdbench("run", "tiny", "--profile", "smoke", "--seed", "1", "--at-once", "1")
    assert (code, err.count("\n")) == (0, 1)
    assert err.startswith(LEFT_OUT)
    assert "2 of 2 runs to train" in out
    assert len(list((broken / "results" / "runs").iterdir())) == 2


def test_check_tells_each_and_fails(broken: Path, kdbench: Kdbench) -> None:
    code, out, err = kdbench("check")
    row, plugin = err.splitlines()
    assert (code, out) == (2, "")
    assert row.startswith("kdbench: recipes/tiny/table.yaml:")
    assert "row dml" in row
    assert "plug-in " in plugin
    assert "mine.py: ModuleNotFoundError" in plugin
