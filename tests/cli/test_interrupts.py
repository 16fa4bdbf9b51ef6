"""Ctrl-C at any moment, and twice: one line, exit code 130, no traceback; and what ends when nobody reads."""

import os
import signal
import subprocess
import sys

import pytest

from tests.cli.commands import MAIN, ONE, REPO, RUN, VANILLA, finish, records, start, wait_for_checkpoints

CTRL_C = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
module, sys.argv = sys.argv[1], ["kdbench", *sys.argv[2:]]
class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, CtrlC())
"""


@pytest.mark.parametrize(
    ("module", "arguments"),
    [("typer", ["list"]), ("yaml", ["list"]), ("torch", ONE), ("bench.cli.packing", ["gpu"])],
)
def test_within_an_import(project, module, arguments):
    ended = subprocess.run(
        [sys.executable, "-c", f"{CTRL_C}{MAIN}", module, *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "kdbench: stopped\n")


def test_twice(slow):
    process = start(slow, *ONE)
    wait_for_checkpoints(slow)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == 130
    assert f"{out}{err}".count("stopped") == 1
    assert "Traceback" not in err


IN_CLEANING = """
import os, signal
from bench.executors.inline import Inline
Inline.stop = lambda self: os.kill(os.getpid(), signal.SIGINT)
"""


def test_whoever_presses_again_does_not_wait_for_what_is_put_away(slow):
    process = start(slow, *ONE, everywhere=IN_CLEANING)
    wait_for_checkpoints(slow)
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert (code, err) == (130, "kdbench: stopped\n")


def test_nohup_stays_in_force(project):
    process = start(project, *ONE, code=f"signal.signal(signal.SIGINT, signal.SIG_IGN)\n{MAIN}")
    wait_for_checkpoints(project)
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 0
    assert len(records(project)) == 1


def leave(process):
    """Exit code and errors, once the reader of the output is gone."""
    process.stdout.close()
    process.stdout = None
    code, _, err = finish(process)
    return code, err


@pytest.mark.parametrize("at_once", ["1", "2"])
def test_a_training_whose_output_nobody_reads_stops_and_says_so(slow, at_once):
    process = start(slow, *RUN, *VANILLA, "--at-once", at_once)
    assert process.stdout.readline().startswith("profile paper on ")
    assert leave(process) == (
        2,
        "kdbench: nobody reads the output any more; stopped, and the same command resumes from the last checkpoint\n",
    )
    assert len(records(slow)) < 2


def test_the_reader_of_a_list_may_leave(project):
    """What it printed is more than a pipe holds."""
    printing = "import bench.cli.show as show\nshow.tables = lambda names_only: print('a table\\n' * 100_000)\n"
    process = start(project, "list", code=f"{printing}{MAIN}")
    assert process.stdout.readline() == "a table\n"
    assert leave(process) == (0, "")
