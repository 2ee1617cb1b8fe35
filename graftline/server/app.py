"""The web application: TensorFlow Serving's REST interface to the model in production, and the page that uses it."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graftline.server import rest
from graftline.server.rest import RequestError
from graftline.server.served import Production, Served

PAGE = Path(__file__).parent / "page"
MAX_BODY = 16_000_000  # bytes
PATIENCE = 4  # the connection is cut after this many times MAX_BODY
HOSTS = ["127.0.0.1", "localhost"]  # so that another site cannot point its own name at this machine
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class WithHeaders:
    """Adds HEADERS to each response. FastAPI's own form of middleware would copy each body through queues."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def create_app(name: str, directory: Path, max_pixels: int) -> FastAPI:
    """Returns the application.

    Args:
      name: the model's.
      directory: the folder that its versions are pushed to.
      max_pixels: images whose header claims more are refused.

    Raises:
      UserError: if no model can be served.
    """
    production = Production(name, directory, max_pixels)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)
    app.add_middleware(WithHeaders)
    _handle_errors(app)

    async def _served(request: Request) -> Served:
        served = await production.current()
        version = request.path_params.get("version", str(served.version))
        if request.path_params["name"] != name or version != str(served.version):
            asked = f"Specific({request.path_params['name']}, {version})"
            raise RequestError(
                404, f"Servable not found for request: {asked}; version {served.version} of {name} is served."
            )
        return served

    @app.get("/classes")
    async def _classes() -> dict[str, Any]:
        served = await production.current()
        return {"name": name, "version": served.version, "classes": served.label_names}

    @app.get("/v1/models/{name}")
    @app.get("/v1/models/{name}/versions/{version}")
    async def _status(request: Request) -> dict[str, Any]:
        version = str((await _served(request)).version)
        fine = {"error_code": "OK", "error_message": ""}
        return {"model_version_status": [{"version": version, "state": "AVAILABLE", "status": fine}]}

    @app.get("/v1/models/{name}/metadata")
    @app.get("/v1/models/{name}/versions/{version}/metadata")
    async def _metadata(request: Request) -> dict[str, Any]:
        return (await _served(request)).metadata

    @app.post("/v1/models/{name}:predict")
    @app.post("/v1/models/{name}/versions/{version}:predict")
    async def _predict(request: Request) -> JSONResponse:
        served = await _served(request)
        question = rest.read(await _body(request), served.signatures)
        return JSONResponse(rest.answer(question, await served.ask(question)))

    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app


def _handle_errors(app: FastAPI) -> None:
    """Answers every error with a JSON object, as TensorFlow Serving does; tracebacks stay in the server's log."""

    @app.exception_handler(RequestError)
    async def _refused(_: Request, refusal: RequestError) -> JSONResponse:
        return JSONResponse({"error": refusal.message}, refusal.status)

    @app.exception_handler(HTTPException)
    async def _of_http(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": f"{error.detail}."}, error.status_code)

    @app.exception_handler(Exception)
    async def _unexpected(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": "The server failed: its log, where it was started, has the cause."}, 500)


async def _body(request: Request) -> bytes:
    """Returns a request's body. Reads on for a while if it is too long, because a client that still sends does not read."""
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY:
            body += chunk
        elif size > PATIENCE * MAX_BODY:
            break
    if size > MAX_BODY:
        raise RequestError(413, f"The request is longer than {MAX_BODY // 1_000_000} MB: send fewer or smaller images.")
    return bytes(body)
