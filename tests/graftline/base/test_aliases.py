"""A folder's name is never read as a pattern."""

import tempfile
from pathlib import Path

import pytest

from graftline.base.aliases import shown, without_pattern


def test_a_folder_whose_name_holds_signs_of_patterns_has_another_one(tmp_path):
    folder = tmp_path / "code [2024] *?"
    link = without_pattern(folder)
    assert not set("[]*?") & set(str(link))
    (link / "a").write_text("a file")
    assert (folder / "a").read_text() == "a file"
    assert without_pattern(folder) == link  # later runs find their files by it
    assert shown(link / "a") == folder / "a"  # what people read outlives temporary folders
    link.unlink()
    assert without_pattern(folder) == link
    assert without_pattern(tmp_path / "code (2024)") == tmp_path / "code (2024)"
    assert shown(tmp_path / "a") == tmp_path / "a"


def test_where_there_is_no_place_for_a_link_another_path_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "[]").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "[]"))
    with pytest.raises(ValueError, match=r"code\[1\] contains \[ \], which libraries read as a pattern; give another"):
        without_pattern(Path("/code[1]"))
