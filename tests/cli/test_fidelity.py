"""What was transferred: measured where logits are at hand, beside a network that was trained alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from bench.errors import RecipeError
from bench.recipe import load
from bench.train.fidelity import fidelity
from bench.verify import verify
from tests.cli.commands import RUN, artifact, by_name, records

COLUMN = ("columns: [error, trcost, tecost]", "columns: [error, fidelity]")
BASELINE = ("    teacher: vanilla#1\n", "    teacher: vanilla#1\n    baseline: vanilla\n")
Command = Callable[..., tuple[int, str, str]]


def change(folder: Path, *changes: tuple[str, str]) -> None:
    recipe = folder / "recipes" / "tiny" / "table.yaml"
    text = recipe.read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    recipe.write_text(text, encoding="utf-8")


def test_students_are_compared_with_their_teacher_and_with_networks_trained_alone(
    finished: Path, kdbench: Command
) -> None:
    change(finished, COLUMN, BASELINE)
    code, out, err = kdbench(*RUN)
    assert (code, err) == (0, "")
    assert "0 of 6 runs to train" in out
    assert "tiny/kd fidelity seed 1: agrees with its teacher on " in out
    trained = by_name(finished)
    logits = {run: load_file(artifact(finished, r))["logits0"] for run, r in trained.items() if r["artifact"]}
    entries = {
        (r["name"], r["seed"], "teacher" in r["taken"]): r["curve"][0]
        for r in records(finished)
        if "fidelity" in r["recipe"]
    }
    # A row alone, a student beside its teacher, and a network of the same seed beside the same teacher; DML has none.
    assert len(entries) == 8
    own, alone, teacher = logits["tiny/kd", 2], logits["tiny/vanilla", 2], logits["tiny/vanilla", 1]
    same = 100 * (own.argmax(1) == teacher.argmax(1)).mean()
    assert entries["tiny/kd fidelity", 2, True]["agreement"] == pytest.approx(same)
    same = 100 * (alone.argmax(1) == teacher.argmax(1)).mean()
    assert entries["tiny/vanilla fidelity", 2, True]["agreement"] == pytest.approx(same)
    assert entries["tiny/vanilla fidelity", 2, False]["agreement"] is None
    assert entries["tiny/vanilla fidelity", 1, True]["agreement"] == 100.0
    code, out, err = kdbench("report", "tiny")
    assert code == 0, err
    block = out[out.index("What was transferred (") :]
    agreement = [
        np.mean([entries[name, seed, True]["agreement"] for seed in (1, 2)])
        for name in ("tiny/kd fidelity", "tiny/vanilla fidelity")
    ]
    assert f"{agreement[0]:.2f} / {agreement[1]:.2f}" in block
    assert verify(finished / "results").faults == []
    assert "to train" in kdbench(*RUN)[1]
    assert len(records(finished)) == 6 + 8


def test_nothing_is_trained_to_be_compared(finished: Path, kdbench: Command) -> None:
    change(finished, COLUMN, BASELINE)
    artifact(finished, by_name(finished)["tiny/kd", 1]).unlink()
    code, out, err = kdbench(*RUN)
    assert (code, err) == (0, "")
    assert "0 of 6 runs to train" in out
    assert "tiny/kd fidelity seed 1" not in out
    assert "tiny/kd fidelity seed 2: agrees" in out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (((BASELINE[0], BASELINE[1].replace("baseline: vanilla", "baseline: nothing")),), "no row 'nothing' in tiny"),
        ((("method: vanilla, priority", "method: vanilla, baseline: kd, priority"),), "has no teacher to agree with"),
        (
            (
                BASELINE,
                ("network: small, method: vanilla", "network: small, data: {test: all}, method: vanilla"),
            ),
            "has another network or other test images",
        ),
    ],
)
def test_a_baseline_that_cannot_be_compared_is_refused(
    project: Path, changes: tuple[tuple[str, str], ...], message: str
) -> None:
    change(project, *changes)
    with pytest.raises(RecipeError, match=message):
        load(project / "recipes")


def test_a_method_that_knows_words_is_compared_with_them(finished: Path, kdbench: Command) -> None:
    names = [f"class{c}" for c in range(10)]
    far = np.abs(np.subtract.outer(np.arange(10.0), np.arange(10.0)))
    lines = [",".join(["class", *names]), *(",".join([n, *map(str, row)]) for n, row in zip(names, far, strict=True))]
    (finished / "recipes" / "tiny" / "words.csv").write_text("\n".join(lines) + "\n")
    words = "words: {line: {distances: words.csv, source: made, labels: {}}}\ndata:\n"
    row = (
        "rows:\n  ffdwv: {label: FFDWV, group: synthetic, network: small, published: {},"
        " method: {ffdwv: {words: line, reading: vectors}}}\n"
    )
    change(finished, COLUMN, ("data:\n", words), ("rows:\n", row))
    code, _, err = kdbench(*RUN, "--row", "ffdwv", "--seed", "1")
    assert (code, err) == (0, "")
    (record,) = (r for r in records(finished) if "fidelity" in r["recipe"])
    run = by_name(finished)["tiny/ffdwv", 1]
    logits = load_file(artifact(finished, run))["logits0"]
    similarity = np.exp(-far) / np.exp(-far).sum(1, keepdims=True)
    labels = np.repeat(np.arange(10), 10)
    assert record["curve"][0] == fidelity(logits, labels, None, similarity)
    assert record["curve"][0]["word_agreement"] is not None
