"""Standard output and errors: whatever is printed goes through here."""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from bench.errors import KdbenchError
from bench.text import visible


class OutputError(KdbenchError):
    """What is printed cannot be written."""


class ReaderGone(OutputError):  # noqa: N818  (what happened, not a fault)
    """The reader of a pipe left (``kdbench list | head``)."""


class Output:
    """A text stream to which nothing goes that would steer a terminal; what it cannot write is an OutputError."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write what can be seen of a text."""
        with _told():
            return self.stream.write(visible(text))

    def writelines(self, lines: Iterable[str]) -> None:
        """Write some lines."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what waits."""
        with _told():
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class Errors(Output):
    """The same of standard error, where downloads return to the beginning of their line; what it refuses is lost."""

    def write(self, text: str) -> int:
        """Write what can be seen of a text."""
        with suppress(OSError):
            self.stream.write("\r".join(map(visible, text.split("\r"))))
        return len(text)

    def flush(self) -> None:
        """Write what waits."""
        with suppress(OSError):
            self.stream.flush()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise ReaderGone("nobody reads the output any more") from None
    except OSError as error:
        raise OutputError(f"the output cannot be written: {error.strerror}") from None


@contextmanager
def standard_streams() -> Iterator[None]:
    """Standard output as an :class:`Output`, and errors likewise; a character that an encoding lacks is replaced.

    Raises:
        OutputError: the output is closed, or could not be written; what is still to come goes nowhere.
    """
    _occupy_closed()
    if sys.stdout is None:
        raise OutputError("standard output is closed; send it to a file, or to /dev/null")
    before, errors = sys.stdout, sys.stderr
    if hasattr(before, "reconfigure"):
        before.reconfigure(errors="replace")
    sys.stdout = cast(TextIO, Output(before))
    sys.stderr = cast(TextIO, Errors(errors)) if errors is not None else open(os.devnull, "w")  # noqa: SIM115
    try:
        yield
        _flush(before)
    except SystemExit:
        _flush(before)
        raise
    except BaseException:
        with suppress(OutputError):  # the first fault is the one to be told
            _flush(before)
        raise
    finally:
        sys.stdout, sys.stderr = before, errors


def _flush(stream: TextIO) -> None:
    """Write what waits; where that cannot be, let it go nowhere, so that it does not fail again when Python ends."""
    try:
        sys.stdout.flush()
    except OutputError:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
        raise


@contextmanager
def needs_a_reader() -> Iterator[None]:
    """Also as a decorator: a command that works for hours stops, and says so, when nobody reads its output."""
    try:
        yield
    except ReaderGone as gone:
        raise OutputError(f"{gone}; stopped, and the same command resumes from the last checkpoint") from None


def terminal() -> TextIO:
    """Standard output itself, for a library that steers a terminal; what it is given to show must be ``visible``."""
    return sys.stdout.stream if isinstance(sys.stdout, Output) else sys.stdout


def width() -> int | None:
    """How many columns the output has: those of a terminal, or what COLUMNS says; None where neither does."""
    said = os.environ.get("COLUMNS", "")
    if sys.stdout.isatty() or (said.isdecimal() and int(said) > 0):
        return shutil.get_terminal_size().columns
    return None


def complain(message: object) -> None:
    """One line of errors."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(f"kdbench: {visible(str(message))}", file=sys.stderr, flush=True)


def _occupy_closed() -> None:
    """Open what was closed (``>&-``): the next file to be opened must not take its number, and with it the output."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
