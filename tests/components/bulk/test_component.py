"""Photos without labels in the pipeline: read, classified by TFX's BulkInferrer, and listed in a table."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from ml_metadata.proto.metadata_store_pb2 import Execution
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.types import standard_artifacts
from tfx_bsl.beam import run_inference

from components.bulk.component import BATCH, PredictionsToTable, bulk_inferrer
from components.example_gen.unlabelled import UnlabelledExampleGen
from graftline.artifacts.examples import IMAGE, IMAGE_ID, LEFT_OUT, SKIPPED
from graftline.artifacts.predictions import TABLE_FILE
from graftline.base.errors import UserError
from graftline.data import decoding
from graftline.data.heic import readable
from tests import tiny

BEAM_ARGS = ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner", "--sdk_container_image=none"]
ODD = b"b\xff.jpg"  # not UTF-8


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos at two depths, and a damaged one."""
    (tmp_path / "photos/deep").mkdir(parents=True)
    for number, name in enumerate([b"a.jpg", ODD, b"deep/c.jpg"]):
        Path(os.fsdecode(os.fsencode(tmp_path / "photos") + b"/" + name)).write_bytes(tiny.photo(number))
    (tmp_path / "photos/cut.jpg").write_bytes(tiny.photo(0)[:-300])
    return tmp_path / "photos"


def artifact(kind: type, folder: Path):
    found = kind()
    found.uri = str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return found


def test_photos_become_examples_and_what_is_none_is_listed(photos, tmp_path):
    examples = artifact(standard_artifacts.Examples, tmp_path / "examples")
    (tmp_path / "examples/Split-unlabelled").mkdir()  # as a pod that was killed leaves it
    (tmp_path / "examples/Split-unlabelled/data_tfrecord").write_bytes(b"half of a file")
    UnlabelledExampleGen.test_call(examples=examples, folder=str(photos), max_pixels=10_000)
    records = tf.data.TFRecordDataset(tf.io.gfile.glob(f"{examples.uri}/Split-unlabelled/*"))
    found = [tf.train.Example.FromString(record).features.feature for record in records.as_numpy_iterator()]
    read = {example[IMAGE_ID].bytes_list.value[0]: example[IMAGE].bytes_list.value[0] for example in found}
    assert read == {name: tiny.photo(number) for number, name in enumerate([b"a.jpg", ODD, b"deep/c.jpg"])}
    left_out = [json.loads(line) for line in Path(examples.uri, "left_out.jsonl").read_text().splitlines()]
    assert left_out == [{"id": "cut.jpg", "reason": decoding.CORRUPT}]


def test_heic_becomes_jpeg_and_every_other_file_is_counted(tmp_path):
    for name, data in {"a.heic": tiny.heic(1), "film.mov": b"x", ".trash/b.jpg": b"x"}.items():
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(data)
    examples = artifact(standard_artifacts.Examples, tmp_path / "examples")
    UnlabelledExampleGen.test_call(examples=examples, folder=str(tmp_path / "photos"), max_pixels=10_000)
    records = tf.data.TFRecordDataset(tf.io.gfile.glob(f"{examples.uri}/Split-unlabelled/*"))
    [found] = [tf.train.Example.FromString(record).features.feature for record in records.as_numpy_iterator()]
    assert found[IMAGE].bytes_list.value[0] == readable(tiny.heic(1), 10_000)
    assert json.loads(examples.get_string_custom_property(LEFT_OUT)) == {".mov": 1}
    assert json.loads(examples.get_string_custom_property(SKIPPED)) == {"in hidden folders": 1}


