"""Tables of classes are read in many forms; doubtful rows are refused by line, or left out and counted."""

import pytest

from graftline.settings.data import Data
from graftline.sources.folder import Folder
from graftline.sources.labels import MISSING, UNLISTED, UNNAMED
from graftline.sources.source import Wanted
from tests.graftline.sources.test_checks import make

FILES = ("1.jpg", "2.jpg", "deep/3.png", "deep/4.jpg")
ROWS = "1.jpg,cat\n2.jpg,dog\ndeep/3.png,cat\ndeep/4.jpg,dog\n"
WANTED = {"1.jpg": "cat", "2.jpg": "dog", "deep/3.png": "cat", "deep/4.jpg": "dog"}


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path / "photos", *FILES)


def held(folder, text: str | bytes, name: str = "labels.csv"):
    table = folder / name
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    source = Folder(str(folder), Wanted(labels=table))
    source.check(here=True)
    return source.held()


def labelled(found) -> dict[str, str]:
    return {file.path: found.classes[file.label] for file in found.files if not file.problem}


@pytest.mark.parametrize(
    "text",
    [
        ROWS,
        "file,label\n" + ROWS,
        "Image ID,Breed\n" + ROWS,
        "photo,kind\n" + ROWS,
        b"\xef\xbb\xbffilename,class\n" + ROWS.encode(),
        ("path;target\n" + ROWS.replace(",", ";")).encode("utf-16"),
        ROWS.replace("\n", "\r\n"),
        ROWS.replace(",", ";"),
        "file\tcategory\n" + ROWS.replace(",", "\t"),
        "\n" + ROWS + "\n,\n",
        "label,image\ncat,1.jpg\ndog,2.jpg\ncat,deep/3.png\ndog,deep/4.jpg\n",
        'id,"class",filename\n7,cat,"1.jpg"\n8,dog,2.jpg\n9, cat ,./deep/3.png\n10,dog,deep\\4.jpg\n',
        ROWS + "1.jpg,cat\n",
        ROWS.replace(".jpg", "").replace(".png", ""),
        ROWS.replace("deep/", ""),
        "id,breed\n1,cat\n2,dog\n3,cat\n4,dog\n",
    ],
)
def test_a_table_is_read_however_it_is_written(folder, text):
    found = held(folder, text)
    assert labelled(found) == WANTED
    assert (found.left_out(), found.skipped) == ({}, {UNLISTED: 1})  # the table itself


def test_files_are_relative_to_the_table_too(folder):
    text = "".join(f"photos/{row}\n" for row in ROWS.splitlines())
    (folder.parent / "labels.csv").write_text(text)
    found = Folder(str(folder), Wanted(labels=folder.parent / "labels.csv")).held()
    assert (labelled(found), found.skipped) == (WANTED, {})


def test_the_recipe_is_chosen_by_the_images_that_a_table_names_and_by_none_that_is_not_there(folder, tmp_path):
    held(folder, ROWS + "gone.jpg,cat\n")
    assert Folder(str(folder), Wanted(labels=folder / "labels.csv")).count() == 4
    assert Folder(str(folder), Wanted(labels=folder / "gone.csv")).count() is None
    assert Folder(str(tmp_path / "gone"), Wanted()).count() is None


def test_rows_without_files_and_files_without_rows_are_counted(folder):
    make(folder, "film.mov", "deep/5.jpg", "deep/6.jpg", ".trash/7.jpg")
    found = held(folder, ROWS + "gone.jpg,cat\ngone.jpg,cat\nfilm.mov,dog\ndeep/5.jpg,\n")
    assert labelled(found) == WANTED
    assert found.left_out() == {MISSING: 1, ".mov": 1, UNNAMED: 1}
    assert found.skipped == {UNLISTED: 2, "in hidden folders": 1}


def test_a_name_that_two_images_have_is_none(folder):
    make(folder, "other/4.jpg")
    found = held(folder, ROWS.replace("deep/4", "4") + "deep/4.jpg,dog\n")
    assert (labelled(found), found.left_out()) == (WANTED, {MISSING: 1})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ROWS + "./1.jpg,dog\n", r"labels 1\.jpg 'cat' in line 1 and 'dog' in line 5; keep one row for each file"),
        (ROWS + "1,dog\n2,cat\n", r"'dog' in line 5, and does the same to 1 more files; keep"),
        (b"1.jpg,caf\xe9\n", "is not a CSV file in UTF-8"),
        ("", r"is empty; give a CSV file"),
        ("a,b,c\n1,2,3\n", r"has 3 columns, and its first row does not say which .*; name them file and label"),
        (ROWS.replace("dog", "cat"), r"has 1 classes, and 4 of its 4 rows name a file in .*/photos; give one that"),
        ("9.jpg,cat\n8.jpg,dog\n", r"has 0 classes, and 0 of its 1 rows name a file"),
        ("1.jpg,cat\n2.jpg,dog\n", r"only one image .* in cat, dog; a class needs"),
    ],
)
def test_what_is_in_doubt_is_refused(folder, text, told):
    with pytest.raises(ValueError, match=told):
        held(folder, text)


def test_a_table_that_is_not_there_or_of_a_set_with_classes_is_refused(folder):
    with pytest.raises(ValueError, match=r"there is no table of classes .*/none.csv; give a CSV file, or leave"):
        Data(dataset=f"folder:{folder}", labels=folder / "none.csv")
    with pytest.raises(ValueError, match=r"has classes of its own; leave data\.labels = .* out"):
        Data(dataset="digits", labels=folder / "none.csv")


def test_the_fingerprint_changes_with_the_table(folder):
    held(folder, ROWS)
    source = Data(dataset=f"folder:{folder}", labels=folder / "labels.csv").source
    before = source.fingerprint()
    assert source.fingerprint() == before
    held(folder, ROWS.replace("2.jpg,dog", "2.jpg,cat").replace("3.png,cat", "3.png,dog"))
    assert source.fingerprint() != before
