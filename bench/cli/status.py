"""``kdbench status``: what runs now, read from the small files that runs keep; imports no torch and no recipe."""

import time

from bench.cli.progress import duration
from bench.cli.tables import table
from bench.project import Project
from bench.running import Running, running

# A run that has not told for so long is in a long evaluation, or its machine has stopped.
SILENT_SECONDS = 60.0


def status() -> None:
    """Print a line for each run that goes on, in any process that writes into this project's results."""
    runs = running(Project.find().results)
    if not runs:
        print("nothing runs now")
        return
    headers = ["run", "profile", "epoch", "done", "time left", "process"]
    print(table(headers, [_line(run) for run in runs]))


def _line(run: Running) -> list[str]:
    left = "?" if run.seconds_left is None else duration(run.seconds_left)
    silent = time.time() - run.told
    if run.is_gone:
        left = f"ended {duration(silent)} ago without a word; the same command resumes"
    elif silent > SILENT_SECONDS:
        left = f"{left}, said {duration(silent)} ago"
    where = f"{run.process} on {run.host}"
    return [f"{run.name}#{run.seed}", run.profile, str(run.epoch), f"{run.share:.0%}", left, where]
