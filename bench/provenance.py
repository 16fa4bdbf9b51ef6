"""What a record says of where it was made: the commit of the code and the versions of the libraries."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench import __version__

LIBRARIES = ("torch", "numpy", "torchvision")


def commit() -> str | None:
    """The commit of kdbench's own checkout, marked where files differ from it.

    Without a checkout, as where it is installed from a wheel, what KDBENCH_COMMIT says; the repository of some project
    that it happens to be installed within is not its own.
    """
    root = Path(__file__).parents[1]
    try:
        if (root / ".git").exists():
            head = _git(root, "rev-parse", "HEAD")
            return f"{head} and local changes" if _git(root, "status", "--porcelain", "bench", "recipes") else head
    except (OSError, subprocess.CalledProcessError):
        pass
    return os.environ.get("KDBENCH_COMMIT")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def libraries() -> dict[str, str]:
    """Versions of kdbench, of Python and of what trains."""
    versions = {"kdbench": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
