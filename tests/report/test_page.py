"""The page of a table, as a file: its parts, its order, its escaping; what happens in a browser is in test_browser."""

import hashlib
import json
import re
import subprocess
import sys
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import pytest

from bench.graph import plan
from bench.report.html.page import PageData, address_in, read
from bench.report.html.write import LIBRARIES, write_index, write_page
from bench.report.render import render
from bench.report.table import build
from bench.store import Store
from tests.report.pages import HOSTILE, FakeCosts, Parsed, fill, library, page

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "bench" / "report" / "html" / "vendor"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> PageData:
    return page(tmp_path_factory.mktemp("hostile"), HOSTILE)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> PageData:
    return page(tmp_path_factory.mktemp("plain"), {"kd": "KD", "dml": "DML"})


def test_the_answer_stands_first_and_the_parts_follow_in_their_order(plain: PageData) -> None:
    html = write_page(plain)
    assert [attributes["id"] for attributes in Parsed(html).all("section")] == [
        "answer",
        "forest",
        "table",
        "cost",
        "progress",
        "assumptions",
        "files",
    ]
    assert re.findall('<p class="answer">(.*)</p>', html) == [
        "All 2 claims are contradicted (n = 3).",
        "Of 3 published values, 1 is reproduced (n = 3) and 2 are not reproduced (n = 3).",
    ]
    assert html.index('class="answer"') < html.index('class="judged"') < html.index('id="forest"')


def test_every_row_has_its_cells_and_opens_its_runs(plain: PageData) -> None:
    parsed = Parsed(write_page(plain))
    opened = [attributes["data-opens"] for attributes in parsed.all("button") if "data-opens" in attributes]
    costs, *templates = [attributes["id"] for attributes in parsed.all("template")]
    assert costs == "costs"
    assert opened == templates == [f"row-{number}-paper" for number in range(1, 6)]
    columns = [attributes["data-column"] for attributes in parsed.all("th") if "data-column" in attributes]
    cells = [attributes["data-column"] for attributes in parsed.all("td") if "data-column" in attributes]
    assert cells == columns * 5
    switches = [box["value"] for box in parsed.all("input") if box.get("type") == "checkbox"]
    assert switches[: len(columns)] == columns
    assert "kdbench run small --row kd --seed 2 --profile paper" in parsed.within("code")


def test_every_published_value_leads_to_its_source_and_every_mark_to_its_note(plain: PageData) -> None:
    parsed = Parsed(write_page(plain))
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for link in parsed.all("a"):
        if link["href"].startswith("#"):
            assert link["href"][1:] in ids, link
        assert link.get("aria-describedby", ids[0]) in ids
    assert sum("source" in link.get("class", "") for link in parsed.all("a")) == 3
    marks = [int(link["href"].removeprefix("#note-")) for link in parsed.all("a") if link.get("class") == "note"]
    assert list(dict.fromkeys(marks)) == list(range(1, len(plain.notes) + 1))
    assert plain.paper.address == "https://arxiv.org/abs/1234.56789"


def test_whatever_can_be_pressed_has_a_name(plain: PageData) -> None:
    html = write_page(plain)
    for button, text in re.findall(r"<button([^>]*)>(.*?)</button>", html, re.DOTALL):
        assert "aria-label=" in button or re.sub("<.*?>", "", text).strip(), button
    for region in Parsed(html).all("div"):
        assert region.get("role") not in ("region", "img") or region["aria-label"]


@pytest.mark.parametrize("name", HOSTILE)
def test_every_text_is_shown_as_it_is(hostile: PageData, name: str) -> None:
    text = HOSTILE[name]
    html = write_page(hostile)
    labels = [said for said in Parsed(html).within("bdi") if said == text]
    assert len(labels) > 10
    assert {type(json.loads(data)) for data in _scripts(html).values()} == {dict}


def test_no_text_becomes_an_element_an_attribute_or_a_script(hostile: PageData, plain: PageData) -> None:
    ours, theirs = Parsed(write_page(plain)), Parsed(write_page(hostile))
    assert {tag for tag, _ in theirs.elements} <= {tag for tag, _ in ours.elements}
    assert len(theirs.all("script")) == len(ours.all("script")) == 5 + len(LIBRARIES)
    assert not [name for _, attributes in theirs.elements for name in attributes if name.startswith("on")]
    assert not theirs.open
    assert "49" not in theirs.seen.partition("{{ 7")[2][:20]


