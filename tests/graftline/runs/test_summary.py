"""The summary says what a run did with its data."""

import json

from graftline.artifacts.examples import LEFT_OUT, LEFT_OUT_FILE
from graftline.runs import store, summary
from tests.past import Made, settings_of, write


def test_files_that_were_left_out_are_counted_by_reason_and_their_list_is_named(tmp_path, capsys):
    settings = settings_of(tmp_path)
    reasons = json.dumps({"not an image": 1, "truncated or corrupt": 1200})
    write(
        settings,
        "a",
        Made("TfdsExampleGen", {"examples": {LEFT_OUT: reasons}}, uri="/photos"),
        Made("UnlabelledExampleGen", {"examples": {LEFT_OUT: "{}"}}),
        Made("Trainer", {"model": {}}),
    )
    with store.opened(settings) as opened:
        summary._show_files(store.nodes(opened, "a"))
    assert capsys.readouterr().out == (
        f"Left out: 1,201 files (1,200 truncated or corrupt, 1 not an image), listed in /photos/{LEFT_OUT_FILE}\n"
    )
