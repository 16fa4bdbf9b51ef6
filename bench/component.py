"""What a recipe can name: a method, a network, an optimiser, ... is a dataclass whose fields are its parameters.

One home for a component's name, parameters with their types and defaults, checks and version. The modules that declare
components import no torch, so that planning and reporting stay quick; their methods do, when a run needs them.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, ClassVar

from bench.schema import Distances

# Of a field, as its metadata: part of a key even at its default (fields that the first records had), or never.
ALWAYS_IN_KEY = {"in_key": "always"}
NEVER_IN_KEY = {"in_key": "never"}


@dataclass(frozen=True)
class Component:
    """Base of everything that has a name in recipes; a subclass is a frozen dataclass.

    ``name`` is what recipes call it. ``version`` is raised whenever the numbers that it gives change: a run's id
    contains the versions of what it uses. A parameter that is added later has a default, at which it is left out of
    every key. ``key_name`` stands for the name in keys, where a component was renamed after records had been made.
    """

    name: ClassVar[str]
    key_name: ClassVar[str | None] = None
    version: ClassVar[int] = 1

    def check(self) -> None:
        """Refuse parameters that do not go together (RecipeError); imports no torch."""

    @property
    def params(self) -> dict[str, Any]:
        """The parameters as a recipe must say them: those that are not at their default."""
        return {f.name: getattr(self, f.name) for f in fields(self) if not _at_default(self, f)}

    @property
    def told(self) -> str:
        """For people: ``uniform (bits 4, bucket 256)``."""
        return f"{self.name} ({', '.join(f'{key} {value}' for key, value in self.params.items())})"

    @property
    def known_as(self) -> str:
        """Its name in keys and versions."""
        return self.key_name or self.name

    @property
    def identity(self) -> dict[str, Any]:
        """What a key has of it: plain values, ready for JSON."""
        return {"name": self.known_as, "params": identity(self.params)}


def identity(value: Any) -> Any:
    """What a key has of a value, ready for JSON.

    Of a dataclass its fields, without those that are at their default: an option that is added later moves no key.
    A field's metadata may say otherwise (:data:`ALWAYS_IN_KEY`, :data:`NEVER_IN_KEY`), and so may the class, by an
    ``identity`` of its own. Word distances are known by their digest.
    """
    if isinstance(value, Distances):
        return {"distances": value.digest}
    if hasattr(value, "identity"):
        return value.identity
    if is_dataclass(value):
        return identity_of_fields(value)
    if isinstance(value, Mapping):
        return {key: identity(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [identity(item) for item in value]
    return value


def identity_of_fields(value: Any) -> dict[str, Any]:
    """What a key has of the fields of a dataclass."""
    return {f.name: identity(getattr(value, f.name)) for f in fields(value) if _in_key(value, f)}


def _in_key(value: Any, f: Field[Any]) -> bool:
    rule = f.metadata.get("in_key")
    return rule != "never" and (rule == "always" or not _at_default(value, f))


def _at_default(value: Any, f: Field[Any]) -> bool:
    default = f.default_factory() if f.default_factory is not MISSING else f.default
    return default is not MISSING and bool(getattr(value, f.name) == default)
