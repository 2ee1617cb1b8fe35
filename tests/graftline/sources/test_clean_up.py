"""A table corrects a folder of photos: files move, none is lost, and all come back."""

import csv
import shutil
from pathlib import Path

import pytest

from graftline.base.errors import UserError
from graftline.sources import clean_up, holdings
from graftline.sources.clean_up import Move
from tests import tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(["cat/a.jpg", "cat/deep/b.jpg", "dog/a.jpg", "dog/c.jpg", "dog/film.mov"]):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tiny.photo(number))
    return tmp_path / "photos"


def table(folder: Path, *rows: tuple[str, str], header: tuple[str, ...] = ("file", "action")) -> Path:
    path = folder.parent / "table.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """Returns all files that were not moved aside, with their contents."""
    paths = (path for path in folder.rglob("*") if path.is_file() and clean_up.ASIDE not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def planned(folder: Path, *rows: tuple[str, str]) -> list[Move]:
    return clean_up.planned(holdings.by_class(folder), table(folder, *rows))


def test_files_move_as_a_table_says_and_all_come_back(folder: Path) -> None:
    before = tree(folder)
    moves = planned(
        folder,
        ("cat/a.jpg", "move to dog"),
        ("cat/deep/b.jpg", " drop "),
        ("dog/c.jpg", "keep"),
        ("dog/film.mov", "drop"),
    )
    kept = clean_up.apply(folder, moves)
    after = tree(folder)
    assert set(after) == {"dog/a.jpg", "dog/a-1.jpg", "dog/c.jpg"}, "the file that had this name stays"
    assert (after["dog/a.jpg"], after["dog/a-1.jpg"]) == (before["dog/a.jpg"], before["cat/a.jpg"])
    assert (kept / "cat/deep/b.jpg").read_bytes() == before["cat/deep/b.jpg"]
    assert clean_up.undo(folder) == 3
    assert tree(folder) == before
    with pytest.raises(UserError, match="There is nothing to undo"):
        clean_up.undo(folder)


def test_what_was_dropped_is_learned_from_no_more(folder: Path) -> None:
    clean_up.apply(folder, planned(folder, ("cat/a.jpg", "drop")))
    held = holdings.by_class(folder)
    assert [path.name for path in held.images()] == ["b.jpg", "a.jpg", "c.jpg"]
    assert held.classes == ["cat", "dog"]


def test_each_undo_takes_back_one_time(folder: Path) -> None:
    before = tree(folder)
    clean_up.apply(folder, planned(folder, ("cat/a.jpg", "move to dog")))
    between = tree(folder)
    clean_up.apply(folder, planned(folder, ("dog/a-1.jpg", "drop"), ("dog/c.jpg", "drop")))
    assert clean_up.undo(folder) == 2
    assert tree(folder) == between
    assert clean_up.undo(folder) == 1
    assert tree(folder) == before


def test_files_of_one_name_from_two_classes_do_not_overwrite_each_other(folder: Path) -> None:
    (folder / "eel").mkdir()
    (folder / "eel/d.jpg").write_bytes(tiny.photo(9))
    before = tree(folder)
    clean_up.apply(folder, planned(folder, ("cat/a.jpg", "move to eel"), ("dog/a.jpg", "move to eel")))
    assert sorted(tree(folder).values()) == sorted(before.values())
    clean_up.undo(folder)
    assert tree(folder) == before


def test_what_is_stopped_halfway_comes_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, move = tree(folder), shutil.move
    moved: list[object] = []

    def killed(source: Path, target: Path) -> None:
        if moved:
            raise KeyboardInterrupt
        moved.append(move(source, target))

    monkeypatch.setattr(shutil, "move", killed)
    with pytest.raises(KeyboardInterrupt):
        clean_up.apply(folder, planned(folder, ("cat/a.jpg", "drop"), ("dog/a.jpg", "drop")))
    monkeypatch.undo()
    assert len(tree(folder)) == 4
    assert clean_up.undo(folder) == 1
    assert tree(folder) == before


def test_an_undo_does_not_overwrite_what_came_meanwhile(folder: Path) -> None:
    clean_up.apply(folder, planned(folder, ("cat/a.jpg", "drop"), ("dog/c.jpg", "drop")))
    (folder / "cat/a.jpg").write_bytes(b"new")
    with pytest.raises(UserError, match=r"'cat/a.jpg' is in the way"):
        clean_up.undo(folder)
    assert not (folder / "dog/c.jpg").exists(), "nothing has moved"
    (folder / "cat/a.jpg").unlink()
    assert clean_up.undo(folder) == 2


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("cat/none.jpg", "drop"), "line 3: there is no file 'cat/none.jpg'"),
        (("../secret.jpg", "drop"), "there is no file '../secret.jpg'"),
        (("cat/../../secret.jpg", "move to dog"), "there is no file"),
        (("cat", "drop"), "there is no file 'cat'"),
        (("cat/a.jpg", "delete"), "'delete' is not an action; write keep, drop or move to <class>"),
        (("cat/a.jpg", "move to dgo"), "there is no class 'dgo': did you mean dog"),
        (("cat/a.jpg", "move to ../.."), "there is no class"),
    ],
)
def test_a_table_with_a_mistake_moves_nothing(folder: Path, row: tuple[str, str], reason: str) -> None:
    (folder.parent / "secret.jpg").write_bytes(b"x")
    before = tree(folder)
    with pytest.raises(UserError, match="cannot be applied, and nothing has moved") as caught:
        planned(folder, ("dog/a.jpg", "drop"), row)
    assert reason in str(caught.value)
    assert tree(folder) == before


def test_an_absolute_path_is_no_file_of_the_folder(folder: Path) -> None:
    with pytest.raises(UserError, match="there is no file"):
        planned(folder, (str(folder / "cat/a.jpg"), "drop"))


def test_a_table_of_other_columns_is_refused_and_one_of_a_spreadsheet_is_not(folder: Path) -> None:
    held = holdings.by_class(folder)
    with pytest.raises(UserError, match="no column 'action'"):
        clean_up.planned(held, table(folder, header=("file", "label")))
    with pytest.raises(UserError, match="cannot be read"):
        clean_up.planned(held, folder / "nothing.csv")
    path = table(folder, ("cat/a.jpg", "drop"), ("", ""))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert clean_up.planned(held, path) == [Move("cat/a.jpg", "")]


def test_in_splits_a_file_stays_in_its_split(folder: Path) -> None:
    root = folder.parent / "split"
    for split in ("train", "test"):
        shutil.copytree(folder, root / split)
    held = holdings.by_split(root, True)
    assert held is not None
    moves = clean_up.planned(held, table(root, ("test/cat/a.jpg", "move to dog")))
    assert moves == [Move("test/cat/a.jpg", "test/dog/a.jpg")]


def test_a_link_moves_and_not_what_it_leads_to(folder: Path) -> None:
    target = folder.parent / "elsewhere.jpg"
    target.write_bytes(tiny.photo(7))
    (folder / "cat/link.jpg").symlink_to(target)
    clean_up.apply(folder, planned(folder, ("cat/link.jpg", "move to dog")))
    assert (folder / "dog/link.jpg").is_symlink()
    assert target.read_bytes() == tiny.photo(7)
