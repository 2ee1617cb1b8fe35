"""The whole pipeline through the real `tfx` command, on a slice of the digits, run by run as a user would run it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from ml_metadata.proto import metadata_store_pb2
from PIL import Image
from sklearn.datasets import load_digits
from tfx.orchestration import metadata

from graftline.artifacts import evaluation
from graftline.artifacts.examples import IMAGE
from graftline.artifacts.history import HISTORY_FILE
from graftline.base.paths import PROJECT
from graftline.runs import binding
from graftline.serving import pushes, versions
from graftline.settings.load import CONFIG_VARIABLE, load
from graftline.sources.folder import name_of
from pipeline import create_pipeline
from tests import warm
from tests.disks import tmpfs

SLICE = {
    "GRAFTLINE_DATA__MAX_EXAMPLES": "500",
    "GRAFTLINE_MODEL__IMAGE_SIZE": "64",
    "GRAFTLINE_MODEL__FINE_TUNE_AT": "block_15_add",
    "GRAFTLINE_TRAINING__PHASE_1__EPOCHS": "8",
    "GRAFTLINE_TRAINING__PHASE_2__EPOCHS": "2",
    "GRAFTLINE_GATE__MIN_ACCURACY": "0.3",
    "GRAFTLINE_GATE__MIN_TEST_EXAMPLES": "1",
}
WORSE = {"GRAFTLINE_TRAINING__PHASE_1__EPOCHS": "1", "GRAFTLINE_TRAINING__PHASE_2__EPOCHS": "0"}
# Six steps of a recipe for a hundred steps at a high rate would upset the network and leave it no time to settle
BRIEF = {
    "GRAFTLINE_TRAINING__AUGMENTATION": "flip",
    "GRAFTLINE_TRAINING__PHASE_2__LEARNING_RATE": "1e-4",
}
LOOKING_UP = {"BaselineData"}  # nodes that execute nothing
COMPLETE, CACHED = metadata_store_pb2.Execution.COMPLETE, metadata_store_pb2.Execution.CACHED
RUNNING = metadata_store_pb2.Execution.RUNNING
KILLED = -signal.SIGKILL
Program = Callable[..., str]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("digits")


@pytest.fixture(scope="module")
def tfx(root) -> Program:
    """Runs the `tfx` command, with settings overridden, and returns what it printed."""

    def run(*arguments: str, **overrides: str) -> str:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("tfx")), *arguments],
            env=environment(root) | overrides,
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


@pytest.fixture(scope="module")
def program(root) -> Program:
    """Runs a program of this project, with settings overridden, and returns what it printed."""

    def run(module: str, *arguments: str, status: int = 0, **overrides: str) -> str:
        done = warm.run(module, *arguments, env=environment(root) | overrides, together=True)
        assert done.returncode == status, done.stdout
        return done.stdout

    return run


def environment(root: Path) -> dict[str, str]:
    """Returns the environment of a run on a slice of the digits, with a folder of its own."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GRAFTLINE_")}
    places = {"RUN__ROOT": str(root), "RUN__SERVING_DIR": str(root / "serving")}
    return (
        clean
        | SLICE
        | {f"GRAFTLINE_{key}": value for key, value in places.items()}
        | {"LOCAL_HOME": str(root / "tfx"), CONFIG_VARIABLE: "digits"}
    )


def listing(printed: str) -> list[dict]:
    """Returns the JSON that a command printed, without the lines before it."""
    found: list[dict] = json.loads(printed[printed.index("[\n") :])
    return found


@pytest.fixture(scope="module")
def first_run(tfx) -> str:
    tfx("pipeline", "create", "--engine=local", "--pipeline_path=pipeline.py")
    return tfx("run", "create", "--engine=local", "--pipeline_name=digits")


