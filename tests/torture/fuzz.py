"""Recipes that were spoilt: ``kdbench check`` says where and what is wrong, or what it accepts can be used.

Believed is what ``check`` accepts and planning, or a step, then refuses.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.torture.harness import CODE, HERE, RECIPE, Outcome
from tests.torture.reference import Case

SMALL = HERE.parent / "recipe" / "small.yaml"
# A key, and a value that is no container, in block or flow style.
KEY = re.compile(r"(?<=[{,\s])[\w*.-]+(?=:(?:\s|$))")
VALUE = re.compile(r"(?<=[:\[,] )[^\s,{}\[\]#][^,{}\[\]#\n]*")
ODD = (
    *(
        "0",
        "-1",
        "1",
        "2",
        "3.5",
        "1e18",
        "1e30",
        "-1e308",
        "1e309",
        ".inf",
        "-.inf",
        ".nan",
        "9" * 5000,
        "0x10",
        "1_0",
    ),
    *("null", "~", "true", "''", "x", "paper", "[]", "{}", "[1, 2]", "{a: 1}", "2001-01-01", "!!binary aGk=", "!x y"),
    *('"\\ud800"', '"\\x1b[31m"', '"\\u202e"', '"\\0"', "*nowhere", "&a [*a]", "same", "all", "vanilla#1", "kd#same"),
    *(
        "1.0e-4",
        "1" * 400,
        "-0",
        "0.5",
        "1000000",
        "2147483648",
        "9223372036854775808",
        "é",
        "x" * 10_000,
        "<<",
        "='1'+1",
    ),
)
NOISE = (
    "\x00",
    "\x1b[2J",
    "\x07",
    "\u202e",
    "\ufeff",
    "\t",
    "\r",
    "\x85",
    "\u2028",
    "\x7f",
    "{",
    "}",
    "[",
    "]",
    ":",
    "- ",
    "#",
)


def recipes(case: Case) -> Outcome:
    """One recipe of those that are shipped, or one of the tests, spoilt once to three times."""
    folder, (paper, name) = case.folder / "project" / "recipes", case.random.choice(_bases())
    if (CODE / "recipes" / paper).is_dir():
        shutil.copytree(CODE / "recipes" / paper, folder / paper)
    else:
        (folder / paper).mkdir(parents=True)
        (folder / paper / name).write_text(RECIPE if paper == "tiny" else SMALL.read_text(), encoding="utf-8")
        (folder / paper / "distances.csv").write_text("a,0,1\nb,1,0\n")
    path = folder / paper / name
    data, told = path.read_text(encoding="utf-8").encode(), []
    for _ in range(case.random.choice((1, 1, 1, 2, 3))):
        data, what = case.random.choice(SPOILT)(data, case.random)
        told.append(what)
    path.write_bytes(data)
    return _checked(case, path, data).of(f"{paper}/{name}: {' and '.join(told)}")


def _bases() -> list[tuple[str, str]]:
    """The folder and the file of every recipe; those of the tests, which are quick to train, more than once."""
    shipped = [(path.parent.name, path.name) for path in sorted((CODE / "recipes").glob("*/*.yaml"))]
    return [*shipped, *[("tiny", "table.yaml")] * len(shipped), *[("small", "table.yaml")] * 3]


def _checked(case: Case, path: Path, data: bytes) -> Outcome:
    ended = case.run("check")
    if fault := ended.fault(lines=1 + data.count(b"\n")):
        return fault
    if ended.cpu > 5:
        return Outcome("hang", f"`check` computed for {ended.cpu:.0f} s")
    if ended.code == 2:
        # A reference from another table into this one is told at that table's line.
        where = re.search(r"recipes/[\w-]+/[\w.-]+\.yaml:\d+: ", ended.err)
        return Outcome("told", ended.err) if where else Outcome("believed", f"no file and line: {ended.err[:300]}")
    return _used(case, path)


def _used(case: Case, path: Path) -> Outcome:
    """Whether a recipe that was accepted can be planned and reported, and, if it is the tiny one, trained."""
    others = {file for file in path.parents[1].glob("*/*.yaml") if file != path}
    known = {file.read_text(encoding="utf-8").partition("table: ")[2].split()[0] for file in others}
    names = case.run("list", "--names")
    if outcome := names.fault() or names.says():
        return _refused(outcome, "list")
    (name,) = set(names.out.split("\n")[:-1]) - known
    for command in (("run", name, "--profile", "paper", "--dry-run"), ("report", name)):
        ended = case.run(*command)
        if outcome := ended.fault() or ended.says("\0"):
            return _refused(outcome, command[0])
    for profile in ("smoke", "paper") if path.parent.name == "tiny" else ():
        if outcome := _trained(case, name, profile):
            return _refused(outcome, f"--profile {profile}")
    return Outcome("harmless", "accepted")


# The memory of a step of the tiny table, and much more.
LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))"


def _trained(case: Case, name: str, profile: str) -> Outcome | None:
    """What is wrong with a training within some seconds; None where nothing is."""
    ended = case.bench.run(
        case.folder / "project", "run", name, "--profile", profile, "--device", "cpu", "--at-once", "1",
        prelude=LIMIT, seconds=8,
    )  # fmt: skip
    if ended.code is None and "Traceback" not in ended.err:
        return None  # still training
    return ended.fault() or ended.says("\0")


def _refused(outcome: Outcome, command: str) -> Outcome:
    kind = "believed" if outcome.kind == "told" else outcome.kind
    return Outcome(kind, f"`check` accepted it, {command}: {outcome.why}")


# Ways to spoil a text.

Spoilt = tuple[bytes, str]


def _line(data: bytes, random: Random) -> Spoilt:
    """A line is gone, there twice, in another's place, or indented otherwise."""
    lines = data.split(b"\n")
    at, other = random.randrange(len(lines)), random.randrange(len(lines))
    how = random.choice(("deleted", "doubled", "exchanged", "indented", "cut"))
    shown = lines[at].decode(errors="replace")[:60]
    if how == "deleted":
        del lines[at]
    elif how == "doubled":
        lines.insert(at, lines[at])
    elif how == "exchanged":
        lines[at], lines[other] = lines[other], lines[at]
    elif how == "indented":
        lines[at] = b" " * random.choice((1, 2, 4)) + lines[at] if random.random() < 0.5 else lines[at].lstrip()
    else:
        lines = lines[: at + 1]
    return b"\n".join(lines), f"line {at + 1} {how} ({shown!r})"


