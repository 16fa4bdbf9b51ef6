"""Reads a YAML mapping into typed values; every fault names the file, the line and the nearest valid name.

A type is what a recipe may say there: ``bool``, ``int``, ``float``, ``str``, ``Literal``, ``X | None``,
``tuple[X, ...]``, ``dict[str, X]``, a dataclass (one key a field, nothing else), or one of those in ``Annotated``
with a check.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from functools import cache, partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from bench.errors import RecipeError
from bench.text import clipped, hidden

T = TypeVar("T")

# Of a number that float32, in which training computes, holds with its square: from 1e-36 to 1e36.
LARGEST, SMALLEST = 1e18, 1e-18
LARGEST_INT = 2**63 - 1
LONGEST_KEY = 100


@dataclass(frozen=True)
class Check:
    """A condition on a value, and how an error describes it."""

    holds: Callable[[Any], bool]
    says: str


Positive = Annotated[float, Check(lambda x: x > 0, "above 0")]
NonNegative = Annotated[float, Check(lambda x: x >= 0, "0 or more")]
Share = Annotated[float, Check(lambda x: 0 <= x <= 1, "0 to 1")]
Fraction = Annotated[float, Check(lambda x: 0 < x <= 1, "above 0 and at most 1")]
PositiveInt = Annotated[int, Check(lambda x: x > 0, "1 or more")]
Margin = Annotated[float, Check(lambda x: 0 < x <= 100, "above 0 and at most 100 points")]
NonNegativeInt = Annotated[int, Check(lambda x: x >= 0, "0 or more")]


@dataclass(frozen=True)
class Distances:
    """Word distances that a method takes: a CSV file, and the digest that stands for it in a run's key."""

    name: str
    file: Path
    digest: str


def fault(node: Node, message: str) -> RecipeError:
    """An error at a node's line."""
    return RecipeError(f"{node.start_mark.name}:{node.start_mark.line + 1}: {message}")


def nearest(word: str, known: Iterable[str]) -> str:
    """What an error says after an unknown name: the nearest known one, else all of them."""
    names = sorted(known)
    word = word[:LONGEST_KEY]
    close = get_close_matches(word, names, n=1, cutoff=0.6) or [name for name in names if word and word in name][:3]
    return f"did you mean {' or '.join(map(repr, close))}?" if close else f"known: {', '.join(names) or 'none'}"


def entries(node: Node, noun: str) -> dict[str, Node]:
    """The keys of a mapping node; a key given twice is an error."""
    if not isinstance(node, MappingNode):
        raise fault(node, f"{noun}: expected keys and values, got {_shown(node)}")
    nodes: dict[str, Node] = {}
    for key, value in node.value:
        if not isinstance(key, ScalarNode):
            raise fault(key, f"{noun}: a key must be a plain name")
        if len(key.value) > LONGEST_KEY or hidden(key.value):
            told = repr(clipped(key.value))
            raise fault(key, f"{noun}: {told} is no key: at most {LONGEST_KEY} characters, each of which can be seen")
        if key.value in nodes:
            raise fault(key, f"{noun}: key {key.value!r} is given twice")
        # What is wrong with a block is shown at its key, not at the line below.
        value.start_mark = key.start_mark
        nodes[key.value] = value
    return nodes


def named(nodes: dict[str, Node], noun: str) -> dict[str, Node]:
    """Entries whose keys are names that a reference (``table/row.stage#seed``) can hold."""
    for name, node in nodes.items():
        if not name or set(name) & set("/.#") or name != "".join(name.split()) or name.startswith("-"):
            raise fault(node, f"{noun}: {name!r} is no name: without blanks and '/', '.', '#', and no '-' in front")
        if len(name) > LONGEST_KEY:
            raise fault(node, f"{noun}: {clipped(name)!r} is no name: {LONGEST_KEY} characters at most")
    return nodes


def read(kind: Any, node: Node, noun: str) -> Any:
    """The value that ``node`` gives for a type; ``noun`` names the place in error messages."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _checked(kind, node, noun)
    if origin is Literal:
        return _choice(get_args(kind), node, noun)
    if origin in (Union, UnionType):
        return _union(get_args(kind), node, noun)
    if origin is tuple:
        if not isinstance(node, SequenceNode):
            raise fault(node, f"{noun}: expected a list, got {_shown(node)}")
        return tuple(read(get_args(kind)[0], item, noun) for item in node.value)
    if origin is dict:
        return {key: read(get_args(kind)[1], item, f"{noun}.{key}") for key, item in entries(node, noun).items()}
    if is_dataclass(kind):
        return fill(kind, entries(node, noun), node, noun)  # type: ignore[arg-type]
    return _scalar(kind, node, noun)


Readers = Mapping[Any, Callable[[Node, str], Any]]


def fill(kind: type[T], nodes: dict[str, Node], node: Node, noun: str, readers: Readers | None = None) -> T:
    """A dataclass from its keys: unknown and missing keys are errors, a field with a default may be left out.

    ``readers`` read the types that the YAML alone cannot tell.
    """
    require(nodes, names(kind), _needed(kind), node, noun)
    return kind(**values(kind, nodes, noun, readers or {}))


def values(kind: Any, nodes: dict[str, Node], noun: str, readers: Readers) -> dict[str, Any]:
    """The values that keys give for fields of a dataclass."""
    read_as: dict[str, Callable[[Node, str], Any]] = {
        key: readers.get(hint, partial(read, hint)) for key, hint in hints_of(kind).items() if key in nodes
    }
    return {key: read_as[key](item, f"{noun}.{key}") for key, item in nodes.items()}


@cache
def hints_of(kind: Any) -> dict[str, Any]:
    """The types of a dataclass's fields, worked out once: a folder of recipes asks for them hundreds of times."""
    return get_type_hints(kind, include_extras=True)


