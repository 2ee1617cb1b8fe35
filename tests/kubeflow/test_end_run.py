"""The report of a run's end, posted to a webhook: a real server on this machine."""

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from graftline.settings.settings import Settings
from kubeflow import end_run


class Webhook(ThreadingHTTPServer):
    """Keeps what was posted, and answers with the next status; 200 if there is none."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[dict] = []
        self.statuses: list[int] = []


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    server = Webhook()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers HTTP requests for the webhook."""

    server: "Webhook"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(json.loads(body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Keeps the test's output clean."""


def url(server: Webhook) -> str:
    return f"http://127.0.0.1:{server.server_port}/hook"


def test_the_report_is_posted_again_when_the_server_was_busy(webhook):
    webhook.statuses = [503, 429]
    end_run.post(url(webhook), {"text": "digits: Pushed"})
    assert webhook.bodies == [{"text": "digits: Pushed"}] * 3


def test_a_refused_report_is_an_error(webhook):
    webhook.statuses = [404]
    with pytest.raises(requests.HTTPError, match="404"):
        end_run.post(url(webhook), {"text": "digits: Pushed"})


@pytest.mark.parametrize("statuses", [[404], [503] * 6, None], ids=["refused", "busy", "gone"])
def test_the_address_of_the_webhook_is_told_to_nobody(statuses, webhook, monkeypatch, capfd, caplog):
    webhook.statuses = statuses or []
    settings = Settings(
        name="digits",
        data={"dataset": "digits"},
        gate={"min_accuracy": 0.5},
        cluster={"webhook": f"{url(webhook)}/hidden" if statuses else "http://127.0.0.1:9/hidden"},
    )
    monkeypatch.setattr(sys, "argv", ["end_run", "--run", "a"])
    monkeypatch.setattr(end_run.program, "changed", lambda changes: settings)
    monkeypatch.setattr(end_run, "report", lambda settings, run_id: {"text": "digits: Pushed"})
    monkeypatch.setattr(end_run, "PATIENCE", end_run.PATIENCE.new(backoff_factor=0))
    end_run.main()
    told = capfd.readouterr()
    assert "hidden" not in told.out + told.err + caplog.text
    assert "EndRun could not report the end of the run to cluster.webhook: it " in told.err
