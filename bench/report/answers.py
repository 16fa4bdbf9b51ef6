"""What a report comes to, in sentences: how many claims hold, how many values are reproduced, and each of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.report.forest import verdict_words
from bench.report.model import Claimed, Measured, Report, ReportRow
from bench.report.ranking import rankings
from bench.report.verdict import Verdict

# A verdict's word after a number of them: one, several. Any other word is an adjective.
SAID: dict[str, tuple[str, str]] = {
    "holds": ("holds", "hold"),
    "no runs yet": ("has no runs yet", "have no runs yet"),
    "agrees": ("agrees", "agree"),
}
# Of none of several.
NONE = {"not reproduced": "is reproduced", "undecided": "is decided", "no runs yet": "has a run yet"}
OPEN = ("undecided", "no runs yet")


@dataclass(frozen=True)
class Judged:
    """One claim or one published value with its verdict; ``word`` tells its kind, ``text`` all that it depends on."""

    what: str
    where: str
    word: str
    text: str
    reason: str


def answer(report: Report) -> tuple[str, ...]:
    """The report in a few sentences: claims first, then values, or the order of rows that no paper has.

    Costs are told if they fail.
    """
    scored = [line.verdict for line in report.lines if line.verdict is not None]
    sentences = [
        _count("claim", [claimed.verdict for claimed in report.claims]),
        _count("published value", scored) or "No published value is compared here: every row is a control or a try.",
        *rankings(report),
    ]
    wrong = sum(
        cost.verdict is not None and cost.verdict.word == "inconsistent"
        for line in report.lines
        for cost in line.costs.values()
    )
    if wrong:
        costs = "cost contradicts" if wrong == 1 else "costs contradict"
        sentences.append(f"{wrong} published {costs} the table's own definition.")
    return tuple(sentence for sentence in sentences if sentence)


def claims(report: Report) -> tuple[Judged, ...]:
    """Every claim, judged."""
    return tuple(_claim(claimed) for claimed in report.claims)


def values(report: Report) -> tuple[Judged, ...]:
    """Every published value that is compared with ours."""
    return tuple(
        Judged(line.label, line.group, line.verdict.word, verdict_words(line), _comparison(line, line.verdict))
        for line in report.lines
        if line.verdict is not None
    )


def _count(noun: str, verdicts: Sequence[Verdict]) -> str:
    """For example ``Of 3 published values, 2 are reproduced (n = 5) and 1 is undecided (n = 2 to 4).``"""
    if not verdicts:
        return ""
    found = dict.fromkeys(verdict.word for verdict in verdicts)
    counts = {word: [verdict.n for verdict in verdicts if verdict.word == word] for word in found}
    if len(verdicts) == 1:
        return f"The only {noun} {_said(verdicts[0].word, counts[verdicts[0].word])}."
    if len(counts) == 1:
        ((word, same),) = counts.items()
        return f"{_all(noun, word, len(same))}{_seeds(same)}."
    # What decides nothing is said last.
    words = [*(word for word in found if word not in OPEN), *(word for word in OPEN if word in found)]
    *first, last = (f"{len(counts[word])} {_said(word, counts[word])}" for word in words)
    return f"Of {len(verdicts)} {noun}s, {', '.join(first)} and {last}."


def _said(word: str, counts: Sequence[int]) -> str:
    one, several = SAID.get(word, (f"is {word}", f"are {word}"))
    return f"{several if len(counts) > 1 else one}{_seeds(counts)}"


def _all(noun: str, word: str, count: int) -> str:
    """A sentence without its end, of as many that all have one word; what is denied is said of none."""
    if word in NONE:
        return f"None of {count} {noun}s {NONE[word]}"
    return f"All {count} {noun}s {SAID.get(word, ('', f'are {word}'))[1]}"


def _seeds(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    if high == 0:
        return ""
    return f" (n = {low})" if low == high else f" (n = {low} to {high})"


def _claim(claimed: Claimed) -> Judged:
    verdict = claimed.verdict
    text = getattr(verdict, "text", verdict.word)
    return Judged(claimed.text, f"{claimed.better} against {claimed.worse}", verdict.word, text, verdict.reason)


def _comparison(line: ReportRow, verdict: Verdict) -> str:
    """For example ``published 28.83; ours 30.41 ± 0.12 (last epoch, n = 5), difference +1.58. |d| = ...``"""
    published = f"published {line.published.value:.2f}" if line.published else "not published"
    parts = [published, *_ours(line.measured)]
    return "; ".join(parts) + (f". {_sentence(verdict.reason)}" if verdict.reason else "")


def _ours(cells: Iterable[Measured]) -> Iterable[str]:
    for cell in cells:
        if cell.mean is None:
            continue
        spread = "" if cell.sd is None else f" ± {cell.sd:.2f}"
        difference = "" if cell.difference is None else f", difference {cell.difference:+.2f}"
        yield f"ours {cell.mean:.2f}{spread} ({cell.protocol} epoch, n = {len(cell.values)}{difference})"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
