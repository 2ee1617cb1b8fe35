"""What people read does not fall back into wording that was replaced."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from graftline.base.paths import PROJECT

# Each was found in an earlier revision, and has a plainer word that is used everywhere now
REPLACED = re.compile(
    r"\b(tells|(is|are|was|were) told|anew|nought|mends?|whereof|errs|beside|a folder a class|where it lies"
    r"|(?<!there )(is|are) no (?!longer|more|such|worse|better|slower)\w+)\b",
    re.IGNORECASE,
)
READ = ("graftline", "components", "kubeflow", "docs", "pipeline.py", "README.md", "CHANGELOG.md", "CONTRIBUTING.md")


def _texts(file: Path) -> Iterator[str]:
    """Yields what a file says to people: prose and templates as they are, and the strings of a program."""
    if file.suffix != ".py":
        yield file.read_text()
        return
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _replaced(text: str) -> list[str]:
    return [match[0] for match in REPLACED.finditer(" ".join(text.split()))]


def test_no_text_has_wording_that_was_replaced() -> None:
    listed = subprocess.run(["git", "ls-files", *READ], cwd=PROJECT, capture_output=True, text=True, check=True)
    files = [PROJECT / name for name in listed.stdout.split() if name.endswith((".py", ".md", ".j2"))]
    assert len(files) > 200
    assert {str(file): found for file in files for text in _texts(file) if (found := _replaced(text))} == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The user is\ntold so.", ["is told"]),
        ("It is no setting.", ["is no setting"]),
        ("There is no setting like that, and it is no longer needed.", []),
        ("Mend the file beside it.", ["Mend", "beside"]),
    ],
)
def test_such_wording_is_found(text: str, expected: list[str]) -> None:
    assert _replaced(text) == expected
