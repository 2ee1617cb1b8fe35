"""Predictions are written as text, CSV and JSON, each readable again."""

import csv
import io
import json

import numpy as np
import pytest

from graftline.serving import predictions
from graftline.serving.predictions import Prediction

NAMES = ["cat", "dog", "eel"]
PROBABILITIES = np.array([0.25, 0.0001, 0.7499], np.float32)
ODD = 'a "b",\tc\nd.jpg'


def written(kind: predictions.Kind, path: str = "a.jpg", top: int = 1, known: bool = True) -> str:
    file = io.StringIO()
    predictions.writer(file, kind, NAMES, top)(path, Prediction(PROBABILITIES, known))
    return file.getvalue()


def test_text_has_path_label_and_probability():
    assert written("text") == "a.jpg\teel\t0.7499\n"


def test_csv_tells_the_most_probable_classes_under_a_header():
    header, row = csv.reader(io.StringIO(written("csv", top=2)))
    assert header == ["path", "label", "probability", "label_2", "probability_2", "known"]
    assert row == ["a.jpg", "eel", "0.749900", "cat", "0.250000", "true"]
    assert len(next(csv.reader(io.StringIO(written("csv", top=9))))) == 8, "there are three classes"


def test_json_has_the_probabilities_of_all_classes():
    assert json.loads(written("json")) == {
        "path": "a.jpg",
        "label": "eel",
        "probability": 0.7499,
        "known": True,
        "probabilities": {"cat": 0.25, "dog": 0.0001, "eel": 0.7499},
    }


def test_an_image_like_none_that_was_learnt_from_is_told_with_what_it_looks_most_like():
    assert written("text", known=False) == "a.jpg\teel\t0.7499\tnot one of these\n"
    assert written("csv", known=False).endswith("\na.jpg,eel,0.749900,false\n")
    assert json.loads(written("json", known=False))["known"] is False


@pytest.mark.parametrize(("kind", "delimiter"), [("text", "\t"), ("csv", ",")])
def test_odd_file_names_survive(kind, delimiter):
    *_, row = csv.reader(io.StringIO(written(kind, ODD)), delimiter=delimiter)
    assert row[0] == ODD
    assert json.loads(written("json", ODD))["path"] == ODD
