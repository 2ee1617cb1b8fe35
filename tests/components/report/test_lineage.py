"""How a model was made, read from a real metadata store."""

import pytest
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.report import lineage
from components.report.content import Step
from graftline.runs import store as kept


class History:
    """Writes executions into a store, as TFX does."""

    def __init__(self, path):
        config = mlmd.ConnectionConfig()
        config.sqlite.filename_uri = str(path)
        config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self.store = MetadataStore(config)
        self.artifact_type = self.store.put_artifact_type(mlmd.ArtifactType(name="Thing"))

    def _context(self, kind: str, name: str) -> mlmd.Context:
        type_id = self.store.put_context_type(mlmd.ContextType(name=kind))
        return self.store.get_context_by_type_and_name(kind, name) or mlmd.Context(type_id=type_id, name=name)

    def run(
        self, node: str, run: str, inputs: dict[str, int], output: int | None = None, state: int = kept.COMPLETE
    ) -> int:
        """Writes an execution and returns the id of its output, new or, if `output` is given, from the cache."""
        type_id = self.store.put_execution_type(mlmd.ExecutionType(name=node))
        execution = mlmd.Execution(type_id=type_id, last_known_state=state)
        execution.custom_properties[kept.SECONDS].double_value = 2.5
        execution.custom_properties[kept.PEAK_BYTES].int_value = 1000
        made = mlmd.Artifact(type_id=self.artifact_type, id=output, state=mlmd.Artifact.LIVE)
        pairs = [
            (self.store.get_artifacts_by_id([number])[0], self._event(mlmd.Event.INPUT, key))
            for key, number in inputs.items()
        ]
        pairs.append((made, self._event(mlmd.Event.OUTPUT, "made")))
        contexts = [self._context(kept.NODE, f"digits.{node}"), self._context(kept.RUN, run)]
        _, artifacts, _ = self.store.put_execution(execution, pairs, contexts)
        return artifacts[-1]

    def _event(self, kind: int, key: str) -> mlmd.Event:
        event = mlmd.Event(type=kind)
        event.path.steps.add().key = key
        event.path.steps.add().index = 0
        return event


@pytest.fixture
def history(tmp_path) -> History:
    return History(tmp_path / "store.sqlite")


def test_steps_are_those_that_led_to_it_in_order_with_time_and_memory(history):
    data = history.run("ExampleGen", "first", {})
    history.run("Unrelated", "first", {"examples": data})
    graph = history.run("Transform", "first", {"examples": data})
    model = history.run("Trainer", "first", {"examples": data, "transform_graph": graph})
    assert lineage.steps(history.store, [model, data]) == [
        Step("ExampleGen", 2.5, 1000, cached=False, inputs=[]),
        Step("Transform", 2.5, 1000, cached=False, inputs=["ExampleGen"]),
        Step("Trainer", 2.5, 1000, cached=False, inputs=["ExampleGen", "Transform"]),
    ]


def test_what_an_earlier_run_made_is_cached_and_its_time_is_that_of_the_making(history):
    data = history.run("ExampleGen", "first", {})
    history.run("ExampleGen", "second", {}, output=data, state=kept.CACHED)
    model = history.run("Trainer", "second", {"examples": data})
    found = {step.name: (step.seconds, step.cached) for step in lineage.steps(history.store, [model])}
    assert found == {"ExampleGen": (2.5, True), "Trainer": (2.5, False)}


def test_a_run_in_which_all_is_cached_finds_the_same_steps(history):
    data = history.run("ExampleGen", "first", {})
    model = history.run("Trainer", "first", {"examples": data})
    before = lineage.steps(history.store, [model])
    history.run("ExampleGen", "second", {}, output=data, state=kept.CACHED)
    history.run("Trainer", "second", {"examples": data}, output=model, state=kept.CACHED)
    assert lineage.steps(history.store, [model]) == before


def test_the_baseline_is_no_ancestor(history):
    old = history.run("Trainer", "first", {})
    data = history.run("ExampleGen", "second", {})
    model = history.run("Trainer", "second", {"examples": data})
    evaluation = history.run("Evaluator", "second", {"model": model, "baseline_model": old})
    assert [step.name for step in lineage.steps(history.store, [evaluation])] == ["ExampleGen", "Trainer", "Evaluator"]


def test_what_nothing_made_here_has_no_steps(history):
    (imported,) = history.store.put_artifacts([mlmd.Artifact(type_id=history.artifact_type)])
    assert lineage.steps(history.store, [imported]) == []
