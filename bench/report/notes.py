"""Footnotes: numbered in order of first use, each text once; and assumptions with the value that was assumed."""

from collections.abc import Iterable
from dataclasses import is_dataclass
from typing import Any

from bench import schema
from bench.component import Component
from bench.recipe import Ref, Schedule, Stage
from bench.recipe.model import STAGE_KEYS
from bench.schema import Distances


class Footnotes:
    """The footnotes of one table."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, texts: Iterable[str]) -> tuple[int, ...]:
        """The numbers of some texts, which are added where they are new."""
        return tuple(self._numbers.setdefault(text, len(self._numbers) + 1) for text in texts)

    @property
    def texts(self) -> tuple[str, ...]:
        """All of them; the first has number 1."""
        return tuple(self._numbers)


def assumption(path: str, reason: str, stages: Iterable[Stage]) -> str:
    """``schedule.batch = 128 (assumed): reason``; the value is left out where these stages do not share one."""
    values = {shown for stage in stages if (shown := _shown(_resolve(stage, path))) is not None}
    return f"{path} = {values.pop()} (assumed): {reason}" if len(values) == 1 else f"{path} (assumed): {reason}"


def _resolve(stage: Stage, path: str) -> Any:
    """What a recipe's dotted path stands for in a resolved stage, or None."""
    head, *tail = path.split(".")
    value = stage.method.params.get("words") if head == "words" else getattr(stage, STAGE_KEYS[head])
    for name in tail:
        value = _step(value, name)
    return value


def _step(value: Any, name: str) -> Any:
    # A component may be spelled out (optimizer.sgd.weight_decay) or not (method.temperature).
    if isinstance(value, tuple):
        value = value[0]
    if isinstance(value, Component) and name == value.name:
        return value
    if isinstance(value, Schedule) and name in schema.names(value.decay):
        return getattr(value.decay, name)
    return getattr(value, name, None) if is_dataclass(value) else None


def _shown(value: Any) -> str | None:
    if isinstance(value, Ref):
        stage = f".{value.stage}" if value.stage else ""
        return f"{value.table}/{value.row}{stage}#{'same' if value.seed is None else value.seed}"
    if isinstance(value, Component):
        params = ", ".join(f"{key}={_shown(item)}" for key, item in value.params.items())
        return f"{value.name}({params})" if params else value.name
    if isinstance(value, Distances):
        return value.file.name
    if isinstance(value, tuple):
        return ", ".join(str(_shown(item)) for item in value) or None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return None if value is None or is_dataclass(value) else str(value)
