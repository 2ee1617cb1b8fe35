"""The search for learning rates finds better ones, resumes where it was stopped, and does not read the test split."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.executor import write_best_hyperparameters
from tfx.types import standard_artifacts

from components.trainer.run_fn import run_fn
from components.tuner.search import FINE_TUNE_AT, FINE_TUNING_RATE, HEAD_RATE, Search
from components.tuner.trials import Trials
from components.tuner.tuner_fn import fine_tuning_space, tuner_fn
from graftline.artifacts import records
from graftline.artifacts.examples import TRAIN, VALIDATION
from graftline.artifacts.history import HISTORY_FILE
from graftline.features import cache
from graftline.features.cache import POOLED, Rows
from graftline.settings.training import SOLVER, Tuning
from graftline.training import head
from graftline.training.precision import with_values
from tests import tiny

EARLY, LATE = "block_2_project", "block_3_project"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with real images of two digits in `examples`, and their Transform graph."""
    folder = tmp_path_factory.mktemp("data")
    tiny.write_digits(folder / "examples", 40)
    tiny.write_transform(folder, [])
    tiny.write_weights(folder / "weights.h5")
    return folder


def arguments(data: Path, output: Path, **tuning: Any) -> FnArgs:
    return FnArgs(
        train_files=[f"{data}/examples/Split-train/*"],
        eval_files=[f"{data}/examples/Split-validation/*"],
        transform_graph_path=str(data / "graph"),
        serving_model_dir=str(output / "serving"),
        model_run_dir=str(output / "run"),
        custom_config={
            "model": tiny.MODEL | {"weights": str(data / "weights.h5")},
            "prefix": {},
            "training": tiny.TRAINING,
            "tuning": tuning,
            "work_dir": str(output / "work"),
        },
    )


def search(data: Path, output: Path, **tuning: Any) -> Search:
    """Runs a search as TFX does."""
    found = tuner_fn(arguments(data, output, **tuning))
    found.tuner.search(**found.fit_kwargs)
    found.tuner.results_summary()
    return found.tuner


def values_and_scores(search: Search) -> list[tuple[dict[str, Any], float]]:
    trials = sorted(search.oracle.trials.values(), key=lambda trial: trial.trial_id)
    return [(trial.hyperparameters.values, trial.score) for trial in trials]


@pytest.fixture(scope="module")
def searched(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Search:
    """A search of rates from far too low to good ones."""
    return search(data, tmp_path_factory.mktemp("searched"), trials=6, epochs=3, head_rates=(1e-9, 1e-1))


def test_the_better_of_bad_and_good_rates_is_found(searched):
    tried = values_and_scores(searched)
    best = searched.get_best_hyperparameters()[0].values[HEAD_RATE]
    assert len(tried) == 6
    assert min(values[HEAD_RATE] for values, _ in tried) < 1e-5 < best
    assert max(score for _, score in tried) > min(score for _, score in tried)


def test_two_searches_find_the_same(data, searched, tmp_path):
    again = search(data, tmp_path, trials=6, epochs=3, head_rates=(1e-9, 1e-1))
    assert values_and_scores(again) == values_and_scores(searched)


def test_a_search_that_was_stopped_goes_on_and_finds_what_it_would_have(data, searched, tmp_path, monkeypatch, capsys):
    train, done = Trials.head, []

    def stopped_at_the_fourth(trials: Trials, values: dict[str, Any]) -> float:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(values)
        return train(trials, values)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trials, "head", stopped_at_the_fourth)
        search(data, tmp_path, trials=6, epochs=3, head_rates=(1e-9, 1e-1))
    assert "Trial 3 of 6" in capsys.readouterr().out
    resumed = search(data, tmp_path, trials=6, epochs=3, head_rates=(1e-9, 1e-1))
    printed = capsys.readouterr().out
    assert "Trial 3 of 6" not in printed
    assert "Trial 4 of 6" in printed
    assert values_and_scores(resumed) == values_and_scores(searched)


def test_fine_tuning_is_searched_from_the_best_head_at_each_layer(data, tmp_path, capsys):
    options = {"head_rates": (1e-3, 1e-2), "fine_tuning_rates": (1e-5, 1e-2), "boundaries": (EARLY, LATE)}
    found = search(data, tmp_path, trials=4, epochs=1, **options)
    tried = values_and_scores(found)
    assert {values[FINE_TUNE_AT] for values, _ in tried} == {EARLY, LATE}
    assert len({values[HEAD_RATE] for values, _ in tried}) == 1
    assert all(1e-5 <= values[FINE_TUNING_RATE] <= 1e-2 for values, _ in tried)
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Tuner: ")]
    assert [line.split(": validation")[0].count("rate") for line in told] == [1, 2]
    assert "fine-tuning at block_" in told[1]
    assert told[1].endswith(" after 4 trials")


