import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the real data sets: KDBENCH_DATA, else data/ in the repository."""
    folder = Path(os.environ.get("KDBENCH_DATA") or Path(__file__).parents[1] / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} does not exist (set KDBENCH_DATA to a folder that has it)")
    return folder
