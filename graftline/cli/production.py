"""Commands about the model in production: `graftline serve`, `rollback` and `push`."""

import contextlib

import click

from graftline.base import console
from graftline.base.aliases import shown
from graftline.cli.options import about, reason_option
from graftline.settings.settings import Settings


@click.command()
@about(of_last_run=True)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8501,
    show_default=True,
    help="Port to listen on; 0 picks a free one.",
)
def serve(settings: Settings, port: int) -> None:
    """Serve the model in production: a page to try it, and TensorFlow Serving's REST interface."""
    from graftline.server.serve import serve as become_server

    with contextlib.suppress(KeyboardInterrupt):  # before the server is up; after that, it stops on its own
        become_server(settings, port)
    console.line("Stopped.")


@click.command()
@about(demanded=True)
@reason_option
def rollback(settings: Settings, reason: str) -> None:
    """Withdraw the model in production and republish the previous good one, as a new version."""
    from graftline.runs.rollback import roll_back

    push = roll_back(settings, reason)
    place = settings.push_dir / str(push.version)
    console.line(f"Withdrew version {push.withdrawn}; {shown(place)} is in production now.")


@click.command()
@click.argument("run")
@about(demanded=True)
@reason_option
def push(settings: Settings, run: str, reason: str) -> None:
    """Push the model of RUN, a number or id of `graftline runs`, although the gate refused it."""
    from graftline.runs.push import push as publish

    place = settings.push_dir / str(publish(settings, run, reason).version)
    console.line(f"Pushed to {shown(place)}. The model card and `graftline runs` record who did it and why.")
