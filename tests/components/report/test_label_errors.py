"""Likely label errors: labels changed on purpose are found if the features separate the classes."""

import numpy as np
import pytest

from components.report import label_errors
from graftline.artifacts.examples import TEST, TRAIN, VALIDATION
from graftline.features.pooled import Row
from tests.clusters import CHANNELS, clusters, write


@pytest.fixture
def folders(tmp_path) -> dict[str, str]:
    """Three splits of three classes; the labels of images 5 and 20 in train and 3 in test are wrong."""
    found = {}
    wrong = {TRAIN: [5, 20], VALIDATION: [], TEST: [3]}
    for seed, (split, changed) in enumerate(wrong.items()):
        true = np.arange(60 if split == TRAIN else 30) % 3
        told = true.copy()
        told[changed] = (true[changed] + 1) % 3
        found[split] = write(tmp_path / split, clusters(seed, true), told)
    return found


def test_changed_labels_are_found_in_their_places_with_their_true_class(folders):
    found = label_errors.find(folders)
    assert {found.rows[number] for number in found.suspects} == {
        (TRAIN, 5),
        (TRAIN, 20),
        (TEST, 3),
    }
    true = {(TRAIN, 5): 2, (TRAIN, 20): 2, (TEST, 3): 0}
    for number in found.suspects:
        assert found.predicted[number] == true[found.rows[number]]
        assert found.own[number] < 0.5 < found.confidence[number]
    assert found.own[found.suspects].tolist() == sorted(found.own[found.suspects])


def test_every_image_is_judged_once(folders):
    found = label_errors.find(folders)
    assert len(found.rows) == len(set(found.rows)) == 120
    assert sorted(number for split, number in found.rows if split == TEST) == list(range(30))


def test_classes_of_too_few_images_are_left_out(tmp_path):
    labels = np.array([0, 1] * 20 + [4, 4, 6])
    found = label_errors.find({TRAIN: write(tmp_path / "train", clusters(0, labels), labels)})
    assert len(found.rows) == 40
    assert set(found.predicted) == {0, 1}
    assert found.suspects == []


def test_a_wrong_label_is_found_though_copies_of_the_image_have_it_too(tmp_path):
    true = np.arange(60) % 3
    pooled = clusters(0, true)
    same = [5, 20, 35, 50]
    pooled[same] = 4 * np.eye(CHANNELS)[2] + np.eye(CHANNELS)[5]  # of class 2, and slightly off its center
    told = true.copy()
    told[same] = 0
    folders = {TRAIN: write(tmp_path / "train", pooled, told)}
    copies = [(TRAIN, number) for number in same]
    assert not set(found_in(label_errors.find(folders))) & set(copies), "each is judged after learning from its copies"
    assert set(found_in(label_errors.find(folders, [copies]))) == set(copies)


def found_in(judged: label_errors.Judged) -> list[Row]:
    return [judged.rows[number] for number in judged.suspects]


def test_a_class_of_copies_is_too_small_to_be_judged(tmp_path):
    labels = np.array([0, 1] * 20 + [2] * 4)
    folders = {TRAIN: write(tmp_path / "train", clusters(0, labels), labels)}
    found = label_errors.find(folders, [[(TRAIN, number) for number in range(40, 44)]])
    assert len(found.rows) == 40


def test_one_class_alone_is_not_judged(tmp_path):
    labels = np.array([0] * 20 + [1])
    found = label_errors.find({TRAIN: write(tmp_path / "train", clusters(0, labels), labels)})
    assert (found.rows, found.suspects) == ([], [])
