"""Ctrl-C: one line and exit code 130, at any moment."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

CODE = 130


def leave_at_once() -> None:
    """From now on Ctrl-C ends the process: there is nothing to put away, not even within an import.

    A process that was started with Ctrl-C ignored (``nohup``) goes on ignoring it.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _leave)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within it, the first Ctrl-C is a KeyboardInterrupt; a second one need not wait until all is put away."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        stop("stopped")
    finally:
        signal.signal(signal.SIGINT, before)


def stop(message: str) -> NoReturn:
    """End with a line; whoever presses Ctrl-C meanwhile gets no second one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(message)
    sys.exit(CODE)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGINT, _leave)
    raise KeyboardInterrupt


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    # Not by an exception, which an import may take for a fault of its own; workers end when this process is gone.
    if os.isatty(1):
        os.write(1, b"\r\x1b[?25h")  # live bars hide the cursor
    os.write(2, b"kdbench: stopped\n")
    os._exit(CODE)