def test_each_trial_starts_from_the_pretrained_weights(data, tmp_path):
    fn_args = arguments(data, tmp_path, trials=1, epochs=1, head_rates=(1e-3, 1e-2), boundaries=(LATE,))
    trials = Trials(fn_args.custom_config, f"{data}/examples", fn_args.transform_graph_path)
    values = {HEAD_RATE: 1e-2, FINE_TUNE_AT: LATE, FINE_TUNING_RATE: 1e-2}
    first = trials.fine_tuning(values)
    trials.fine_tuning(values | {FINE_TUNING_RATE: 1.0})
    assert trials.fine_tuning(values) == first


def test_fine_tuning_is_searched_from_the_solved_head(data, tmp_path, capsys):
    fn_args = arguments(data, tmp_path, trials=2, epochs=1, boundaries=(LATE,), fine_tuning_rates=(1e-9, 1e-8))
    fn_args.custom_config["training"] = tiny.TRAINING | {"phase_1": {"optimizer": SOLVER}}
    found = tuner_fn(fn_args).tuner
    found.search()
    assert "head" not in capsys.readouterr().out
    (train, held_out) = (
        Rows(sorted(tmp_path.glob(f"work/features/*/{split}_plain")), POOLED) for split in (TRAIN, VALIDATION)
    )
    features = train.read(np.arange(len(train.labels)))[0].astype(np.float32)
    kernel, bias, _ = head.solved(features[None], train.labels, tiny.TRAINING.get("seed", 42))
    logits = held_out.read(np.arange(len(held_out.labels)))[0] @ kernel + bias
    solved = ((logits[:, 0] > 0) == held_out.labels).mean()
    # With such rates, fine-tuning changes nothing
    tried = values_and_scores(found)
    assert [score for _, score in tried] == [pytest.approx(solved)] * 2
    assert all(set(values) == {FINE_TUNE_AT, FINE_TUNING_RATE} for values, _ in tried)


def test_the_test_split_is_not_read(data, tmp_path, monkeypatch):
    files, split_read = records._files, []

    def noting(examples_uri: str, split: str) -> list[str]:
        split_read.append(split)
        return files(examples_uri, split)

    monkeypatch.setattr(records, "_files", noting)  # everything that reads a split goes through it
    search(data, tmp_path, trials=1, epochs=1, boundaries=(EARLY,))
    assert set(split_read) == {TRAIN, VALIDATION}
    assert not list((tmp_path / "work/features").glob("*/test_*"))
    assert list((tmp_path / "work/features").glob(f"*/train_plain/00000/{cache.POOLED}.npy"))


def test_the_trainer_takes_what_was_found_and_notes_it(data, searched, tmp_path):
    artifacts = {}
    for key, kind in {
        "best_hyperparameters": standard_artifacts.HyperParameters,
        "tuner_results": standard_artifacts.TunerResults,
    }.items():
        artifacts[key] = [kind()]
        artifacts[key][0].uri = str(tmp_path / key)
    write_best_hyperparameters(searched, artifacts)
    fn_args = arguments(data, tmp_path, trials=6)
    fn_args.hyperparameters = json.loads((tmp_path / "best_hyperparameters/best_hyperparameters.txt").read_text())
    run_fn(fn_args)
    history = json.loads((tmp_path / "run" / HISTORY_FILE).read_text())
    assert history["tuned"] == {HEAD_RATE: searched.get_best_hyperparameters()[0].values[HEAD_RATE]}


def test_found_values_come_before_those_that_are_set():
    config = {"model": {"fine_tune_at": "a"}, "training": {"phase_1": {"learning_rate": 1.0, "epochs": 2}}}
    changed = with_values(config, {HEAD_RATE: 0.5, FINE_TUNE_AT: "b"})
    assert changed == {"model": {"fine_tune_at": "b"}, "training": {"phase_1": {"learning_rate": 0.5, "epochs": 2}}}
    assert config["model"]["fine_tune_at"] == "a"


def test_where_everything_was_tried_a_search_ends(tmp_path):
    space = fine_tuning_space(Tuning(boundaries=("a", "b")), 0.1)
    found = Search(lambda values: {"a": 0.5, "b": 0.75}[values[FINE_TUNE_AT]], space, 20, 1, tmp_path / "search")
    found.search()
    assert len(found.oracle.trials) == 2
    assert found.get_best_hyperparameters()[0].values == {HEAD_RATE: 0.1, FINE_TUNE_AT: "b"}