def names(kind: Any) -> list[str]:
    """The fields of a dataclass."""
    return [f.name for f in fields(kind)]


def _needed(kind: Any) -> list[str]:
    return [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]


def require(nodes: dict[str, Node], known: Iterable[str], needed: Iterable[str], node: Node, noun: str) -> None:
    """Raise for a key that is not known, then for a needed key that is not there."""
    for key, item in nodes.items():
        if key not in known:
            raise fault(item, f"{noun}: unknown key {key!r}; {nearest(key, known)}")
    for key in needed:
        if key not in nodes:
            raise fault(node, f"{noun}: key {key!r} is missing")


def _checked(kind: Any, node: Node, noun: str) -> Any:
    inner, *checks = get_args(kind)
    value = read(inner, node, noun)
    for check in checks:
        if not check.holds(value):
            raise fault(node, f"{noun}: must be {check.says}, got {value!r}")
    return value


def _choice(choices: tuple[Any, ...], node: Node, noun: str) -> Any:
    value = _plain(node)
    if value not in choices:
        raise fault(node, f"{noun}: expected {' or '.join(map(str, choices))}, got {_shown(node)}")
    return value


def _union(kinds: tuple[Any, ...], node: Node, noun: str) -> Any:
    """The first alternative that the node fits; the error is that of the alternative of the node's own shape."""
    if NoneType in kinds and _plain(node) is None and isinstance(node, ScalarNode):
        return None
    shape = next((k for k in kinds if _fits(k, node)), None)
    if shape is None:
        raise fault(node, f"{noun}: expected {' or '.join(_name(k) for k in kinds)}, got {_shown(node)}")
    return read(shape, node, noun)


def _fits(kind: Any, node: Node) -> bool:
    origin = get_origin(kind)
    if origin is Annotated:
        return _fits(get_args(kind)[0], node)
    if origin is tuple:
        return isinstance(node, SequenceNode)
    if origin is dict or is_dataclass(kind):
        return isinstance(node, MappingNode)
    if origin is Literal:
        return isinstance(node, ScalarNode) and _plain(node) in get_args(kind)
    return isinstance(node, ScalarNode) and _is(kind, _plain(node))


def _scalar(kind: Any, node: Node, noun: str) -> Any:
    value = _plain(node)
    if not isinstance(node, ScalarNode) or not _is(kind, value):
        raise fault(node, f"{noun}: expected {_name(kind)}, got {_shown(node)}{_hint(kind, node)}")
    if kind is str and (character := hidden(value)):
        raise fault(node, f"{noun}: the character {character} cannot be seen; leave it out")
    return float(value) if kind is float else value


def _is(kind: Any, value: Any) -> bool:
    if kind is float:
        # The comparisons are false for NaN.
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (value == 0 or SMALLEST <= abs(value) <= LARGEST)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_INT
    return isinstance(value, kind)


def _plain(node: Node) -> Any:
    """A scalar's value under YAML's rules, of which dates are left as text; None for a list or a mapping."""
    if not isinstance(node, ScalarNode):
        return None
    if not node.tag.endswith((":int", ":float", ":bool", ":null")):
        return node.value
    try:
        return yaml.constructor.SafeConstructor().construct_object(node)
    except (ValueError, LookupError):  # "!!int x"
        return node.value


def _hint(kind: Any, node: Node) -> str:
    """How to write what was probably meant."""
    value = _plain(node)
    if kind is str and isinstance(node, ScalarNode) and value is not None:
        return f' (as a text: "{clipped(node.value)}")'
    if kind is int and isinstance(value, int) and abs(value) > LARGEST_INT:
        return " (more than 63 bits)"
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf:
        return f" (its size must be {SMALLEST:g} to {LARGEST:g}, for float32 to hold its square)"
    return " (YAML needs a point in it: 1.0e-4)" if kind is float and _looks_like_float(value) else ""


def _looks_like_float(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return isinstance(value, str)


def _shown(node: Node) -> str:
    if isinstance(node, ScalarNode):
        text = clipped(node.value)
        return repr(text) if node.tag.endswith(":str") else text or "nothing"
    return "a list" if isinstance(node, SequenceNode) else "keys and values"


def _name(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is Annotated:
        return _name(get_args(kind)[0])
    if origin is Literal:
        return " or ".join(map(str, get_args(kind)))
    if origin is tuple:
        return "a list"
    if origin is dict or is_dataclass(kind):
        return "keys and values"
    return {int: "a whole number", float: "a number", str: "a text", bool: "true or false", NoneType: "null"}[kind]
