"""Graftline on the command line: `python -m graftline.cli COMMAND …`; what it does is imported when it is asked for."""

from __future__ import annotations

import argparse
import importlib
import sys

# Command, the module whose `main` does it, and what it does
COMMANDS = {
    "name": ("graftline.settings.load", "the name of the configuration that GRAFTLINE_CONFIG names"),
    "runs": ("graftline.cli.history", "list past runs, latest first"),
    "compare": ("graftline.cli.history", "show two runs side by side"),
    "report": ("graftline.cli.history", "open a run's report"),
    "tensorboard": ("graftline.cli.history", "curves of all runs"),
    "predict": ("graftline.cli.predict", "classify photos with an exported model"),
    "accept_data": ("graftline.cli.accept_data", "let the next run go on with data that the latest one stopped at"),
    "rollback": ("graftline.cli.rollback", "take the model in production back"),
    "try": ("graftline.cli.serve", "serve the model in production, with a page to try it"),
    "data": ("graftline.cli.archive", "prepare a dataset from a local copy of its archive"),
    "schema": ("graftline.cli.schema", "infer the schema of a dataset that has none"),
    "weights": ("graftline.cli.weights", "fetch the pretrained weights of a configuration's backbone"),
    "docs": ("graftline.settings.reference", "write docs/settings.md anew"),
    "doctor": ("graftline.doctor.__main__", "what is wrong with this machine, and what to do about it"),
}
KEEP_NAME = "graftline.cli.history"  # does several commands, and is told which


def main() -> int | None:
    """Does what the command line asks for; returns the exit status."""
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:<{width}}  {about}" for name, (_, about) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m graftline.cli",
        description="Graftline's commands; each tells its own arguments with --help.",
        epilog=f"commands:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    command = parser.parse_args(sys.argv[1:2]).command
    module, _ = COMMANDS[command]
    sys.argv = [f"{parser.prog} {command}", *([command] if module == KEEP_NAME else []), *sys.argv[2:]]
    return importlib.import_module(module).main()


if __name__ == "__main__":
    sys.exit(main())
