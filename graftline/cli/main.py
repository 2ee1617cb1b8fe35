"""The command `graftline`: its help, and the module of each of its commands, which is imported only when it is needed."""

import importlib
import os
import signal
import sys
from typing import Any

import click

from graftline import __version__
from graftline.base.errors import UserError, did_you_mean
from graftline.base.stop import STATUS as STOPPED

# Each command with its module and what it does, grouped by purpose
COMMANDS = {
    "Train": {
        "run": ("run", "Train, evaluate and push a model of photos, a TFDS set or a configuration."),
        "schema": ("data", "Infer a schema for a dataset that has none, so that you can review it."),
        "backbones": ("settings", "List the pretrained networks to build on."),
        "settings": ("settings", "Show every setting, its value and its source."),
    },
    "Inspect": {
        "report": ("history", "Open the report of a run, the latest by default."),
        "runs": ("history", "List past runs, latest first."),
        "compare": ("history", "Show two runs side by side."),
        "tensorboard": ("history", "Show the curves of all runs; only this machine can connect."),
    },
    "Use": {
        "predict": ("predict", "Classify images with the model in production."),
        "serve": ("production", "Serve that model: a page to try it, and TensorFlow Serving's REST interface."),
        "rollback": ("production", "Withdraw that model and republish the previous good one."),
        "push": ("production", "Push the model of a run although the gate refused it."),
    },
    "Deploy": {"kubeflow": ("kubeflow", "Run on Kubeflow Pipelines, now or on a schedule, and look after the runs.")},
    "Maintain": {
        "doctor": ("maintain", "Check this machine and print how to fix what is wrong."),
        "data": ("data", "Prepare a TFDS set from a local copy of its archive."),
        "weights": ("maintain", "Fetch the pretrained weights of a backbone."),
        "accept-data": ("data", "Let the next run use the data that the latest one stopped at."),
        "clean-up": ("data", "Correct a folder of photos: wrong labels, copies, unreadable files."),
        "clean": ("maintain", "Remove all runs; keep datasets, weights and pushed models."),
        "completion": ("maintain", "Print the script that completes commands in a shell."),
    },
}
PLACES = {name: place for commands in COMMANDS.values() for name, place in commands.items()}


class Commands(click.Group):
    """A group that imports its commands only when they are needed, and lists them by purpose."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names of all commands."""
        return list(PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Returns a command; None if there is none of this name."""
        if cmd_name not in PLACES:
            return None
        module, _ = PLACES[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"graftline.cli.{module}"), cmd_name.replace("-", "_"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command; for an unknown name, fails and prints similar ones."""
        if args[0] not in PLACES and not args[0].startswith("-"):
            ctx.fail(f"There is no command {args[0]!r}: {did_you_mean(args[0], list(PLACES))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without importing them."""
        width = max(map(len, PLACES))
        for purpose, commands in COMMANDS.items():
            with formatter.section(purpose):
                formatter.write_dl([(f"{name:<{width}}", about) for name, (_, about) in commands.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="graftline")
def graftline() -> None:
    """Turn photos, or a named dataset, into an image classifier that is trained, checked and deployed.

    `graftline run ~/photos` takes a folder with one folder of photos per class; `graftline run` without data trains on
    handwritten digits. --help after a command lists its options.
    """


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status.

    Args:
      arguments: the command line; None takes that of this process.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow logs a lot as it starts
    if arguments is None:  # this process is the command: closing its terminal stops it as Ctrl-C does
        signal.signal(signal.SIGHUP, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        for stream in (sys.stdin, sys.stdout, sys.stderr):  # file names and terminals may not be UTF-8
            stream.reconfigure(errors="surrogateescape" if stream is sys.stdin else "backslashreplace")  # type: ignore[union-attr]
    try:
        done: Any = graftline.main(arguments, prog_name="graftline", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except UserError as error:
        print(error, file=sys.stderr)
        return error.status
    except (KeyboardInterrupt, click.Abort):
        print("Stopped.", file=sys.stderr)
        return STOPPED
    return done if isinstance(done, int) else 0
