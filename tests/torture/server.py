"""Carries out kdbench's commands in forks of one process that has imported all of it: each one costs no more than its
own work. The code under test is what PYTHONPATH says.

A request is a line of JSON on standard input, its answer one on standard output:
``{"do": "start", "cwd", "argv", "prelude", "out", "err"}`` is answered with ``{"pid"}``, and
``{"do": "wait", "pid", "seconds"}`` with ``{"code", "cpu"}``, whose code is null where it has not ended in time.
"""

import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import signal
import sys
import time
import traceback
from contextlib import redirect_stdout, suppress
from functools import cache
from pathlib import Path
from typing import Any

import bench

ASLEEP_SECONDS = 10.0


def prepare(nothing: Path) -> None:
    """Import what the commands import; keep a checkpoint after every epoch; leave the shipped tables aside.

    The images are made once.
    """
    names = [found.name for found in pkgutil.walk_packages(bench.__path__, "bench.")]
    for name in ("torch._dynamo", "safetensors.torch", *names):
        # Ray, which the cluster executor imports, may not be here, and no driver asks for it.
        if not name.endswith(("__main__", ".cluster")) and ".benchmark" not in name and ".shipped" not in name:
            importlib.import_module(name)
    for name in ("engine", "synthesis"):
        importlib.import_module(f"bench.train.{name}").CHECKPOINT_SECONDS = 0.0
    importlib.import_module("bench.project").SHIPPED = nothing
    synthetic = importlib.import_module("bench.data.synthetic").SyntheticSet
    synthetic.read = cache(synthetic.read)
    importlib.import_module("bench.registry").SETS["synthetic10"].read(None, False)
    # Whatever is imported only when a command runs.
    with suppress(SystemExit), redirect_stdout(io.StringIO()):
        sys.argv = ["kdbench", "check"]
        runpy.run_module("bench", run_name="__main__", alter_sys=True)
    gc.freeze()


def carry_out(request: dict[str, Any]) -> int:
    """A command as ``python -m bench`` would; its exit code."""
    os.chdir(request["cwd"])
    sys.argv = ["kdbench", *request["argv"]]
    try:
        exec(request["prelude"], {})
        runpy.run_module("bench", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    return code


def start(request: dict[str, Any]) -> int:
    """The number of a new process, in a group of its own."""
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        # Ctrl-C reaches it, even if whoever started all of this ignores it (`nohup make torture &`).
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for fd, path, flags in (
            (0, os.devnull, os.O_RDONLY),
            (1, request["out"], os.O_WRONLY | os.O_CREAT),
            (2, request["err"], os.O_WRONLY | os.O_CREAT),
        ):
            os.dup2(os.open(path, flags), fd)
        code = 1
        try:
            code = carry_out(request)
        finally:
            os._exit(code)
    return pid


def wait(pid: int, seconds: float) -> dict[str, Any]:
    """How a process ended, as subprocess tells it, and the seconds that it computed.

    The code is null if it has not ended after so many seconds of computing, or has slept for some in a row: however
    many processes share the machine, both are its own.
    """
    awake, computed = time.monotonic(), 0.0
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return {"code": os.waitstatus_to_exitcode(status), "cpu": usage.ru_utime + usage.ru_stime}
        now, asleep = progress(pid)
        if now > computed or not asleep:
            awake, computed = time.monotonic(), now
        if computed > seconds or time.monotonic() - awake > ASLEEP_SECONDS:
            return {"code": None, "cpu": computed}
        time.sleep(0.005)


def progress(pid: int) -> tuple[float, bool]:
    """The seconds that a process has computed, and whether it sleeps: it neither computes nor waits for its turn."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), fields[0] == "S"


def main() -> None:
    requests, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    prepare(Path(sys.argv[1]))
    print(json.dumps({"code": str(Path(bench.__file__).parents[1])}), file=answers)
    for line in requests:
        request = json.loads(line)
        if request["do"] == "start":
            answer: dict[str, Any] = {"pid": start(request)}
        else:
            answer = wait(request["pid"], request["seconds"])
        print(json.dumps(answer), file=answers)
    os._exit(0)  # nothing that was imported has more to say


if __name__ == "__main__":
    main()
