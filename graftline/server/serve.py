"""Serves the model in production on this machine, with a page to try it: `graftline serve`.

Clients talk to it as they would to TensorFlow Serving's REST interface. It only listens on the loopback interface.
"""

import socket

from graftline.base import console
from graftline.base.errors import UserError
from graftline.serving import versions
from graftline.settings.settings import Settings

LOOPBACK = "127.0.0.1"


def serve(settings: Settings, port: int) -> None:
    """Serves until interrupted.

    Args:
      settings: of the pipeline whose pushed model is served; versions pushed later are picked up.
      port: to listen on; 0 picks a free one.

    Raises:
      UserError: if no model is pushed, or the port is taken.
    """
    versions.find(settings.push_dir)
    with _listening(port) as listener:
        console.quiet(settings.run.log_level)
        import uvicorn

        from graftline.server.app import create_app

        app = create_app(settings.name, settings.push_dir, settings.data.max_pixels)
        console.line(f"http://{LOOPBACK}:{listener.getsockname()[1]}/ serves {settings.name}; press Ctrl-C to stop.")
        uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((LOOPBACK, port))
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no such port"
        raise UserError(f"Port {port} cannot be used ({reason}): give another, as in `--port 8502`.") from None
