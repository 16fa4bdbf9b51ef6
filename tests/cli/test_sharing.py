"""Several processes at one table, and what a scheduler does to them: SIGTERM, --wait, --shard, exit codes."""

import os

import pytest

from bench.files import about
from bench.graph import plan
from bench.recipe import load
from bench.store import Store
from tests.cli.commands import ONE, RUN, VANILLA, by_name, finish, records, start

# When the third epoch begins, this process or its parent is told to end; nothing was written before.
TERMINATED = """
engine.CHECKPOINT_SECONDS = 1e9
import multiprocessing, os, signal
def one_epoch(self, *given, original=engine.Training.one_epoch):
    if self.epoch == 2:
        parent = multiprocessing.parent_process()
        os.kill(parent.pid if parent else os.getpid(), signal.SIGTERM)
    yield from original(self, *given)
engine.Training.one_epoch = one_epoch
"""


@pytest.mark.parametrize("at_once", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_sigterm_leaves_a_checkpoint_of_the_step_and_the_same_command_resumes_there(slow, uninterrupted, at_once):
    command = (*RUN, *VANILLA, "--at-once", str(at_once))
    code, out, err = finish(start(slow, *command, everywhere=TERMINATED))
    assert (code, err) == (143, "")
    assert out.count(": left out, it was stopped, and keeps a checkpoint\n") == at_once
    assert out.endswith("stopped by SIGTERM, each run at a checkpoint; the same command resumes there\n")
    kept = [about(path.read_bytes()) for path in (slow / "results" / "checkpoints").iterdir()]
    assert len(kept) == at_once
    assert 2 in {header["epoch"] for header in kept}
    assert any(header["partial"] for header in kept)
    assert list((slow / "results" / "locks").iterdir()) == []
    assert finish(start(slow, *command))[0] == 0
    assert by_name(slow)["tiny/vanilla", 1]["artifact"] == uninterrupted["artifact"]


def test_what_another_process_trains_is_left_out_with_exit_code_1_or_waited_for(project, kdbench):
    store = Store(project / "results")
    run = plan(load(project / "recipes"), ["tiny"], "paper").rows["tiny", "vanilla"][1]
    with store.lock(run):
        code, out, err = kdbench(*ONE)
        assert (code, err) == (1, "kdbench: 1 of 1 runs were left out; the same command tries them again\n")
        assert f"tiny/vanilla seed 1: left out, process {os.getpid()} on " in out
        process = start(project, *ONE, "--wait")
        while "waits, process" not in (line := process.stdout.readline()):
            assert line
        assert records(project) == []
    code, _, err = finish(process)
    assert (code, err) == (0, "")
    assert len(records(project)) == 1


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_a_share_that_is_none_is_told(project, kdbench, text):
    code, _, err = kdbench(*RUN, "--shard", text)
    assert (code, err) == (2, f"kdbench: --shard {text}: write I/N, the I-th of N shares, as in 1/4 ... 4/4\n")


def test_shares_one_after_the_other_are_the_table(project, kdbench, trained):
    rows = (*VANILLA, "--row", "kd", "--at-once", "1")
    for number in (1, 2, 3):
        assert kdbench(*RUN, *rows, "--shard", f"{number}/3")[0] == 0
    found, whole = by_name(project), by_name(trained)
    assert len(found) == len(records(project)) == 4
    assert all(record["artifact"] == whole[key]["artifact"] for key, record in found.items())


@pytest.mark.parametrize(
    "options", [("--wait", "--dry-run"), ("--shard", "1/2", "--again"), ("--on", "ray", "--dry-run")]
)
def test_options_that_do_not_go_together_are_told(project, kdbench, options):
    code, _, err = kdbench("run", "tiny", *options)
    assert (code, err) == (2, "kdbench: --wait, --shard and --on go with neither --dry-run nor --again\n")