@pytest.fixture(scope="module")
def nodes(root) -> list[str]:
    """The ids of the DAG's nodes."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(root).items():
            patch.setenv(name, value)
        patch.setenv(CONFIG_VARIABLE, "digits")
        return sorted(node.id for node in create_pipeline(load()).components)


@pytest.fixture
def executed(nodes) -> list[str]:
    return sorted(set(nodes) - LOOKING_UP)


def database(root: Path) -> metadata.Metadata:
    return metadata.Metadata(metadata.sqlite_metadata_connection_config(str(root / "metadata/digits.sqlite")))


def executions(root: Path) -> dict[str, list[int]]:
    """Returns the states of all executions so far by node, oldest first."""
    found: dict[str, list[int]] = {}
    with database(root) as handle:
        for execution in sorted(handle.store.get_executions(), key=lambda execution: execution.id):
            contexts = handle.store.get_contexts_by_execution(execution.id)
            for node in [context.name for context in contexts if context.type == "node"]:  # a rollback has none
                found.setdefault(node.removeprefix("digits."), []).append(execution.last_known_state)
    return found


def artifacts(root: Path, kind: str) -> list[metadata_store_pb2.Artifact]:
    with database(root) as handle:
        return sorted(handle.store.get_artifacts_by_type(kind), key=lambda artifact: artifact.id)


def pushed_versions(root: Path) -> list[str]:
    return [str(version) for version in versions.versions(root / "serving/digits")]


def test_the_first_run_trains_blesses_and_pushes_a_model(first_run, root, nodes):
    states = executions(root)
    assert sorted(states) == nodes
    assert all(state == [COMPLETE] for state in states.values())
    assert len(pushed_versions(root)) == 1
    assert "Blessed." in first_run
    assert f"Pushed to {root}/serving/digits/{pushed_versions(root)[0]}" in first_run
    for node in nodes:
        assert f"✔ {node} done in" in first_run


def test_the_weights_and_their_checksum_are_on_the_model(first_run, root):
    (model,) = artifacts(root, "Model")
    assert model.custom_properties["weights_source"].string_value.startswith("imagenet")
    assert len(model.custom_properties["weights_sha256"].string_value) == 64


def test_the_evaluator_agrees_with_the_trainer_on_the_test_split(first_run, root):
    (run,) = artifacts(root, "ModelRun")
    history = json.loads(Path(run.uri, HISTORY_FILE).read_text())
    assert [len(phase["epochs"]) for phase in history["phases"]] == [8, 2]
    (evaluated,), (examples,) = artifacts(root, "ModelEvaluation"), artifacts(root, "Examples")
    answers = evaluation.predictions(evaluated.uri)
    assert re.search(rf"test accuracy +│ yes +│ +{100 * answers.right.mean():.2f} % │ +at least 30.00 %", first_run)
    total = sum(json.loads(examples.custom_properties["counts"].string_value)["test"].values())
    right = round(history["phases"][-1]["test_accuracy"] * total)  # of all, even those that look like a training image
    assert 0 <= right - int(answers.right.sum()) <= total - len(answers.labels)


def test_every_number_of_the_card_is_tfmas(first_run, root):
    (told,), (evaluated,) = artifacts(root, "ModelCard"), artifacts(root, "ModelEvaluation")
    card = json.loads(Path(told.uri, "model_card.json").read_text())
    result = tfma.load_eval_result(evaluated.uri)
    overall = {key: value for key, value in result.slicing_metrics if key == ()}[()][""]
    measured = {name: value["doubleValue"] for name, value in overall[""].items() if "doubleValue" in value}
    assert card["verdict"]["accuracy"] == pytest.approx(measured["sparse_categorical_accuracy"])
    assert card["verdict"]["rules"][0]["value"] == pytest.approx(measured["sparse_categorical_accuracy"])
    assert card["numbers"]["measured"]["sparse_categorical_crossentropy"] == measured["sparse_categorical_crossentropy"]
    assert card["numbers"]["examples"] == measured["example_count"]
    (plots,) = [plot[""] for key, plot in result.plots if key == ()]
    (matrix,) = plots[""]["multiClassConfusionMatrixAtThresholds"]["matrices"]
    counted = {(entry.get("actualClassId", 0), entry.get("predictedClassId", 0)): entry for entry in matrix["entries"]}
    for actual, row in enumerate(card["numbers"]["confusion"]):
        for predicted, count in enumerate(row):
            assert count == counted.get((actual, predicted), {"numWeightedExamples": 0})["numWeightedExamples"]
    confusion = np.array(card["numbers"]["confusion"])
    for label, score in enumerate(card["numbers"]["scores"]):
        right, answered, there = confusion[label, label], confusion[:, label].sum(), confusion[label].sum()
        assert (score["precision"], score["recall"]) == (right / max(answered, 1), right / max(there, 1))


def test_the_report_and_the_card_are_where_they_are_looked_for(first_run, root):
    (report,), (card,), (version,) = artifacts(root, "RunReport"), artifacts(root, "ModelCard"), pushed_versions(root)
    before, last = first_run.rstrip().splitlines()[-2:]
    assert before == f"Report: {report.uri}/report.html"
    assert last.startswith("Pushed to")
    extra = root / "serving/digits" / version / "assets.extra"
    for name in ("model_card.md", "model_card.json"):
        assert (extra / name).read_bytes() == Path(card.uri, name).read_bytes()
    facts = json.loads((extra / "model_card.json").read_text())["facts"]
    assert facts["command"].startswith("graftline run digits --set ")
    assert "--set training.phase_2.epochs=2" in facts["command"]
    led = [step["name"] for step in facts["steps"]]
    assert led.index("TfdsExampleGen") < led.index("Transform") < led.index("Trainer") < led.index("Evaluator")
    assert all(step["seconds"] > 0 and not step["cached"] for step in facts["steps"])


def test_the_pushed_model_answers_both_signatures(first_run, root):
    (version,) = pushed_versions(root)
    model = tf.saved_model.load(str(root / "serving/digits" / version))
    (examples,) = artifacts(root, "Examples")
    (shard, *_) = sorted(Path(examples.uri, "Split-test").iterdir())
    records = list(tf.data.TFRecordDataset(str(shard)).take(8).as_numpy_iterator())
    by_example = model.signatures["serving_default"](examples=tf.constant(records))
    images = [tf.train.Example.FromString(record).features.feature[IMAGE].bytes_list.value[0] for record in records]
    by_bytes = model.signatures["serving_bytes"](image_bytes=tf.constant(images))
    assert by_example["probabilities"].shape == (8, 10)
    tf.debugging.assert_near(by_example["probabilities"], by_bytes["probabilities"], atol=1e-6)
    assert set(by_bytes["label_name"].numpy()) <= {str(digit).encode() for digit in range(10)}


def test_a_second_run_is_served_from_cache_and_pushes_nothing_more(first_run, program, root, executed):
    before = pushed_versions(root)
    printed = program("pipeline")
    states = executions(root)
    assert {node: states[node][-1] for node in executed} == dict.fromkeys(executed, CACHED)
    assert "↺ Trainer served from cache in" in printed
    assert (
        f"Nothing has changed, and nothing was pushed: an earlier run pushed this model to {root}/serving/digits/{before[0]}"
        in printed
    )
    assert pushed_versions(root) == before


def test_a_dry_run_says_what_would_be_made_anew_and_why_and_makes_nothing(first_run, program, root, executed):
    before = sorted(root.rglob("*"))

    def planned(**changes: str) -> dict[str, str]:
        printed = program("graftline.cli", "run", "digits", "--dry-run", "--json", **changes)
        steps = listing(printed)
        assert [step["node"] for step in steps if step["cached"] == bool(step["why"])] == []
        return {step["node"]: step["why"] for step in steps if not step["cached"]}

    assert planned() == {}
    anew = planned(GRAFTLINE_GATE__MIN_ACCURACY="0.32")
    assert anew["Evaluator"] == "gate changed"
    assert set(anew) == {"Evaluator", "ServingCheck", "CardGen", "Pusher", "ReportGen"} and "Trainer" not in anew
    anew = planned(GRAFTLINE_TRAINING__SEED="7", GRAFTLINE_RUN__FORCE_RETRAIN="true")
    assert anew["Trainer"] == "run.force_retrain asks for it" and anew["Pusher"] == "Trainer is not cached"
    anew = planned(GRAFTLINE_DATA__MAX_EXAMPLES="499")
    assert set(anew) == {*executed, "BaselineData"} - {"ImportSchemaGen"}
    assert sorted(root.rglob("*")) == before


def test_past_runs_are_listed_and_compared(first_run, program, root):
    (run,) = artifacts(root, "ModelRun")
    phases = json.loads(Path(run.uri, HISTORY_FILE).read_text())["phases"]
    listed = listing(program("graftline.cli", "runs", "--all", "--json"))[-1]
    assert (listed["run"], listed["state"], listed["dataset"], listed["blessed"]) == (1, "done", "digits", True)
    assert listed["pushed"] == pushed_versions(root)[0]
    for phase in phases:
        accuracies = listed["phases"][str(phase["phase"])]
        measured = {split: phase[f"{split}_accuracy"] for split in ("test", "validation")}
        assert accuracies == pytest.approx(measured, abs=1e-5)  # the store keeps six digits
    printed = program("graftline.cli", "compare", "1", "production")
    assert re.search(rf"test accuracy +│ {phases[-1]['test_accuracy']:.4f} ", printed)
    assert re.search(r"data.max_examples +│ 500 ", printed)
    assert "≠" not in printed


def test_a_candidate_worse_than_the_model_in_production_is_neither_blessed_nor_pushed(first_run, program, root):
    before = pushed_versions(root)
    printed = program("pipeline", GRAFTLINE_GATE__MIN_ACCURACY="0", **WORSE)
    assert "above the model in production is -" in printed and "but must be at least -2.00 points" in printed
    assert "Not blessed" in printed
    assert "Not pushed" in printed
    assert pushed_versions(root) == before
    assert [blessing.custom_properties["blessed"].int_value for blessing in artifacts(root, "ModelBlessing")] == [1, 0]


def test_a_candidate_below_the_threshold_is_neither_blessed_nor_pushed(first_run, program, root):
    before = pushed_versions(root)
    printed = program("pipeline", GRAFTLINE_GATE__MIN_ACCURACY="0.99", GRAFTLINE_GATE__MAX_ACCURACY_DROP="1", **WORSE)
    assert "but must be at least 99.00 %" in printed
    assert pushed_versions(root) == before


def test_a_rolled_back_model_is_out_of_production_and_stays_out(first_run, program, root):
    first, directory = pushed_versions(root)[0], root / "serving/digits"
    other = {"GRAFTLINE_TRAINING__PHASE_2__EPOCHS": "1", "GRAFTLINE_GATE__MAX_ACCURACY_DROP": "1"}
    program("pipeline", **other)
    assert len(pushed_versions(root)) == 2
    printed = program("graftline.cli", "rollback", "--data", "digits", "--reason", "calls threes eights")
    third = pushed_versions(root)[-1]
    assert printed.endswith(f"Withdrew version {pushed_versions(root)[1]}; {directory / third} is in production now.\n")
    good, withdrawn, again = pushes.read(directory)
    assert (again.digest, again.why) == (good.digest, "calls threes eights")
    assert good.digest != withdrawn.digest
    assert str(good.version) == first
    printed = program("pipeline", **other)
    assert f"Not pushed: {again.who} took this model back on {again.when[:10]}: calls threes eights." in printed
    printed = program("pipeline", GRAFTLINE_GATE__MIN_ACCURACY="0", GRAFTLINE_GATE__MAX_ACCURACY_DROP="0.03", **WORSE)
    assert "but must be at least -3.00 points" in printed
    assert pushed_versions(root)[-1] == third


def test_a_second_run_at_once_is_refused_and_told_whose_the_first_is(first_run, program, root):
    with filelock.FileLock(root / "locks/digits.run.lock"):
        printed = program("pipeline", status=1)
    assert re.search(
        rf"Another run of digits in {root} is running \(process {os.getpid()}, since 2[-\d: ]+\): wait for it to",
        printed,
    )
    assert "Traceback" not in printed


def test_a_full_disk_at_the_push_is_told_and_the_next_run_completes(first_run, program, root, tmp_path):
    # Another threshold, so that the push is not served from cache
    changes = {"GRAFTLINE_RUN__SERVING_DIR": str(tmp_path), "GRAFTLINE_GATE__MIN_ACCURACY": "0.31"}
    with tmpfs(tmp_path, "1m"):
        printed = program("pipeline", status=1, **changes)
        assert f"No space is left on the disk of {tmp_path}" in printed
        assert not versions.versions(tmp_path / "digits")
        subprocess.run(["mount", "-o", "remount,size=100m", str(tmp_path)], check=True)
        program("pipeline", **changes)
        (version,) = versions.versions(tmp_path / "digits")
        assert tf.saved_model.load(str(tmp_path / "digits" / str(version))).signatures
        assert not list((tmp_path / "digits").glob(".*"))


def test_a_folder_alone_is_enough_and_its_photos_must_stay_alike(tfx, program, root, tmp_path):
    random, folder = np.random.default_rng(0), tmp_path / "My Pets"
    for index in range(120):
        label = "cat" if index % 2 else "dog"
        (folder / label).mkdir(parents=True, exist_ok=True)
        noise = random.integers(0, 256, (8, 8, 3), dtype=np.uint8) // 4
        noise[..., 2 * (index % 2)] += 192  # dogs are red, cats are blue: even a few steps tell them apart
        Image.fromarray(noise).save(folder / label / f"{index}.png")
    name = name_of(folder)
    photos = {CONFIG_VARIABLE: f"folder:{folder}"} | BRIEF
    for index in range(60):  # a refused first try must not affect later ones
        (folder / "copies").mkdir(exist_ok=True)
        shutil.copy(folder / "cat/1.png", folder / "copies" / f"{index}.png")
    assert "✘ DataGate failed in" in program("pipeline", status=1, **photos)
    shutil.rmtree(folder / "copies")
    printed = tfx("pipeline", "create", "--engine=local", "--pipeline_path=pipeline.py", **photos)
    assert f"Inferred {root}/schemas/{name}.pbtxt, which is kept once the photos have passed all checks." in printed
    printed = program("pipeline", **photos)
    assert f"{root}/schemas/{name}.pbtxt is kept: the photos of later runs are checked against it." in printed
    assert f"Pushed to {root}/serving/{name}/" in printed

    (folder / "bird").mkdir()
    for index in range(10):
        Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / "bird" / f"{index}.png")
    printed = program("pipeline", status=1, **photos)
    assert "✘ DataGate failed in" in printed
    assert "split train, feature 'label_name': Unexpected string values" in printed
    assert f"Fix the data. If it is right, change the schema {root}/schemas/{name}.pbtxt, or" in printed
    assert "Traceback" not in printed
    assert "▶ Transform" not in printed


@pytest.mark.parametrize("line", ["▶ TfdsExampleGen", "✔ TfdsExampleGen", "▶ StatisticsGen", "✔ StatisticsGen"])
def test_asked_to_stop_while_the_schema_is_inferred_it_says_how_to_go_on(tmp_path, line):
    random = np.random.default_rng(0)
    for index in range(20):
        path = tmp_path / "photos" / ("cat" if index % 2 else "dog") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    photos = {CONFIG_VARIABLE: f"folder:{tmp_path}/photos"}
    started = warm.Program("pipeline", env=environment(tmp_path) | photos, together=True)
    while line not in started.said():
        assert started.running(), started.said()
        time.sleep(0.01)
    os.kill(started.pid, signal.SIGINT)
    done = started.wait(60)
    assert (done.returncode, "▶ ImportSchemaGen" in done.stdout) == (130, False)
    assert done.stdout.endswith("Stopped. Run the same command to resume where it left off.\n")
    assert "Traceback" not in done.stdout


def test_data_unlike_that_of_the_model_in_production_stops_the_run(first_run, program, root, tmp_path):
    images, labels = load_digits(return_X_y=True)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        if label == 0 or index % 20 == 0:  # only the zeros are complete
            folder = tmp_path / "digits" / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray((16 * image.reshape(8, 8)).clip(0, 255).astype(np.uint8)).save(folder / f"{index}.png")
    changes = {"GRAFTLINE_DATA__DATASET": f"folder:{tmp_path / 'digits'}"}
    printed = program("pipeline", status=1, **changes)
    assert "The name digits belongs to the dataset digits, but this run uses folder:" in printed
    printed = program("pipeline", status=1, GRAFTLINE_RUN__ADOPT="true", **changes)
    (root / "serving/digits" / binding.DATASET).write_text("digits\n")  # for the other tests
    told = r"training images of class '0', \d+ in the data of the model in production: .* instead of \d+%"
    assert re.search(told, printed)
    assert "accept exactly this data: `graftline accept-data" in printed
    assert "Traceback" not in printed
    assert "▶ Transform" not in printed


def test_outputs_that_lost_a_file_are_made_again(first_run, program, root, executed):
    before = pushed_versions(root)
    artifact = artifacts(root, "InfraBlessing")[0]
    next(Path(artifact.uri).rglob("saved_model.pb")).unlink()
    shutil.rmtree(artifacts(root, "DuplicatesReport")[0].uri)
    printed = program("pipeline")
    assert f"{artifact.uri} is made again" in printed
    states = executions(root)
    made_again = {"DataGate", "Duplicates", "Evaluator", "ServingCheck", "CardGen", "ReportGen", "Pusher"}
    assert {node for node in executed if states[node][-1] == COMPLETE} == made_again
    assert pushed_versions(root) == before, "the model in production was pushed again"


def test_a_version_that_was_deleted_is_pushed_again(first_run, program, root):
    for version in pushed_versions(root):
        shutil.rmtree(root / "serving/digits" / version)
    printed = program("pipeline")
    (version,) = pushed_versions(root)
    assert printed.endswith(f"Pushed to {root}/serving/digits/{version}\n")


def test_a_report_that_fails_is_a_warning_and_the_model_is_pushed(first_run, program, root):
    changes = {"GRAFTLINE_GATE__MIN_ACCURACY": "0.32"}  # so that the report is made again
    printed = program("tests.killed", "components.report.page:render", "instead", **changes)
    assert "RuntimeError: broken on purpose" in printed
    assert (
        "Warning: ReportGen failed (see the error above), so there is no report; the next run tries again." in printed
    )
    assert printed.splitlines()[-1].startswith("Pushed to")
    assert listing(program("graftline.cli", "runs", "--json"))[0]["state"] == "failed at ReportGen"
    assert "Report: " in program("pipeline", **changes)


PLACES = [
    ("TfdsExampleGen", "components.example_gen.executor:_finish before"),
    ("Duplicates", "components.duplicates.component:find after"),
    ("StatisticsGen", "tfx.components.statistics_gen.executor:Executor.Do after"),
    ("Transform", "tfx.components.transform.executor:Executor.Do after"),
    ("Evaluator", "tfx.components.evaluator.executor:Executor.Do after"),
    ("ServingCheck", "components.serving_check.component:write_warm_up before"),
    ("CardGen", "components.report.card_gen:write after"),
    ("Pusher", "components.pusher.executor:PusherExecutor.Do after"),
    ("ReportGen", "components.report.component:write after"),
]


def test_a_person_can_push_what_the_gate_refused_and_it_is_taken_back_again(first_run, program, root):
    before = pushed_versions(root)
    program("pipeline", GRAFTLINE_GATE__MIN_ACCURACY="0.99", GRAFTLINE_GATE__MAX_ACCURACY_DROP="1", **WORSE)
    told = program("graftline.cli", "push", "latest", "-d", "digits", "--reason", "to try it")
    assert re.search(rf"Pushed to {root}/serving/digits/{pushed_versions(root)[-1]}\.", told)
    assert "by" in program("graftline.cli", "runs") and "to try it" in program("graftline.cli", "runs")
    program("graftline.cli", "rollback", "-d", "digits", "--reason", "tried")
    assert len(pushed_versions(root)) == len(before) + 2
    first, *_, last = pushes.read(root / "serving/digits")
    assert first.digest == last.digest


@pytest.mark.faults
def test_whatever_is_killed_the_next_run_goes_on_and_pushes_once(program, tmp_path):
    changes = {"GRAFTLINE_RUN__ROOT": str(tmp_path), "GRAFTLINE_RUN__SERVING_DIR": str(tmp_path / "serving")} | WORSE
    changes["GRAFTLINE_GATE__MIN_ACCURACY"] = "0"
    for node, place in PLACES:
        program("tests.killed", *place.split(), status=KILLED, **changes)
        assert executions(tmp_path)[node][-1] == RUNNING
    printed = program("pipeline", **changes)
    states = executions(tmp_path)
    for node, _ in PLACES:
        assert (node, states[node][:2]) == (node, [RUNNING, COMPLETE])
    assert states["Trainer"].count(COMPLETE) == 1
    (version,) = pushed_versions(tmp_path)
    assert f"an earlier run pushed this model to {tmp_path}/serving/digits/{version}" in printed


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    with tmpfs(tmp_path, "100m"):
        yield tmp_path


def fill(disk: Path, leave: int) -> Path:
    """Fills a disk except for some bytes; returns the file that takes up the rest."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - leave)
    return ballast


