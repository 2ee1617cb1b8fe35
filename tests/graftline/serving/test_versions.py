"""The serving directory: readers see only complete versions, whenever a push is killed; version numbers only grow."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from graftline.artifacts.examples import EXTRA
from graftline.base.errors import UserError
from graftline.base.paths import PROJECT
from graftline.serving import pushes, versions
from graftline.serving.pushes import Push


@pytest.fixture
def serving(tmp_path: Path) -> Path:
    return tmp_path / "serving"


def model(folder: Path, name: str) -> Path:
    """Writes files in the layout of a SavedModel, large enough that copying them takes a moment."""
    found = folder / name
    (found / "variables").mkdir(parents=True)
    (found / "saved_model.pb").write_text(name)
    (found / "variables/variables.data").write_bytes(name.encode() * 100_000)
    return found


def is_whole(version: Path) -> bool:
    name = (version / "saved_model.pb").read_text()
    return (version / "variables/variables.data").read_bytes() == name.encode() * 100_000


def served(serving: Path) -> str:
    return (serving / str(versions.versions(serving)[-1]) / "saved_model.pb").read_text()


def test_a_pushed_model_is_in_production_and_told(tmp_path: Path, serving: Path) -> None:
    push = versions.publish(model(tmp_path, "a"), serving)
    assert served(serving) == "a"
    assert versions.production(serving) == push
    assert (push.why, push.withdrawn) == ("push", None)
    assert sorted(path.name for path in serving.iterdir()) == [str(push.version), "pushes.jsonl"]


def test_the_same_model_twice_is_one_version(tmp_path: Path, serving: Path) -> None:
    first = versions.publish(model(tmp_path, "a"), serving)
    assert versions.publish(tmp_path / "a", serving) == first
    assert versions.versions(serving) == [first.version]
    assert len(pushes.read(serving)) == 1


def test_versions_only_grow_within_a_second_and_past_removed_ones(tmp_path: Path, serving: Path) -> None:
    found = [versions.publish(model(tmp_path, name), serving).version for name in "abc"]
    shutil.rmtree(serving / str(found[-1]))
    found.append(versions.publish(model(tmp_path, "d"), serving).version)
    assert found == sorted(set(found))


def test_rollback_publishes_the_one_before_as_a_higher_version(tmp_path: Path, serving: Path) -> None:
    pushed = [versions.publish(model(tmp_path, name), serving) for name in "abc"]
    first = versions.roll_back(serving, "dogs are called cats")
    assert served(serving) == "b"
    assert (first.why, first.withdrawn) == ("dogs are called cats", pushed[-1].version)
    assert first.version > pushed[-1].version
    versions.roll_back(serving, "this one too")
    assert served(serving) == "a"
    with pytest.raises(UserError, match=r"serving has no good version before \d+"):
        versions.roll_back(serving, "and this one")
    assert served(serving) == "a"


def extra(folder: Path, text: str) -> Path:
    path = folder / "model_card.md"
    path.write_text(text)
    return path


def test_a_card_lies_beside_the_model_and_a_new_card_is_no_new_version(tmp_path: Path, serving: Path) -> None:
    push = versions.publish(model(tmp_path, "a"), serving, None, [extra(tmp_path, "first")])
    card = serving / str(push.version) / EXTRA / "model_card.md"
    assert card.read_text() == "first"
    assert versions.publish(tmp_path / "a", serving, None, [extra(tmp_path, "second")]) == push
    assert versions.versions(serving) == [push.version]
    assert card.read_text() == "first"


def test_rollback_carries_the_card_along(tmp_path: Path, serving: Path) -> None:
    good = versions.publish(model(tmp_path, "a"), serving, None, [extra(tmp_path, "of a")])
    versions.publish(model(tmp_path, "b"), serving, None, [extra(tmp_path, "of b")])
    again = versions.roll_back(serving, "dogs are called cats")
    assert again.digest == good.digest
    assert (serving / str(again.version) / EXTRA / "model_card.md").read_text() == "of a"
    assert versions.publish(tmp_path / "a", serving, None, [extra(tmp_path, "of a")]) == again


def test_what_was_taken_back_is_known(tmp_path: Path, serving: Path) -> None:
    versions.publish(model(tmp_path, "a"), serving)
    bad = versions.publish(model(tmp_path, "b"), serving)
    assert pushes.withdrawals(serving) == {}
    again = versions.roll_back(serving, "dogs are called cats")
    assert pushes.withdrawals(serving) == {bad.digest: again}
    assert bad.digest == pushes.digest(tmp_path / "b")


def test_nothing_to_roll_back_is_told(serving: Path) -> None:
    with pytest.raises(UserError, match=r"Nothing is served from .*serving: push a model first"):
        versions.roll_back(serving, "why not")


def test_pruning_keeps_the_latest(tmp_path: Path, serving: Path) -> None:
    pushed = [versions.publish(model(tmp_path, name), serving).version for name in "abcd"]
    versions.prune(serving, 2)
    assert versions.versions(serving) == pushed[-2:]
    versions.prune(serving, 1)
    assert served(serving) == "d"
    assert not list(serving.glob(".*"))


def test_the_best_model_stays_and_is_what_later_ones_are_held_against(tmp_path: Path, serving: Path) -> None:
    accuracies = {"a": 0.9, "b": 0.97, "c": 0.96, "d": 0.95}
    a, b, c, d = (
        versions.publish(model(tmp_path, name), serving, Push(0, "", accuracy=accuracy))
        for name, accuracy in accuracies.items()
    )
    versions.prune(serving, 2)
    assert versions.versions(serving) == [b.version, c.version, d.version]
    assert versions.opponents(serving, "candidate") == {versions.PRODUCTION: d.digest, versions.BEST: b.digest}
    assert versions.folder_of(serving, b.digest) == serving / str(b.version)
    assert versions.folder_of(serving, a.digest) is None
    versions.roll_back(serving, "calls cats dogs")
    assert versions.served(serving) == c.digest
    assert versions.best(serving) == b
    versions.publish(tmp_path / "b", serving, b)
    versions.roll_back(serving, "calls dogs cats")  # so b is withdrawn, and is no longer the best one
    assert versions.opponents(serving, "candidate") == {versions.PRODUCTION: c.digest}


def of_an_earlier_revision(serving: Path) -> None:
    """Gives all recorded versions other digests, as if a version of Graftline that hashed other files had written them."""
    history = pushes.read(serving)
    pushes.write(serving, [replace(push, digest=f"earlier {push.digest}", accuracy=0.0) for push in history])


def test_what_an_earlier_revision_pushed_is_known_by_its_files(tmp_path: Path, serving: Path) -> None:
    for name in "abc":
        versions.publish(model(tmp_path, name), serving)
    of_an_earlier_revision(serving)
    assert versions.best(serving) is None
    opponents = versions.opponents(serving, "candidate")
    assert opponents == {versions.PRODUCTION: pushes.digest(tmp_path / "c")}
    assert all(versions.folder_of(serving, digest) for digest in opponents.values())


def test_what_was_taken_back_under_an_earlier_revision_is_not_gone_back_to(tmp_path: Path, serving: Path) -> None:
    for name in "ab":
        versions.publish(model(tmp_path, name), serving)
    versions.roll_back(serving, "b is bad")
    versions.publish(model(tmp_path, "c"), serving)
    of_an_earlier_revision(serving)
    versions.roll_back(serving, "c is bad too")
    assert served(serving) == "a"
    assert {pushes.digest(tmp_path / name) for name in "bc"} <= pushes.withdrawals(serving).keys()


def test_with_nothing_in_production_there_is_nothing_to_be_held_against(serving: Path) -> None:
    assert (versions.served(serving), versions.best(serving), versions.opponents(serving, "x")) == ("", None, {})


def test_what_a_model_server_would_serve_counts_whoever_put_it_there(tmp_path: Path, serving: Path) -> None:
    """A higher version that was copied in by hand is in production; a file whose name is a number does not count."""
    push = versions.publish(model(tmp_path, "a"), serving)
    (serving / "9999999998").write_text("no folder")
    assert versions.production(serving) == push
    (serving / "9999999997").mkdir()
    assert versions.production(serving) == push
    shutil.copytree(model(tmp_path, "b"), serving / "9999999996")
    copied = versions.production(serving)
    assert copied is not None
    assert (copied.version, copied.why, copied.digest) == (9999999996, pushes.BY_HAND, pushes.digest(tmp_path / "b"))
    again = versions.roll_back(serving, "who put this here?")
    assert served(serving) == "a"
    assert again.version == 9999999999, "the new version must be the highest for a model server"
    assert set(pushes.withdrawals(serving)) == {copied.digest}


def test_a_version_whose_files_were_replaced_is_another_model(tmp_path: Path, serving: Path) -> None:
    push = versions.publish(model(tmp_path, "a"), serving)
    replaced = serving / str(push.version) / "variables/variables.data"
    replaced.unlink()  # because it is a link to the file that was pushed
    replaced.write_text("others")
    assert versions.served(serving) != push.digest
    assert versions.publish(tmp_path / "a", serving).version > push.version


KILLED = """
import sys
from pathlib import Path
from graftline.serving import versions
from tests.killed import kill_at
kill_at("graftline.serving.versions:" + sys.argv[1].removeprefix("versions."), sys.argv[2])
versions.publish(Path(sys.argv[3]), Path(sys.argv[4]))
"""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", ["copy_tree", "versions._flush", "pushes.write", "Path.rename"])
def test_a_killed_push_leaves_the_one_before_or_the_new_one_whole(
    tmp_path: Path, serving: Path, step: str, moment: str
) -> None:
    versions.publish(model(tmp_path, "old"), serving)
    command = [sys.executable, "-c", KILLED, step, moment, str(model(tmp_path, "new")), str(serving)]
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == -signal.SIGKILL
    assert served(serving) == ("new" if (step, moment) == ("Path.rename", "after") else "old")
    assert all(is_whole(serving / str(version)) for version in versions.versions(serving))
    versions.publish(tmp_path / "new", serving)
    assert served(serving) == "new"
    assert len(versions.versions(serving)) == 2
    for left in serving.glob(".*"):  # recent ones may belong to another push
        os.utime(left, (0, 0))
    versions.publish(tmp_path / "old", serving)
    versions.publish(tmp_path / "new", serving)
    assert not list(serving.glob(".*"))
    assert served(serving) == "new"


def test_pushes_at_once_take_nothing_from_each_other_and_each_has_a_version(tmp_path: Path, serving: Path) -> None:
    paths = [str(model(tmp_path, name)) for name in "abcdef"]
    command = [sys.executable, "-c", PUSHING_OF_TWO]
    pushing = [subprocess.Popen([*command, *paths[at : at + 2], str(serving)], cwd=PROJECT) for at in (0, 2, 4)]
    assert [process.wait() for process in pushing] == [0, 0, 0]
    present = versions.versions(serving)
    assert present
    assert all(is_whole(serving / str(version)) for version in present)


PUSHING_OF_TWO = """
import sys
from pathlib import Path
from graftline.serving import versions
for number in range(20):
    versions.publish(Path(sys.argv[1 + number % 2]), Path(sys.argv[3]))
