"""One run at a time, in this process: with a GPU, or with every core for one run."""

import time

from bench.executors.local import Local
from bench.graph import Run
from bench.store import Record
from bench.train.progress import Progress, Stopped


class Inline:
    """Carries out one run at a time; it goes on while it is waited for."""

    def __init__(self, local: Local) -> None:
        self.local, self.store = local, local.store
        self.next: tuple[Run, Progress, float | None] | None = None

    @property
    def room(self) -> bool:
        """Whether no run was submitted that is still to be waited for."""
        return self.next is None

    def submit(self, run: Run, progress: Progress, deadline: float | None) -> None:
        """Keep the run until it is waited for."""
        self.next = run, progress, deadline

    def wait(self) -> tuple[Run, Record | None]:
        """Train the run that was submitted."""
        if self.next is None:
            raise ValueError("no run was submitted")
        (run, progress, deadline), self.next = self.next, None
        return run, carry_out(self.local, run, progress, deadline)

    def stop(self) -> None:
        """Between two calls nothing goes on."""


def carry_out(local: Local, run: Run, progress: Progress, deadline: float | None) -> Record | None:
    """Train a run; None if an epoch as long as the last would end after ``deadline``, and a checkpoint is left."""

    def out_of_time(seconds: float) -> bool:
        return deadline is not None and time.monotonic() + 1.1 * seconds > deadline

    try:
        return local.execute(run, progress, out_of_time)
    except Stopped:
        return None
