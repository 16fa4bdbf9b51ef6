"""What the JSON of a report has in it, as a JSON Schema made from the report's own types."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from bench.component import Component
from bench.report.formats.json import SCHEMA
from bench.report.model import Report

_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}


def report_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a report."""
    definitions: dict[str, Any] = {}
    _schema(Report, definitions)
    report = definitions.pop("Report")
    report["properties"] = {"schema": {"const": SCHEMA}, **report["properties"]}
    report["required"] = ["schema", *report["required"]]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"kdbench report, schema {SCHEMA}",
        **report,
        "$defs": dict(sorted(definitions.items())),
    }


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type; those of dataclasses are added to ``definitions``."""
    origin, args = get_origin(kind), get_args(kind)
    if kind in _SIMPLE:
        return {"type": _SIMPLE[kind]}
    if origin is Literal:
        return {"enum": [*args]}
    if origin in (Union, UnionType):
        return {"anyOf": [_schema(one, definitions) for one in args]}
    if origin in (tuple, Sequence, list):
        return {"type": "array", "items": _schema(args[0], definitions)}
    if origin in (dict, Mapping):
        return {"type": "object", **_keys(args[0]), "additionalProperties": _schema(args[1], definitions)}
    if isinstance(kind, type) and issubclass(kind, Component):
        return {"type": "string"}
    if is_dataclass(kind) and isinstance(kind, type):
        if kind.__name__ not in definitions:
            definitions[kind.__name__] = {}  # a type may hold itself
            definitions[kind.__name__] = _object(kind, definitions)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    raise TypeError(f"no JSON Schema of {kind}")


def _object(kind: type[Any], definitions: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    properties = {f.name: _schema(hints[f.name], definitions) for f in fields(kind)}
    description = " ".join(re.sub(r":\w+:`|`", "", kind.__doc__ or "").split())
    return {"description": description, "type": "object", "properties": properties, "required": [*properties]}


def _keys(kind: Any) -> dict[str, Any]:
    """What the keys of a mapping are; in JSON a whole number is a text too."""
    if kind is int:
        return {"propertyNames": {"pattern": "^[0-9]+$"}}
    return {"propertyNames": _schema(kind, {})} if get_origin(kind) is Literal else {}