"""


PUSHING = """
import sys
from pathlib import Path
from graftline.serving import versions
for number in range(60):
    versions.publish(Path(sys.argv[1 + number % 2]), Path(sys.argv[3]))
    versions.prune(Path(sys.argv[3]), 20)
"""


def test_a_reader_never_sees_a_half_written_version(tmp_path: Path, serving: Path) -> None:
    paths = [str(model(tmp_path, name)) for name in "ab"]
    versions.publish(tmp_path / "a", serving)
    seen = set()
    with subprocess.Popen([sys.executable, "-c", PUSHING, *paths, str(serving)], cwd=PROJECT) as pusher:
        while pusher.poll() is None:
            latest = max(int(name) for name in os.listdir(serving) if name.isdigit())  # noqa: PTH208 (as a server does)
            assert is_whole(serving / str(latest)), latest
            seen.add(latest)
    assert pusher.returncode == 0
    assert len(seen) > 20, "the reader was too slow to see anything"


def test_a_model_is_found_wherever_a_folder_of_it_is_named(tmp_path: Path) -> None:
    for folder in ("serving/9", "serving/10", "run/Trainer/model/4/Format-Serving"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "saved_model.pb").touch()
    for place, found in {
        "serving/9": "serving/9",
        "serving": "serving/10",
        "run/Trainer/model/4": "run/Trainer/model/4/Format-Serving",
        "run/Trainer/model": "run/Trainer/model/4/Format-Serving",
    }.items():
        assert versions.find(tmp_path / place) == tmp_path / found
    with pytest.raises(UserError, match=r"There is no model in .*run: .* `graftline run` pushes one"):
        versions.find(tmp_path / "run")
