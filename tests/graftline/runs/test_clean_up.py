"""`graftline clean-up`: from a report's findings, through a table that a person edits, to moved files, and back."""

import csv
from pathlib import Path

import pytest

from graftline.artifacts import findings
from graftline.artifacts.findings import FINDINGS_FILE, Finding
from graftline.base.errors import UserError
from graftline.runs import clean_up
from graftline.settings.settings import Settings
from tests import tiny
from tests.past import Made, settings_of, write


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a folder of two classes, whose last run but one has findings."""
    for name in ("cat/a.jpg", "cat/b.jpg", "dog/a.jpg", "dog/d.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(tiny.photo(0))
    found = settings_of(tmp_path, name="photos", data={"dataset": f"folder:{tmp_path / 'photos'}"})
    report = tmp_path / "report"
    report.mkdir()
    odd = Finding('cat/"b,\n.jpg', "cat", "copy of cat/a.jpg", "drop")
    findings.write(report / FINDINGS_FILE, [Finding("cat/a.jpg", "cat", "likely label error", "move to dog"), odd])
    write(found, "a", Made("ReportGen", {"report": {}}, uri=str(report)))
    write(found, "b", Made("Trainer"))
    return found


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_the_latest_report_found_is_edited_applied_and_taken_back(settings: Settings, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    assert clean_up.export(settings, table, suggested=False) == 2
    first, second = rows(table)
    assert (first["file"], first["label"], first["suggestion"], first["action"]) == (
        "cat/a.jpg",
        "cat",
        "move to dog",
        "",
    )
    assert second["file"] == 'cat/"b,\n.jpg'
    assert clean_up.apply(settings, table) == (0, None), "nothing was asked for"

    table.write_text("file,action\ncat/a.jpg,move to dog\ncat/b.jpg,drop\n")
    moved, kept = clean_up.apply(settings, table)
    assert moved == 2 and kept is not None
    left = sorted(str(path.relative_to(tmp_path / "photos")) for path in (tmp_path / "photos").glob("*/*.jpg"))
    assert left == ["dog/a-1.jpg", "dog/a.jpg", "dog/d.jpg"]
    assert (kept / "cat/b.jpg").is_file()
    assert clean_up.undo(settings) == 2
    assert (tmp_path / "photos/cat/a.jpg").is_file() and (tmp_path / "photos/cat/b.jpg").is_file()


def test_suggestions_stand_in_the_table_where_they_are_asked_for(settings: Settings, tmp_path: Path) -> None:
    clean_up.export(settings, tmp_path / "table.csv", suggested=True)
    assert [row["action"] for row in rows(tmp_path / "table.csv")] == ["move to dog", "drop"]


def test_a_table_that_may_have_been_edited_is_not_overwritten(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("mine")
    with pytest.raises(UserError, match="already exists: give another name"):
        clean_up.export(settings, tmp_path / "table.csv", suggested=False)
    assert (tmp_path / "table.csv").read_text() == "mine"
    with pytest.raises(UserError, match="cannot be written"):
        clean_up.export(settings, tmp_path / "nowhere/table.csv", suggested=False)


def test_without_a_report_or_a_folder_there_is_nothing_to_clean_up(settings: Settings, tmp_path: Path) -> None:
    digits = settings_of(tmp_path / "other")
    write(digits, "a", Made("Trainer"))
    with pytest.raises(UserError, match="No run of digits has a report yet"):
        clean_up.export(digits, tmp_path / "table.csv", suggested=False)
    for act in (lambda: clean_up.apply(digits, tmp_path / "table.csv"), lambda: clean_up.undo(digits)):
        with pytest.raises(UserError, match="is not a folder of photos"):
            act()
    labels = tmp_path / "labels.csv"
    labels.write_text("file,label\ncat/a.jpg,cat\ncat/b.jpg,cat\ndog/a.jpg,dog\ndog/d.jpg,dog\n")
    by_table = settings.model_copy(update={"data": settings.data.model_copy(update={"labels": labels})})
    with pytest.raises(UserError, match=r"are in .*labels\.csv: correct that file instead"):
        clean_up.undo(by_table)
