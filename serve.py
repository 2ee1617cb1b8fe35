"""Serves the model in production on this machine, with a page to try it: `make try CONFIG=… PORT=…`.

Clients talk to it as to TensorFlow Serving's REST interface. It listens on loopback alone: for one machine and its user.
"""

import argparse
import socket
import sys

import configuration
import console
from components import publishing
from settings import Settings, UserError

LOOPBACK = "127.0.0.1"


def serve(settings: Settings, port: int) -> None:
    """Serves until it is interrupted.

    Args:
      settings: whose pushed model is served, and any version pushed after it.
      port: where it listens; 0 takes a free one.

    Raises:
      UserError: where no model is pushed, or the port is taken.
    """
    publishing.find(settings.push_dir)
    with _listening(port) as listener:
        console.quiet(settings.run.log_level)
        import uvicorn

        from components.try_page.app import create_app

        app = create_app(settings.name, settings.push_dir, settings.data.max_pixels)
        console.line(f"http://{LOOPBACK}:{listener.getsockname()[1]}/ tries {settings.name}; Ctrl-C ends it.")
        uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((LOOPBACK, port))
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no such port"
        raise UserError(f"Port {port} cannot be used ({reason}): give another, as in `make try PORT=8502`.") from None


def main() -> int:
    """Serves the model of the configuration, and returns the exit status."""
    parser = argparse.ArgumentParser(
        description="Serves the model in production on this machine, with a page to try it."
    )
    parser.add_argument("--port", type=int, default=8501, help="where it listens; 0 takes a free one (8501)")
    port = parser.parse_args().port
    settings = configuration.load_or_exit(data_is_here=False)
    try:
        serve(settings, port)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # where it comes before the server is up, which ends by itself afterwards
        pass
    print("Stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
