from pathlib import Path

import pytest


@pytest.fixture
def slow(project: Path) -> Path:
    """The tiny project with a schedule long enough to be stopped within."""
    recipe = project / "recipes" / "tiny" / "table.yaml"
    text = recipe.read_text().replace("schedule: {epochs: 4,", "schedule: {epochs: 12,")
    recipe.write_text(text, encoding="utf-8")
    return project
