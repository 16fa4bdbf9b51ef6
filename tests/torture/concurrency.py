"""Many processes on one table, one of which is killed: nothing is trained twice, nothing is lost."""

import json
import time

from tests.torture.harness import RUN, Ended, Outcome, kill, results
from tests.torture.reference import Case

PROCESSES = 16


def sixteen_processes(case: Case) -> Outcome:
    """At once, and one more in the end for what the killed one left."""
    folder = case.project()
    running = {case.bench.start(folder, *RUN): None for _ in range(PROCESSES)}
    time.sleep(case.random.uniform(0.5, 4))
    victim = _busy(case) or case.random.choice([*running])
    kill(victim)
    ended = [case.bench.wait(pid) for pid in running if pid != victim]
    case.bench.wait(victim)
    return _judged(case, [*ended, case.run(*RUN)])


def _busy(case: Case) -> int | None:
    """One that has begun a run, if there is one."""
    busy = [pid for pid, (out, _) in case.bench.outputs.items() if "] tiny/" in out.read_text()]
    return case.random.choice(busy) if busy else None


def _judged(case: Case, ended: list[Ended]) -> Outcome:
    # Whoever leaves to others what they train says so with exit code 1; the last has nobody to leave it to.
    left = [one for one in ended[:-1] if one.code == 1 and "were left out" in one.err and "Traceback" not in one.err]
    for one in ended:
        if one in left:
            continue
        if outcome := one.fault() or one.says("\0"):
            return outcome if outcome.kind != "told" else Outcome("lost", f"a process gave up: {outcome.why}")
    folder = case.folder / "project"
    found = [json.loads(path.read_text()) for path in results(folder, "runs")]
    if twice := [record["name"] for record in found if record["replica"] > 1]:
        return Outcome("lost", f"trained twice: {', '.join(twice)}")
    return case.reference.judge(folder, *case.reference.records)


DRIVER = {sixteen_processes: 8}
