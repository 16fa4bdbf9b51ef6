from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import registry
from tests.conftest import registry_restored

PROJECT = Path(__file__).parent / "project"


@pytest.fixture(scope="module", autouse=True)
def examples() -> Iterator[Path]:
    """The project of example plug-ins, taken in for one module of tests."""
    with registry_restored():
        registry.load_plugins(PROJECT / "plugins")
        assert registry.BROKEN == {}
        yield PROJECT
