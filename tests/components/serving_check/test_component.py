"""ServingCheck: a model that cannot be served, or costs too much, is not blessed, and the reason says why."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from components.serving_check import component
from components.serving_check.component import demands, faults, probe, sample, write_warm_up
from graftline.artifacts.examples import TEST
from graftline.artifacts.infra_blessing import WARM_UPS
from graftline.settings.serving import Serving
from tests import tiny


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `examples` and an exported model in `serving`."""
    folder = tmp_path_factory.mktemp("exported")
    tiny.write_examples(folder / "examples", 2)
    tiny.write_transform(folder, [])
    untrained = {"phase_1": {"epochs": 0}, "phase_2": {"epochs": 0}}
    tiny.train(folder / "examples", str(folder / "graph"), folder, training=untrained)
    return folder


@pytest.fixture(scope="module")
def records(exported: Path) -> list[bytes]:
    return sample(f"{exported}/examples")


@pytest.fixture(scope="module")
def answers(exported: Path, records: list[bytes]) -> dict[str, Any]:
    return probe(str(exported / "serving"), records)


def _expected(exported: Path, records: list[bytes]) -> np.ndarray:
    signature = tf.saved_model.load(str(exported / "serving")).signatures["serving_default"]
    return signature(examples=tf.constant(records))["probabilities"].numpy()


MEASURED = {"load_s": 1.5, "memory_gb": 0.5, "latency_ms": {"1": {"p99": 20.0}}}


def test_a_fresh_process_gives_the_same_answers_and_is_measured(
    exported: Path, records: list[bytes], answers: dict[str, Any]
) -> None:
    expected = _expected(exported, records)
    assert answers["by_example"].shape == expected.shape == (tiny.IMAGES[TEST], 2)
    assert faults(answers, expected) == []
    assert set(answers["measured"]["latency_ms"]["1"]) == {"median", "p99"}


def test_memory_that_this_process_once_had_is_not_the_server_s(exported: Path, records: list[bytes]) -> None:
    held = b"x" * 3_000_000_000
    del held
    assert 0.3 < probe(str(exported / "serving"), records)["measured"]["memory_gb"] < 2


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({}, None),
        ({"max_load_seconds": 1}, "time to load is 1.5 s, but must be at most 1 s"),
        ({"max_memory_gb": 0.1}, "memory of a server is 0.5 GB, but must be at most 0.1 GB"),
        ({"max_latency_ms": 10}, "time for one image (99th percentile) is 20 ms, but must be at most 10 ms"),
    ],
)
def test_what_costs_too_much_is_told(limit: dict[str, Any], reason: str | None) -> None:
    reasons = [rule.reason for rule in demands(MEASURED, Serving(**limit)) if not rule.met]
    assert reasons == ([reason] if reason else [])


def test_of_several_measurements_the_best_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine makes one measurement slow to load, and another one slow to answer."""
    busy = [
        MEASURED | {"load_s": 90.0},
        MEASURED | {"latency_ms": {"1": {"p99": 2000.0}}, "load_s": 2.5},
        MEASURED,
    ]
    asked: list[str] = []

    def probe_of(measured: list[dict[str, Any]]) -> None:
        left = iter(measured)

        def probe(model: str, _: list[bytes]) -> dict[str, Any]:
            asked.append(model)
            return {"measured": next(left)}

        monkeypatch.setattr(component, "probe", probe)

    limits = Serving(max_load_seconds=2, max_latency_ms=100)
    probe_of(busy)
    found, rules = component.ask("model", [], limits)
    assert found["measured"] == MEASURED
    assert all(rule.met for rule in rules)
    assert len(asked) == 3
    probe_of([MEASURED])
    component.ask("model", [], limits)
    assert len(asked) == 4, "it was asked again although all was well"
    probe_of(busy[:2] * 2)
    _, rules = component.ask("model", [], limits)
    assert [rule.reason for rule in rules if not rule.met] == ["time to load is 2.5 s, but must be at most 2 s"]


@pytest.mark.parametrize("wrong", [0.1, np.nan])
def test_other_answers_than_here_are_told(answers: dict[str, Any], wrong: float) -> None:
    expected = answers["by_bytes"].copy()
    expected[0, 0] += wrong
    found = faults(answers, expected)
    assert [line.split(",")[0] for line in found] == [
        "by_example answers differently in a fresh process",
        "by_bytes answers differently in a fresh process",
    ]


@pytest.mark.parametrize("missing", ["saved_model.pb", "variables/variables.index"])
def test_a_model_with_a_missing_file_cannot_be_served(
    exported: Path, records: list[bytes], tmp_path: Path, missing: str
) -> None:
    shutil.copytree(exported / "serving", tmp_path / "model")
    (tmp_path / "model" / missing).unlink()
    answers = probe(str(tmp_path / "model"), records)
    (reason,) = faults(answers, np.zeros(0))
    assert reason.startswith("a fresh process cannot serve it: ")
    assert "Error" in reason


def test_warm_up_requests_are_answered_by_the_model(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "assets.extra/tf_serving_warmup_requests"
    write_warm_up(path)
    signatures = tf.saved_model.load(str(exported / "serving")).signatures
    records_read = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    found = [prediction_log_pb2.PredictionLog.FromString(log).predict_log.request for log in records_read]
    names = [request.model_spec.signature_name for request in found]
    assert names == ["serving_default"] * WARM_UPS + ["serving_bytes"] * WARM_UPS
    for request in found:
        inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        assert signatures[request.model_spec.signature_name](**inputs)["probabilities"].shape == (1, 2)
