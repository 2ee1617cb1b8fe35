"""Settings are typed, in range and described."""

import pytest
from pydantic import ValidationError

from graftline.base.paths import SCHEMAS
from graftline.settings.data import DATA_IS_HERE
from graftline.settings.reference import PAGE, reference, section_of
from graftline.settings.section import secrets
from graftline.settings.settings import Settings
from tests.graftline.base.test_photos import PETS, make

pytestmark = pytest.mark.usefixtures("no_overrides")

VALID = {"name": "pets", "data": {"dataset": "cats_vs_dogs"}, "gate": {"min_accuracy": 0.9}}


def valid(**sections) -> Settings:
    return Settings(**(VALID | sections))


def problems(**sections) -> str:
    with pytest.raises(ValidationError) as caught:
        valid(**sections)
    return str(caught.value)


def test_an_unknown_backbone_is_answered_with_those_that_exist():
    assert "did you mean MobileNetV2 or" in problems(model={"backbone": "MobileNet_V2"})


def test_a_missing_weights_file_is_named():
    assert "there is no file /no/weights.h5" in problems(model={"weights": "/no/weights.h5"})


def test_a_folder_of_photos_is_a_dataset(tmp_path):
    make(tmp_path / "photos", *PETS)
    assert valid(data={"dataset": f"folder:{tmp_path}/photos"}).data.source.folder == tmp_path / "photos"


def test_of_a_folder_with_spans_one_is_read_and_all_share_a_schema(tmp_path):
    for span in ("span-9", "span-10"):
        make(tmp_path / "photos" / span, *PETS)
    dataset = f"folder:{tmp_path}/photos"
    assert valid(data={"dataset": dataset}).data.source.folder == tmp_path / "photos/span-10"
    assert valid(data={"dataset": dataset, "span": "9"}).data.source.folder == tmp_path / "photos/span-9"
    assert valid(data={"dataset": dataset}).schema_path == SCHEMAS / "photos.pbtxt"
    assert f"there is no folder {tmp_path}/photos/span-8" in problems(data={"dataset": dataset, "span": "8"})


def test_what_another_machine_reads_need_not_be_here():
    token = DATA_IS_HERE.set(False)
    try:
        assert str(valid(data={"dataset": "folder:/no/photos"}).data.source.folder) == "/no/photos"
    finally:
        DATA_IS_HERE.reset(token)


def test_a_set_by_name_has_no_spans():
    told = problems(data={"dataset": "digits", "span": "2"})
    assert "is not a folder, so it has no span 2; leave data.span at latest" in told


def test_a_folder_of_photos_without_labels_must_hold_some(tmp_path):
    told = problems(bulk={"folder": f"{tmp_path}/photos"})
    assert f"there is no image in {tmp_path}/photos; give a folder of photos" in told
    make(tmp_path / "photos", "deep/1.jpg")
    assert valid(bulk={"folder": f"{tmp_path}/photos"}).bulk.folder == tmp_path / "photos"


def test_a_backbone_brings_its_own_size_and_layer_where_none_are_set():
    own = valid(model={"backbone": "EfficientNetV2B0"}).model
    assert (own.image_size, own.fine_tune_at) == (224, "block6a_expand_conv")
    assert valid(model={"backbone": "EfficientNetV2B0", "image_size": None, "fine_tune_at": None}).model == own
    changed = valid(model={"backbone": "EfficientNetV2B0", "image_size": 160}).model
    assert (changed.image_size, changed.fine_tune_at) == (160, own.fine_tune_at)


def test_a_backbone_from_the_environment_is_enough(monkeypatch):
    monkeypatch.setenv("GRAFTLINE_MODEL__BACKBONE", "MobileNetV3Small")
    assert valid().model.fine_tune_at == "expanded_conv_8_expand"


def test_layers_to_fine_tune_from_must_be_the_backbone_s():
    assert valid(tuning={"boundaries": ["block_3_expand"]}).tuning.boundaries == ("block_3_expand",)
    told = problems(tuning={"boundaries": ["block_3_expand", "blok_11"]})
    assert "boundaries: 'blok_11' is not a layer of MobileNetV2; choose one such as block_1" in told


def test_a_solved_head_leaves_nothing_to_search_but_fine_tuning():
    solved = {"phase_1": {"optimizer": "lbfgs"}}
    told = problems(training=solved, tuning={"trials": 3})
    assert "phase 1 solves the head (lbfgs), which leaves no learning rate to search for; give tuning.fine_tun" in told
    assert valid(training=solved).tuning.trials == 0
    assert valid(training=solved, tuning={"trials": 3, "fine_tuning_rates": [1e-5, 1e-3]}).tuning.trials == 3
    assert valid(training=solved, tuning={"trials": 3, "boundaries": ["block_3_expand"]}).tuning.trials == 3
    assert valid(tuning={"trials": 3}).tuning.trials == 3


@pytest.mark.parametrize("rates", [(1e-3, 1e-3), (1e-2, 1e-3)])
def test_rates_to_try_are_a_range(rates):
    assert "is not a range; give the lowest and the highest rate" in problems(tuning={"head_rates": rates})


def test_a_form_of_the_model_that_is_not_known_is_refused():
    assert "Input should be 'tflite_fp16' or 'tflite_int8'" in problems(exports=["onnx"])


def test_a_schema_that_may_be_inferred_is_kept_with_what_runs_make_unless_a_reviewed_one_is_there(tmp_path):
    changes = {"data_gate": {"infer_schema": True}, "run": {"root": tmp_path}}
    assert valid(**changes).schema_path == tmp_path / "schemas/pets.pbtxt"
    assert valid(**changes, name="digits").schema_path == SCHEMAS / "digits.pbtxt"


@pytest.mark.parametrize(
    ("cluster", "told"),
    [
        ({"image": "registry/graftline:latest"}, "is not a fixed image"),
        ({"time_zone": "Mars"}, "is not a time zone; give one such as UTC"),
        ({"trainer": {"shared_memory": "2 GB"}}, "String should match pattern"),
    ],
)
def test_mistakes_about_a_cluster_are_told(cluster, told):
    assert told in problems(cluster=cluster)


def test_every_setting_and_every_section_is_described():
    sections = Settings.model_json_schema()["$defs"]
    assert {"Data", "Cluster", "Phase"} <= set(sections)
    for name, section in sections.items():
        assert section["description"], name
        for key, field in section["properties"].items():
            assert "description" in field or section_of(field), f"{name}.{key}"


def test_the_reference_is_that_of_these_settings():
    assert PAGE.read_text() == reference(), "run `make docs`"


def test_a_setting_says_by_its_type_that_it_is_secret():
    assert set(secrets(Settings)) == {
        "metadata.password",
        "cluster.mysql.password",
        "cluster.webhook",
        "run.beam_args",
    }
