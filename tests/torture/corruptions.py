"""Records, weights, checkpoints and packs that were damaged: each one is told of, or does no harm.

An edit that nothing told of is believed when the result differs, or when a record still says it.
"""

import json
import shutil
from pathlib import Path

from tests.torture import damage
from tests.torture.harness import KD, REPORT, RUN, VANILLA, Outcome, changed, results
from tests.torture.packs import packs
from tests.torture.reference import Case

DRY = (*RUN, "--dry-run")


def records(case: Case) -> Outcome:
    """One record of six; the table is printed, and the records are verified where there is a command for that."""
    folder = case.project(*results(case.reference.folder, "runs"))
    path = case.random.choice(results(folder, "runs"))
    how = case.random.choice(
        (_edited, _edited, _edited_number, _edited_number, _bytes, _bytes, _swapped, _copied, _doubled)
    )
    told = how(path, case)
    return _believed_records(case, folder, path).of(f"{path.name}: {told}")


def _edited(path: Path, case: Case) -> str:
    return _edit(path, case, number=False)


def _edited_number(path: Path, case: Case) -> str:
    return _edit(path, case, number=True)


def _edit(path: Path, case: Case, *, number: bool) -> str:
    # As a person does it: in a text that keeps its lines.
    record = json.loads(path.read_text())
    told = damage.edit(record, case.random, damage.is_number if number else lambda way, old: True)
    path.write_text(as_written(record))
    return told


def as_written(record: dict[str, object]) -> str:
    """The text of a record, laid out as a record is."""
    body = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in record.items() if key != "curve"]
    curve = record.get("curve")
    lines = [json.dumps(entry) for entry in curve] if isinstance(curve, list) else []
    shown = "[\n  " + ",\n  ".join(lines) + "\n ]" if lines else json.dumps(curve)
    return "{\n" + ",\n".join([*body, *([f' "curve": {shown}'] if "curve" in record else [])]) + "\n}\n"


def _bytes(path: Path, case: Case) -> str:
    return damage.any_bytes(path, case.random)


def _swapped(path: Path, case: Case) -> str:
    other = case.random.choice([other for other in results(case.reference.folder, "runs") if other.name != path.name])
    shutil.copy(other, path)
    return f"that of {other.name} in its place"


def _copied(path: Path, case: Case) -> str:
    copy = path.with_name(case.random.choice((f"{path.stem}.r2.json", "paper-0123456789abcdef.json", "copy of x.json")))
    shutil.copy(path, copy)
    return f"and a copy as {copy.name}"


def _doubled(path: Path, case: Case) -> str:
    lines = path.read_text().splitlines()
    at = case.random.choice([at for at, line in enumerate(lines) if line.startswith(' "') and line.endswith(",")])
    key, odd = lines[at].partition(":")[0], json.dumps(case.random.choice(damage.ODD))
    after = case.random.randrange(2)
    lines.insert(at + after, f"{key}: {odd},")
    path.write_text("\n".join(lines) + "\n")
    return f"{key.strip()} is there twice, {odd[:40]} {'after' if after else 'before'} its own value"


def _believed_records(case: Case, folder: Path, *attacked: Path) -> Outcome:
    """What came of damaged records: of the table that they give, and of what they say."""
    reference = case.reference
    ended = case.run(*REPORT)
    if fault := ended.fault():
        return fault
    if told := ended.says(*(path.stem for path in attacked)):
        return told
    if ended.out != reference.report:
        gone = case.run(*DRY).out.count("to run ")
        return Outcome("lost", "a run is not counted") if gone else Outcome("believed", "the table differs")
    if told := case.run("verify").says(*(path.stem for path in attacked)) if reference.verifies else None:
        return told
    original = reference.folder / "results" / "runs"
    differing = [name for path in results(folder, "runs") if (name := changed(original / path.name, path))]
    return (
        Outcome("believed", f"{', '.join(differing)}; the table is the same") if differing else Outcome("harmless", "")
    )


def artifacts(case: Case) -> Outcome:
    """The weights of a teacher; its student is trained again."""
    reference, student = case.reference, case.reference.id("kd")
    folder = case.project(
        *(path for path in results(reference.folder, "runs") if path.stem != student), reference.artifact("vanilla")
    )
    path = folder / "results" / "artifacts" / reference.artifact("vanilla").name
    how = case.random.choice(("bytes", "bytes", "bytes", "tensors", "metadata", "swapped", "gone", "a folder"))
    told = how
    if how == "bytes":
        told = damage.any_bytes(path, case.random)
    elif how in ("tensors", "metadata"):
        forge = damage.forge_tensors if how == "tensors" else damage.forge_metadata
        data, told = forge(path.read_bytes(), case.random)
        path.write_bytes(data)
    elif how == "swapped":
        shutil.copy(reference.artifact(*case.random.choice((("vanilla", 2), ("kd", 1), ("dml", 1)))), path)
    else:
        path.unlink()
        if how == "a folder":
            path.mkdir()
    ended = case.run(*KD)
    return reference.verdict(ended, folder, path.stem, ("tiny/kd", 1)).of(f"weights: {told}")


def checkpoints(case: Case) -> Outcome:
    """The checkpoint of an epoch; its run is resumed."""
    row, seed = case.random.choice((("vanilla", 1), ("vanilla", 2)))
    reference, id = case.reference, case.reference.id(row, seed)
    epoch = case.random.randint(1, 5)
    data = reference.checkpoints[id][epoch - 1].read_bytes()
    folder = case.project()
    path = folder / "results" / "checkpoints" / f"{id}.safetensors"
    path.parent.mkdir()
    how = case.random.choice(("bytes", "bytes", "bytes", "about", "about", "about", "tensors", "metadata", "swapped"))
    if how == "swapped":
        other = case.random.choice([own for own in reference.checkpoints if own != id])
        data, told = case.random.choice(reference.checkpoints[other]).read_bytes(), f"that of {other} in its place"
    elif how == "bytes":
        data, told = case.random.choice(damage.BYTES)(data, case.random)
    else:
        data, told = getattr(damage, f"forge_{how}")(data, case.random)
    path.write_bytes(data)
    ended = case.run(*VANILLA[:-1], str(seed))
    return reference.verdict(ended, folder, id, (f"tiny/{row}", seed)).of(f"checkpoint of epoch {epoch}: {told}")


DRIVER = {records: 200, artifacts: 200, checkpoints: 200, packs: 200}
