"""YAML text as nodes that know where they stand: the first half of reading a recipe, before any type."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node

from bench.errors import RecipeError

try:
    from yaml import CSafeLoader as _Parser
except ImportError:
    from yaml import SafeLoader as _Parser  # type: ignore[assignment]

# Blocks within blocks; a recipe has ten.
DEEPEST = 50


def compose(path: Path, shown: str) -> MappingNode:
    """The YAML mapping of a file; ``shown`` is the path that error messages print."""
    if not path.is_file():
        raise RecipeError(f"{shown}:1: this is no file")
    try:
        text = path.read_text(encoding="utf-8")
        node = _composed(text, shown)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise RecipeError(f"{shown}:{line}: the character U+{error.character:04X} cannot stand in a recipe") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        says = ", ".join(part for part in (error.context, error.problem) if part)
        raise RecipeError(f"{shown}:{mark.line + 1 if mark else 1}: not valid YAML: {says}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{shown}:1: cannot be read as text: {' '.join(str(error).split())}") from None
    if not isinstance(node, MappingNode):
        raise RecipeError(f"{shown}:1: expected keys and values, one table a file")
    return node


def _composed(text: str, shown: str) -> Node | None:
    """By libyaml, in an eighth of the time; where it refuses a text, PyYAML's own reader has the last word."""
    named = SimpleNamespace(name=shown, read=io.StringIO(text).read)
    try:
        return _FastLoader(named).get_single_node()
    except yaml.YAMLError:
        loader = _Loader(text)
        loader.name = shown
        return loader.get_single_node()


class _Shallow(yaml.composer.Composer):
    """Refuses blocks so deep within each other that composing them, block by block, would end Python's stack."""

    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """A node with all that it holds."""
        self.depth += 1
        if self.depth > DEEPEST:
            mark = self.peek_event().start_mark  # type: ignore[attr-defined]
            raise yaml.composer.ComposerError(None, None, f"more than {DEEPEST} blocks within each other", mark)
        node: Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Loader(_Shallow, yaml.SafeLoader):
    """All in Python; its errors say more."""


class _FastLoader(_Shallow, _Parser):
    """Events by libyaml, where PyYAML was built with it."""

    def __init__(self, stream: Any) -> None:
        _Parser.__init__(self, stream)
        yaml.composer.Composer.__init__(self)  # libyaml's has its own, which nothing of ours would limit
