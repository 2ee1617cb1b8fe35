"""What the runner writes into the metadata store of a run."""

import pytest
from tfx.dsl.compiler.compiler import Compiler

from graftline.base.errors import UserError
from graftline.runs import runner, store
from graftline.runs.dag import assemble
from graftline.runs.runner import LocalRunner
from pipeline import create_pipeline, reading
from tests.past import settings_of


def test_a_run_keeps_its_settings_and_no_password(tmp_path):
    settings = settings_of(tmp_path, metadata={"password": "open sesame"}, training={"seed": 7})
    compiled = Compiler().compile(create_pipeline(settings))
    run = runner.named(settings, compiled, "a")
    assert compiled != run  # which another run can be made of
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
