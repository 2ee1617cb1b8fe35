"""Datasets are found, prepared and fingerprinted, or refused in one sentence."""

import shutil

import pytest
import tensorflow_datasets as tfds

from graftline.base.errors import UserError, short
from graftline.settings.data import Data


class Unreachable(tfds.core.GeneratorBasedBuilder):
    """A set of images whose downloads, one or two, fail."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ("one", "two")]  # noqa: RUF012

    @property
    def url_infos(self):
        return {f"https://pets.invalid/{i}.zip": None for i in range(1 if self.builder_config.name == "one" else 2)}

    def _info(self):
        features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=["a", "b"])}
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        raise ConnectionError("tried (often) (Caused by no route to host)")

    def _generate_examples(self):
        yield from ()


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ("cats_vs_dog", "did you mean cats_vs_dogs"),
        ("digits:9.9.9", "only: 1.0.0"),
        ("mnist/wild", "BuilderConfig wild not found"),
        ("zzqqxxyy", "folder:<path>"),
    ],
)
def test_an_unknown_set_is_refused_by_name(dataset, words, tmp_path):
    with pytest.raises(UserError, match=words) as raised:
        Data(dataset=dataset, data_dir=tmp_path).source.builder()
    assert dataset in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("dataset", ["ag_news_subset", "coco/2017"])
def test_a_set_without_labelled_images_is_refused_before_it_is_downloaded(dataset, tmp_path):
    with pytest.raises(UserError, match="image classification set"):
        Data(dataset=dataset, data_dir=tmp_path).source.prepared()


@pytest.mark.parametrize(("config", "cure"), [("one", "run `graftline data <zip>` to prepare"), ("two", "try again")])
def test_a_failing_download_names_set_reason_and_cure(config, cure, tmp_path):
    with pytest.raises(UserError) as raised:
        Data(dataset=f"unreachable/{config}", data_dir=tmp_path).source.prepared()
    assert str(raised.value).startswith(f"unreachable/{config} could not be prepared (no route to host): {cure}")


def test_a_long_reason_is_cut_to_a_part_of_a_sentence():
    reason = short(ValueError("much\ntoo long " * 100 + "."))
    assert len(reason) <= 200
    assert "\n" not in reason
    assert short(KeyError()) == "KeyError"


def test_the_fingerprint_of_a_tfds_set_is_the_same_before_and_after_it_is_prepared_or_moved(tmp_path):
    before = Data(dataset="digits", data_dir=tmp_path / "a").source.fingerprint()
    assert Data(dataset="digits", data_dir=tmp_path / "a").source.fingerprint() == before
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert Data(dataset="digits", data_dir=tmp_path / "b").source.fingerprint() == before
    [records] = (tmp_path / "b").rglob("*.tfrecord*")
    records.write_bytes(records.read_bytes() + b"x")
    assert Data(dataset="digits", data_dir=tmp_path / "b").source.fingerprint() != before
