"""The command as a whole: its help, how it reports mistakes, and how fast it starts."""

import importlib
import os
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from graftline.base.paths import PROJECT
from graftline.cli import main as command
from graftline.cli.main import COMMANDS, PLACES, graftline, main
from graftline.settings.load import CONFIG_VARIABLE

HEAVY = {"tensorflow", "tfx", "apache_beam", "numpy", "pydantic", "yaml", "ml_metadata"}


def test_help_names_every_command_and_imports_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "graftline.cli", "--help"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.findall(r"^  ([a-z-]+) {2,}\S", done.stdout.partition("Train:")[2], re.MULTILINE) == list(PLACES)
    assert all(f"{purpose}:" in done.stdout for purpose in COMMANDS)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "click" in imported and not imported & HEAVY


@pytest.mark.parametrize("name", PLACES)
def test_each_command_is_where_it_is_said_to_be_and_tells_its_options(name, capsys):
    found = graftline.get_command(click.Context(graftline), name)
    assert found is not None and found.help
    assert main([name, "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"Usage: graftline {name}" in printed
    if name not in ("kubeflow", "clean-up", "backbones", "completion"):
        assert "-d, --data" in printed


def test_there_is_no_command_that_is_not_listed():
    modules = {importlib.import_module(f"graftline.cli.{module}") for module, _ in PLACES.values()}
    found = [value for module in modules for value in vars(module).values() if isinstance(value, click.Command)]
    below = [command for group in found if isinstance(group, click.Group) for command in group.commands.values()]
    assert {command.name for command in found if command not in below} == set(PLACES)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["runn"], "There is no command 'runn': did you mean run or runs?"),
        (["serve", "--port", "70000"], "70000 is not in the range 0<=x<=65535"),
        (["rollback", "--reason", "bad"], "Missing option '-d' / '--data'"),
        (["push", "3", "-d", "digits"], "Missing option '--reason'"),
        (["completion", "tcsh"], "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
        (
            ["runs", "--set", "gate.min_acuracy=1"],
            "There is no setting 'gate.min_acuracy': did you mean gate.min_accuracy",
        ),
        (["runs", "--set", "gate.min_accuracy"], "--set gate.min_accuracy has no value"),
        (["settings", "gat"], "There is no setting 'gat': did you mean gate"),
    ],
)
def test_a_wrong_command_line_is_told_and_exits_with_2(arguments, told, capsys, monkeypatch):
    monkeypatch.setenv(CONFIG_VARIABLE, "digits")
    assert main(arguments) == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_mistake_of_the_users_exits_with_1_and_ours_with_a_traceback(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("GRAFTLINE_RUN__ROOT", str(tmp_path))
    assert main(["runs", "-d", "digits"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "There is no run of digits yet: `graftline run` makes one."
    monkeypatch.setattr("graftline.cli.history.show_runs", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["runs", "-d", "digits"])


def test_ctrl_c_is_told(monkeypatch, capsys):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("graftline.cli.history.show_runs", interrupt)
    assert main(["runs", "-d", "digits"]) == command.STOPPED
    assert capsys.readouterr().err.endswith("Stopped.\n")


@pytest.mark.parametrize(
    ("shell", "line"), [("bash", "complete -o nosort"), ("zsh", "compdef"), ("fish", "complete --no-files")]
)
def test_completion_is_that_of_the_shell(shell, line, capsys):
    assert main(["completion", shell]) == 0
    assert line in capsys.readouterr().out


def test_a_shell_completes_commands_and_configurations():
    asked = {"_GRAFTLINE_COMPLETE": "bash_complete", "COMP_CWORD": "2", "COMP_WORDS": "graftline run cats"}
    program = "from graftline.cli.main import graftline; graftline(prog_name='graftline')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env=os.environ | asked,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "plain,cats_vs_dogs\nplain,cats_vs_dogs_tutorial\n" in done.stdout


def test_a_terminal_that_cannot_show_a_name_is_no_reason_to_fail(tmp_path):
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "GRAFTLINE_RUN__ROOT": str(tmp_path / "künstlich")}
    done = subprocess.run(
        [sys.executable, "-m", "graftline.cli", "settings", "run.root", "-d", "digits"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "k?nstlich" in done.stdout


def test_the_docs_show_the_help_screen_as_it_is():
    screen = (
        CliRunner().invoke(graftline, ["--help"], prog_name="graftline", terminal_width=78).output
    )  # as on a terminal of 80 columns
    page = (PROJECT / "docs/reference/command.md").read_text()
    assert f"$ graftline --help\n{screen}```" in page
