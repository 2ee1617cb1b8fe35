"""An inferred schema is kept when data has passed its checks, and not before."""

from pathlib import Path

import pytest

from graftline.runs import provisional


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    return tmp_path / "pets.pbtxt"


def put(schema: Path, text: str) -> None:
    inferred = schema.with_suffix(".new")
    inferred.write_text(text)
    provisional.put(inferred, schema)


def test_what_was_inferred_is_provisional_until_it_is_kept(schema):
    assert not provisional.is_provisional(schema)
    for text in ("with birds", "without"):
        put(schema, text)
        assert (provisional.is_provisional(schema), schema.read_text()) == (True, text)
    assert provisional.keep(schema)
    assert not provisional.is_provisional(schema)
    assert not provisional.keep(schema)
    assert [path.name for path in schema.parent.iterdir()] == [schema.name]


def test_what_a_person_wrote_or_changed_stays(schema):
    schema.write_text("reviewed")
    assert not provisional.is_provisional(schema)
    schema.unlink()
    put(schema, "inferred")
    schema.write_text("inferred, then changed")
    assert not provisional.is_provisional(schema)


def test_killed_before_it_is_in_its_place_it_is_inferred_again(schema, monkeypatch):
    put(schema, "with birds")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", killed)
        put(schema, "without")
    assert provisional.is_provisional(schema)


def test_nothing_is_removed_beside_a_reviewed_schema_which_may_lie_where_nobody_writes(schema, monkeypatch):
    schema.write_text("reviewed")
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: pytest.fail("written to"))
    assert not provisional.keep(schema)
