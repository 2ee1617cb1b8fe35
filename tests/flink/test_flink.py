"""A slice of the digits with Beam's work done elsewhere: by worker processes, and by a Flink cluster with such processes.

Everything is compared with an ordinary run on this machine.
"""

import collections
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
import tensorflow_model_analysis as tfma
import tensorflow_transform as tft
from apache_beam.options.pipeline_options import PipelineOptions
from google.protobuf import json_format
from tfx.utils import path_utils

from graftline.artifacts import duplicates, records
from graftline.artifacts.examples import IMAGE, IMAGE_ID, SPLITS, TEST
from graftline.base.paths import PROJECT
from graftline.features.build import cached_splits
from graftline.network import backbone, weights
from graftline.runs.dag import BEAM_ARGS
from graftline.settings.load import load
from graftline.training.config import custom_config
from tests.flink import cluster
from tests.test_pipeline import WORSE, artifacts, environment

pytestmark = pytest.mark.flink
BEAM_NODES = ["TfdsExampleGen", "StatisticsGen", "Evaluator"]  # Transform has nothing to count, so it does not use Beam
ROUNDING = 1e-5  # relative: models answer in 32 bits, and the last ones depend on how Beam cuts the batches


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Path:
    return run(tmp_path_factory.mktemp("local"))


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("workers") / "log"


@pytest.fixture(scope="module")
def workers(log) -> Iterator[str]:
    with cluster.worker_pool(log) as pool:
        yield pool.address


@pytest.fixture(scope="module")
def flink(tmp_path_factory) -> Iterator[cluster.Cluster]:
    cluster.fetch()
    with cluster.running(tmp_path_factory.mktemp("flink")) as started:
        yield started


def elsewhere(workers: str) -> list[str]:
    return ["--environment_type=EXTERNAL", f"--environment_config={workers}", "--environment_cache_millis=10000"]


def on_flink(flink: cluster.Cluster, workers: str) -> list[str]:
    """Returns the arguments that the documentation gives."""
    server = [f"--flink_job_server_jar={cluster.JOB_SERVER}", "--job_server_jvm_properties=-Xmx512m"]
    return ["--runner=FlinkRunner", f"--flink_master={flink.master}", *server, "--parallelism=2", *elsewhere(workers)]


def run(root: Path, *beam_args: str, **changes: str) -> Path:
    """Runs the pipeline in a folder of its own, and returns the folder."""
    with start(root, *beam_args, **changes) as process:
        printed, _ = process.communicate()
    assert process.returncode == 0, printed
    return root


def start(root: Path, *beam_args: str, **changes: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "pipeline.py"],
        cwd=PROJECT,
        env=environment(root) | WORSE | {"GRAFTLINE_RUN__BEAM_ARGS": json.dumps(beam_args)} | changes,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def last(root: Path, kind: str) -> str:
    return artifacts(root, kind)[-1].uri


def examples(root: Path, split: str) -> collections.Counter[bytes]:
    return collections.Counter(records.read(last(root, "Examples"), split).as_numpy_iterator())


def statistics(root: Path, split: str) -> dict[str, Any]:
    read = tfdv.load_stats_binary(f"{last(root, 'ExampleStatistics')}/Split-{split}/FeatureStats.pb")
    (dataset,) = read.datasets
    return {
        f"{feature.path.step} {place}": value for feature in dataset.features for place, value in flat(feature).items()
    }


def transformed(root: Path) -> np.ndarray:
    """Returns what the run's Transform makes of the first images of its test split, in the order of their bytes."""
    output = tft.TFTransformOutput(last(root, "TransformGraph"))
    raw = tf.io.parse_example(sorted(examples(root, "test"))[:16], output.raw_feature_spec())
    return output.transform_features_layer()(raw)[IMAGE].numpy()


def measured(evaluation: str) -> dict[str, Any]:
    """Returns the metrics of an evaluation by their slices, their keys and the places in their values."""
    return {
        f"{flat(of_slice.slice_key)} {flat(metric.key)} {place}": value
        for of_slice in tfma.load_metrics(evaluation)
        for metric in of_slice.metric_keys_and_values
        for place, value in flat(metric.value).items()
    }


def measurable(root: Path) -> Iterator[bytes]:
    """Yields the run's test examples, except those that look like a training example."""
    leaked = duplicates.read(last(root, "DuplicatesReport")).leaked_ids
    for record in records.read(last(root, "Examples"), TEST).as_numpy_iterator():
        (image_id,) = tf.train.Example.FromString(record).features.feature[IMAGE_ID].bytes_list.value
        if image_id.decode() not in leaked:
            yield record


