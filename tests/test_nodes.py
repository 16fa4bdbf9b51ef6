"""YAML by libyaml is YAML by PyYAML's own reader: the same nodes at the same places."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from yaml.nodes import MappingNode, Node, ScalarNode

from bench import nodes
from bench.errors import RecipeError
from bench.nodes import compose

RECIPES = sorted((Path(__file__).parents[1] / "recipes").rglob("*.yaml"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def told(node: Node) -> Any:
    """A node's tag, place and value, and those within it."""
    inner: Any = node.value
    if isinstance(node, MappingNode):
        inner = [(told(key), told(value)) for key, value in node.value]
    elif not isinstance(node, ScalarNode):
        inner = [told(item) for item in node.value]
    mark = node.start_mark
    return node.tag, mark.name, mark.line, mark.column, inner


def of_both(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """By libyaml, then by PyYAML's own reader: nodes, or what is wrong."""
    found: list[Any] = []
    for fast in (nodes._FastLoader, nodes._Loader):
        monkeypatch.setattr(nodes, "_FastLoader", fast)
        try:
            found.append(told(compose(path, "a.yaml")))
        except RecipeError as error:
            found.append(str(error))
    return found


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast, own = of_both(path, monkeypatch)
    assert isinstance(own, tuple)
    assert fast == own


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
@given(value=st.dictionaries(st.text(min_size=1), VALUES, min_size=1), flow=st.booleans())
def test_any_values(value: dict[str, Any], flow: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "values.yaml"
    path.write_text(yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True), encoding="utf-8")
    with pytest.MonkeyPatch.context() as monkeypatch:
        fast, own = of_both(path, monkeypatch)
    assert fast == own
