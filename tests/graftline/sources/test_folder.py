"""A folder of photos as a dataset."""

import os
import shutil
import tracemalloc
from pathlib import Path
from unittest.mock import patch

import apache_beam as beam
import pytest
from apache_beam.runners.portability import fn_api_runner
from apache_beam.testing.util import assert_that, equal_to

from graftline.base import photos
from graftline.base.raw_image import UNREADABLE
from graftline.settings.data import Data
from graftline.sources.folder import Folder, listed_once, name_of
from graftline.sources.holdings import File, Holdings
from graftline.sources.source import Wanted


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
        walked.clear()
        assert Data(dataset=f"folder:{folder}").source.images(None).label_names == ["cat", "dog"]
        assert not walked, "the reader sees the files of the fingerprint"
        assert Data(dataset=f"folder:{folder}").source.count() == 4
        assert walked, "the list is not held until the run ends"
    assert Data(dataset=f"folder:{folder}").source.count() == 4
    assert Data(dataset=f"folder:{folder}").source.fingerprint() != fingerprint


def test_folders_of_one_name_have_histories_of_their_own():
    names = {name_of(Path(path)) for path in ("/a/photos", "/b/photos", "/a/Photos")}
    assert len(names) == 3
    assert all(name.startswith("photos_") for name in names)


def _peak_memory(files: int) -> int:
    """Returns the most bytes that Python held while Beam read so many files, none of which exists."""
    held = Holdings(Path("/nowhere"), ["cat"], [File(f"cat/holiday {number:07}.jpg", 0) for number in range(files)])
    tracemalloc.start()
    try:
        with patch.object(Folder, "held", return_value=held), beam.Pipeline(runner=fn_api_runner.FnApiRunner()) as to:
            read = to | Folder("/nowhere", Wanted()).images(None).images
            counted = read | beam.Map(lambda image: image.problem) | beam.combiners.Count.PerElement()
            assert_that(counted, equal_to([(UNREADABLE, files)]))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_beam_needs_little_memory_for_each_file():
    _peak_memory(1)  # what is imported and compiled once
    assert _peak_memory(2_500) - _peak_memory(500) < 500 * 2_000
