"""Records that are made up, and a report of them."""

from pathlib import Path

import pytest

from bench.report.model import Report
from tests.report.results import Results, something_of_everything


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path)


@pytest.fixture
def full(results: Results) -> Report:
    return something_of_everything(results)
