"""One thing is a singular."""

import pytest

from graftline.base.counted import counted


@pytest.mark.parametrize(("number", "text"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (1201, "1,201 files")])
def test_only_one_thing_is_a_singular(number, text):
    assert counted(number, "file") == text
