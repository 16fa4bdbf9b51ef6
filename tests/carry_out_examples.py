"""Carries out the examples of pages: [{folder, steps: [[action, place, text], ...]}, ...] in; what each printed, out.

Run as a script, on JSON. Each page has a process of its own, so that no plug-in of one is seen by another; they are
forked from one that has imported torch, which takes seconds.
"""

import contextlib
import io
import json
import multiprocessing
import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch._dynamo  # noqa: F401  (which every optimiser imports; before the fork, since it takes seconds)

import bench.cli.show
import bench.cli.work  # noqa: F401  (likewise)
from bench.cli.app import main


def carry_out(folder: str, steps: list[list[str]]) -> None:
    os.chdir(folder)
    sys.path.insert(0, folder)  # as `python -m` does
    results = [result for step in steps for result in _step(*step)]
    Path("printed.json").write_text(json.dumps(results), encoding="utf-8")


def _step(action: str, place: str, text: str) -> Iterator[tuple[str, int, str]]:
    path = Path(place)
    path.parent.mkdir(parents=True, exist_ok=True)
    if action == "append":
        path.write_text(path.read_text(encoding="utf-8").rstrip("\n") + "\n" + text, encoding="utf-8")
    elif action == "python":
        yield _printed(text, lambda: exec(compile(text, place, "exec"), {}))
    elif action == "run":
        yield from (_printed(line, lambda line=line: _command(*line.split())) for line in text.splitlines())
    else:
        assert action in ("file", "install"), action
        assert not path.exists(), f"{place} is there already"
        path.write_text(text, encoding="utf-8")
        if action == "install":
            _install(path)


def _command(program: str, *words: str) -> None:
    if program == "kdbench":
        sys.argv = [program, *words]
        main()
    else:
        assert (program, *words[:2]) == ("python", "-m", "pytest"), program
        sys.exit(pytest.main(["-p", "no:cacheprovider", *words[2:]]))


def _install(pyproject: Path) -> None:
    """What an installer leaves of a package's entry points, without asking for the network."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    info = pyproject.parent / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    lines = [line for group, names in groups for line in (f"[{group}]", *(f"{n} = {m}" for n, m in names.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    sys.path.insert(0, str(pyproject.parent.resolve()))


def _printed(what: str, work: Any) -> tuple[str, int, str]:
    out, code = io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            work()
        except SystemExit as end:
            code = int(end.code or 0)
    return what, code, out.getvalue()


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    pages = [context.Process(target=carry_out, args=(page["folder"], page["steps"])) for page in json.load(sys.stdin)]
    for page in pages:
        page.start()
    for page in pages:
        page.join()
    sys.exit(any(page.exitcode for page in pages))
