"""TfdsExampleGen writes examples to splits, counts them, refuses bad data, and does not run again without need."""

import io
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from ml_metadata.proto.metadata_store_pb2 import Execution
from PIL import Image
from tfx import types
from tfx.components.util import tfxio_utils
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.types import standard_artifacts
from tfx_bsl.tfxio import dataset_options

from components.example_gen.component import TfdsExampleGen
from components.example_gen.executor import Executor
from components.example_gen.splits import digest_of, split_of
from graftline.artifacts.examples import COUNTS, FINGERPRINT, LEFT_OUT, SPLITS, read_label_names
from graftline.base.errors import UserError
from graftline.data.decoding import CORRUPT, EMPTY, NOT_AN_IMAGE
from graftline.settings.data import Data, Splits

# Without the second argument, TFX packs its own source for remote workers each time
BEAM_ARGS = ("--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner", "--sdk_container_image=none")
TWO_WORKERS = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


def jpeg(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


class OddPets(tfds.core.GeneratorBasedBuilder):
    """A TFDS set whose third class has no images, or that has only one class."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ("empty_class", "one_class")]  # noqa: RUF012

    def _info(self):
        names = ["cat"] if self.builder_config.name == "one_class" else ["cat", "dog", "unicorn"]
        features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=names)}
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        classes = min(self.info.features["label"].num_classes, 2)
        for i in range(40):
            yield i, {"image": io.BytesIO(jpeg(i)), "label": i % classes}


def photos(folder: Path) -> Path:
    for i in range(60):
        path = folder / ("cat" if i % 3 else "dog") / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(i))
    return folder


@pytest.fixture
def folder(tmp_path):
    return photos(tmp_path / "photos")


def execute(data: Data, uri: Path, *beam_args: str) -> types.Artifact:
    examples = standard_artifacts.Examples()
    examples.uri = str(uri)
    uri.mkdir()
    context = Executor.Context(beam_pipeline_args=[*BEAM_ARGS, *beam_args], tmp_dir=str(uri.parent), unique_id="1")
    Executor(context).Do({}, {"examples": [examples]}, dict(TfdsExampleGen(data).exec_properties))
    return examples


def read(examples: types.Artifact, split: str) -> list[dict[str, bytes | int]]:
    files = sorted(str(path) for path in Path(examples.uri, f"Split-{split}").iterdir())
    protos = [tf.train.Example.FromString(record) for record in tf.data.TFRecordDataset(files).as_numpy_iterator()]
    values = [
        {key: value.bytes_list.value or value.int64_list.value for key, value in proto.features.feature.items()}
        for proto in protos
    ]
    return [{key: value[0] for key, value in example.items()} for example in values]


@pytest.fixture(scope="module", params=[(), TWO_WORKERS], ids=["one_worker", "two_workers"])
def written(request, tmp_path_factory):
    """A folder that contains every image twice, and the examples made from it."""
    folder = photos(tmp_path_factory.mktemp("data") / "photos")
    for i in range(60):
        (folder / "dog" / f"copy of {i}.jpg").write_bytes(jpeg(i))
    return folder, execute(Data(dataset=f"folder:{folder}"), folder.parent / "out", *request.param)


def test_every_image_becomes_one_example_with_its_bytes(written):
    folder, examples = written
    found = [example for split in SPLITS for example in read(examples, split)]
    assert {example["image_id"].decode(): example["image"] for example in found} == {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("*/*")
    }
    assert len(found) == 120
    assert {(example["label"], example["label_name"]) for example in found} == {(0, b"cat"), (1, b"dog")}
    assert all(example["image_id"].startswith(example["label_name"]) for example in found)
    assert {(example["width"], example["height"]) for example in found} == {(16, 16)}


def test_the_same_images_are_the_same_bytes_in_every_process(written):
    files = [str(path) for path in Path(written[1].uri).glob("Split-*/*")]
    records = list(tf.data.TFRecordDataset(files).as_numpy_iterator())
    assert len(records) == 120
    assert all(tf.train.Example.FromString(one).SerializeToString(deterministic=True) == one for one in records)


def test_copies_of_an_image_never_fall_into_two_splits(written):
    images = {split: {example["image"] for example in read(written[1], split)} for split in SPLITS}
    assert sum(map(len, images.values())) == 60


def test_the_artifact_tells_splits_counts_and_names(written):
    _, examples = written
    assert examples.splits == list(SPLITS)
    counts = {split: Counter(example["label_name"].decode() for example in read(examples, split)) for split in SPLITS}
    assert json.loads(examples.get_string_custom_property(COUNTS)) == counts
    assert json.loads(examples.get_string_custom_property(LEFT_OUT)) == {}
    assert read_label_names(examples.uri) == ["cat", "dog"]
    files = sorted(path.name for path in Path(examples.uri).iterdir())
    assert files == ["Split-test", "Split-train", "Split-validation", "label_names.txt", "left_out.jsonl"]
    assert Path(examples.uri, "left_out.jsonl").read_bytes() == b""


def test_tfx_reads_the_examples(written):
    tfxio = tfxio_utils.get_split_tfxio([written[1]], "train", telemetry_descriptors=["test"])
    batches = tfxio.RecordBatches(dataset_options.RecordBatchesOptions(batch_size=7, num_epochs=1))
    assert sum(batch.num_rows for batch in batches) == len(read(written[1], "train"))


@pytest.mark.parametrize("beam_args", [(), TWO_WORKERS], ids=["one_worker", "two_workers"])
def test_a_small_class_beside_a_large_one_is_in_every_split(folder, tmp_path, beam_args):
    for name, seeds in {"emu": (101, 102, 103), "fox": (201, 202)}.items():
        (folder / name).mkdir()
        for seed in seeds:
            (folder / name / f"{seed}.jpg").write_bytes(jpeg(seed))
    before = {name: Counter(splits_by_hash(folder / name)) for name in ("emu", "fox")}
    assert before == {"emu": {"train": 3}, "fox": {"train": 2}}, "otherwise these photos prove nothing"
    examples = execute(Data(dataset=f"folder:{folder}"), tmp_path / "out", *beam_args)
    found = {split: [example["label_name"].decode() for example in read(examples, split)] for split in SPLITS}
    assert {split: labels.count("emu") for split, labels in found.items()} == {"train": 1, "validation": 1, "test": 1}
    assert {split: labels.count("fox") for split, labels in found.items()} == {"train": 1, "validation": 0, "test": 1}
    counts = {split: dict.fromkeys(("cat", "dog", "emu", "fox"), 0) | Counter(found[split]) for split in SPLITS}
    assert json.loads(examples.get_string_custom_property(COUNTS)) == counts
    assert sum(map(len, found.values())) == 65


def splits_by_hash(folder: Path) -> list[str]:
    return [split_of(digest_of(path.read_bytes()), Splits()) for path in folder.iterdir()]


def test_copies_of_a_lent_image_go_with_it(folder, tmp_path):
    for name in ("emu", "fox"):
        (folder / name).mkdir()
        for seed in (202, 203):
            (folder / name / f"{seed}.jpg").write_bytes(jpeg(seed))
            (folder / name / f"copy of {seed}.jpg").write_bytes(jpeg(seed))
    examples = execute(Data(dataset=f"folder:{folder}"), tmp_path / "out")
    held = {split: Counter(example["image"] for example in read(examples, split)) for split in SPLITS}
    assert {count for split in SPLITS for image, count in held[split].items() if image in (jpeg(202), jpeg(203))} == {4}
    assert sum(image in held[split] for image in (jpeg(202), jpeg(203)) for split in ("train", "test")) == 2


def test_bad_images_are_left_out_and_listed(folder, tmp_path):
    bad = {"cat/cut.jpg": jpeg(1)[:300], "cat/empty.jpg": b"", "dog/two\nlines.jpg": b"GIF is this not"}
    for name, content in bad.items():
        (folder / name).write_bytes(content)
    (folder / "dog" / os.fsdecode(b"\xff.jpg")).write_bytes(b"")
    examples = execute(Data(dataset=f"folder:{folder}", max_bad_images=4 / 64), tmp_path / "out")
    lines = Path(examples.uri, "left_out.jsonl").read_text().splitlines()
    assert [tuple(json.loads(line).values()) for line in lines] == [
        ("cat/cut.jpg", CORRUPT),
        ("cat/empty.jpg", EMPTY),
        ("dog/\\xff.jpg", EMPTY),
        ("dog/two\nlines.jpg", NOT_AN_IMAGE),
    ]
    left_out = json.loads(examples.get_string_custom_property(LEFT_OUT))
    assert left_out == {CORRUPT: 1, EMPTY: 2, NOT_AN_IMAGE: 1}
    assert sum(len(read(examples, split)) for split in SPLITS) == 60


def test_too_many_bad_images_stop_the_run(folder, tmp_path):
    for i in range(40):
        (folder / "cat" / f"bad{i:02}.jpg").write_bytes(b"" if i else b"no image")
    message = r"^40 of 100 .*data.max_bad_images = 0.39 .*39 times\): empty file, such as 'cat/bad01.jpg', .*raise data"
    with pytest.raises(UserError, match=message):
        execute(Data(dataset=f"folder:{folder}", max_bad_images=0.39), tmp_path / "out")


def test_too_few_images_for_every_split_are_refused(folder, tmp_path):
    with pytest.raises(UserError, match=r"With only 3 images, none is left for .*: add images"):
        execute(Data(dataset=f"folder:{folder}", max_examples=3), tmp_path / "out")


def test_a_class_whose_images_are_all_bad_is_refused(folder, tmp_path):
    (folder / "unicorn").mkdir()
    for number in (1, 2):
        (folder / "unicorn" / f"{number}.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="None of the 60 images is of class unicorn"):
        execute(Data(dataset=f"folder:{folder}", max_bad_images=0.5), tmp_path / "out")


@pytest.mark.parametrize(
    ("config", "words"),
    [("empty_class", "None of the .* images is of class unicorn"), ("one_class", "only one class, 'cat'")],
)
def test_a_tfds_set_without_images_of_two_classes_is_refused(config, words, tmp_path):
    with pytest.raises(UserError, match=words):
        execute(Data(dataset=f"odd_pets/{config}", data_dir=tmp_path / "data"), tmp_path / "out")


def test_a_class_name_of_two_lines_is_refused(folder, tmp_path):
    (folder / "cat").rename(folder / "wild\ncat")
    with pytest.raises(UserError, match=r"'wild\\ncat'.*rename"):
        execute(Data(dataset=f"folder:{folder}"), tmp_path / "out")


def test_what_changes_the_examples_is_part_of_the_cache_key():
    properties = TfdsExampleGen(Data(dataset="digits", max_examples=9, max_bad_images=0)).exec_properties
    assert properties["dataset"] == "digits"
    assert json.loads(properties["splits"]) == {"train": 0.8, "validation": 0.1, "test": 0.1}
    assert (properties["max_examples"], properties["max_bad_images"]) == (9, 0.0)
    assert "max_examples" not in TfdsExampleGen(Data(dataset="digits")).exec_properties


def run(data: Data, tmp_path: Path) -> tuple[Execution, types.Artifact]:
    """Runs a pipeline of only this component, and returns what the metadata store recorded."""
    connection = metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite"))
    LocalDagRunner().run(
        pipeline.Pipeline(
            pipeline_name="test",
            pipeline_root=str(tmp_path / "root"),
            components=[TfdsExampleGen(data)],
            enable_cache=True,
            metadata_connection_config=connection,
            beam_pipeline_args=list(BEAM_ARGS),
        )
    )
    with metadata.Metadata(connection) as handle:
        return max(handle.store.get_executions(), key=lambda one: one.id), handle.store.get_artifacts()[-1]


def test_an_unchanged_dataset_is_not_read_again(folder, tmp_path):
    data = Data(dataset=f"folder:{folder}")
    first, artifact = run(data, tmp_path)
    assert first.last_known_state == Execution.COMPLETE
    fingerprint = first.custom_properties[FINGERPRINT].string_value
    assert len(fingerprint) == 64
    assert artifact.custom_properties[FINGERPRINT].string_value == fingerprint
    assert run(data, tmp_path)[0].last_known_state == Execution.CACHED

    os.utime(folder / "cat" / "1.jpg", ns=(0, 0))
    touched, _ = run(data, tmp_path)
    assert touched.last_known_state == Execution.COMPLETE
    assert touched.custom_properties[FINGERPRINT].string_value != fingerprint


def test_a_new_span_is_read_and_without_one_nothing_is(tmp_path):
    photos(tmp_path / "pets/span-1")
    data = Data(dataset=f"folder:{tmp_path}/pets")
    assert run(data, tmp_path)[0].last_known_state == Execution.COMPLETE
    shutil.copytree(tmp_path / "pets/span-1", tmp_path / "pets/incoming")
    (tmp_path / "pets/incoming/cat/new.jpg").write_bytes(jpeg(100))
    assert run(data, tmp_path)[0].last_known_state == Execution.CACHED, (
        "a folder that is still being copied is not a span"
    )
    (tmp_path / "pets/incoming").rename(tmp_path / "pets/span-2")
    newer, artifact = run(data, tmp_path)
    assert newer.last_known_state == Execution.COMPLETE
    counts = json.loads(artifact.custom_properties[COUNTS].string_value)
    assert sum(classes["cat"] for classes in counts.values()) == 40 + 1


def test_a_tfds_set_that_the_first_run_prepares_is_cached_in_the_second(tmp_path):
    data = Data(dataset="digits", data_dir=tmp_path / "data")
    first, artifact = run(data, tmp_path)
    assert first.last_known_state == Execution.COMPLETE
    counts = json.loads(artifact.custom_properties[COUNTS].string_value)
    assert sum(sum(classes.values()) for classes in counts.values()) == 1797
    assert list(counts["test"]) == [str(digit) for digit in range(10)]
    assert run(data, tmp_path)[0].last_known_state == Execution.CACHED


def test_a_set_that_cannot_be_had_is_told_as_it_is(tmp_path):
    with pytest.raises(UserError, match="did you mean digits"):
        run(Data(dataset="digit", data_dir=tmp_path), tmp_path)
