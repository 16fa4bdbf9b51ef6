"""Pages in a real browser, where there is a Chromium: what a person does with them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.report.html.page import PageData
from bench.report.html.write import write_index, write_page
from tests.report.pages import HOSTILE, page

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed, so that no browser is driven")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SWITCHES = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-dev-shm-usage --window-size=1300,1000"
)
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="there is no Chromium with its driver")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in (*SWITCHES.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> PageData:
    return page(tmp_path_factory.mktemp("hostile"), HOSTILE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, hostile: PageData) -> Path:
    """A site of one table, whose texts try to break it."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "small.html").write_text(write_page(hostile, index=True), encoding="utf-8")
    (folder / "index.html").write_text(write_index([hostile]), encoding="utf-8")
    return folder


@pytest.fixture
def opened(browser: Any, folder: Path) -> Iterator[Any]:
    """The page, freshly opened, which has nothing to complain of in the end and has asked the network for nothing."""
    media(browser, {"prefers-color-scheme": "light"})
    browser.get((folder / "small.html").as_uri())
    browser.execute_script("localStorage.clear()")
    yield browser
    assert browser.get_log("browser") == []
    assert browser.execute_script("return window.broken") is None
    assert browser.execute_script("return performance.getEntriesByType('resource').map((each) => each.name)") == []


def media(browser: Any, features: dict[str, str], kind: str = "") -> None:
    listed = [{"name": name, "value": value} for name, value in features.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": listed})


def one(browser: Any, selector: str) -> Any:
    return browser.find_element(By.CSS_SELECTOR, selector)


def until(browser: Any, condition: Callable[[Any], Any]) -> Any:
    return WebDriverWait(browser, 30, poll_frequency=0.05).until(condition)


def shown(browser: Any, selector: str) -> int:
    """How many elements of a kind can be seen."""
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].filter((each) => each.checkVisibility()).length", selector
    )


def background(browser: Any) -> str:
    return browser.execute_script("return getComputedStyle(document.body).backgroundColor")


def test_charts_are_drawn_when_they_come_into_view(opened: Any) -> None:
    opened.execute_script("document.querySelector('#forest').scrollIntoView()")
    until(opened, lambda b: shown(b, '[data-chart="forest-differences"] svg'))
    for name in ("forest-values", "cost-1-training", "cost-2-inference"):
        if name == "forest-values":
            one(opened, 'input[value="forest-values"]').click()
        opened.execute_script(f"document.querySelector('[data-chart=\"{name}\"]').scrollIntoView()")
        until(opened, lambda b, name=name: shown(b, f'[data-chart="{name}"] svg'))
    assert shown(opened, '[data-chart="forest-differences"]') == 0


def test_a_column_can_be_hidden_and_shown_again(opened: Any) -> None:
    cells = '[data-column="column-1"]'
    before = shown(opened, cells)
    assert before == 1 + 1 + 2 * len(HOSTILE)
    for expected in (0, before):
        one(opened, 'input[value="column-1"]').click()
        assert shown(opened, cells) == expected


def test_a_note_is_read_with_the_mouse_and_with_the_keyboard(opened: Any) -> None:
    link = one(opened, "a.note")
    note = one(opened, link.get_attribute("href")[link.get_attribute("href").index("#") :])
    said = note.get_property("textContent").strip()
    ActionChains(opened).move_to_element(link).perform()
    until(opened, lambda b: shown(b, "#tip"))
    assert one(opened, "#tip").get_property("textContent") == said
    ActionChains(opened).move_to_element(one(opened, "h1")).perform()
    until(opened, lambda b: not shown(b, "#tip"))
    opened.execute_script("arguments[0].focus()", link)
    until(opened, lambda b: shown(b, "#tip"))
    opened.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert shown(opened, "#tip") == 0
    (described,) = link.get_attribute("aria-describedby").split()
    assert one(opened, f"#{described}").get_property("textContent").strip() == said


@pytest.mark.parametrize("how", ["enter", "click", "beside"])
def test_a_cell_opens_its_runs(opened: Any, how: str, hostile: PageData) -> None:
    cell = one(opened, '[data-opens="row-2-paper"]')
    if how == "enter":
        cell.send_keys(Keys.ENTER)
    else:
        opened.execute_script("arguments[0].click()", cell if how == "click" else cell.find_element(By.XPATH, ".."))
    until(opened, lambda b: shown(b, "dialog svg"))
    (first, *_) = HOSTILE.values()
    assert one(opened, "dialog h2 bdi").get_property("textContent") == first
    assert shown(opened, "dialog tbody tr") == 3
    assert "kdbench run small --row html --seed 1 --profile paper" in one(opened, "dialog pre").text
    opened.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert shown(opened, "dialog") == 0
    if how == "enter":
        assert opened.switch_to.active_element == cell