@pytest.mark.faults
def test_a_full_disk_is_told_wherever_it_is_met_and_the_next_run_goes_on(program, small_disk):
    changes = {"GRAFTLINE_RUN__ROOT": str(small_disk), "GRAFTLINE_DATA__MAX_EXAMPLES": "1797"} | WORSE
    (small_disk / "metadata").mkdir()
    with database(small_disk):  # so that it is not the store that runs out of space
        ballast = fill(small_disk, leave=400_000)
    printed = program("pipeline", status=1, **changes)
    assert "✘ TfdsExampleGen failed" in printed
    assert f"No space is left on the disk of {small_disk}" in printed
    ballast.unlink()
    fill(small_disk, leave=5_000_000)
    printed = program("pipeline", status=1, **changes)
    assert "✘ Trainer failed" in printed
    assert re.search(r"The features of 1,797 images need \d+\.\d MB in .*: free some space and run again", printed)
    assert "Traceback" not in printed
    ballast.unlink()
    assert "✔ Trainer done" in program("pipeline", **changes)


@pytest.mark.parametrize(("number", "line"), [(signal.SIGINT, "▶ StatisticsGen"), (signal.SIGTERM, "Features at")])
def test_asked_to_stop_it_does_within_ten_seconds_and_says_how_to_go_on(first_run, root, number, line):
    changes = {"GRAFTLINE_MODEL__IMAGE_SIZE": "224", "GRAFTLINE_DATA__MAX_EXAMPLES": str(300 + number)}
    started = warm.Program("pipeline", env=environment(root) | changes, together=True)
    while f"\n{line}" not in started.said():
        assert started.running(), started.said()
        time.sleep(0.02)
    os.kill(started.pid, number)
    start = time.monotonic()
    done = started.wait(60)
    assert time.monotonic() - start < 10
    assert done.returncode == 130
    assert done.stdout.endswith("Stopped. Run the same command to resume where it left off.\n")
    assert "Traceback" not in done.stdout
