"""What a record says of the code that made it."""

import subprocess
from pathlib import Path

import pytest

from bench import __version__, provenance


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of some project, with kdbench's code in its top folder."""
    monkeypatch.delenv("KDBENCH_COMMIT", raising=False)
    install(tmp_path, monkeypatch)
    (tmp_path / "recipes").mkdir()
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "-m", "all")
    return tmp_path


def install(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have kdbench run from a folder."""
    (root / "bench").mkdir(parents=True)
    (root / "bench" / "provenance.py").touch()
    monkeypatch.setattr(provenance, "__file__", str(root / "bench" / "provenance.py"))


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_checkout_has_its_commit(checkout: Path) -> None:
    assert provenance.commit() == git(checkout, "rev-parse", "HEAD")


@pytest.mark.parametrize("name", ["bench/provenance.py", "recipes/new.yaml"])
def test_local_changes_are_told(checkout: Path, name: str) -> None:
    (checkout / name).write_text("changed")
    assert provenance.commit() == f"{git(checkout, 'rev-parse', 'HEAD')} and local changes"


def test_a_work_tree_has_its_commit_too(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = checkout.with_name("tree")
    git(checkout, "worktree", "add", "-q", "--detach", str(tree))
    monkeypatch.setattr(provenance, "__file__", str(tree / "bench" / "provenance.py"))
    assert provenance.commit() == git(checkout, "rev-parse", "HEAD")


def test_the_repository_of_a_project_around_an_installed_kdbench_is_not_its_own(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(checkout / ".venv" / "lib" / "site-packages", monkeypatch)
    assert provenance.commit() is None
    monkeypatch.setenv("KDBENCH_COMMIT", "told")
    assert provenance.commit() == "told"


def test_kdbench_itself_is_among_the_versions() -> None:
    assert provenance.libraries()["kdbench"] == __version__
    assert {"python", "torch", "numpy"} <= provenance.libraries().keys()