def _substituted(data: bytes, pattern: re.Pattern[str], new: Callable[[str], str], random: Random) -> Spoilt:
    text = data.decode(errors="surrogateescape")
    matches = list(pattern.finditer(text))
    if not matches:
        return data, "nothing"
    match = random.choice(matches)
    value = new(match.group())
    changed = text[: match.start()] + value + text[match.end() :]
    line = text.count("\n", 0, match.start()) + 1
    return changed.encode(errors="surrogateescape"), f"line {line}: {match.group()[:40]!r} is {value[:40]!r}"


def _value(data: bytes, random: Random) -> Spoilt:
    """An odd value, or another one of this recipe."""
    others = VALUE.findall(data.decode(errors="ignore")) or ["x"]
    return _substituted(data, VALUE, lambda old: random.choice((*ODD, *random.choices(others, k=20))), random)


def _number(data: bytes, random: Random) -> Spoilt:
    """A number that is larger, smaller, or none."""
    odd = (
        *("-{}", "{}0", "{}000000", "{}" + "0" * 18, "{}" + "0" * 30, "{}" * 50, "{}.5", "0.{}", "1{}", "'{}'", "[{}]"),
        *("0", "1", "0.0", "1.0", "-0.9", "1.5", ".nan", ".inf", "1.0e+18", "1.0e+300", "1.0e-300", "9999999999"),
    )
    pattern = re.compile(r"(?<=[:\[, ])(?<![\w.])\d[\d.e-]*(?=[\s,}\]])")
    return _substituted(data, pattern, lambda old: random.choice(odd).replace("{}", old), random)


def _without(data: bytes, random: Random) -> Spoilt:
    """A key and its value are gone."""
    return _substituted(data, re.compile(r"\b\w+: [^,{}\[\]\n]+, "), lambda old: "", random)


def _key(data: bytes, random: Random) -> Spoilt:
    """A key with another name: a misspelling, one of another place, or no name at all."""
    others = KEY.findall(data.decode(errors="ignore")) or ["x"]
    odd = ("", "x", "1", "null", "<<", "? a", "'\x1b'", "!!str a", "k" * 2000, "[a]")
    return _substituted(
        data,
        KEY,
        lambda old: random.choice((old[:-1], old + "s", old.upper(), *odd, *random.choices(others, k=8))),
        random,
    )


def _nested(data: bytes, random: Random) -> Spoilt:
    """Containers within containers, or aliases that multiply."""
    depth = random.choice((3, 50, 500, 5000))
    opening, closing = random.choice((("[", "]"), ("{a: ", "}"), ("- ", ""), ("!!seq [", "]")))
    nested = opening * depth + "x" + closing * depth
    bomb = "[&a [x, x], " + ", ".join(
        f"&{chr(98 + i)} [{', '.join(f'*{chr(97 + i)}' for _ in range(9))}]" for i in range(9)
    )
    value = random.choice((nested, nested, nested, bomb + "]"))
    changed, told = _substituted(data, VALUE, lambda old: value, random)
    return changed, f"{told} ({depth} deep)"


def _noise(data: bytes, random: Random) -> Spoilt:
    """Bytes, or characters that no recipe has."""
    at = random.randrange(len(data) + 1)
    more = random.choice((random.randbytes(random.choice((1, 4, 64))), random.choice(NOISE).encode()))
    over = random.choice((0, len(more)))
    return data[:at] + more + data[at + over :], f"{more[:20]!r} at byte {at}"


SPOILT = (_line, _line, _value, _value, _number, _number, _number, _number, _without, _key, _nested, _noise)
DRIVER = {recipes: 500}
