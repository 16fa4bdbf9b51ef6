"""``kdbench``: carries out a command; whatever a person can mend becomes one line and exit code 2.

The commands themselves, and all libraries, are imported when Ctrl-C has been told what to do.
"""

import errno
import sys
from collections.abc import Callable
from typing import NoReturn

from bench.cli.interrupts import leave_at_once
from bench.cli.output import ReaderGone, complain, standard_streams
from bench.errors import KdbenchError

_ADVICE = {
    errno.EEXIST: "kdbench needs a folder there",
    errno.ENOTDIR: "kdbench needs a folder there",
    errno.ENOSPC: "make room; the same command resumes",
    errno.EDQUOT: "make room; the same command resumes",
    errno.EFBIG: "raise the limit (ulimit -f); the same command resumes",
    errno.EMFILE: "raise the limit (ulimit -n); the same command resumes",
    errno.EACCES: "kdbench must be able to write below results/",
    errno.EROFS: "kdbench must be able to write below results/",
}


def main() -> None:
    """The command line."""
    carry_out(_commands)


def _commands() -> None:
    from bench.cli.commands import app

    app()


def carry_out(command: Callable[[], object]) -> NoReturn:
    """Carry out a command, and end with its exit code."""
    leave_at_once()
    try:
        with standard_streams():
            command()
    except ReaderGone:
        # `kdbench list | head` has what it wanted.
        sys.exit(0)
    except KdbenchError as error:
        complain(error)
        sys.exit(2)
    except OSError as error:
        complain(_told(error))
        sys.exit(2)
    except MemoryError:
        complain("out of memory; --at-once says how many runs there are at a time")
        sys.exit(2)
    sys.exit(0)


def _told(error: OSError) -> str:
    """For example ``results/locks: File exists; kdbench needs a folder there``."""
    place = "" if error.filename is None else f"{error.filename}: "
    advice = _ADVICE.get(error.errno or 0)
    return f"{place}{error.strerror or error}{f'; {advice}' if advice else ''}"
