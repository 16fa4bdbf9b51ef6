"""The LaTeX of a report: whatever stands in a table, pdflatex takes it, and the table fits the page."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.counting import Costs
from bench.errors import UsageError
from bench.recipe import load
from bench.report.formats import tex
from bench.report.formats.latex import to_latex
from bench.report.formats.tex import escape, label
from bench.report.model import Provenance, Report, ReportRow
from bench.report.render import render
from bench.report.table import build
from bench.store import Store

REPO = Path(__file__).parents[2]
LIBRARY = load(REPO / "recipes")
STORE, COSTS = Store(REPO / "results"), Costs.read(REPO / "results" / "costs.json")
# What makes a hole of a page, or of a document.
FAULT = re.compile(r"^(?:!.*|Overfull.*|LaTeX Warning: .*(?:Float too large|undefined|multiply).*)", re.MULTILINE)
PREAMBLE = r"\documentclass[twocolumn]{article}\usepackage[margin=2cm]{geometry}\usepackage{booktabs,tabularx}"


def shipped(name: str) -> Report:
    return build(LIBRARY, name, STORE, COSTS, smaller="short")


def line(label: str, name: str = "row", group: str = "") -> ReportRow:
    return ReportRow(name, label, group, available=False)


def made(*lines: ReportRow, title: str = "Title", table: str = "made") -> Report:
    """A report of some rows, and nothing else."""
    nothing = Provenance(0, 0, (), (), (), (), None, None)
    return replace(
        shipped("zskd"),
        table=table,
        title=title,
        columns=("error",),
        smaller=None,
        lines=lines,
        claims=(),
        smaller_claims=(),
        footnotes=(),
        assumed=(),
        deviations=(),
        provenance=nothing,
    )


@pytest.fixture
def compile_latex(tmp_path: Path):
    """Sets a document with pdflatex; what it complains of, and the pages that it made."""
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed (Debian: texlive-latex-base, texlive-latex-recommended)")

    def compile_latex(*parts: str) -> tuple[list[str], int]:
        (tmp_path / "page.tex").write_text("\n".join([PREAMBLE, r"\begin{document}", *parts, r"\end{document}"]))
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
        pages = re.search(r"Output written on page.pdf \((\d+) page", done.stdout)
        return FAULT.findall(done.stdout), int(pages[1]) if pages else 0

    return compile_latex


@pytest.mark.parametrize("name", LIBRARY.tables)
def test_every_table_is_set_and_fits(name: str, compile_latex) -> None:
    report = shipped(name)
    faults, pages = compile_latex(to_latex(report), r"\clearpage", to_latex(report, slim=True))
    # Both carry the label.
    assert [fault for fault in faults if "multiply" not in fault] == []
    assert pages >= 2


def test_every_sign_that_is_mapped_is_set(compile_latex) -> None:
    signs = [*tex._TEXT, *tex._MATH, *map(chr, range(32, 127))]
    accented = [base + mark for mark in tex._ACCENTS for base in "aEiøα"]
    assert compile_latex(r"\raggedright", *(escape(f"{sign} x{sign}x") for sign in [*signs, *accented])) == ([], 1)


HOSTILE = [
    r"\end{tabularx} \input{/etc/passwd} \undefined % & # $ { } ~ ^",
    "[1ex] in brackets",
    "* starred",
    "``quoted'' -- \"so\" --- `code_{x}` and ` alone",
    "中文, العربية, 🙂, \x07\x00, \ud7ff, e\u0301\u0328, ﬁ, Wąsowicz, Dvořák, Ångström, Ωμέγα, x̄",
    "a\nb\tc",
    "1e-05 / 2",
    "</td><script>",
]


def test_hostile_labels_are_set(compile_latex) -> None:
    report = made(*(line(text, group=text) for text in HOSTILE), title=HOSTILE[0], table="a%b_c{d}中")
    faults, pages = compile_latex(to_latex(report), to_latex(replace(report, table="other"), slim=True))
    assert [fault for fault in faults if not fault.startswith("Overfull")] == []
    assert pages > 0


def test_a_label_of_ten_thousand_signs_is_set(compile_latex) -> None:
    report = made(line("word " * 2000))
    faults, pages = compile_latex(to_latex(report))
    assert pages > 0
    assert not [fault for fault in faults if fault.startswith("!")]


def test_a_table_higher_than_a_page_goes_on_under_its_number(compile_latex) -> None:
    report = made(*(line(f"Row {i}", f"row{i}", "All") for i in range(150)))
    text = to_latex(report)
    assert text.count(r"\label{tab:made}") == 1
    assert text.count(r"\addtocounter{table}{-1}") == text.count("(continued)") == 2
    assert all(text.count(f"& Row {i} \\\\") == 1 for i in range(150))
    faults, pages = compile_latex(text)
    assert (faults, pages >= 2) == ([], True)


@given(st.text())
def test_any_text_comes_to_balanced_ascii(text: str) -> None:
    out = escape(text)
    assert out.isascii()
    assert out.isprintable()
    bare = out.replace(r"\{", "").replace(r"\}", "")
    assert bare.count("{") == bare.count("}")
    assert bare.replace(r"\$", "").count("$") % 2 == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ResNet-32", "ResNet-32"),
        ("50 % & #1_a", r"50 \% \& \#1\_a"),
        ("± ≤ × − α Σ →", r"$\pm$ $\le$ $\times$ $-$ $\alpha$ $\Sigma$ $\rightarrow$"),
        ("“a” – b", r"\textquotedblleft{}a'' \textendash{} b"),
        ("é Å š ç", r"\'{e} \r{A} \v{s} \c{c}"),
        ("ά x̄", r"$\acute{\alpha}$ \={x}"),
        ("--write", "-{}-write"),
        ("`a_b`", r"\texttt{a\_b}"),
        ("𝛼 ﬁ", r"$\alpha$ fi"),
        ("中 ą", r"\texttt{[U+4E2D]}\allowbreak{} a\texttt{[U+0328]}\allowbreak{}"),
    ],
)
def test_signs(text: str, expected: str) -> None:
    assert escape(text) == expected


def test_a_table_has_rules_and_a_label_and_begins_its_cells_at_the_top() -> None:
    text = to_latex(shipped("ffdwv-table3"))
    assert r"\label{tab:ffdwv-table3}" in text
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\hline")] == [2, 2, 2, 0]
    assert "shortstack" not in text
    assert label("a%b_c") == "tab:a-b-c"


def test_the_slim_table_has_fewer_columns_and_just_the_notes_that_it_names() -> None:
    text = to_latex(shipped("efficiency"), slim=True)
    assert r"\begin{table}" in text
    assert "{\\columnwidth}" in text
    assert re.findall(r"toprule\n(.*) \\\\", text)[0] == "Row & Published & Ours & n & Verdict"
    named = {int(n) for n in re.findall(r"(?<!\\noindent )\\textsuperscript\{(\d+),?\}", text)}
    told = [int(n) for n in re.findall(r"\\noindent \\textsuperscript\{(\d+)\}", text)]
    assert told == sorted(named)
    assert told == [*range(1, len(told) + 1)]


def test_only_latex_has_a_slim_form() -> None:
    with pytest.raises(UsageError, match="--slim is for one column of a paper: it needs --format latex"):
        render(shipped("zskd"), "text", slim=True)
