"""What is fitted to a trained network: the images to compare with, and the line between known and not."""

import numpy as np

from graftline.training import fitted


def test_nineteen_of_twenty_validation_images_are_known() -> None:
    random = np.random.default_rng(0)
    train, validation = random.normal(size=(40, 8)), random.normal(size=(200, 8))
    found = fitted.fit_known(train, validation)
    likeness = (validation / np.linalg.norm(validation, axis=1, keepdims=True) @ found.reference.T).max(axis=1)
    assert (likeness >= found.least).mean() == 0.95
    np.testing.assert_allclose(np.linalg.norm(found.reference, axis=1), 1, rtol=1e-5)


def test_each_class_gives_as_many_images_as_another_where_it_has_them() -> None:
    labels = np.repeat([0, 1, 2], [5000, 2000, 30])
    rows = fitted.reference_rows(labels, 0)
    assert np.bincount(labels[rows]).tolist() == [485, 485, 30]
    assert len(set(rows.tolist())) == fitted.REFERENCE
    assert (rows != fitted.reference_rows(labels, 1)).any(), "the seed must change the draw"


def test_all_images_of_a_small_set_are_taken() -> None:
    assert fitted.reference_rows(np.array([1, 0, 1]), 0).tolist() == [0, 1, 2]