def test_no_script_but_those_of_the_page_may_run_and_nothing_is_fetched(hostile: PageData) -> None:
    html = write_page(hostile)
    parsed = Parsed(html)
    (policy,) = [meta["content"] for meta in parsed.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    script = re.search(r"</main>\s*<script>(.*?)</script>", html, re.DOTALL)
    libraries = [(VENDOR / f"{name}.min.js").read_text(encoding="utf-8") for name in LIBRARIES]
    assert script is not None
    assert rules["script-src"].split() == [_digest(text) for text in (script[1], *libraries)]
    assert not [tag for tag, _ in parsed.elements if tag in ("link", "img", "iframe", "object", "base", "form-action")]
    assert not [attributes for _, attributes in parsed.elements if "src" in attributes or "srcset" in attributes]
    assert not re.search(r"url\(|@import", html.partition("</style>")[0])


def test_libraries_are_whole_and_stand_in_the_page_as_they_are(plain: PageData) -> None:
    html = write_page(plain)
    for name in LIBRARIES:
        text = (VENDOR / f"{name}.min.js").read_text(encoding="utf-8")
        assert f'data-name="{name}">{text}</script>' in html
        assert (VENDOR / f"{name}.LICENSE").read_text(encoding="utf-8").startswith("Copyright")
    assert "kdbench" not in (VENDOR / "THIRD-PARTY.txt").read_text(encoding="utf-8")


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    pages = [write_page(page(tmp_path / name, HOSTILE)) for name in ("a", "b")]
    assert pages[0] == pages[1]


def test_a_page_without_its_libraries_is_small(tmp_path: Path) -> None:
    html = write_page(page(tmp_path, {}, count=100)).encode()
    libraries = sum((VENDOR / f"{name}.min.js").stat().st_size for name in LIBRARIES)
    assert libraries < 850_000
    assert len(html) - libraries < 1_200_000


def test_files_are_those_that_the_command_prints(plain: PageData, tmp_path: Path) -> None:
    of, store = library(tmp_path, {"kd": "KD", "dml": "DML"}), Store(tmp_path / "results")
    fill(store, of)
    report = build(of, "small", store, FakeCosts())
    files = json.loads(_scripts(write_page(plain))["exports"])["files"]
    assert files == {"csv": render(report, "csv"), "json": render(report, "json"), "tex": render(report, "latex")}


def test_a_smaller_profile_has_a_column_and_runs_of_its_own(tmp_path: Path) -> None:
    of, store = library(tmp_path, {}), Store(tmp_path / "results")
    fill(store, of, "short")
    parsed = Parsed(write_page(read(of, "small", store, FakeCosts(), "short")))
    assert [attributes["id"] for attributes in parsed.all("template")] == ["costs", "row-1-paper", "row-1-short"]
    assert "short profile: not a result" in parsed.seen


def test_curves_are_those_of_each_seed(plain: PageData) -> None:
    curves = json.loads(_scripts(write_page(plain))["curves"])
    assert set(curves) == {f"row-{number}-paper" for number in range(1, 6)}
    assert {(point["seed"], point["step"]) for point in curves["row-1-paper"]} == {
        (seed, 1000 * epoch) for seed in (1, 2, 3) for epoch in range(1, 6)
    }
    assert [point["value"] for point in curves["row-1-paper"][:5]] == [34.1, 33.1, 32.1, 31.1, 30.1]


def test_a_table_without_any_record(tmp_path: Path) -> None:
    of = library(tmp_path, {"kd": "KD"})
    said = read(of, "small", Store(tmp_path / "results"), FakeCosts())
    assert said.answer == ("The only claim has no runs yet.", "None of 2 published values has a run yet.")
    assert said.remaining.states == {"missing": len(plan(of, ["small"], "paper").runs)}
    parsed = Parsed(write_page(said))
    assert "Hours left are unknown" in parsed.seen
    assert json.loads(_scripts(write_page(said))["curves"]) == {}


def test_the_index_links_every_table(plain: PageData, hostile: PageData) -> None:
    html = write_index([plain, replace(hostile, name="hostile")])
    parsed = Parsed(html)
    assert [link["href"] for link in parsed.all("a") if link["href"].endswith(".html")] == [
        "small.html",
        "hostile.html",
    ]
    assert len(parsed.all("script")) == 1
    assert set(HOSTILE) == {name for name, text in HOSTILE.items() if text in "".join(t for _, t in parsed.texts)}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Table 2; the ONE paper (arXiv 1806.04606)", "https://arxiv.org/abs/1806.04606"),
        ("see https://example.org/a?b=1, page 2", "https://example.org/a?b=1"),
        ("doi 10.1109/CVPR.2017.754)", "https://doi.org/10.1109/CVPR.2017.754"),
        ("javascript:alert(1) Table 2", None),
        ("Table 10.5", None),
    ],
)
def test_the_address_of_a_source(text: str, address: str | None) -> None:
    assert address_in(text) == address


def test_writing_a_page_imports_nothing_heavy() -> None:
    code = "import sys, bench.report.html.write; print([m for m in ('torch', 'pandas', 'scipy') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"


def _scripts(html: str) -> dict[str, str]:
    """The data of a page by id."""
    return dict(re.findall(r'<script type="application/json" id="([\w-]+)">(.*?)</script>', html, re.DOTALL))


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
