import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.cli.app import main
from tests.cli.commands import ONE, RUN, finish, records, start

NO_WORKER = "if __name__ == '__mp_main__': sys.exit('a worker')"
# A second or two of every process, for a compiler that no run uses.
NO_DYNAMO = """\
import atexit
atexit.register(lambda: 'torch._dynamo' in sys.modules and print('dynamo', file=sys.stderr))
"""


@pytest.fixture
def kdbench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Runs a command in a project folder of its own, in this process; returns exit code, output and errors.

    Every process costs seconds before it does anything: only what is about processes has its own.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KDBENCH_DATA", raising=False)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kdbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capfd.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    handler = signal.getsignal(signal.SIGINT)
    yield run
    signal.signal(signal.SIGINT, handler)


@pytest.fixture(scope="session")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose table one process trained, one run after the other; for all tests, so not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "recipes").symlink_to(tiny)
    code, out, err = finish(start(folder, *RUN, "--at-once", "1", everywhere=f"{NO_WORKER}\n{NO_DYNAMO}"))
    assert (code, err) == (0, "")
    assert "6 of 6 runs to train\n" in out
    return folder


@pytest.fixture
def finished(project: Path, trained: Path) -> Path:
    """The tiny project with all of its table trained."""
    shutil.copytree(trained / "results", project / "results")
    return project


def longer(folder: Path) -> Path:
    """Give the tiny project a schedule long enough to be stopped within."""
    recipe = folder / "recipes" / "tiny" / "table.yaml"
    text = recipe.read_text().replace("schedule: {epochs: 4,", "schedule: {epochs: 12,")
    recipe.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def slow(project: Path) -> Path:
    """The tiny project with a longer schedule."""
    return longer(project)


@pytest.fixture(scope="session")
def uninterrupted(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The record of a run of the longer schedule that nothing stopped."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    shutil.copytree(tiny, folder / "recipes")
    assert finish(start(longer(folder), *ONE))[0] == 0
    (record,) = records(folder)
    return record
