"""kdbench: reproduce the tables of knowledge-distillation papers, with seeds, costs and verdicts."""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """``bench.load``, without waiting for torch before it is asked for."""
    if name == "load":
        # By name, for every module imports this one.
        return import_module("bench.export.folder").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
