"""Ctrl-C: one line and exit code 130, at any moment. SIGTERM while runs go on: a checkpoint of each, and code 143."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:  # all libraries come after Ctrl-C has been told what to do
    from bench.run import Executor

CODE = 130
TERMINATED = 143


def leave_at_once() -> None:
    """From now on Ctrl-C ends the process: there is nothing to put away, not even within an import.

    A process that was started with Ctrl-C ignored (``nohup``) goes on ignoring it.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _leave)


@contextmanager
def interruptible(executor: "Executor") -> Iterator[None]:
    """Within it, the first Ctrl-C is a KeyboardInterrupt; a second one need not wait until all is put away.

    SIGTERM has the executor's runs stop at their next step, with a checkpoint.
    """
    handlers = [(signal.SIGINT, _interrupt), (signal.SIGTERM, lambda *_: executor.interrupt())]
    before = [(number, signal.getsignal(number)) for number, _ in handlers]
    for (number, handler), (_, old) in zip(handlers, before, strict=True):
        if old is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    except KeyboardInterrupt:
        stop("stopped")
    finally:
        for number, old in before:
            signal.signal(number, old)


def stop(message: str, code: int = CODE) -> NoReturn:
    """End with a line; whoever presses Ctrl-C meanwhile gets no second one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(message)
    sys.exit(code)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGINT, _leave)
    raise KeyboardInterrupt


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    # Not by an exception, which an import may take for a fault of its own; workers end when this process is gone.
    if os.isatty(1):
        os.write(1, b"\r\x1b[?25h")  # live bars hide the cursor
    os.write(2, b"kdbench: stopped\n")
    os._exit(CODE)
