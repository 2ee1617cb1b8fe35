"""The record of pushes is read whatever a disk or a person did to its file, and nothing in it is lost."""

import json
import logging
from dataclasses import asdict

import pytest

from graftline.serving import pushes
from graftline.serving.pushes import Push

GOOD = [Push(1, "a"), Push(2, "b", why="calls dogs cats", withdrawn=1)]
LINES = [json.dumps(asdict(push)).encode() for push in GOOD]
DAMAGED = [b"{", b"\xff\xfe\x00", b"3", b"null", b'{"version": 1}', b'{"version": "1", "digest": "a"}', LINES[0][:40]]


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_damaged_line_is_told_passed_over_and_kept(tmp_path, damaged, caplog):
    path = tmp_path / pushes.PUSHES
    path.write_bytes(b"\n".join([LINES[0], damaged, b"", b"  ", LINES[1], b""]))
    with caplog.at_level(logging.WARNING):
        assert pushes.read(tmp_path) == GOOD
        assert pushes.read(tmp_path) == GOOD
    assert [record.getMessage().partition(" has a damaged line")[0] for record in caplog.records] == [str(path)]
    pushes.write(tmp_path, [*pushes.read(tmp_path), Push(3, "c")])
    assert damaged in path.read_bytes().split(b"\n")
    assert pushes.read(tmp_path) == [*GOOD, Push(3, "c")]


def test_a_line_of_another_revision_is_read(tmp_path):
    (tmp_path / pushes.PUSHES).write_text(json.dumps(asdict(GOOD[0]) | {"mood": "fine"}))
    assert pushes.read(tmp_path) == [GOOD[0]]
