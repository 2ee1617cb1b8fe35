"""The page in a real browser: a photo is chosen, dropped or pasted, and the answer is there for everybody."""

import contextlib
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from graftline.server.app import create_app
from tests import tiny

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
NAMES = ["cat", "dog", "an eel whose name is rather long, and longer than a line of a phone"]
NAMES_AS_TOLD = re.compile("|".join(NAMES))
SIZES = [(390, 844), (1440, 900)]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("exported")
    shutil.copytree(tiny.export(folder, NAMES), folder / "serving/7")
    with serving(folder / "serving") as found:
        yield found


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[str]:
    """Serves in a thread, on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app("pets", directory, 10_000), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser: Browser, address: str, size: tuple[int, int] = SIZES[1], scheme: Any = "light") -> Iterator[Page]:
    """Opens the page; nothing may be asked of another host, or be complained about."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    yield page
    context.close()
    assert not [text for text in said if "400 (Bad Request)" not in text]
    assert asked
    assert all(url.startswith((address, "blob:", "data:")) for url in asked)


def photo(name: str = "pet.jpg", contents: bytes | None = None) -> dict[str, object]:
    return {"name": name, "mimeType": "image/jpeg", "buffer": contents or tiny.photo(2)}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_a_chosen_photo_is_classified_and_everybody_can_read_it(browser, address, size, scheme):
    with opened(browser, address, size, scheme) as page:
        page.set_input_files("#file", photo())
        expect(page.locator("#told strong")).to_have_text(NAMES_AS_TOLD)
        expect(page.locator("#bars li")).to_have_count(3)
        assert page.locator("#image").get_attribute("alt").startswith("pet.jpg, which the model calls ")
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], "it scrolls sideways"
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_the_heat_map_lies_over_the_photo_until_it_is_switched_off(browser, address):
    with opened(browser, address) as page:
        page.set_input_files("#file", photo())
        heat = page.locator("#heat")
        expect(heat).to_be_visible()
        assert heat.bounding_box() == page.locator(".stack").bounding_box()
        opaque = "Math.max(...heat.getContext('2d').getImageData(0, 0, heat.width, heat.height).data)"
        assert page.evaluate(opaque) > 100
        page.get_by_label("Heat map").uncheck()
        expect(heat).to_be_hidden()


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_photo_can_be_dropped_anywhere_or_pasted(browser, address, way):
    script = """([way, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "dropped.jpg", { type: "image/jpeg" }));
        const event = way === "drop"
            ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
            : new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
        document.body.dispatchEvent(event);
    }"""
    with opened(browser, address) as page:
        page.evaluate(script, [way, list(tiny.photo(1))])
        expect(page.locator("#told strong")).to_have_text(NAMES_AS_TOLD)


def test_what_is_no_image_is_refused_in_words(browser, address):
    with opened(browser, address) as page:
        page.set_input_files("#file", photo("notes.jpg", b"no image"))
        expect(page.get_by_role("alert")).to_have_text(
            "The image cannot be used: not an image format TensorFlow reads."
        )
        expect(page.locator("#figure")).to_be_hidden()
        page.set_input_files("#file", photo("large.jpg", b"x" * 12_000_000))
        expect(page.get_by_role("alert")).to_contain_text("larger than 12 MB")
        assert Axe().run(page).violations_count == 0


def test_the_keyboard_reaches_everything(browser, address):
    with opened(browser, address) as page:
        page.keyboard.press("Tab")
        expect(page.locator("#file")).to_be_focused()
        page.set_input_files("#file", photo())
        expect(page.locator("#heat")).to_be_visible()
        page.locator("#file").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        expect(page.locator("#heat")).to_be_hidden()
