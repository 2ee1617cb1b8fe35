"""The REST interface is TensorFlow Serving's, refuses what it should in a sentence, and follows what is pushed."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from fastapi.testclient import TestClient

from graftline.base.errors import UserError
from graftline.data.heic import readable
from graftline.server import app, rest, served
from graftline.server.app import create_app
from graftline.server.rest import RequestError
from tests import tiny

IMAGES = [tiny.photo(seed) for seed in range(3)]
MAX_PIXELS = 10_000
PREDICT = "/v1/models/pets:predict"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.export(tmp_path_factory.mktemp("exported"), ["cat", "dog", "eel"])


@pytest.fixture
def directory(model: Path, tmp_path: Path) -> Path:
    shutil.copytree(model, tmp_path / "pets/7")
    return tmp_path / "pets"


@pytest.fixture(scope="module")
def client(model: Path, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("serving")
    shutil.copytree(model, folder / "7")
    with opened(folder) as client:
        yield client


def opened(directory: Path, **options: Any) -> TestClient:
    return TestClient(create_app("pets", directory, MAX_PIXELS), base_url="http://localhost", **options)


def b64(contents: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(contents).decode()}


def signature(model: Path, name: str, **inputs: Any) -> dict[str, np.ndarray]:
    outputs = tf.saved_model.load(str(model)).signatures[name](**inputs)
    return {name: output.numpy() for name, output in outputs.items()}


@pytest.mark.parametrize("name", ["serving_bytes", "serving_explain"])
def test_heic_is_answered_as_the_jpeg_that_it_is_trained_as(client, name):
    heic = tiny.heic(1)
    request = {"signature_name": name, "instances": [b64(heic), b64(readable(heic, MAX_PIXELS))]}
    one, other = client.post(PREDICT, json=request).json()["predictions"]
    assert one.pop("label_name") == other.pop("label_name")
    for key, answer in one.items():
        np.testing.assert_allclose(answer, other[key], atol=1e-4)


@pytest.mark.parametrize(
    ("image", "reason"), [(tiny.heic(1)[:300], "truncated or corrupt"), (tiny.heic(1, (200, 100)), "more pixels than")]
)
def test_heic_that_cannot_be_used_is_refused_with_the_reason(client, image, reason):
    answer = client.post(PREDICT, json={"signature_name": "serving_bytes", "instances": [b64(image)]})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"The image cannot be used: {reason}")


@pytest.mark.parametrize("path", [PREDICT, "/v1/models/pets/versions/7:predict"])
@pytest.mark.parametrize("named", [False, True])
def test_rows_are_answered_as_the_model_answers_them(client, model, path, named):
    rows = [{"image_bytes": b64(image)} if named else b64(image) for image in IMAGES]
    answer = client.post(path, json={"signature_name": "serving_bytes", "instances": rows})
    assert answer.status_code == 200
    expected = signature(model, "serving_bytes", image_bytes=tf.constant(IMAGES))
    found = answer.json()["predictions"]
    np.testing.assert_allclose([row["probabilities"] for row in found], expected["probabilities"], atol=1e-5)
    assert [row["label"] for row in found] == expected["label"].tolist()
    assert [row["label_name"].encode() for row in found] == expected["label_name"].tolist()


@pytest.mark.parametrize("named", [False, True])
def test_columns_are_answered_in_columns(client, named):
    column = [b64(image) for image in IMAGES]
    request = {"signature_name": "serving_bytes", "inputs": {"image_bytes": column} if named else column}
    outputs = client.post(PREDICT, json=request).json()["outputs"]
    assert set(outputs) == {"probabilities", "known", "label", "label_name"}
    assert [len(values) for values in outputs.values()] == [3, 3, 3, 3]


def test_examples_pixels_and_heat_maps_are_answered_too(client, model):
    examples = {"instances": [b64(tiny.example(image)) for image in IMAGES]}
    by_example = client.post(PREDICT, json=examples).json()["predictions"]
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, tiny.SIZE, tiny.SIZE, 3)).astype(np.float32)
    request = {"signature_name": "serving_pixels", "instances": pixels.tolist()}
    by_pixels = client.post(PREDICT, json=request).json()["predictions"]
    expected = signature(model, "serving_pixels", image=tf.constant(pixels))
    np.testing.assert_allclose([row["probabilities"] for row in by_pixels], expected["probabilities"], atol=1e-5)
    assert [row["known"] for row in by_pixels] == expected["known"].tolist()
    request = {"signature_name": "serving_explain", "instances": [b64(image) for image in IMAGES]}
    explained = client.post(PREDICT, json=request).json()["predictions"]
    assert np.array([row["heat_map"] for row in explained]).max() == 1
    np.testing.assert_allclose(
        [row["probabilities"] for row in explained], [row["probabilities"] for row in by_example], atol=1e-5
    )


@pytest.mark.parametrize(("in_columns", "expected"), [(False, {"predictions": [1, 2]}), (True, {"outputs": [1, 2]})])
def test_of_a_model_with_one_output_the_values_alone_are_told(in_columns, expected):
    answers = [{"score": np.array(value)} for value in (1, 2)]
    assert rest.answer(rest.Question("serving_default", [], in_columns), answers) == expected


def test_status_metadata_and_classes_are_told(client):
    told = client.get("/v1/models/pets").json()
    assert told == client.get("/v1/models/pets/versions/7").json()
    [status] = told["model_version_status"]
    assert status == {"version": "7", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    metadata = client.get("/v1/models/pets/metadata").json()
    assert metadata["model_spec"] == {"name": "pets", "signature_name": "", "version": "7"}
    explain = metadata["metadata"]["signature_def"]["signature_def"]["serving_explain"]
    assert explain["inputs"]["image_bytes"]["dtype"] == "DT_STRING"
    assert set(explain["outputs"]) == {"probabilities", "known", "label", "label_name", "heat_map"}
    assert client.get("/classes").json() == {"name": "pets", "version": 7, "classes": ["cat", "dog", "eel"]}


BYTES, PIXELS = {"signature_name": "serving_bytes"}, {"signature_name": "serving_pixels"}
LARGE = tf.io.encode_png(tf.zeros([200, 200, 3], tf.uint8)).numpy()
GOOD = b64(IMAGES[0])


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (b"{", "JSON Parse error: "),
        (b"[" * 100_000, "JSON Parse error: "),
        (b"\xff", "JSON Parse error: "),
        ([1], "must be an object with either 'instances' or 'inputs'"),
        (BYTES, "must be an object with either 'instances' or 'inputs'"),
        (BYTES | {"instances": []}, "'instances' must hold a list of at least one 'image_bytes'"),
        (BYTES | {"inputs": {"image_bytes": "x"}}, "'inputs' must hold a list of at least one 'image_bytes'"),
        ({"signature_name": "x", "instances": [GOOD]}, 'Serving signature name: "x" not found in signature def'),
        (BYTES | {"instances": [{"image": GOOD}]}, "has one input, 'image_bytes', but the request has 'image'"),
        (BYTES | {"instances": [{"b64": "@"}]}, "Unable to base64 decode the value of 'image_bytes'"),
        (BYTES | {"instances": [7]}, "'image_bytes' must be a string, or bytes as"),
        (BYTES | {"instances": ["no image"]}, "cannot be used: not an image format TensorFlow reads."),
        (BYTES | {"instances": [GOOD, b64(IMAGES[1][:-200])]}, "cannot be used: truncated or corrupt."),
        (BYTES | {"instances": [b64(LARGE)]}, "cannot be used: more pixels than data.max_pixels allows."),
        (BYTES | {"instances": [""]}, "cannot be used: empty file."),
        ({"instances": [b64(tiny.example(LARGE))]}, "cannot be used: more pixels than data.max_pixels allows."),
        ({"instances": [b64(tiny.example(b"no image"))]}, "cannot be used: not an image format"),
        (
            {"instances": ["no example"]},
            "serving_default takes serialized tf.Examples: give encoded images to serving_b",
        ),
        ({"instances": [GOOD]}, "The signature serving_default takes serialized tf.Examples: give encoded images to"),
        (PIXELS | {"instances": [np.full((32, 32, 3), np.nan).tolist()]}, "'image' holds numbers that are not finite."),
        (PIXELS | {"instances": [np.full((32, 32, 3), 1e300).tolist()]}, "'image' holds numbers that are not finite."),
        (PIXELS | {"instances": [[10**400]]}, "'image' holds values that are not float32, or rows of"),
        (
            {"signature_name": "serving_pixels", "instances": [[1, [2]]]},
            "'image' holds values that are not float32, or rows of",
        ),
        ({"signature_name": "serving_pixels", "instances": [[1, 2]]}, "'image' has the shape [2], not [32, 32, 3]."),
    ],
)
def test_what_cannot_be_answered_is_refused_in_a_sentence(client, request_, told):
    body = request_ if isinstance(request_, bytes) else json.dumps(request_).encode()
    answer = client.post(PREDICT, content=body)
    assert answer.status_code == 400
    assert told.lower() in answer.json()["error"].lower()
    assert set(answer.json()) == {"error"}
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/cars",
        "/v1/models/pets/versions/8",
        "/v1/models/pets/versions/x/metadata",
        "/v1/models",
        "/etc/passwd",
    ],
)
def test_what_is_not_there_is_not_found(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "ound" in answer.json()["error"]


def test_another_models_or_versions_prediction_is_not_found(client):
    for path in ("/v1/models/cars:predict", "/v1/models/pets/versions/8:predict"):
        answer = client.post(path, json={"instances": [GOOD]})
        assert answer.status_code == 404
        assert answer.json()["error"].startswith("Servable not found for request: Specific(")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused(client, chunked):
    body = b"x" * (app.MAX_BODY + 1)
    answer = client.post(PREDICT, content=iter([body[:1000], body[1000:]]) if chunked else body)
    assert answer.status_code == 413
    assert answer.json() == {"error": "The request is longer than 16 MB: send fewer or smaller images."}


def test_an_image_that_is_none_does_not_spoil_others_in_its_batch(directory):
    pets = served.Production("pets", directory, MAX_PIXELS)._served
    good, bad, other = pets._answer("serving_bytes", [IMAGES[0], b"no image", IMAGES[2]])
    assert isinstance(bad, RequestError)
    alone = pets._answer("serving_bytes", IMAGES[:1])[0]  # as it is asked again: a larger batch may round otherwise
    np.testing.assert_allclose(good["probabilities"], alone["probabilities"])
    assert other["probabilities"].shape == (3,)


def test_a_version_pushed_while_it_runs_is_served(model, directory, monkeypatch):
    monkeypatch.setattr(served, "CHECK_SECONDS", 0.0)
    with opened(directory) as client:
        assert client.get("/classes").json()["version"] == 7
        shutil.copytree(model, directory / ".aside-x")
        (directory / ".aside-x").rename(directory / "8")
        assert client.get("/classes").json()["version"] == 8
        answer = client.post("/v1/models/pets/versions/8:predict", json=BYTES | {"instances": [GOOD]})
        assert answer.status_code == 200
        assert client.get("/v1/models/pets/versions/7").status_code == 404


def test_a_damaged_version_is_not_served_and_the_one_before_is(directory, monkeypatch):
    monkeypatch.setattr(served, "CHECK_SECONDS", 0.0)
    with opened(directory) as client:
        (directory / "8").mkdir()
        assert client.get("/classes").json()["version"] == 7
        shutil.rmtree(directory)
        assert client.post(PREDICT, json=BYTES | {"instances": [GOOD]}).status_code == 200


def test_where_nothing_is_pushed_the_cure_is_told(tmp_path):
    with pytest.raises(UserError, match=r"There is no model in .*: .* `graftline run` pushes one"):
        create_app("pets", tmp_path, MAX_PIXELS)


def test_a_fault_of_the_server_is_told_without_a_traceback(directory, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(rest, "answer", fail)
    with opened(directory, raise_server_exceptions=False) as client:
        answer = client.post(PREDICT, json=BYTES | {"instances": [GOOD]})
    assert answer.status_code == 500
    assert set(answer.json()) == {"error"}
    assert "secret" not in answer.text


def test_the_page_allows_nothing_from_elsewhere(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert client.get("/", headers={"Host": "example.com"}).status_code == 400
