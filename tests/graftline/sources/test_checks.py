"""Problems with a folder of photos are reported in one sentence, with the fix."""

import os
import re
from pathlib import Path

import pytest

from graftline.sources.folder import Folder
from graftline.sources.source import Wanted


def make(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def check(folder: Path) -> None:
    Folder(str(folder), Wanted()).check(here=True)


def problem(folder: Path) -> str:
    with pytest.raises(ValueError, match=re.escape(str(folder.parent))) as caught:
        check(folder)
    return str(caught.value)


PETS = ("cats/1.jpg", "cats/2.JPEG", "dogs/deep/1.png", "dogs/2.webp")


def test_a_folder_per_class_at_any_depth_is_well(tmp_path):
    check(make(tmp_path / "my Photos", *PETS, "cats/notes.txt", ".thumbnails/1.jpg"))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    assert problem(tmp_path / "pets") == (
        f"there is no folder {tmp_path}/pets; give one that contains one folder of photos per class"
    )


def test_an_archive_is_to_be_unpacked(tmp_path):
    archive = make(tmp_path, "pets.zip") / "pets.zip"
    assert problem(archive) == f"{archive} is a file, not a folder; if it is an archive, unpack it and give the folder"


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["cats/1.jpg", "cats/2.jpg"], "but has only cats; add other classes"),
        ([".hidden/1.jpg"], "but has none; add other classes"),
        (
            ["1.jpg", "2.png", "notes.txt"],
            "but has none, and 2 loose photos; sort them into folders, or give a table of their classes with --labels",
        ),
    ],
)
def test_without_two_classes_there_is_nothing_to_tell_apart(tmp_path, files, told):
    folder = make(tmp_path / "pets", *files)
    assert problem(folder) == f"{folder} must contain at least two folders, one per class, {told}"


def test_splits_are_no_classes(tmp_path):
    folder = make(tmp_path / "pets", "train/cats/1.jpg", "Validation/cats/2.jpg")
    assert problem(folder).startswith(f"{folder} contains splits (Validation, train), not classes; give a folder with")


def test_a_class_without_images_is_named_with_the_kinds_that_are_read(tmp_path):
    folder = make(tmp_path / "pets", *PETS)
    (folder / "birds").mkdir()
    with pytest.raises(
        ValueError, match=r"\.bmp, \.gif, \.heic, .*\) in birds; add some to each, or remove the folder$"
    ):
        check(folder)


def test_files_of_other_kinds_are_counted_where_they_are_all_there_is(tmp_path):
    folder = make(tmp_path / "pets", "cats/1.TIFF", "cats/2.tiff", "dogs/deep/3.tiff", "dogs/film.mov")
    told = r"in cats, dogs, but 4 files of other kinds \(\.tiff, \.mov\); convert them, or remove the folder$"
    with pytest.raises(ValueError, match=told):
        check(folder)


def test_a_class_of_one_image_can_not_be_learnt_and_tested(tmp_path):
    with pytest.raises(
        ValueError, match=r"^only one image .* in birds; a class needs at least 2, preferably 50: add some"
    ):
        check(make(tmp_path / "pets", *PETS, "birds/1.jpg"))


def test_many_names_are_cut_short(tmp_path):
    folder = make(tmp_path / "pets", *PETS, *(f"{number}/1.jpg" for number in range(9)))
    with pytest.raises(ValueError, match=r"in 0, 1, 2, 3, 4, …; a class needs"):
        check(folder)


def test_a_folder_that_must_not_be_read_is_named(tmp_path, monkeypatch):
    folder = make(tmp_path / "pets", *PETS)
    allowed = os.access  # tests may run as root, who can read everything
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder / "dogs/deep" and allowed(path, mode))
    assert problem(folder) == f"{folder}/dogs/deep is not readable; run `chmod -R u+rX` on it, or give another folder"
