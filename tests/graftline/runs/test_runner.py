"""What the runner writes into the metadata store of a run."""

import shutil
import signal

import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler.compiler import Compiler

from graftline.base import stop
from graftline.base.errors import UserError
from graftline.runs import runner, store
from graftline.runs.dag import assemble
from graftline.runs.meter import Meter
from graftline.runs.runner import LocalRunner
from pipeline import create_pipeline, reading
from tests.kubeflow.machines import PASSWORD, mariadb
from tests.past import settings_of


def test_a_run_keeps_its_settings_and_no_password(tmp_path):
    settings = settings_of(tmp_path, metadata={"password": "open sesame"}, training={"seed": 7})
    compiled = Compiler().compile(create_pipeline(settings))
    run = runner.named(settings, compiled, "a")
    assert compiled != run  # so that another run can be made of it
    kept = {
        context.properties[store.SETTINGS].field_value.string_value
        for node in run.nodes
        for context in node.pipeline_node.contexts.contexts
        if context.type.name == store.RUN
    }
    (values,) = kept
    assert '"seed":7' in values
    assert "sesame" not in values


def test_a_node_that_fails_before_its_executor_runs_has_failed(tmp_path):
    settings = settings_of(tmp_path, data={"dataset": "no_such_set"})
    with pytest.raises(UserError, match="TFDS has no dataset 'no_such_set'"):
        LocalRunner(settings).run(assemble(settings, list(reading(settings))))
    with store.opened(settings) as opened:
        (run,) = store.runs(opened, settings.name)
    assert [(node.name, node.state) for node in run.nodes] == [("TfdsExampleGen", "failed")]
    assert run.settings["data"]["dataset"] == "no_such_set"


def test_what_fails_after_a_request_to_stop_was_stopped(tmp_path, monkeypatch):
    settings = settings_of(tmp_path)
    compiled = Compiler().compile(assemble(settings, list(reading(settings))))
    node = runner.node_of(compiled, "TfdsExampleGen")
    asked: list[int] = []
    monkeypatch.setattr(stop, "_asked_to_stop", asked)

    class Struck:
        def launch(self) -> None:
            asked.append(signal.SIGINT)
            raise RuntimeError("a worker process is gone")

    def never(*_) -> None:
        raise AssertionError

    monkeypatch.setattr(runner, "_launcher", lambda *_: Struck())
    monkeypatch.setattr(runner, "_mark_failed", never)  # the next run resumes the execution
    with pytest.raises(KeyboardInterrupt):
        runner.run_node(settings, compiled, node, lambda *_: None)


def test_more_memory_than_a_column_of_32_bits_counts_is_kept_on_a_server(tmp_path):
    if shutil.which("mariadbd") is None:
        pytest.skip("MariaDB is missing: apt-get install mariadb-server-core")
    meter = Meter()
    meter.peak_bytes = 3 * 2**30
    with mariadb(tmp_path) as socket:
        settings = settings_of(tmp_path, metadata={"host": "", "socket": str(socket), "password": PASSWORD})
        with store.opened(settings) as opened:
            kind = opened.put_execution_type(metadata_store_pb2.ExecutionType(name="Trainer"))
            made = metadata_store_pb2.Execution(type_id=kind, last_known_state=store.COMPLETE)
            (number,) = opened.put_executions([made])
        assert runner._record(settings, number, meter) == store.COMPLETE
        with store.opened(settings) as opened:
            (execution,) = opened.get_executions_by_id([number])
    assert store.peak_bytes(execution) == 3 * 2**30
