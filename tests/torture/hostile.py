"""Files that someone made to do harm: none is executed, none ends in a traceback, none keeps a command waiting.

Believed is also what is written outside of the project, an order to the terminal that reaches it, and a table or a run
that is not as it would have been without the file.
"""

import csv
import gzip
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from bench.files import UNSEALED, seal
from tests.torture import packs, threats
from tests.torture.corruptions import as_written
from tests.torture.harness import KD, RECIPE, REPORT, VANILLA, Ended, Outcome, results
from tests.torture.reference import Case

# Control characters but line feeds and tabs, and marks that turn the direction of a text.
ORDERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# As much memory as there is now, and a gigabyte.
LIMIT = """
import resource
pages = int(open("/proc/self/statm").read().split()[0])
size = pages * resource.getpagesize() + (1 << 30)
resource.setrlimit(resource.RLIMIT_AS, (size, size))
"""
FORMATS = ("text", "markdown", "latex", "csv", "json")


@dataclass(frozen=True)
class Threat:
    """What was laid out, and the command that meets it."""

    told: str
    argv: tuple[str, ...]


def files(case: Case) -> Outcome:
    """One file, or what a command is told."""
    folder = case.project(*results(case.reference.folder, "runs"))
    threat = case.random.choice(THREATS)(case, folder)
    before = _outside(case.folder)
    ended = case.bench.run(folder, *threat.argv, prelude=LIMIT)
    return (_harm(case, ended, before) or _came_of(case, threat, ended)).of(f"{threat.told}, `{_shown(threat.argv)}`")


def _shown(argv: tuple[str, ...]) -> str:
    return " ".join(ascii(word)[1:-1] if ORDERS.search(word) else word for word in argv)[:120]


def _outside(folder: Path) -> set[Path]:
    """All files that are not the project's."""
    return {path for path in folder.rglob("*") if folder / "project" not in (path, *path.parents)}


def _harm(case: Case, ended: Ended, before: set[Path]) -> Outcome | None:
    if list(case.folder.rglob(threats.SENTINEL)):
        return Outcome("believed", "it was executed")
    if more := _outside(case.folder) - before:
        return Outcome("believed", f"{min(more)} was written")
    if order := ORDERS.search(ended.out + ended.err):
        return Outcome("believed", f"{order.group()!a} reached the terminal")
    return ended.fault(lines=6)


def _came_of(case: Case, threat: Threat, ended: Ended) -> Outcome:
    if told := ended.says():
        return told
    command = threat.argv[0]
    if command == "report" and threat.argv == REPORT and ended.out != case.reference.report:
        return Outcome("believed", "the table differs")
    if command == "report" and "csv" in threat.argv and any(
        cell[:1] in ("=", "@") for row in csv.reader(io.StringIO(ended.out)) for cell in row
    ):  # fmt: skip
        return Outcome("believed", "a cell is a formula")
    if re.search(r"(?<!\\)\]\(javascript", ended.out):
        return Outcome("believed", "a label is a link")
    if command == "run" and "--dry-run" not in threat.argv:
        return case.reference.judge(case.folder / "project", ("tiny/vanilla", 1), ("tiny/kd", 1))
    return Outcome("harmless", "nothing came of it")


def _forget(folder: Path, case: Case, row: str) -> None:
    (folder / "results" / "runs" / f"{case.reference.id(row)}.json").unlink()


