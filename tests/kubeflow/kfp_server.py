"""A small local server that speaks the REST API of Kubeflow Pipelines 2 (v2beta1), with its state in memory.

Based on the source of 2.17.0 (backend/src), and as strict as the source where the client depends on it: keys of filters
(apiserver/model), namespaces (apiserver/server), schedules that own their runs (crd/controller/scheduledworkflow).
"""

import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

API = "/apis/v2beta1/"
# For each kind of item: the names of its list in answers and of its id
KINDS = {
    "pipelines": ("pipelines", "pipeline_id"),
    "versions": ("pipeline_versions", "pipeline_version_id"),
    "experiments": ("experiments", "experiment_id"),
    "runs": ("runs", "run_id"),
    "recurringruns": ("recurringRuns", "recurring_run_id"),
}
# Keys by which items can be filtered: those of runs are in runAPIToModelFieldMap (apiserver/model/run.go:370-387)
FILTERED = {
    "pipelines": {"display_name"},
    "versions": {"display_name"},
    "experiments": {"display_name"},
    "runs": {"run_id", "display_name", "created_at", "state", "recurring_run_id", "experiment_id"},
    "recurringruns": {"display_name"},
}
GOING_ON = {"PENDING", "RUNNING", "PAUSED", "CANCELING"}
TERMINATED = GOING_ON - {"CANCELING"} | {"RUNTIME_STATE_UNSPECIFIED"}  # apiserver/storage/run_store.go:823-836


