"""Plug-ins: what they add, what a record says of them, and what becomes of one that is missing or broken."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bench import recipe, registry
from bench.errors import RecipeError
from bench.graph import plan
from tests.handmade import SMALL, changed, write

PENALTY = '''
from dataclasses import dataclass
from typing import ClassVar

from bench.methods.base import Method
from bench.schema import NonNegative
from ._shared import TERMS


@dataclass(frozen=True)
class Penalty(Method):
    """A loss of its own."""

    beta: NonNegative

    name: ClassVar[str] = "penalty"
    version: ClassVar[int] = 3
'''
PLAIN = "    network: student\n    method: vanilla\n"
KD = "    method: {kd: {temperature: 4.0, soften: both}}\n    teacher: large#1\n"


def plugins(folder: Path, **files: str) -> Path:
    (folder / "plugins").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / "plugins" / f"{name}.py").write_text(text, encoding="utf-8")
    return folder / "plugins"


@pytest.mark.usefixtures("fresh_registry")
def test_a_method_beside_the_recipes(tmp_path: Path) -> None:
    registry.load_plugins(plugins(tmp_path, penalty=PENALTY, _shared="TERMS = 1\n"))
    assert registry.BROKEN == {}
    text = changed(SMALL, (PLAIN, PLAIN.replace("vanilla", "{penalty: {beta: 0.5}}")))
    run = plan(recipe.load(write(tmp_path, text)), ["small"], "paper", rows=["plain"]).rows["small", "plain"][1]
    assert run.recipe["method"] == {"name": "penalty", "params": {"beta": 0.5}}
    assert run.versions["method penalty"] == 3
    assert registry.described(run.versions) == {
        "method penalty": {
            "name": "penalty.py",
            "digest": registry.PLUGINS["method penalty"].digest,
            "distribution": None,
        }
    }


@pytest.mark.usefixtures("fresh_registry")
def test_the_digest_is_that_of_the_source_and_of_what_it_shares(tmp_path: Path) -> None:
    digests = []
    for i, (penalty, shared) in enumerate(
        [(PENALTY, "TERMS = 1\n"), (PENALTY, "TERMS = 2\n"), (PENALTY + "\n", "TERMS = 1\n")]
    ):
        registry.METHODS.pop("penalty", None)
        (tmp_path / str(i)).mkdir()
        registry.load_plugins(plugins(tmp_path / str(i), penalty=penalty, _shared=shared))
        digests.append(registry.PLUGINS["method penalty"].digest)
    assert len(set(digests)) == 3


@pytest.mark.usefixtures("fresh_registry")
def test_a_plug_in_is_taken_in_once(tmp_path: Path) -> None:
    folder = plugins(tmp_path, penalty=PENALTY, _shared="TERMS = 1\n")
    registry.load_plugins(folder)
    first = registry.METHODS["penalty"]
    registry.load_plugins(folder)
    assert registry.METHODS["penalty"] is first


@pytest.mark.usefixtures("fresh_registry")
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module_anywhere\n", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("def (:\n", "SyntaxError: invalid syntax"),
        (
            PENALTY.replace('"penalty"', '"kd"').replace("from ._shared import TERMS", ""),
            "RecipeError: there is another method 'kd' already",
        ),
    ],
)
def test_a_broken_plug_in_is_told_and_hurts_nobody_else(tmp_path: Path, source: str, reason: str) -> None:
    ours = registry.METHODS["kd"]
    registry.load_plugins(plugins(tmp_path, broken=source, penalty=PENALTY, _shared="TERMS = 1\n"))
    (told,) = registry.BROKEN.values()
    assert told.startswith(reason)
    assert registry.METHODS["kd"] is ours
    assert "penalty" in registry.METHODS


@pytest.mark.usefixtures("fresh_registry")
def test_a_missing_plug_in_spoils_just_the_rows_that_need_it_and_those_that_take_from_them(tmp_path: Path) -> None:
    registry.load_plugins(plugins(tmp_path, broken="import no_such_module_anywhere\n"))
    text = changed(
        SMALL, (PLAIN, PLAIN.replace("vanilla", "{penalty: {beta: 0.5}}")), (KD, KD.replace("large#1", "plain#1"))
    )
    library = recipe.load(write(tmp_path, text))
    assert list(library.unreadable) == [("small", "plain"), ("small", "kd")]
    why, taken = library.unreadable.values()
    assert "row plain.method: 'penalty' is not known; " in why
    assert "broken.py could not be loaded (ModuleNotFoundError" in why
    assert taken.startswith("it takes from small/plain: ")
    rows = {row for _, row in plan(library, ["small"], "paper").rows}
    assert rows == {"large", "words", "dml", "staged"}


@pytest.mark.usefixtures("fresh_registry")
def test_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kdbench_penalty.py").write_text(PENALTY.replace("from ._shared import TERMS", ""), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("penalty", "kdbench_penalty", "kdbench")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == "kdbench" else [])
    registry.load_plugins()
    assert registry.METHODS["penalty"].__module__ == "kdbench_penalty"
    assert registry.PLUGINS["method penalty"].name == "kdbench_penalty"


def test_a_component_refuses_what_does_not_go_together() -> None:
    with pytest.raises(RecipeError, match="depth 9"):
        registry.NETWORKS["resnet"](depth=9, block="basic", shortcut="A", width=1.0).check()


def test_every_component_is_declared_without_torch() -> None:
    code = "import sys, bench.registry, bench.recipe, bench.graph; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