def test_a_folder_of_which_nothing_can_be_read_is_refused(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(b"")
    examples = artifact(standard_artifacts.Examples, tmp_path / "examples")
    with pytest.raises(UserError, match="none of its 1 images can be read"):
        UnlabelledExampleGen.test_call(examples=examples, folder=str(tmp_path / "photos"), max_pixels=10_000)


def run(photos: Path, root: Path, blessed: int) -> tuple[list[int], Path]:
    """Runs the nodes in a pipeline; returns the states of all executions so far, and the last table."""
    model = Importer(source_uri=str(root / "exported"), artifact_type=standard_artifacts.Model).with_id("Model")
    blessing = Importer(
        source_uri=str(root), artifact_type=standard_artifacts.ModelBlessing, custom_properties={"blessed": blessed}
    ).with_id("Blessing")
    reader = UnlabelledExampleGen(folder=str(photos), max_pixels=10_000)
    inferrer = bulk_inferrer(reader.outputs["examples"], model.outputs["result"], blessing.outputs["result"])
    table = PredictionsToTable(predictions=inferrer.outputs["inference_result"], model=model.outputs["result"])
    connection = metadata.sqlite_metadata_connection_config(str(root / "metadata.sqlite"))
    LocalDagRunner().run(
        pipeline.Pipeline(
            pipeline_name="test",
            pipeline_root=str(root / "root"),
            components=[model, blessing, reader, inferrer, table],
            enable_cache=True,
            metadata_connection_config=connection,
            beam_pipeline_args=BEAM_ARGS,
        )
    )
    with metadata.Metadata(connection) as handle:
        states = [one.last_known_state for one in sorted(handle.store.get_executions(), key=lambda one: one.id)]
        last = max(handle.store.get_artifacts_by_type("PredictionsTable"), key=lambda one: one.id)
    return states, Path(last.uri, TABLE_FILE)


def exported(root: Path, **known) -> Path:
    """Exports a model to where `run` imports it."""
    made = tiny.export(root, ["cat", "dog"], **known)
    (root / "exported").mkdir()
    return made.rename(root / "exported/Format-Serving")


def test_a_model_gets_few_images_at_once_however_many_there_are(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    for number in range(200):
        (tmp_path / f"photos/{number}.jpg").write_bytes(tiny.photo(number))
    exported(tmp_path)
    sizes, ask = [], run_inference._PredictModelHandler.run_inference

    def noting(handler, examples, *rest):
        sizes.append(len(examples))
        return ask(handler, examples, *rest)

    monkeypatch.setattr(run_inference._PredictModelHandler, "run_inference", noting)
    _, table = run(tmp_path / "photos", tmp_path, blessed=1)
    assert len(table.read_text().splitlines()) == 1 + 200
    assert sum(sizes) == 200
    assert max(sizes) == BATCH


def test_tfx_classifies_the_photos_as_serving_does_and_only_with_a_blessed_model(photos, tmp_path):
    model = exported(tmp_path, known=tiny.knows(0.05))
    _, table = run(photos, tmp_path, blessed=1)
    header, *rows = csv.reader(table.read_text().splitlines())
    assert header == ["path", "label", "probability", "known"]
    assert sorted(path for path, *_ in rows) == ["a.jpg", "b\\udcff.jpg", "deep/c.jpg"]
    signature = tf.saved_model.load(str(model)).signatures["serving_bytes"]
    expected = signature(image_bytes=tf.constant([tiny.photo(number) for number in range(3)]))
    assert [known for *_, known in sorted(rows)] == [str(one).lower() for one in expected["known"].numpy()]
    assert {known for *_, known in rows} == {"true", "false"}
    for number, (_, label, probability, _) in enumerate(sorted(rows)):
        assert label.encode() == expected["label_name"][number]
        np.testing.assert_allclose(float(probability), np.max(expected["probabilities"][number]), atol=1e-5)

    states, _ = run(photos, tmp_path, blessed=1)
    assert states[5:] == [Execution.CACHED] * 5, "nothing has changed"
    (photos / "new.jpg").write_bytes(tiny.photo(1))
    _, table = run(photos, tmp_path, blessed=1)
    assert len(table.read_text().splitlines()) == 1 + 4
    _, table = run(photos, tmp_path, blessed=0)
    assert table.read_text() == "path,label,probability,known\n"
