"""Takes the screenshots of `docs/images`, of a first run of the digits: `python -m docs.screenshots`.

Needs Chromium, and trains for a minute or two.
"""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text
from sklearn.datasets import load_digits

from graftline.base.paths import HOME_VARIABLE, PROJECT
from graftline.network.weights import FOLDER

IMAGES = PROJECT / "docs/images"
COMMAND = [sys.executable, "-m", "graftline.cli"]
WIDTH = 1200  # pixels
COLUMNS = 100  # of the terminal
FROM = "│ all "  # in the terminal, the summary from there on


def main() -> None:
    """Runs the pipeline in a folder of its own, and looks at what people see of it."""
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        os.environ |= {HOME_VARIABLE: home, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS)}
        shutil.copytree(FOLDER, Path(home, "output/weights"))
        said = _graftline("run", "digits").replace(f"{home}/", "")
        report = _graftline("report").splitlines()[-1]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        _terminal(browser, said, Path(home))
        _report(browser, Path(report))
        _page(browser, Path(home))


def _graftline(*arguments: str) -> str:
    done = subprocess.run([*COMMAND, *arguments], cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def _terminal(browser: Browser, said: str, folder: Path) -> None:
    lines = said.splitlines()
    (start,) = (index for index, line in enumerate(lines) if FROM in line)
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi("\n".join(["$ graftline run digits", "…", *lines[start + 2 :]])))
    page = browser.new_page(viewport={"width": WIDTH, "height": 100})
    (folder / "terminal.html").write_text(console.export_html(theme=MONOKAI))
    page.goto((folder / "terminal.html").as_uri())
    _save(page.screenshot(full_page=True), "terminal")


def _report(browser: Browser, report: Path) -> None:
    page = browser.new_page(viewport={"width": WIDTH, "height": 1400})
    page.goto(report.as_uri())
    _save(page.screenshot(), "report")
    page.set_viewport_size({"width": WIDTH, "height": 900})
    page.get_by_role("tab", name=re.compile("Least certain")).click()
    page.get_by_role("button", name="Heat maps").click()
    page.locator("#images").evaluate("section => scrollTo(0, section.offsetTop - 70)")
    page.wait_for_timeout(500)
    _save(page.screenshot(), "report-images")


def _page(browser: Browser, folder: Path) -> None:
    digit = folder / "digit.png"
    Image.fromarray((load_digits().images[7] * 15).astype("uint8")).save(digit)
    with _served() as address:
        page = browser.new_page(viewport={"width": WIDTH, "height": 800})
        page.goto(address)
        page.locator("input[type=file]").set_input_files(digit)
        page.locator("#bars li").first.wait_for()
        page.wait_for_timeout(500)
        _save(page.screenshot(), "page")


@contextlib.contextmanager
def _served() -> Iterator[str]:
    """Yields the address of the page while it is served."""
    with subprocess.Popen([*COMMAND, "serve", "--port", "0"], cwd=PROJECT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            yield re.findall(r"http://[\w.:]+/", server.stdout.readline())[0]
        finally:
            server.terminate()


def _save(png: bytes, name: str) -> None:
    Image.open(io.BytesIO(png)).save(IMAGES / f"{name}.webp", quality=80)


if __name__ == "__main__":
    main()
