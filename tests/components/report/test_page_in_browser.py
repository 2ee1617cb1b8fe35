"""The page in a real browser: accessible, without errors, on phones, in dark mode, by keyboard and in print."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Dialog, Page, expect, sync_playwright

from components.report import page as report_page
from tests import tiny
from tests.components.report import sample

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
SIZES = [(390, 844), (1440, 900)]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("page")
    model = tiny.export(folder, sample.NAMES)
    return written(folder / "report.html", report_page.render(sample.report(), str(model)))


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(
    browser: Browser,
    address: str,
    size: tuple[int, int] = SIZES[1],
    scheme: Literal["light", "dark"] = "light",
    **options,
) -> Iterator[Page]:
    """Opens a page, and checks that it sends no requests, logs nothing and opens no dialog."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, **options)
    page = context.new_page()

    def refused(dialog: Dialog) -> None:
        said.append(dialog.message)
        dialog.dismiss()

    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", refused)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    yield page
    context.close()
    assert not said
    assert [url for url in asked if not url.startswith("data:")] == [address.partition("#")[0]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_everybody_can_read_it(browser, address, size, scheme):
    with opened(browser, address, size, scheme) as page:
        for element in ("documentElement", "body"):
            assert page.evaluate(f"document.{element}.scrollWidth") <= size[0], "it scrolls sideways"
        page.evaluate("document.querySelectorAll('details').forEach((found) => (found.open = true))")
        page.locator("#heat").click()
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_light_and_dark_differ(browser, address):
    colours = []
    for scheme in ("light", "dark"):
        with opened(browser, address, scheme=scheme) as page:
            script = "[document.body, document.querySelector('.plot text')].map((e) => getComputedStyle(e)[%r])"
            colours.append((page.evaluate(script % "backgroundColor")[0], page.evaluate(script % "fill")[1]))
    assert colours[0][0] != colours[1][0]
    assert colours[0][1] != colours[1][1]


def test_every_image_is_shown_and_has_an_alternative_text(browser, address):
    with opened(browser, address) as page:
        broken = "[...document.images].filter((image) => !image.naturalWidth || !image.alt).length"
        page.wait_for_function(f"{broken} === 0")
        assert page.evaluate("document.images.length") == 36


def test_tabs_work_from_the_keyboard(browser, address):
    with opened(browser, address) as page:
        tabs, panels = page.get_by_role("tab"), page.get_by_role("tabpanel")
        expect(panels).to_have_count(1)  # the others are hidden
        tabs.first.focus()
        for key, number in [("ArrowRight", 1), ("End", 3), ("ArrowRight", 0), ("ArrowLeft", 3), ("Home", 0)]:
            page.keyboard.press(key)
            expect(tabs.nth(number)).to_be_focused()
            expect(tabs.nth(number)).to_have_attribute("aria-selected", "true")
            expect(page.locator("[role=tab][tabindex='0']")).to_have_count(1)
            chosen = tabs.nth(number).get_attribute("aria-controls")
            expect(page.locator(f"#{chosen}")).to_be_visible()
            expect(panels).to_have_count(1)
        tabs.nth(1).click()
        expect(page.locator("#uncertain")).to_be_visible()


def test_the_keyboard_passes_from_the_chosen_tab_to_the_heat_maps_and_its_images(browser, address):
    with opened(browser, address) as page:
        page.get_by_role("tab").first.focus()
        page.keyboard.press("Tab")
        expect(page.locator("#heat")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.locator("#mistakes")).to_be_focused()


def test_heat_maps_are_switched_on_and_off_by_a_key_and_cover_their_images(browser, address):
    with opened(browser, address) as page:
        heat, button = page.locator("#mistakes .heat"), page.locator("#heat")
        expect(heat.first).to_be_hidden()
        button.focus()
        page.keyboard.press("Space")
        expect(button).to_have_attribute("aria-pressed", "true")
        for number in range(6):
            expect(heat.nth(number)).to_be_visible()
            below = page.locator("#mistakes .image > img:first-child").nth(number).bounding_box()
            assert heat.nth(number).bounding_box() == pytest.approx(below, abs=1)
        page.keyboard.press("Enter")
        expect(heat.first).to_be_hidden()


def test_links_work_from_the_keyboard(browser, address):
    with opened(browser, address) as page:
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        for link in page.locator("nav a").all():
            page.keyboard.press("Tab")
            expect(link).to_be_focused()
            page.keyboard.press("Enter")
            target = page.locator(page.evaluate("location.hash"))
            expect(target).to_be_in_viewport()
            link.focus()


def test_a_link_to_a_gallery_opens_it(browser, address):
    with opened(browser, f"{address}#label_errors") as page:
        expect(page.locator("#label_errors")).to_be_visible()
        expect(page.locator("#mistakes")).to_be_hidden()


def test_the_command_can_be_copied(browser, address):
    with opened(browser, address, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.locator("#copy").click()
        expect(page.locator("#copied")).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == sample.report().facts.command


def test_on_paper_all_galleries_are_there(browser, address):
    with opened(browser, address) as page:
        page.emulate_media(media="print")
        for gallery in sample.report().galleries:
            expect(page.locator(f"#{gallery.key}")).to_be_visible()
            expect(page.locator(f"#{gallery.key} h3")).to_be_visible()
        expect(page.locator("nav")).to_be_hidden()
        expect(page.locator("#heat")).to_be_hidden()


def test_without_scripts_all_galleries_are_there(browser, address):
    with opened(browser, address, java_script_enabled=False) as page:
        for gallery in sample.report().galleries:
            expect(page.locator(f"#{gallery.key}")).to_be_visible()
        expect(page.get_by_role("tab")).to_have_count(0)


@pytest.mark.parametrize("num_classes", [2, 40])
def test_few_and_many_classes_fit_a_phone(browser, tmp_path, num_classes):
    text = report_page.render(sample.report(num_classes, images=3), None)
    with opened(browser, written(tmp_path / "report.html", text), SIZES[0], "dark") as page:
        assert page.evaluate("document.body.scrollWidth") <= SIZES[0][0]
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
