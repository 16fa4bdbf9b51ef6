import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import registry
from tests.conftest import registry_restored
from tests.plugins import squares


@pytest.fixture(scope="module", autouse=True)
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the example project with its images, whose plug-ins are taken in for one module of tests.

    CRD has fewer negatives there than by default, for the sake of time.
    """
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(Path(__file__).parent / "project", folder, dirs_exist_ok=True)
    squares.write(folder / "data")
    table = folder / "recipes" / "examples" / "table.yaml"
    table.write_text(
        table.read_text().replace("method: own_crd,", "method: {own_crd: {negatives: 512}},"), encoding="utf-8"
    )
    with registry_restored():
        registry.load_plugins(folder / "plugins")
        assert registry.BROKEN == {}
        yield folder
