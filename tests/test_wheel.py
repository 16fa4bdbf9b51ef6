"""What is installed from a wheel: recipes, word distances, counted costs and records come along."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, unpacked as an installer does."""
    pytest.importorskip("hatchling", reason="hatchling is not installed, so that no wheel can be built")
    folder = tmp_path_factory.mktemp("wheel")
    script = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    built = subprocess.run([sys.executable, "-c", script], cwd=REPO, capture_output=True, text=True, check=True)
    with zipfile.ZipFile(folder / built.stdout.split()[-1]) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def kdbench(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of what is installed, in a folder that has nothing."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KDBENCH_")}
    return subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


def test_tables_and_committed_records_come_along(installed: Path, tmp_path: Path) -> None:
    listed = kdbench(installed, tmp_path, "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "ffdwv-table3" in listed.stdout
    report = json.loads(kdbench(installed, tmp_path, "report", "efficiency", "--format", "json").stdout)
    assert report["provenance"]["records"] >= 76
    assert not (tmp_path / "results").exists()


def test_pages_are_whole(installed: Path, tmp_path: Path) -> None:
    page = kdbench(installed, tmp_path, "report", "efficiency", "--format", "html")
    assert (page.returncode, page.stderr) == (0, "")
    vendored = installed / "bench" / "report" / "html" / "vendor"
    assert (vendored / "vega-lite.min.js").read_text(encoding="utf-8") in page.stdout
    assert {path.stem for path in vendored.glob("*.LICENSE")} == {"vega", "vega-lite", "vega-embed"}


def test_a_run_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    row = ("--row", "ffdwv-resnet32", "--seed", "1")
    done = kdbench(installed, tmp_path, "run", "ffdwv-table3", *row, "--profile", "smoke", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in (tmp_path / "results" / "runs").glob("*.json")]
    (record,) = (record for record in records if record["recipe"]["kind"] == "train")
    assert record["status"] == "done"
    assert record["commit"] is None
    assert record["libraries"]["kdbench"] == "0.2.0"
    assert record["flops"] > 0
    # Costs that come along are looked up, not copied.
    assert not (tmp_path / "results" / "costs.json").exists()
