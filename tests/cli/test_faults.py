"""What the system refuses: one line, exit code 2, no traceback; nothing that was computed is lost."""

import os
import resource
import subprocess
import sys

import pytest

from tests.cli.commands import MAIN, ONE, REPO, RUN, VANILLA, finish, records, start

LONG = "n" * 300


def shell(folder, line, **environment):
    """A line for the shell, in which ``kdbench`` is this one."""
    script = f'kdbench() {{ "{sys.executable}" -c "import sys; sys.argv[0] = \'kdbench\'; {MAIN}" "$@"; }}; {line}'
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPO), "KDBENCH_DATA": "", **environment},
        capture_output=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    "place", ["results", "results/locks", "results/runs", "results/artifacts", "results/checkpoints"]
)
def test_a_file_where_a_folder_should_be_is_told_before_anything_is_trained(project, kdbench, place):
    (project / place).parent.mkdir(exist_ok=True)
    (project / place).write_text("")
    code, out, err = kdbench(*ONE)
    assert code == 2
    assert err.startswith(f"kdbench: {project}/{place}")
    assert err.endswith(": File exists; kdbench needs a folder there\n") or "Not a directory; kdbench needs" in err
    assert err.count("\n") == 1
    assert "seed 1: error" not in out


@pytest.mark.parametrize(
    ("place", "arguments", "message"),
    [
        ("results/runs/paper-1.json", ["list"], "not a file; move it away"),
        ("results/costs.json", ["cost", "tiny"], "Is a directory"),
        ("results/tables/tiny.md", ["report", "tiny", "--write"], "Is a directory"),
        ("a.svg", ["figure", "similarity", "cifar10", "--figure", "a.svg"], "Is a directory"),
        ("a.csv", ["figure", "similarity", "cifar10", "--csv", "a.csv"], "Is a directory"),
    ],
)
def test_a_folder_where_a_file_should_be(project, kdbench, place, arguments, message):
    (project / place).mkdir(parents=True)
    code, _, err = kdbench(*arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("kdbench: ")
    assert message in err
    assert place in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["prepare", "mnist", "--data", LONG],
        ["collect", LONG],
        ["figure", "similarity", "cifar10", "--csv", LONG],
        ["figure", "similarity", "cifar10", "--figure", f"{LONG}.svg"],
        ["figure", "similarity", "cifar10", "--vectors", LONG],
        ["gpu", "--device", "cpu", "--out", LONG],
    ],
)
def test_a_name_that_is_too_long(project, kdbench, arguments):
    code, _, err = kdbench(*arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert f"{LONG[:200]}" in err
    assert "File name too long" in err


def test_a_pack_that_cannot_be_written_is_told_before_anything_is_trained(project, kdbench):
    (project / "packed").write_text("")
    code, out, err = kdbench("gpu", "--device", "cpu", "--table", "tiny", "--out", "packed")
    assert (code, out, err) == (2, "", "kdbench: packed: File exists; kdbench needs a folder there\n")


@pytest.mark.slow
def test_a_file_that_may_not_grow_in_a_worker(project):
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, {resource.RLIM_INFINITY}))"
    code, _, err = finish(start(project, *RUN, *VANILLA, "--at-once", "2", everywhere=limit))
    assert (code, err) == (2, "kdbench: File too large; raise the limit (ulimit -f); the same command resumes\n")
    assert records(project) == []


@pytest.mark.slow
def test_a_full_disk_and_the_same_command_once_there_is_room(project):
    results = project / "results"
    results.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(results)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nothing can be mounted here")
    try:
        code, _, err = finish(start(project, *ONE))
        assert (code, err) == (2, "kdbench: No space left on device; make room; the same command resumes\n")
        subprocess.run(["mount", "-o", "remount,size=20m", str(results)], check=True)
        assert finish(start(project, *ONE))[0] == 0
        assert len(records(project)) == 1
    finally:
        subprocess.run(["umount", str(results)], check=True)


@pytest.mark.parametrize("command", ["list", "list --names", "--help", "--version", " ".join(ONE)])
def test_a_full_standard_output(project, command):
    ended = shell(project, f"kdbench {command} > /dev/full")
    assert (ended.returncode, ended.stderr) == (
        2,
        b"kdbench: the output cannot be written: No space left on device\n",
    )


def test_a_closed_standard_output_is_told_before_anything_is_done(project):
    ended = shell(project, f"kdbench {' '.join(ONE)} >&-")
    assert (ended.returncode, ended.stderr) == (
        2,
        b"kdbench: standard output is closed; send it to a file, or to /dev/null\n",
    )
    assert not (project / "results").exists()


@pytest.mark.parametrize(("closed", "code"), [("2>&-", 2), (">&- 2>&-", 2), ("<&-", 2)])
def test_whatever_is_closed_the_exit_code_stays(project, closed, code):
    ended = shell(project, f"kdbench report nothing {closed}")
    assert ended.returncode == code
    assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_an_output_that_lacks_characters_has_question_marks(project, environment):
    ended = shell(project, "kdbench report ffdwv-table3", **environment)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"?" in ended.stdout
    assert b"28.83" in ended.stdout


def test_an_argument_that_is_no_text(project):
    ended = shell(project, "kdbench report $'\\xff\\xfe'")
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"kdbench: no table '\\udcff\\udcfe'; known: ")


def test_a_folder_that_is_gone(project):
    ended = shell(project, "mkdir gone; cd gone; rmdir ../gone; kdbench list")
    assert (ended.returncode, ended.stderr) == (2, b"kdbench: the current folder is gone; change to another one\n")