def _lay(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(data)


# Each of them lays something out.


def code_in_weights(case: Case, folder: Path) -> Threat:
    """The teacher's record names the digest of what is there."""
    name, data = case.random.choice([*threats.pickles(case.folder), *threats.safetensors()])
    _forget(folder, case, "kd")
    path = folder / "results" / "artifacts" / case.reference.artifact("vanilla").name
    _lay(path, data)
    record = folder / "results" / "runs" / f"{path.stem}.json"
    record.write_text(record.read_text().replace(_digest(case), sha256(data).hexdigest()))
    return Threat(f"{name} as the weights of a teacher", KD)


def _digest(case: Case) -> str:
    return sha256(case.reference.artifact("vanilla").read_bytes()).hexdigest()


def code_in_a_checkpoint(case: Case, folder: Path) -> Threat:
    name, data = case.random.choice([*threats.pickles(case.folder), *threats.safetensors()])
    _forget(folder, case, "vanilla")
    _lay(folder / "results" / "checkpoints" / f"{case.reference.id('vanilla')}.safetensors", data)
    return Threat(f"{name} as a checkpoint", VANILLA)


def no_record(case: Case, folder: Path) -> Threat:
    name, data = case.random.choice([*threats.pickles(case.folder), *threats.texts(), *threats.numbers()])
    _lay(folder / "results" / "runs" / "paper-0123456789abcdef.json", data)
    return Threat(f"{name} as a record", case.random.choice((REPORT, ("list",), VANILLA)))


def no_costs(case: Case, folder: Path) -> Threat:
    name, data = case.random.choice([*threats.pickles(case.folder), *threats.texts(), *threats.numbers()])
    _lay(folder / "results" / "costs.json", data)
    return Threat(f"{name} as costs.json", case.random.choice((("report", "tiny"), ("cost", "tiny"))))


def strange_members(case: Case, folder: Path) -> Threat:
    name, data = case.random.choice(threats.archives())
    packs.lay(case.folder / "pack", case.random.choice(packs.ARCHIVES), data)
    return Threat(f"a pack with {name}", ("collect", str(case.folder / "pack")))


def bombs_and_code_in_packs(case: Case, folder: Path) -> Threat:
    name, data = case.random.choice([*threats.bombs(), *threats.pickles(case.folder)])
    packs.lay(case.folder / "pack", case.random.choice(packs.ARCHIVES), data)
    return Threat(f"{name} as a pack", ("collect", str(case.folder / "pack")))


def no_recipe(case: Case, folder: Path) -> Threat:
    name, text = case.random.choice(threats.yaml(case.folder))
    _lay(folder / "recipes" / "other" / "table.yaml", text.encode(errors="surrogateescape"))
    return Threat(f"a recipe of {name}", case.random.choice((("check",), ("list",))))


def orders_in_recipes(case: Case, folder: Path) -> Threat:
    order = case.random.choice(threats.ORDERS)
    key = case.random.choice(("title: ", "paper: ", "label: ", "group: ", "grouped_by: ", "vanilla: ", "table: "))
    value = json.dumps(f"a{order}b")
    old = {"title: ": '"A table that trains in seconds"', "label: ": "Vanilla", "group: ": "synthetic"}
    text = re.sub(f"{key}{re.escape(old.get(key, ''))}", lambda match: f"{key}{value} #", RECIPE, count=1)
    if key == "vanilla: ":
        text = RECIPE.replace("  vanilla: {", f"  {value}: {{", 1)
    if key == "label: ":
        text = RECIPE.replace("label: Vanilla", f"label: {value}")
    if key == "group: ":
        text = RECIPE.replace("group: synthetic, network", f"group: {value}, network", 1)
    _lay(folder / "recipes" / "tiny" / "table.yaml", text.encode())
    shown = ("report", "tiny", "--format", case.random.choice(FORMATS))
    return Threat(
        f"{order!a} in {key}", case.random.choice((shown, shown, ("check",), ("list",), (*VANILLA, "--dry-run")))
    )


def orders_in_records(case: Case, folder: Path) -> Threat:
    order = case.random.choice(threats.ORDERS)
    path = case.random.choice(results(folder, "runs"))
    record = json.loads(path.read_text())
    field = case.random.choice(
        ("name", "device", "precision", "status", "warnings", "commit", "finished", "id", "profile")
    )
    record[field] = [f"x{order}"] if field == "warnings" else f"{record[field]}{order}"
    # As if it had been written so: sealed anew.
    path.write_bytes(seal(as_written({**record, "digest": UNSEALED}).encode(errors="surrogatepass")))
    shown = ("report", "tiny", "--format", case.random.choice(FORMATS))
    return Threat(f"{order!a} in the {field} of a record", case.random.choice((shown, (*VANILLA, "--dry-run"))))


def orders_in_names(case: Case, folder: Path) -> Threat:
    order = case.random.choice([order for order in threats.ORDERS if "\0" not in order and "/" not in order])
    name = f"x{order}x"
    how = case.random.choice(("a recipe", "a record", "a member", "a table", "a row", "a folder", "a run", "vectors"))
    if how == "a recipe":
        _lay(folder / "recipes" / "tiny" / f"{name}.yaml", b"table: [")
    elif how == "a record":
        _lay(folder / "results" / "runs" / f"{name}.json", b"{")
    elif how == "a member":
        packs.lay(case.folder / "pack", "others", threats.archive((name, {}, b"x")))
    argv = {
        "a recipe": ("check",), "a record": REPORT, "a member": ("collect", str(case.folder / "pack")),
        "a table": ("report", name), "a row": (*VANILLA, "--row", name), "a folder": ("collect", name),
        "a run": ("figure", "curves", name), "vectors": ("figure", "similarity", "cifar10", "--vectors", name),
    }  # fmt: skip
    return Threat(f"{order!a} in the name of {how}", argv[how])


def no_file(case: Case, folder: Path) -> Threat:
    """A folder, a pipe, or a link where a file should be."""
    run = case.reference.id("vanilla")
    where, argv = case.random.choice(
        (
            ("results/runs/paper-0123456789abcdef.json", case.random.choice((REPORT, ("list",)))),
            (f"results/checkpoints/{run}.safetensors", VANILLA),
            (f"results/artifacts/{run}.safetensors", VANILLA),
            (f"results/locks/{run}.lock", VANILLA),
            ("recipes/other/table.yaml", ("check",)),
            ("results/costs.json", ("report", "tiny")),
            (f"pack/{packs.MANIFEST}", ("collect", "pack")),
            ("pack/kdbench-others.tar.00", ("collect", "pack")),
            ("vectors", ("figure", "similarity", "cifar10", "--vectors", "vectors")),
        )
    )
    if argv == VANILLA:
        _forget(folder, case, "vanilla")
    if "others" in where:
        packs.lay(folder / "pack", "others", b"x")
        (folder / where).unlink()
    kind = case.random.choice(threats.NO_FILES)
    kind(folder / where)
    return Threat(f"{(kind.__doc__ or '').rstrip('.').lower()} at {where}", argv)


def code_in_data(case: Case, folder: Path) -> Threat:
    """Data sets are unpickled only if they are those that are published."""
    name, data = case.random.choice(threats.pickles(case.folder))
    data_set = case.random.choice(("cifar10", "cifar100", "mnist"))
    if case.random.random() < 0.5:
        _lay(case.folder / "data" / f"{data_set}.npz", data)
    else:
        for file in threats.LAYOUTS[data_set]:
            _lay(case.folder / "data" / file, data)
    return Threat(f"{name} as the data of {data_set}", ("prepare", data_set, "--data", str(case.folder / "data")))


def no_vectors(case: Case, folder: Path) -> Threat:
    name, data = case.random.choice([*threats.pickles(case.folder), *threats.vectors()])
    file = case.folder / ("vectors.bin.gz" if case.random.random() < 0.3 else "vectors.bin")
    _lay(file, gzip.compress(data, 1) if file.suffix == ".gz" else data)
    return Threat(f"{name} as word vectors", ("figure", "similarity", "cifar10", "--vectors", str(file)))


THREATS: tuple[Callable[[Case, Path], Threat], ...] = (
    *(code_in_weights, code_in_a_checkpoint, no_record, no_costs, strange_members, bombs_and_code_in_packs, no_recipe),
    *(orders_in_recipes, orders_in_records, orders_in_names, no_file, no_file, code_in_data, no_vectors),
)
DRIVER = {files: 100}