class KfpServer(ThreadingHTTPServer):
    """The server's state, the requests that it received, and the errors that it must return."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.kept: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
        self.asked: list[str] = []  # method and path of each request
        self.token: str | None = None  # required if set
        self.profiles = True  # without profiles, it knows no namespaces
        self.killed: list[str] = []  # runs whose workflow was deleted with the schedule that owned it
        self._numbers = itertools.count()
        self._faults: list[tuple[str, int, Any, dict[str, str]]] = []

    def fail(self, pattern: str, *statuses: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        """Answers the next matching requests (method and path) with these statuses, one after the other; 0 hangs up."""
        self._faults += [(pattern, status, body, headers or {}) for status in statuses]

    def fault(self, asked: str) -> tuple[int, Any, dict[str, str]] | None:
        """Returns how a request must fail, once."""
        for fault in self._faults:
            if re.fullmatch(fault[0], asked):
                self._faults.remove(fault)
                return fault[1:]
        return None

    def keep(self, kind: str, thing: dict[str, Any]) -> dict[str, Any]:
        """Adds an item, with an id and a time of its own."""
        number = next(self._numbers)
        created = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
        experiments = {one["experiment_id"]: one for one in self.kept["experiments"]}
        namespace = experiments.get(thing.get("experiment_id"), {}).get("namespace")
        started = {"state": "PENDING"} if kind == "runs" else {}
        if kind == "recurringruns":  # apiserver/server/api_converter.go:2392
            started = {"status": "ENABLED" if thing["mode"] == "ENABLE" else "DISABLED"}
        made = {"namespace": namespace, **started, **thing, "created_at": created.isoformat()}
        made[KINDS[kind][1]] = f"{kind}-{number}"
        self.kept[kind].append(made)
        return made

    def fire(self, schedule: int = -1) -> dict[str, Any] | None:
        """Makes a schedule due: it starts a run, unless it is paused or its limit of concurrent runs is reached."""
        one = self.kept["recurringruns"][schedule]
        mine = [run for run in self.kept["runs"] if run.get("recurring_run_id") == one["recurring_run_id"]]
        if one["status"] != "ENABLED" or len([run for run in mine if self.goes_on(run)]) >= one["max_concurrency"]:
            return None
        shared = ("experiment_id", "pipeline_version_reference", "recurring_run_id")
        made = self.keep(
            "runs", {"display_name": f"{one['display_name']}-{len(mine) + 1}"} | {k: one[k] for k in shared}
        )
        made["state"] = "RUNNING"
        return made

    def goes_on(self, run: dict[str, Any]) -> bool:
        """Returns whether a run is in progress: a run whose workflow was deleted keeps its state."""
        return run["state"] in GOING_ON and run["run_id"] not in self.killed


@contextmanager
def running() -> Iterator[KfpServer]:
    """Serves on a free port until the block ends."""
    with KfpServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: KfpServer

    def log_message(self, *_: Any) -> None:
        """Logs nothing."""

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = f"{self.command} {parts.path.removeprefix(API)}"
        self.server.asked.append(asked)
        fault = self.server.fault(asked)
        if fault:
            self._send(*fault)
        elif self.server.token and self.headers["Authorization"] != f"Bearer {self.server.token}":
            self._send(401, {"code": 16, "message": "Unauthenticated: no such token\nand a stack"})
        else:
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            self._send(*self._result(asked.partition(" ")[2], query, body))

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 (named by http.server)

    def _result(self, path: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        kind, _, rest = path.partition("/")
        if path == "healthz":
            return 200, {"multi_user": self.server.profiles}
        asked = json.loads(body) if body.startswith(b"{") else {}
        if not self.server.profiles and (query.get("namespace") or asked.get("namespace")):
            return 400, {"code": 3, "message": "In single-user mode, no namespace can be asked for"}
        if path == "pipelines/upload_version":
            text = self._uploaded(body)
            version = {"pipeline_id": query["pipelineid"], "display_name": query["name"], "yaml": text}
            return 200, self.server.keep("versions", version | {"pipeline_spec": next(yaml.safe_load_all(text))})
        owner, _, one = rest.partition("/versions")
        if rest.endswith("/versions"):
            return self._page("versions", query, {"pipeline_id": owner})
        if one:
            return self._get("versions", one.removeprefix("/"))
        if kind not in KINDS:
            return 404, "404 page not found"
        if self.command == "DELETE":
            return self._delete(kind, rest, query.get("propagation_policy", ""))
        if self.command == "POST" and kind == "recurringruns" and ":" in rest:
            return self._switch(*rest.split(":"))
        if self.command == "POST" and kind == "runs" and rest.endswith(":terminate"):
            return self._terminate(rest.removesuffix(":terminate"))
        if self.command == "GET" and kind == "runs" and rest:
            return self._get("runs", rest)
        if self.command == "POST":
            return 200, self.server.keep(kind, json.loads(body))
        return self._page(kind, query, {key: query[key] for key in ("namespace", "experiment_id") if key in query})

    def _uploaded(self, body: bytes) -> str:
        """Returns the file of a form."""
        head = b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n"
        (part,) = message_from_bytes(head + body, policy=policy.default).iter_parts()
        assert part.get_param("name", header="Content-Disposition") == "uploadfile"
        return part.get_content().decode()

    def _page(self, kind: str, query: dict[str, str], wanted: dict[str, str]) -> tuple[int, Any]:
        """Returns a page of the items that have the wanted values and pass the filter."""
        found = [one for one in self.server.kept[kind] if all(one.get(key) == value for key, value in wanted.items())]
        for predicate in json.loads(query.get("filter") or "{}").get("predicates", []):
            key, text = predicate["key"], predicate["stringValue"]
            if key not in FILTERED[kind]:
                return 400, {"code": 3, "message": f"Invalid input error: no such field: {key!r}"}
            matches = {"EQUALS": str.__eq__, "IS_SUBSTRING": str.__contains__, 1: str.__eq__}[predicate["operation"]]
            found = [one for one in found if matches(one.get(key, ""), text)]
        if query.get("sort_by") == "created_at desc":
            found.reverse()
        start = int(query.get("page_token") or 0)
        end = start + int(query.get("page_size") or 20)
        return 200, {KINDS[kind][0]: found[start:end], "next_page_token": str(end) if end < len(found) else ""}

    def _get(self, kind: str, identity: str) -> tuple[int, Any]:
        found = [one for one in self.server.kept[kind] if one[KINDS[kind][1]] == identity]
        return (200, found[0]) if found else (404, {"code": 5, "message": f"{identity} not found"})

    def _switch(self, identity: str, how: str) -> tuple[int, Any]:
        """Pauses or resumes a schedule."""
        status, found = self._get("recurringruns", identity)
        if status == 200:
            found["status"], found["mode"] = f"{how}d".upper(), how.upper()
        return status, {}

    def _terminate(self, identity: str) -> tuple[int, Any]:
        """Requests the end of a run in progress; from then on, its state follows its workflow's.

        If a run has ended or is being ended, the server reports that there is no row to change
        (apiserver/storage/run_store.go:842), as an invalid argument, which is 400 (common/util/error.go:183).
        """
        status, found = self._get("runs", identity)
        if status == 200 and found["state"] not in TERMINATED:
            return 400, {"code": 3, "message": f"Failed to terminate a run {identity}. Row not found"}
        if status == 200:
            found["state"] = "CANCELING"
            return 200, {}
        return status, found

    def _delete(self, kind: str, identity: str, policy: str) -> tuple[int, Any]:
        """Removes an item, and with a schedule also the workflows that it owns, unless the policy is `ORPHAN`.

        apiserver/resource/resource_manager.go:1458-1490: without a policy, Kubernetes' default applies, which removes them.
        """
        left = [one for one in self.server.kept[kind] if one[KINDS[kind][1]] != identity]
        if len(left) == len(self.server.kept[kind]):
            return 404, {"code": 5, "message": f"{identity} not found"}
        self.server.kept[kind] = left
        if policy != "ORPHAN":
            runs = (run for run in self.server.kept["runs"] if self.server.goes_on(run))
            self.server.killed += [run["run_id"] for run in runs if run.get("recurring_run_id") == identity]
        return 200, {}

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        if not status:
            return
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write((body if isinstance(body, str) else json.dumps(body)).encode())
