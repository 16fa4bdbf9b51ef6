"""Commands in processes of their own."""

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

REPO = Path(__file__).parents[2]
MAIN = "from bench.cli.app import main; main()"
# A terminal's Ctrl-C reaches a process whose parent ignores it too (`nohup make test &`): as in a shell of its own.
OWN_SIGINT = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
RUN = ("run", "tiny", "--profile", "paper", "--device", "cpu")
VANILLA = ("--row", "vanilla")
ONE = (*RUN, *VANILLA, "--seed", "1")


def start(folder: Path, *arguments: str, code: str = MAIN, everywhere: str = "") -> subprocess.Popen[str]:
    """A process that keeps a checkpoint after every epoch, in a group of its own with its workers.

    A worker imports the script of its parent: it too runs what is ``everywhere``.
    """
    script = folder / "driver.py"
    script.write_text(
        f"import sys\nimport bench.train.engine as engine\nengine.CHECKPOINT_SECONDS = 0.0\n{everywhere}\n"
        f"if __name__ == '__main__':\n    {OWN_SIGINT}\n    sys.argv[0] = 'kdbench'\n{textwrap.indent(code, '    ')}\n"
    )
    return subprocess.Popen(
        [sys.executable, script.name, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", "KDBENCH_DATA": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def finish(process: subprocess.Popen[str], seconds: float = 120) -> tuple[int, str, str]:
    """Exit code, output and errors, once the process and all its workers, which share its output, have ended."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def records(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((folder / "results" / "runs").glob("*.json"))]


def by_name(folder: Path) -> dict[tuple[str, int], dict]:
    return {(record["name"], record["seed"]): record for record in records(folder)}


def artifact(folder: Path, record: dict) -> Path:
    return folder / "results" / "artifacts" / f"{record['id']}.safetensors"


def forget(folder: Path, record: dict) -> None:
    """As if the run had not been trained."""
    (folder / "results" / "runs" / f"{record['id']}.json").unlink()
    artifact(folder, record).unlink()


def wait_for_checkpoints(folder: Path, count: int = 1, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while len(list((folder / "results" / "checkpoints").glob("*.safetensors"))) < count:
        assert time.monotonic() < until, f"no checkpoint within {seconds} s"
        time.sleep(0.01)