def measured_here(root: Path) -> dict[str, Any]:
    """Returns the metrics of a run's model, measured by this process on the examples that the run's Evaluator used."""
    counting = str(root / "counting")
    with tf.io.TFRecordWriter(counting) as writer:
        for record in measurable(root):
            writer.write(record)
    config = tfma.load_eval_result(last(root, "ModelEvaluation")).config
    model = tfma.default_eval_shared_model(path_utils.serving_model_path(last(root, "Model")), eval_config=config)
    tfma.run_model_analysis(
        eval_shared_model=model,
        eval_config=config,
        data_location=counting,
        output_path=str(root / "measured"),
        pipeline_options=PipelineOptions(BEAM_ARGS),
    )
    return measured(str(root / "measured"))


def flat(message: Any) -> dict[str, Any]:
    """Returns the values of a protocol buffer by their places in it."""
    return dict(_leaves("", json_format.MessageToDict(message)))


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(f"{place}.{key}", inner)
    else:
        yield place, value


def assert_same(local: Path, root: Path) -> None:
    for split in SPLITS:
        assert examples(root, split) == examples(local, split)
        assert statistics(root, split) == pytest.approx(statistics(local, split))
    np.testing.assert_array_equal(transformed(root), transformed(local))
    # Measured on the run's own model, because examples in another order train another model
    assert measured(last(root, "ModelEvaluation")) == pytest.approx(measured_here(root), rel=ROUNDING)


def features(work_dir: Path) -> dict[str, bytes]:
    """Returns the files of all shards of the feature cache."""
    found = (work_dir / "features").rglob("[0-9]*/*.npy")
    return {str(path.relative_to(work_dir)): path.read_bytes() for path in found if path.parent.suffix != ".tmp"}


def assert_same_features(root: Path) -> None:
    """Asserts that the threads of this process compute the same features as the run, to the bit."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (environment(root) | WORSE).items():
            patch.setenv(name, value)
        settings = load()
    model = settings.model
    pretrained = weights.resolve(model.backbone, model.image_size, model.weights)
    base = backbone.build(model, pretrained.path if pretrained else None)
    config = custom_config(model, settings.prefix, settings.training, root / "threads")
    graph = tft.TFTransformOutput(last(root, "TransformGraph"))
    cached_splits(base, backbone.cut(base, model.fine_tune_at), config, last(root, "Examples"), graph)
    found = features(settings.work_dir)
    assert len(found) >= 3 * len(SPLITS)
    assert found == features(root / "threads")


def on_embedded(workers: str) -> list[str]:
    return ["--runner=PortableRunner", "--job_endpoint=embed", *elsewhere(workers)]


def test_workers_in_other_processes_give_what_this_one_does(local, log, workers, tmp_path):
    root = run(tmp_path, *on_embedded(workers))
    assert log.read_text().count("Starting worker") >= len(BEAM_NODES) + 1  # the feature pass too
    assert_same(local, root)
    assert_same_features(root)


def test_what_a_killed_pool_had_computed_of_the_features_is_not_computed_again(log, workers, tmp_path):
    whole = {"GRAFTLINE_DATA__MAX_EXAMPLES": "1797"}
    with (
        cluster.worker_pool(log.with_name("killed")) as pool,
        start(tmp_path, *on_embedded(pool.address), **whole) as process,
    ):
        cluster.awaited("the first shard", lambda: features(tmp_path / "work"))
        before = features(tmp_path / "work")
        pool.kill()
        time.sleep(5)  # Beam's own job service waits forever for lost workers, so a person has to stop it
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert printed.endswith("Stopped. Run the same command to resume where it left off.\n")
    times = {path: path.stat().st_mtime_ns for path in map((tmp_path / "work").joinpath, before)}
    run(tmp_path, *on_embedded(workers), **whole)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert set(before) < set(features(tmp_path / "work"))


def test_flink_gives_what_this_machine_does(local, workers, flink, tmp_path):
    before = len(flink.jobs())
    root = run(tmp_path, *on_flink(flink, workers))
    assert len(flink.jobs()) - before >= len(BEAM_NODES) + 1  # the feature pass too
    assert {job["state"] for job in flink.jobs()} == {"FINISHED"}
    assert_same(local, root)
    assert_same_features(root)


def test_a_killed_task_manager_costs_nothing_but_time(local, workers, flink, tmp_path):
    with start(tmp_path, *on_flink(flink, workers)) as process:
        job = flink.kill_a_busy_task_manager()
        printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert flink.restarts(job) >= 1
    assert len(flink.task_managers()) == 1
    assert_same(local, tmp_path)
