"""What a record says of where it was made: the commit of the code and the versions of the libraries."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("torch", "numpy", "torchvision")


def commit() -> str | None:
    """The commit of the code, marked where files differ from it; from KDBENCH_COMMIT on a machine without git."""
    root = Path(__file__).parents[2]
    try:
        head = _git(root, "rev-parse", "HEAD")
        return f"{head} and local changes" if _git(root, "status", "--porcelain", "bench", "recipes") else head
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("KDBENCH_COMMIT")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def libraries() -> dict[str, str]:
    """Versions of Python and of what trains."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
