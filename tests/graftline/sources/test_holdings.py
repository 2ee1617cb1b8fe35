"""A folder's own splits are recognized only by both their names and the classes in them."""

import pytest

from graftline.artifacts.examples import TEST, TRAIN, VALIDATION
from graftline.base.photos import DANGLING
from graftline.sources.folder import Folder
from graftline.sources.holdings import BESIDE, split_named, told_splits
from graftline.sources.source import Wanted
from tests.graftline.sources.test_checks import check, make


def pets(*splits: str, classes: tuple[str, ...] = ("cats", "dogs")) -> list[str]:
    return [f"{split}/{name}/{number}.jpg" for split in splits for name in classes for number in range(2)]


def held(folder, honoured: bool = True):
    return Folder(str(folder), Wanted(honoured=honoured)).held()


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("train", "test"), (TRAIN, TEST)),
        (("train", "dev"), (TRAIN, VALIDATION)),
        (("seg_train", "seg_test"), (TRAIN, TEST)),
        (("training_set", "test_set"), (TRAIN, TEST)),
        (("train", "val", "test"), (TRAIN, VALIDATION, TEST)),
        (("Train", "Validation"), (TRAIN, VALIDATION)),
        (("seg_train/seg_train", "seg_test/seg_test"), (TRAIN, TEST)),
        (("archive/seg_train/seg_train", "archive/seg_test/seg_test"), (TRAIN, TEST)),
        (("archive/train", "archive/valid"), (TRAIN, VALIDATION)),
    ],
)
def test_folders_of_the_same_classes_that_are_called_splits_are_splits(tmp_path, folders, splits):
    found = held(make(tmp_path / "pets", *pets(*folders)))
    assert (found.classes, set(found.given)) == (["cats", "dogs"], set(splits))
    assert {(file.path.removesuffix(file.path[-10:]).rstrip("/"), file.split) for file in found.files} == set(
        zip(folders, splits, strict=True)
    )
    assert {(found.classes[file.label], file.path.split("/")[-2]) for file in found.files} == {
        ("cats", "cats"),
        ("dogs", "dogs"),
    }


def test_a_class_may_be_missing_in_one_of_them_but_not_in_train(tmp_path):
    folder = make(tmp_path / "pets", *pets("train", classes=("cats", "dogs", "emus")), *pets("test"))
    assert set(held(folder).given) == {TRAIN, TEST}
    make(folder, *pets("test", classes=("foxes",)))
    with pytest.raises(
        ValueError, match=r"/train has no images of foxes to learn from; add some, or set data\.given_spl"
    ):
        check(folder)
    assert held(folder, honoured=False).classes == ["cats", "dogs", "emus", "foxes"]


@pytest.mark.parametrize(
    "files",
    [
        pets("trains", "tests"),
        pets("train", "planes"),
        [*pets("train"), *pets("test", classes=("emus", "foxes"))],
        [f"{name}/deep/{number}.jpg" for name in ("bullet train", "test tube") for number in range(2)],
    ],
)
def test_what_only_sounds_like_splits_is_classes(tmp_path, files):
    found = held(make(tmp_path / "things", *files))
    assert found.given == {}
    assert found.classes == sorted({name.split("/")[0] for name in files})


def test_splits_can_be_merged_and_then_bytes_decide(tmp_path):
    found = held(make(tmp_path / "pets", *pets("train", "test")), honoured=False)
    assert (found.given, {file.split for file in found.files}, len(found.files)) == ({}, {""}, 8)


def test_a_folder_without_classes_beside_splits_is_no_part_of_the_data_and_counted(tmp_path):
    folder = make(tmp_path / "intel", *pets("seg_train", "seg_test"), "seg_pred/1.jpg", "seg_pred/2.jpg", "licence.txt")
    (folder / "seg_more").symlink_to(tmp_path / "gone")
    found = held(folder)
    assert (set(found.given), found.skipped, found.left_out()) == ({TRAIN, TEST}, {BESIDE: 3}, {DANGLING: 1})


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("x-train-2017", TRAIN),
        ("trainSet", TRAIN),
        ("DEV", VALIDATION),
        ("test1", TEST),
        ("train_val", ""),
        ("latest", ""),
    ],
)
def test_a_folders_name_speaks_of_a_split_by_a_whole_word(name, split):
    assert split_named(name) == split


def test_the_run_says_which_splits_there_were_and_where_the_others_come_from():
    assert told_splits(()) == ""
    assert told_splits((TEST, TRAIN)) == (
        "The dataset's own splits are kept: train, test; validation is drawn from train by the images' hashes"
    )
    assert told_splits((TRAIN, VALIDATION, TEST)) == "The dataset's own splits are kept: train, validation, test"
