"""The tutorials, word by word: every block of commands is run in one shell, with settings that keep it short."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from graftline.base.paths import HOME_VARIABLE, PREFIX, PROJECT
from graftline.network.weights import FOLDER

SHORT = {
    "DATA__MAX_EXAMPLES": "500",
    "MODEL__IMAGE_SIZE": "64",
    "TRAINING__PHASE_1__EPOCHS": "2",
    "TRAINING__PHASE_2__STEPS": "60",
    "GATE__MIN_ACCURACY": "0.5",
    "SERVING__MAX_LATENCY_MS": "60000",
}
SAID = {
    "first-model": [
        "Blessed.",
        "Pushed to",
        "Nothing has changed, and nothing was pushed",
        "Trainer",
        '"probabilities"',
    ],
    "own-photos": [
        "Left out: 1 file (1 .txt)",
        "Blessed.",
        "Pushed to",
        "sevens/wrong.png,sevens,same image as threes/0.png (labeled threes),drop,drop",
        "Moved ",
        "Not blessed",
        '"probabilities"',
        "Withdrew version",
    ],
}


def commands(page: str) -> str:
    """Returns what a reader of a tutorial types, in a shell that stops at the first command that fails."""
    text = (PROJECT / "docs/tutorials" / f"{page}.md").read_text()
    return "\n".join(["set -euo pipefail", *re.findall(r"(?ms)^```sh\n(.*?)^```$", text)])


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", SAID)
def test_a_tutorial_does_what_it_says(page: str, no_overrides: None, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "output/weights")
    places = {"HOME": str(tmp_path), HOME_VARIABLE: str(tmp_path)}
    environment = os.environ | places | {PREFIX + name: value for name, value in SHORT.items()}
    command = ["bash", "-c", commands(page)]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [said for said in SAID[page] if said not in done.stdout] == []
