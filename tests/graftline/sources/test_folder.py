"""A folder of photos as a dataset."""

import os
import shutil
from pathlib import Path

import pytest

from graftline.base import photos
from graftline.settings.data import Data
from graftline.sources.folder import listed_once, name_of


@pytest.fixture
def folder(tmp_path):
    for name in ("cat/1.jpg", "cat/deep/2.png", "dog/3.jpg", "dog/4.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "photos"


def test_the_fingerprint_of_a_folder_is_that_of_all_that_is_counted(folder):
    data = Data(dataset=f"folder:{folder}")
    before = data.source.fingerprint()
    for name in ("cat/.DS_Store", "cat/Thumbs.db", "cat/.thumbnails/1.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"of no user")
    assert data.source.fingerprint() == before
    (folder / "cat/notes.txt").write_text("not an image, and so left out")
    assert data.source.fingerprint() != before


@pytest.mark.parametrize("change", ["touched", "grown", "renamed", "added", "removed"])
def test_the_fingerprint_of_a_folder_changes_with_an_image(change, folder):
    data, path = Data(dataset=f"folder:{folder}"), folder / "cat/1.jpg"
    before, stat = data.source.fingerprint(), path.stat()
    match change:
        case "touched":
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
        case "grown":
            path.write_bytes(b"more bytes than before")
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        case "renamed":
            path.rename(folder / "cat/9.jpg")
        case "added":
            shutil.copy2(path, folder / "dog/1.jpg")
        case "removed":
            path.unlink()
    assert data.source.fingerprint() != before


def test_a_run_lists_its_folder_once_and_reads_what_was_there_then(folder, monkeypatch):
    walked, walk = [], photos.walk
    monkeypatch.setattr(photos, "walk", lambda *where: walked.append(where) or walk(*where))
    fingerprint = Data(dataset=f"folder:{folder}").source.fingerprint()
    once = len(walked)
    with listed_once():
        walked.clear()
        assert Data(dataset=f"folder:{folder}").source.fingerprint() == fingerprint
        shutil.copy(folder / "cat/1.jpg", folder / "cat/new.jpg")
        with listed_once():  # a run in another run's process
            assert Data(dataset=f"folder:{folder}").source.count() == 4
        assert len(walked) == once / 2  # both `Data` and `fingerprint` list it
        (folder / "cat/1.jpg").unlink()
        assert Data(dataset=f"folder:{folder}").source.fingerprint() != fingerprint
    assert Data(dataset=f"folder:{folder}").source.count() == 4
    assert Data(dataset=f"folder:{folder}").source.fingerprint() != fingerprint


def test_folders_of_one_name_have_histories_of_their_own():
    names = {name_of(Path(path)) for path in ("/a/photos", "/b/photos", "/a/Photos")}
    assert len(names) == 3
    assert all(name.startswith("photos_") for name in names)