def test_assumptions_are_filtered_by_text_and_kind(opened: Any) -> None:
    every = shown(opened, ".statements > li")
    one(opened, "#filter-text").send_keys("deviation {{ 7")
    assert shown(opened, ".statements > li") == 1
    assert one(opened, "#filter-count").text == f"1 of {every}"
    one(opened, '#filter input[value="deviation"]').click()
    assert shown(opened, ".statements > li") == 0


def test_the_theme_is_the_systems_until_it_is_chosen(opened: Any) -> None:
    light = background(opened)
    media(opened, {"prefers-color-scheme": "dark"})
    dark = background(opened)
    assert light == "rgb(255, 255, 255)"
    assert dark != light
    one(opened, "#theme").click()
    assert background(opened) == light
    opened.refresh()
    assert background(opened) == light
    one(opened, "#theme").click()
    assert (background(opened), one(opened, "#theme").get_attribute("aria-pressed")) == (dark, "true")
    media(opened, {"prefers-color-scheme": "dark"}, "print")
    assert background(opened) == light
    media(opened, {})


def test_files_are_saved_as_they_were_written(opened: Any, hostile: PageData, tmp_path: Path) -> None:
    opened.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    for suffix in ("csv", "json", "tex"):
        opened.execute_script("arguments[0].click()", one(opened, f'[data-file="{suffix}"]'))
        path = tmp_path / f"small.{suffix}"
        until(opened, lambda _, path=path: path.exists())
        assert path.read_bytes().decode() == hostile.files[suffix]
    opened.execute_script("arguments[0].click()", one(opened, '#downloads [data-svg="forest-differences"]'))
    drawing = tmp_path / "small-forest-differences.svg"
    until(opened, lambda _: drawing.exists())
    svg = drawing.read_text(encoding="utf-8")
    assert svg.startswith("<svg")
    assert "var(" not in svg


def test_what_a_text_smuggles_in_does_not_run_nor_turn_its_surroundings(opened: Any) -> None:
    opened.execute_script("document.querySelector('#forest').scrollIntoView()")
    until(opened, lambda b: shown(b, "figure svg"))
    assert shown(opened, "main img") == 0
    # What overrides the direction ends with the label: the verdict beside it stands to its right.
    item = one(opened, ".values li:nth-child(5)")
    assert HOSTILE["bidi"] in item.get_property("textContent")
    assert opened.execute_script(
        "const [verdict, label] = arguments[0].children;"
        "return verdict.getBoundingClientRect().left < label.getBoundingClientRect().left",
        item,
    )
    # A label of 10,000 letters makes neither the page wide nor its row high.
    wide, high = opened.execute_script(
        "return [document.documentElement.scrollWidth,"
        " Math.max(...[...document.querySelectorAll('table.main tr')].map((row) => row.offsetHeight))]"
    )
    assert wide <= 1300
    assert high < 400


def test_costs_as_a_table_are_there_once_it_is_opened(opened: Any) -> None:
    folded = "[data-later] tbody tr"
    assert opened.find_elements(By.CSS_SELECTOR, folded) == []
    for count in (1, 2, 3):
        one(opened, "[data-later] summary").click()
        until(opened, lambda b: b.find_elements(By.CSS_SELECTOR, folded))
        if count != 2:
            assert shown(opened, folded) > 1
    assert len(opened.find_elements(By.CSS_SELECTOR, "[data-later] table")) == 1


def test_the_index_leads_to_the_table(browser: Any, folder: Path) -> None:
    browser.get((folder / "index.html").as_uri())
    one(browser, "#filter-text").send_keys("nobody")
    assert shown(browser, ".tables > li") == 1
    one(browser, ".tables a").click()
    until(browser, lambda b: b.current_url.endswith("/small.html"))
    assert browser.get_log("browser") == []


def test_a_page_of_100_rows_is_ready_before_its_charts(
    browser: Any, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    (tmp_path / "hundred.html").write_text(write_page(page(tmp_path, {}, count=100)), encoding="utf-8")
    media(browser, {"prefers-color-scheme": "light"})
    ready = []
    for _ in range(5):
        browser.get((tmp_path / "hundred.html").as_uri())
        until(browser, lambda b: b.execute_script("return performance.getEntriesByName('chart forest-differences')[0]"))
        interactive, drawn = browser.execute_script(
            "return ['interactive', 'chart forest-differences']"
            ".map((name) => performance.getEntriesByName(name)[0].startTime)"
        )
        assert interactive < drawn
        ready.append(interactive)
    record_property("milliseconds", sorted(ready))
    print(f"interactive after {sorted(ready)} ms")
    # Less than 60 ms on a machine that does nothing else; several times that where it does.
    assert min(ready) < 300
    assert browser.get_log("browser") == []
