"""Tests of the pass on Beam: it gives exactly the features of the pass by threads, and computes no shard twice."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from graftline.base import beam
from graftline.features import cache, on_beam
from graftline.runs.dag import BEAM_ARGS
from graftline.settings.training import Model
from tests import tiny
from tests.graftline.features.test_build import EXACT, IMAGES, prepare, split

SHARD = 32


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SHARD_EXAMPLES", SHARD)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    return prepare(tmp_path_factory.mktemp("data"), Model(**tiny.MODEL))


@pytest.fixture
def by_beam(monkeypatch) -> Iterator[Callable[..., Any]]:
    """Runs the pass on Beam, on a runner in this process: for so little data others are not faster."""
    monkeypatch.setattr(on_beam, "HERE", ())
    with beam.given(BEAM_ARGS):
        yield split


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in (folder / "features").rglob("*.np*")}


@pytest.mark.parametrize("engine", ["tensorflow", "openvino"])
def test_its_features_are_those_of_the_pass_by_threads_to_the_bit(data, by_beam, tmp_path, engine) -> None:
    prefix = EXACT | {"engine": engine}
    by_beam(data, tmp_path / "beam", prefix, augmentation="flip")
    with beam.given([]):
        split(data, tmp_path / "threads", prefix, augmentation="flip")
    found = files(tmp_path / "beam")
    assert len([name for name in found if name.endswith("activation.npy")]) >= 4 * IMAGES / SHARD
    assert found == files(tmp_path / "threads")
    assert not list((tmp_path / "beam").rglob("*.tmp"))


def test_what_a_lost_worker_had_written_is_not_computed_again(data, by_beam, tmp_path, monkeypatch) -> None:
    write: Callable[..., Iterator[int]] = cache.write
    written: list[tuple[str, int]] = []

    def noted(folder: Path, numbers: range, *rest: Any) -> Iterator[int]:
        yield from write(folder, numbers, *rest)
        written.append((folder.name, numbers.start))

    def until_lost(*given: Any) -> Iterator[int]:
        if len(written) == 2:
            raise ConnectionError("the worker is gone")
        return noted(*given)

    monkeypatch.setattr(cache, "write", until_lost)
    with pytest.raises(Exception, match="the worker is gone"):
        by_beam(data, tmp_path, EXACT)
    monkeypatch.setattr(cache, "write", noted)
    by_beam(data, tmp_path, EXACT)
    assert len(written) == len(set(written)) == 3 * IMAGES / SHARD
    monkeypatch.setattr(cache, "fill", None)  # the pass by threads would call it
    with beam.given([]):
        split(data, tmp_path, EXACT)


@pytest.mark.parametrize(
    ("given", "here"),
    [
        ([], True),
        (["--direct_num_workers=4"], True),
        (["--runner=DirectRunner"], True),
        (["--runner=FlinkRunner"], False),
        (["--runner=PortableRunner", "--job_endpoint=embed"], False),
    ],
)
def test_only_a_runner_of_other_machines_gets_the_pass(given, here) -> None:
    assert not on_beam.is_asked_for()
    with beam.given([*BEAM_ARGS, *given]):
        assert on_beam.is_asked_for() != here
